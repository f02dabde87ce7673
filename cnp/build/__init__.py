"""Builds stencil libraries from the op sources: the only part of cnp that knows clang and pyelftools."""

from __future__ import annotations

from pathlib import Path


def build_libraries(stencils: Path, output: Path) -> list[Path]:
    """Build every target's library from the sources in `stencils` into the directory `output`; their paths.

    Does nothing for a library that is up to date. BuildError says what is missing or wrong.
    """
    # Late, because it needs pyelftools, which those who only look for a compiler do not have.
    from cnp.build import pipeline
    from cnp.build.clang import find_clang
    from cnp.build.progress import default_progress
    from cnp.target import TARGETS

    clang = find_clang()
    paths = [output / f"{name}.cnpl" for name in TARGETS]
    settings = [pipeline.Settings(clang, target, stencils, path) for target, path in zip(TARGETS.values(), paths)]
    list(pipeline.build_libraries(settings, default_progress))
    return paths
