"""A function -> what emitting it writes: how many stencils, chunks, holes, machine instructions and bytes."""

from __future__ import annotations

import ctypes
import functools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from cnp.bench.figure import Unavailable
from cnp.bench.harness import Prepared
from cnp.errors import InternalError, MissingExtra
from cnp.runtime.layout import Trace
from cnp.stencil.library import Library
from cnp.stencil.words import Value
from cnp.tools import disassembly

_ADDRESSES = (Value.LIBRARY, Value.CALLEE, Value.TABLE)
"""What cnp_emit itself computes, because it depends on where the function goes."""
VARIABLES = ("call", "chunk", "address_hole")
"""What the cost of an emission is made of: being called, each chunk, each hole that only cnp_emit can fill in.

All other holes are filled in before, and cost nothing beside their chunk.
"""
_CHECKED = 5000  # instructions; beyond it, decoding the whole function takes too long
_NO_WORK = ("nop", ".", "xchg ax, ax")


@dataclass(frozen=True, slots=True)
class Census:
    """Counts of one emission, or sums of several."""

    ops: int
    stencils: int
    chunks: int  # what the loop of cnp_emit runs over: padding before loops included
    holes: int
    address_holes: int  # those that depend on where the function goes; all others are filled in before
    instructions: int  # padding and jump tables not counted
    bytes: int  # padding and jump tables included

    def parts(self) -> dict[str, int]:
        """What a cost can be divided by, in the singular."""
        return {
            "instruction": self.instructions, "stencil": self.stencils, "chunk": self.chunks, "hole": self.holes,
            "byte": self.bytes, "op": self.ops,
        }  # fmt: skip

    def variables(self) -> tuple[float, ...]:
        """What VARIABLES names, of one emission."""
        return 1.0, self.chunks, self.address_holes

    def __add__(self, other: Census) -> Census:
        return Census(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def total(censuses: Iterable[Census]) -> Census:
    """The sum of one or more."""
    return functools.reduce(Census.__add__, censuses)


def take(prepared: Prepared) -> Census:
    """Compiles once more, with a trace. Unavailable without capstone, InternalError if counts contradict each other."""
    request, library = prepared.request, prepared.core.library
    request.trace = True
    prepared.compile()
    rows = (Trace * request.n_traces).from_address(request.traces)
    used = Counter(memoryview(rows).cast("B").cast("I")[_STENCIL :: ctypes.sizeof(Trace) // 4])
    request.trace = False
    prepared.compile()
    chunks = int(request.n_items)  # with a trace, padding that came out empty counts too
    holes = {index: library.stencil(index).holes for index in used}
    instructions = sum(_instructions(library, index) * count for index, count in used.items())
    if instructions <= _CHECKED and instructions != _decoded(prepared):
        found = f"{instructions} instructions in its stencils, {_decoded(prepared)} in its code"
        raise InternalError(f"function {prepared.function.name!r} has {found}")
    return Census(
        prepared.ops,
        sum(used.values()),
        chunks,
        sum(len(holes[index]) * count for index, count in used.items()),
        sum(sum(hole.value in _ADDRESSES for hole in holes[index]) * count for index, count in used.items()),
        instructions,
        len(prepared.code),
    )


_STENCIL = Trace.stencil.offset // 4


def _instructions(library: Library, index: int) -> int:
    """Of one stencil; its holes are empty, which changes nothing about their number."""
    code = library.stencil(index).code
    return _count(code, 0, library.target, len(code))


def _decoded(prepared: Prepared) -> int:
    """Of the whole function, as it was emitted."""
    made = prepared.compiled
    return _count(prepared.code, made.entry, prepared.core.library.target, made._code.parts[made._index].code_end)


def _count(code: bytes, address: int, target: str, end: int) -> int:
    try:
        rows = disassembly.instructions(code, address, target, end)
    except MissingExtra as error:
        raise Unavailable(str(error)) from None
    return sum(not each.text.startswith(_NO_WORK) for each in rows)
