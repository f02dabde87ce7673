"""Builds stencil libraries from the op sources: the only part of cnp that knows clang and pyelftools."""

from __future__ import annotations

from pathlib import Path


def build_libraries(stencils: Path, output: Path) -> list[Path]:
    """Build every target's library from the sources in `stencils` into the directory `output`; their paths.

    Does nothing for a library that is up to date. BuildError says what is missing or wrong.
    """
    # Late, because it needs pyelftools, which those who only look for a compiler do not have.
    from cnp.build.clang import find_clang
    from cnp.build.pipeline import Settings, build_library
    from cnp.build.progress import default_progress
    from cnp.target import TARGETS

    clang = find_clang()
    paths = []
    for target in TARGETS.values():
        paths.append(output / f"{target.name}.cnpl")
        build_library(Settings(clang, target, stencils, paths[-1]), default_progress())
    return paths
