"""Runs under valgrind: work between two calls of a marker, at each of which callgrind writes down what it counted."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from cnp.bench import emission_programs, many_loops, programs
from cnp.bench.harness import Prepared, Work, libc, nothing

if TYPE_CHECKING:
    from cnp import Function

MARKER = "pthread_getconcurrency"
"""A function of the C library without parameters or state, that nothing else calls."""


class Kind(enum.Enum):
    """What is counted, a call."""

    EMIT = "emit"  # cnp_emit
    COMPILE = "compile"  # cnp_compile and cnp_emit
    PYTHON = "python"  # building the function, compiling and dropping it; only for functions that call none


ROUND = "round"
"""The row of a routine that is one instruction."""

_CALLS = (1, 3)
"""How often a work is done between two marks. The difference is two calls, without the way there."""


def name(shape: str, size: int, kind: Kind) -> str:
    """How a row is called."""
    return f"{shape}.{size}.{kind.value}"


def make(shape: str, size: int) -> Function:
    """A function of one of the shapes that there are for emission, or of those of many loops."""
    return many_loops.make(shape, size) if shape in many_loops.SHAPES else emission_programs.make(shape, size)


def main(words: list[str]) -> None:
    """`counted KIND:SIZE,... SHAPE,...`: (name, calls) of every second dump of callgrind's, in order, as JSON.

    The other dumps are of what happens between the works.
    """
    rows = _count(ROUND, nothing())
    for kind, size in (each.split(":") for each in words[0].split(",")):
        for shape in words[1].split(","):
            prepared = Prepared(make(shape, int(size)))
            rows += _COUNTS[Kind(kind)](name(shape, int(size), Kind(kind)), prepared)
            prepared.close()
    json.dump(rows, sys.stdout)


def _count(name: str, work: Work) -> list[tuple[str, int]]:
    """The marks are in the compiled function that has the loop: no Python is counted, and the count is exact."""
    for calls in _CALLS:
        work.repeat(calls, around=libc(MARKER))
    return [(name, calls) for calls in _CALLS]


def _count_python(name: str, prepared: Prepared) -> list[tuple[str, int]]:
    if prepared.function.callees:
        return []
    build = programs.unrolled(prepared.function)
    mark = Work(((libc(MARKER), ()),), ())
    build().compile()
    for calls in _CALLS:
        mark.repeat(1)
        for _ in range(calls):
            build().compile()
        mark.repeat(1)
    return [(name, calls) for calls in _CALLS]


_COUNTS: dict[Kind, Callable[[str, Prepared], list[tuple[str, int]]]] = {
    Kind.EMIT: lambda name, prepared: _count(name, prepared.emission),
    Kind.COMPILE: lambda name, prepared: _count(name, prepared.compilation),
    Kind.PYTHON: _count_python,
}

if __name__ == "__main__":
    main(sys.argv[1:])
