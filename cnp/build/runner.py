"""Builds the runner: the program that executes a target's compiled code where Python does not run."""

from __future__ import annotations

from pathlib import Path

from cnp.build.compile import Compiler
from cnp.build.core import Part, link
from cnp.build.elf import read_object
from cnp.build.executable import VARIABLES, executable
from cnp.errors import BuildError
from cnp.stencil.writer import write_file
from cnp.target.record import arguments

RUNNER_SOURCE = "runner/runner.c"
_ENTRY = "cnp_start"


def runner_path(library: Path) -> Path:
    """Where the runner for a library is kept: beside it."""
    return library.with_suffix(".runner")


def lacks_runner(stencils: Path, library: Path) -> bool:
    """Whether the op sources have a runner that is not beside the library."""
    return (stencils / RUNNER_SOURCE).is_file() and not runner_path(library).is_file()


def build_runner(compiler: Compiler, library: Path) -> None:
    """Compile, link and write the runner, where the op sources have one. BuildError if it cannot be built.

    It is linked as the core is, because a machine that can build stencils need not have a linker.
    """
    if not (compiler.stencils / RUNNER_SOURCE).is_file():
        return
    target, path = compiler.target, compiler.objects / "runner.o"
    variables = f"-DRUNNER_STATE={VARIABLES:#x}"
    compiler.run([*arguments(target.core_flags), variables, "-c", RUNNER_SOURCE, "-o", str(path)])
    blob = link([Part(RUNNER_SOURCE, read_object(path, target.elf_machine))], target)
    if _ENTRY not in blob.exports:
        raise BuildError(f"{RUNNER_SOURCE}: CNP_START of {target.header} does not define {_ENTRY}")
    write_file(runner_path(library), executable(blob.data, blob.exports[_ENTRY], target.elf_machine), 0o755)
