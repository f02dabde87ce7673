"""Turns libpcap's interpreter into something fair to compare with: its bpf_filter, called from a compiled loop."""

from __future__ import annotations

import cnp
from cnp import i32, i64

from . import libpcap
from .capture import WIRE_LENGTH
from .loop import PacketLoop


def lower_bpf_filter_loop() -> cnp.Function:
    """The function `(data, index, count, verdicts, program) -> accepted` that calls bpf_filter for every packet.

    program: an array of struct bpf_insn that passed validate(); the rest as for compiler.lower(). The
    loop is the one compiled filters have. Raises LibpcapMissing where there is no libpcap."""
    interpreter = cnp.extern(libpcap.filter_address(), [i64, i64, i32, i32], i32, name="bpf_filter")
    loop = PacketLoop("bpf_filter_loop", cnp.ptr)
    f = loop.function
    (program,) = loop.more
    captured, wire, verdict = f.reg(i32), f.reg(i32), f.reg(i32)
    loop.begin()
    f.i32_wrap_i64(captured, loop.captured)
    f.i32_load(wire, loop.index, WIRE_LENGTH)
    f.call(verdict, interpreter, program, loop.packet, wire, captured)
    loop.store(verdict)
    return loop.finish()
