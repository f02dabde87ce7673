"""Turns code for one packet into a cnp function over a whole capture: the loop of compiled filters and of libpcap's."""

from __future__ import annotations

import cnp
from cnp import i32, i64
from cnp.types import ParameterType

from .capture import CAPTURED_LENGTH, OFFSET, RECORD

# How many packets ahead the loop touches. A capture is larger than the caches and packets lie at odd distances, so
# each packet would begin with a wait for memory: without this a filter over 60 MB takes up to twice as long.
READ_AHEAD = 16


class PacketLoop:
    """A function `(data, index, count, verdicts, ...) -> accepted` under construction.

    data: the packets' bytes; index: `count` records as in capture.py, each inside data; verdicts: room for `count`
    32-bit numbers. The result is how many of them are not 0. Between begin() and finish() comes the code for one
    packet, in which `packet` is its address, `captured` its length and `index` the address of its record. Every path
    through it ends in store()."""

    def __init__(self, name: str, *more: ParameterType) -> None:
        params = [cnp.ptr, cnp.ptr, i64, cnp.writable_ptr, *more]
        f = self.function = cnp.Function(name, params=params, result=i64)
        self.data, self.index, self.count, self.verdicts, *self.more = f.params
        self.packet, self.captured = f.reg(i64), f.reg(i64)
        self._end, self._accepted = f.reg(i64), f.reg(i64)
        self._head, self._done = f.label(), f.label()

    def begin(self) -> None:
        """Emit what comes before the code for a packet."""
        f = self.function
        f.i64_const(self._accepted, 0)
        f.i64_shl(self._end, self.count, RECORD.size.bit_length() - 1)
        f.i64_add(self._end, self._end, self.index)
        f.branch_i64_eq(self.index, self._end, self._done)
        f.place(self._head)
        self._read_ahead()
        f.i64_load(self.packet, self.index, OFFSET)
        f.i64_load32_u(self.captured, self.index, CAPTURED_LENGTH)
        f.i64_add(self.packet, self.packet, self.data)

    def _read_ahead(self) -> None:
        """Load a byte of a later packet for nothing but bringing it into the cache; empty ones have no byte."""
        f = self.function
        later, value = f.reg(i64), f.reg(i64)
        skip = f.label()
        f.i64_add(later, self.index, READ_AHEAD * RECORD.size)
        f.branch_i64_ge_u(later, self._end, skip)
        f.i64_load32_u(value, later, CAPTURED_LENGTH)
        f.branch_i64_eqz(value, skip)
        f.i64_load(value, later, OFFSET)
        f.i64_add(value, value, self.data)
        f.i64_load8_u(value, value, 0)
        f.place(skip)

    def store(self, verdict: int | cnp.Register) -> None:
        """Emit the end of a path: store an i32 verdict, count it if it is not 0, go on with the next packet."""
        f = self.function
        f.i32_store(verdict, self.verdicts)
        if isinstance(verdict, int):
            if verdict:
                f.i64_add(self._accepted, self._accepted, 1)
        else:
            one = f.reg(i32)
            more = f.reg(i64)
            f.i32_nez(one, verdict)
            f.i64_extend_i32_u(more, one)
            f.i64_add(self._accepted, self._accepted, more)
        f.i64_add(self.index, self.index, RECORD.size)
        f.i64_add(self.verdicts, self.verdicts, 4)
        f.branch_i64_ne(self.index, self._end, self._head)
        f.jump(self._done)

    def finish(self) -> cnp.Function:
        """Emit what comes after the code for a packet; returns the function, ready to compile."""
        self.function.place(self._done)
        self.function.ret(self._accepted)
        return self.function
