"""Scratch memories, which the core's passes work in: taken for a call of it, and given back to be taken again."""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

SIZE = 256 << 10
"""Bytes to begin with; a memory grows to what the largest function needed and stays."""


class Scratch:
    """`size` bytes at `address`, for who has taken it by a with statement; and more memories, by their numbers.

    Another one takes another: a second thread, or what the __index__ of a constant compiles amid a compilation.
    """

    __slots__ = ("_bytes", "_free", "_more", "address", "size")

    def __init__(self, free: list[Scratch]) -> None:
        """Leaving the with statement adds it to those that are `free`."""
        self._free = free
        self._more: list[Scratch] = []
        self.grow(SIZE)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self._free.append(self)

    def number(self, index: int) -> Scratch:
        """This one for 0, and one more for each number after it."""
        if not index:
            return self
        while len(self._more) < index:
            self._more.append(Scratch(self._more))
        return self._more[index - 1]

    def grow(self, size: int) -> None:
        """From now on it has so many bytes, and not what was in it."""
        memory: Any = (ctypes.c_uint8 * size)()
        self._bytes = memoryview(memory)
        self.address, self.size = ctypes.addressof(memory), size

    def copy(self, address: int, size: int) -> bytes:
        """What is in it at an address."""
        start = address - self.address
        return self._bytes[start : start + size].tobytes()
