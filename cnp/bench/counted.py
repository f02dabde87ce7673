"""Runs under valgrind: work between two calls of a64l, at each of which callgrind writes down what it has counted."""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

from cnp import Function, extern, i64
from cnp.bench import programs
from cnp.bench.harness import Prepared

MARKER = "a64l"
"""A function of the C library that nothing else calls."""


def _mark(pointer: int) -> None:
    _marker()(pointer)


_made: list[Any] = []


def _marker() -> Any:
    """The call of a64l as a compiled function."""
    if not _made:
        address = ctypes.cast(getattr(ctypes.CDLL(None), MARKER), ctypes.c_void_p).value or 0
        f = Function("mark", params=[i64])
        f.call(None, extern(address, [i64], i64), f.params[0])
        f.ret()
        _made.append(f.compile())
    return _made[0]


def main(words: list[str]) -> None:
    """`counted SIZE SHAPE...`: writes what was counted, in the order of callgrind's dumps, as JSON on stdout."""
    size = int(words[0])
    text = ctypes.create_string_buffer(8)
    pointer = ctypes.addressof(text)
    rows: list[tuple[str, int]] = []
    _mark(pointer)

    def count(name: str, repeats: int) -> None:
        _mark(pointer)
        rows.append((name, repeats))

    for shape in words[1:]:
        prepared = Prepared(programs.face() if shape == "face" else programs.SHAPES[shape](size))
        prepared.emit(2)
        # Once and thrice: the difference is two calls, without the way there.
        for repeats in (1, 3):
            _mark(pointer)
            rows.append(("", 0))
            prepared.emit(repeats)
            count(f"{shape}.emit", repeats)
            prepared.compile_and_emit(repeats)
            count(f"{shape}.compile", repeats)
        if shape == "calls":
            continue
        build = programs.unrolled(prepared.function)
        build().compile()
        for repeats in (1, 3):
            _mark(pointer)
            rows.append(("", 0))
            for _ in range(repeats):
                build().compile()
            count(f"{shape}.python", repeats)
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
