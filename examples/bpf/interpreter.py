"""Turns a program and a packet into a verdict, one instruction at a time: what every other way to run it must equal.

Follows libpcap's bpf_filter: A, X and the scratch words start at 0; a packet load out of range, and a division by
an X of zero, end the filter with 0; a shift by an X of 32 or more gives 0 (libpcap 1.10; older ones left it to C)."""

from __future__ import annotations

from . import instruction as bpf
from .instruction import Program

_MASK = 0xFFFFFFFF


def run(program: Program, packet: bytes | memoryview, wire_length: int | None = None) -> int:
    """The program's verdict: 0 to drop the packet, otherwise how many bytes of it to keep (32 bits unsigned).

    `packet` holds the captured bytes; `wire_length` (32 bits unsigned) is how long it was, by default as long as
    captured. The program must have passed validate()."""
    wire_length = len(packet) if wire_length is None else wire_length
    accumulator = index = 0
    scratch = [0] * bpf.SCRATCH_WORDS
    number = 0
    while True:
        code, jt, jf, k = program[number]
        number += 1
        kind = code & 7
        if kind == bpf.JMP:
            operand = index if code & 8 else k
            if code == bpf.JMP | bpf.JA:
                number += k
            else:
                number += jt if _holds(code & 0xF0, accumulator, operand) else jf
        elif kind == bpf.LD and code & 0xE0 in (bpf.ABS, bpf.IND):
            offset = k if code & 0xE0 == bpf.ABS else index + k  # wide: does not wrap around 32 bits
            size = bpf.LOAD_SIZES[code & 0x18]
            if offset + size > len(packet):
                return 0
            accumulator = int.from_bytes(packet[offset : offset + size], "big")
        elif kind == bpf.ALU:
            operand = index if code & 8 else k
            if operand == 0 and code & 0xF0 in (bpf.DIV, bpf.MOD):
                return 0
            accumulator = _compute(code & 0xF0, accumulator, operand) & _MASK
        elif kind == bpf.RET:
            return accumulator if code == bpf.RET | bpf.A else k
        elif code == bpf.LDX | bpf.B | bpf.MSH:
            if k >= len(packet):
                return 0
            index = (packet[k] & 0xF) << 2
        elif kind == bpf.ST:
            scratch[k] = accumulator
        elif kind == bpf.STX:
            scratch[k] = index
        elif kind == bpf.MISC:
            if code == bpf.MISC | bpf.TAX:
                index = accumulator
            else:
                accumulator = index
        else:
            value = {bpf.IMM: k, bpf.MEM: scratch[k & 15], bpf.LEN: wire_length}[code & 0xE0]
            if kind == bpf.LD:
                accumulator = value
            else:
                index = value


def _holds(comparison: int, a: int, b: int) -> bool:
    if comparison == bpf.JEQ:
        return a == b
    if comparison == bpf.JGT:
        return a > b
    if comparison == bpf.JGE:
        return a >= b
    assert comparison == bpf.JSET
    return a & b != 0


def _compute(operation: int, a: int, b: int) -> int:
    """The result of one ALU instruction, not yet cut to 32 bits."""
    if operation in (bpf.LSH, bpf.RSH):
        if b >= 32:
            return 0
        return a << b if operation == bpf.LSH else a >> b
    if operation == bpf.NEG:
        return -a
    if operation == bpf.DIV:
        return a // b
    if operation == bpf.MOD:
        return a % b
    return {bpf.ADD: a + b, bpf.SUB: a - b, bpf.MUL: a * b, bpf.AND: a & b, bpf.OR: a | b, bpf.XOR: a ^ b}[operation]
