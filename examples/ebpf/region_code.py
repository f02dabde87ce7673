"""Emits the question whether regions of memory hold bytes whose address, or number, is known when it runs only."""

from __future__ import annotations

import cnp
from cnp import Label, Register, i32, i64

from .memory import CONTEXT_BASE, CONTEXT_LENGTH, Memory


def leave_unless_held(
    f: cnp.Function, address: Register, size: Register, start: Register | int, length: Register | int, label: Label
) -> None:
    """Emit: go to a label if a region does not hold `size` bytes, however many, at an address."""
    offset, room = f.reg(i64), f.reg(i64)
    f.branch_i64_lt_u(length, size, label)
    f.i64_sub(offset, address, start)
    f.i64_sub(room, length, size)
    f.branch_i64_gt_u(offset, room, label)


class Anywhere:
    """Functions `(address, size) -> i32`: whether some region of a machine holds the bytes, made when asked for."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._functions: dict[bool, cnp.Function] = {}

    def function(self, *, write: bool) -> cnp.Function:
        """The one for regions that can be written, or for all."""
        if write not in self._functions:
            self._functions[write] = self._make(write)
        return self._functions[write]

    def _make(self, write: bool) -> cnp.Function:
        f = cnp.Function("writable" if write else "readable", params=[i64, i64], result=i32)
        address, size = f.params
        start, length = f.reg(i64), f.reg(i64)
        f.i64_load(start, self.memory.state.address, CONTEXT_BASE)
        f.i64_load(length, self.memory.state.address, CONTEXT_LENGTH)
        regions: list[tuple[Register | int, Register | int]] = [(start, length)]
        regions += [(each.address, each.length) for each in self.memory.regions()[1:] if each.writable or not write]
        for first, count in regions:
            other = f.label()
            leave_unless_held(f, address, size, first, count, other)
            f.ret(1)
            f.place(other)
        f.ret(0)
        return f
