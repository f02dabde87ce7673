"""Scratch memories, which the core's passes work in: taken for a call of it, and given back to be taken again."""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

SIZE = 256 << 10
"""Bytes to begin with; a memory grows to what the largest function needed and stays."""

_MOST_SPARE = 32
"""How many memories of a group's later functions are kept."""


class Scratch:
    """`size` bytes at `address`, for who has taken it by a with statement; and more memories, by their numbers.

    Another one takes another: a second thread, or what the __index__ of a constant compiles amid a compilation.
    """

    __slots__ = ("_bytes", "_free", "_more", "_spare", "address", "size")

    def __init__(self, free: list[Scratch], spare: list[Scratch], size: int = SIZE) -> None:
        """Leaving the with statement adds it to the `free` ones, and those that it took besides to the `spare` ones."""
        self._free = free
        self._spare = spare
        self._more: list[Scratch] = []
        self.grow(size)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._more:
            self._spare.extend(self._more)
            del self._spare[_MOST_SPARE:]
            self._more = []
        self._free.append(self)

    def another(self, size: int) -> Scratch:
        """One of at least `size` bytes, until the with statement is left."""
        try:
            found = self._spare.pop()
        except IndexError:
            found = Scratch(self._free, self._spare, size)
        if found.size < size:
            found.grow(size)
        self._more.append(found)
        return found

    def grow(self, size: int) -> None:
        """From now on it has so many bytes, and not what was in it."""
        memory: Any = (ctypes.c_uint8 * size)()
        self._bytes = memoryview(memory)
        self.address, self.size = ctypes.addressof(memory), size

    def copy(self, address: int, size: int) -> bytes:
        """What is in it at an address."""
        start = address - self.address
        return self._bytes[start : start + size].tobytes()
