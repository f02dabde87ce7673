"""Turns libpcap's interpreter into something fair to compare with: its bpf_filter, called from a compiled loop."""

from __future__ import annotations

import cnp
from cnp import i32, i64

from . import libpcap
from .capture import CAPTURED_LENGTH, OFFSET, RECORD, WIRE_LENGTH


def lower_bpf_filter_loop() -> cnp.Function:
    """The function `(program, data, index, count, verdicts) -> accepted` that calls bpf_filter for every packet.

    program: an array of struct bpf_insn that passed validate(); the rest as for compiler.lower(). Beside the call the
    loop does no more than a compiled filter's own loop does. Raises LibpcapMissing where there is no libpcap."""
    interpreter = cnp.extern(libpcap.filter_address(), [i64, i64, i32, i32], i32, name="bpf_filter")
    f = cnp.Function("bpf_filter_loop", params=[cnp.ptr, cnp.ptr, cnp.ptr, i64, cnp.writable_ptr], result=i64)
    program, data, index, count, verdicts = f.params
    end, accepted, packet = f.reg(i64), f.reg(i64), f.reg(i64)
    captured, wire, verdict = f.reg(i32), f.reg(i32), f.reg(i32)
    head, dropped, done = f.label(), f.label(), f.label()
    f.i64_const(accepted, 0)
    f.i64_mul(end, count, RECORD.size)
    f.i64_add(end, end, index)
    f.branch_i64_eq(index, end, done)
    f.place(head)
    f.i64_load(packet, index, OFFSET)
    f.i64_add(packet, packet, data)
    f.i32_load(captured, index, CAPTURED_LENGTH)
    f.i32_load(wire, index, WIRE_LENGTH)
    f.call(verdict, interpreter, program, packet, wire, captured)
    f.i32_store(verdict, verdicts)
    f.branch_i32_eqz(verdict, dropped)
    f.i64_add(accepted, accepted, 1)
    f.place(dropped)
    f.i64_add(index, index, RECORD.size)
    f.i64_add(verdicts, verdicts, 4)
    f.branch_i64_ne(index, end, head)
    f.place(done)
    f.ret(accepted)
    return f
