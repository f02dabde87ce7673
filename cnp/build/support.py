"""Builds the support: the object file that `cnp emit` puts beside a program's functions."""

from __future__ import annotations

from pathlib import Path

from cnp.build.compile import Compiler
from cnp.stencil.sources import support_path
from cnp.stencil.writer import write_file
from cnp.target.record import Flag, arguments

SUPPORT_SOURCE = "ahead/support.c"
_FLAGS = (Flag("-Os", "it is in every object file, and no loop of it matters"),)


def lacks_support(stencils: Path, library: Path) -> bool:
    """Whether the op sources have a support that is not beside the library."""
    return (stencils / SUPPORT_SOURCE).is_file() and not support_path(library).is_file()


def build_support(compiler: Compiler, library: Path) -> None:
    """Compile and write it, where the op sources have one. BuildError if clang refuses it.

    The flags are the core's but for the code model: how far variables are is up to the program that it becomes part of.
    It has landing pads, which do nothing where nobody wants them, and cost less than a second support.
    """
    if not (compiler.stencils / SUPPORT_SOURCE).is_file():
        return
    path = compiler.objects / "support.o"
    flags = [each for each in compiler.target.core_flags if not each.text.startswith("-mcmodel")]
    pads = compiler.target.landing_pads.flags if compiler.target.landing_pads else ()
    compiler.run([*arguments((*flags, *_FLAGS, *pads)), "-c", SUPPORT_SOURCE, "-o", str(path)])
    write_file(support_path(library), path.read_bytes())
