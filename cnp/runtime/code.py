"""Machine code as an object: the block it is in, the functions in the block, and what they need to stay alive."""

from __future__ import annotations

import ctypes
import itertools
from _weakref import ref

from cnp.runtime.layout import Request
from cnp.runtime.reservation import reserve

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from cnp.runtime.block import Block
    from cnp.runtime.core import Core
    from cnp.runtime.outward import Entry, SideExits
    from cnp.types import ParameterType, Type

    class Described(Protocol):
        """What the run time must know of a function."""

        name: str

        @property
        def result(self) -> Type | None: ...

        @property
        def parameter_types(self) -> Sequence[ParameterType]: ...


_numbers = itertools.count(1)
_alive: dict[int, ref[Part]] = {}  # by the number in trap words; weak, for a function may call what keeps it alive


def function_of(number: int) -> Described | None:
    """The live function of a number in a trap word."""
    found = _alive.get(number)
    part = None if found is None else found()
    function: Described | None = None if part is None else part.function
    return function


def announce(parts: list[Part]) -> None:
    """Traps in these functions can be told from now on, until `forget`."""
    for part in parts:
        _alive[part.number] = ref(part)


def forget(parts: list[Part]) -> None:
    """The functions are gone."""
    for part in parts:
        _alive.pop(part.number, None)


class Part:
    """One function of a piece of code. What the core finds out of it is there once it has been read."""

    __slots__ = (
        "__weakref__",
        "alignment",
        "callbacks",
        "code_end",
        "code_size",
        "exits",
        "frame_size",
        "function",
        "intervals",
        "is_bare",
        "number",
        "offset",
        "traces",
    )

    offset: int  # in the block
    code_size: int
    frame_size: int
    code_end: int  # behind the instructions: the pool and jump tables follow
    alignment: int  # of its first byte
    is_bare: bool
    traces: Sequence[tuple[int, int, int]]  # (op, stencil, offset), when asked for
    intervals: Sequence[tuple[int, int, int, int]]  # (start, end, register or -1, slot or -1), the same

    def __init__(self, function: Any) -> None:
        self.function = function
        self.number = next(_numbers) & 0xFFFFFFFF
        self.exits: SideExits | None = None
        self.callbacks: list[Entry] = []  # whose records another process sees

    def read(self, request: Request) -> None:
        """Take over what the core found out."""
        self.code_size, self.frame_size = request.code_size, request.frame_size
        self.is_bare = bool(request.is_bare)
        self.code_end = request.code_end
        self.alignment = request.alignment
        if request.trace:
            self.traces, self.intervals = request.read_traces(), request.read_intervals()
        else:
            self.traces = self.intervals = ()


class Code:
    """A block of code memory with the functions in it. Freed with the last reference to it."""

    __slots__ = ("__weakref__", "_block", "_reservations", "core", "keeps", "parts")

    def __init__(self, core: Core, parts: list[Part], keeps: list[Any], block: Block) -> None:
        self.core = core
        self.parts = parts
        self.keeps = keeps  # what this code calls, and the data cells that it reads
        self._block = block
        self._reservations = [reserve(core, block)]
        announce(parts)

    def entry(self, index: int) -> int:
        """Where a member begins."""
        return self._block.executable_address + self.parts[index].offset

    def bytes_of(self, index: int) -> bytes:
        """A member's code and jump tables."""
        return ctypes.string_at(self.entry(index), self.parts[index].code_size)

    def make_entry(self, is_float: bool, signature: int) -> Block:
        """The way in from C for a signature, given its address, with a float result or none; in a block of its own."""
        block = self.core.make_entry(is_float, signature)
        self._reservations.append(reserve(self.core, block))
        return block

    def __del__(self) -> None:
        forget(self.parts)
