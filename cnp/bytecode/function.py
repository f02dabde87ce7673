"""Functions made of guest bytecode, which know where in it each of their ops comes from."""

from __future__ import annotations

from cnp.ir.packed import PackedFunction
from cnp.runtime.guest_layout import NO_OFFSET


class GuestFunction(PackedFunction):
    """A cnp.Function in every respect, made by Table.function."""

    __slots__ = ("_offsets",)

    _offsets: bytes  # of each op, 32 bits

    def offset_of(self, op: int) -> int | None:
        """The offset in the bytecode of the instruction, its prefixes included, that an op is part of; `op` is its
        number, as in cnp.Trap. None for those that set registers first, and for what was added later."""
        offsets = memoryview(self._offsets).cast("I")
        found = offsets[op] if 0 <= op < len(offsets) else NO_OFFSET
        return None if found == NO_OFFSET else found

    def _where(self, op: int) -> str:
        offset = self.offset_of(op)
        return super()._where(op) if offset is None else f"offset {offset}, {super()._where(op)}"
