"""Sums whose carry is added to them again, in bytecode as clang makes it and in what only looks like it: which of them
becomes one op, and that the interpreter and compiled code agree."""

from __future__ import annotations

import struct

import pytest
from ebpf_support import EDGES, EXIT, agree, copy, insn, load, mov, native_or_skip

from examples.ebpf import Instruction, Program
from examples.ebpf import instruction as bpf
from examples.ebpf.carries import find_carries
from examples.ebpf.flow import blocks_of

Code = list[Instruction]
W = bpf.ALU | bpf.MOV | bpf.K  # w... = imm
BEGIN = [load(3, 1, 0), load(4, 1, 8)]
"""r3 and r4 are the two words of the context."""


def add(dst: int, src: int) -> Instruction:
    return insn(bpf.ALU64 | bpf.ADD | bpf.X, dst, src)


def branch(code: int, dst: int, src: int, offset: int, *, width: int = bpf.JMP) -> Instruction:
    return insn(width | code | bpf.X, dst, src, offset)


def carried(code: int, dst: int, src: int, first: int = 1, *, width: int = bpf.JMP, carry: int = 5) -> Code:
    """w5 = first; if ... goto +1; w5 = 1 - first; r3 += r5."""
    return [
        insn(W, carry, imm=first),
        branch(code, dst, src, 1, width=width),
        insn(W, carry, imm=1 - first),
        add(3, carry),
    ]


END = [insn(W, 5), copy(0, 3), EXIT]
BECOME: dict[str, Code] = {
    "less": [*BEGIN, add(3, 4), *carried(bpf.JLT, 3, 4), *END],
    "not less": [*BEGIN, add(3, 4), *carried(bpf.JGE, 3, 4, 0), *END],
    "greater": [*BEGIN, add(3, 4), *carried(bpf.JGT, 4, 3), *END],
    "not greater": [*BEGIN, add(3, 4), *carried(bpf.JLE, 4, 3, 0), *END],
    "than what was copied": [*BEGIN, copy(6, 3), copy(3, 6), add(3, 4), *carried(bpf.JLT, 3, 6), *END],
    "carry where the addend was": [*BEGIN, copy(6, 3), copy(3, 6), add(3, 4), *carried(bpf.JLT, 3, 6, carry=4), *END],
    "others between": [*BEGIN, add(3, 4), mov(7, 2), copy(8, 4), *carried(bpf.JLT, 3, 4), *END],
    "in a loop": [mov(3, 0), mov(2, 5), load(4, 1, 0), add(3, 4), *carried(bpf.JLT, 3, 4), load(4, 1, 8), add(3, 4),
                  *carried(bpf.JLT, 3, 4), insn(bpf.ALU64 | bpf.ADD | bpf.K, 2, imm=-1),
                  insn(bpf.JMP | bpf.JNE | bpf.K, 2, offset=-14), *END],
}  # fmt: skip
STAY: dict[str, Code] = {
    "the carry is needed": [*BEGIN, add(3, 4), *carried(bpf.JLT, 3, 4), copy(0, 3), add(0, 5), EXIT],
    "not the carry but its opposite": [*BEGIN, add(3, 4), *carried(bpf.JLT, 3, 4, 0), *END],
    "less or equal": [*BEGIN, add(3, 4), *carried(bpf.JLE, 3, 4), *END],
    "the wrong way round": [*BEGIN, add(3, 4), *carried(bpf.JLT, 4, 3), *END],
    "signed": [*BEGIN, add(3, 4), *carried(bpf.JSLT, 3, 4), *END],
    "of 32 bits": [*BEGIN, add(3, 4), *carried(bpf.JLT, 3, 4, width=bpf.JMP32), *END],
    "than another": [*BEGIN, copy(6, 3), add(3, 4), *carried(bpf.JLT, 3, 6), *END],
    "the addend changes": [*BEGIN, add(3, 4), mov(4, 9), *carried(bpf.JLT, 3, 4), *END],
    "what was copied changes": [*BEGIN, copy(6, 3), copy(3, 6), mov(6, 9), add(3, 4), *carried(bpf.JLT, 3, 6), *END],
    "the sum is read": [*BEGIN, add(3, 4), copy(6, 3), *carried(bpf.JLT, 3, 4), *END[:-1], add(0, 6), EXIT],
    "the sum changes": [*BEGIN, add(3, 4), insn(bpf.ALU64 | bpf.XOR | bpf.K, 3, imm=6), *carried(bpf.JLT, 3, 4), *END],
    "twice a number": [*BEGIN, add(3, 3), *carried(bpf.JLT, 3, 4), *END],
    "two and zero": [*BEGIN, add(3, 4), insn(W, 5, imm=2), branch(bpf.JLT, 3, 4, 1), insn(W, 5), add(3, 5), *END],
    "added to another": [*BEGIN, copy(6, 3), add(3, 4), *carried(bpf.JLT, 3, 4)[:-1], add(6, 5), copy(3, 6), *END],
    "reached from elsewhere": [*BEGIN, mov(5, 7), insn(bpf.JMP | bpf.JEQ | bpf.K, 4, offset=4, imm=7), add(3, 4),
                               *carried(bpf.JLT, 3, 4), *END],
}  # fmt: skip


@pytest.mark.parametrize("name", [*BECOME, *STAY])
def test_sums_with_their_carries(name: str) -> None:
    native_or_skip()
    program = Program((BECOME | STAY)[name])
    verified = program.verified
    found = find_carries(verified.program, blocks_of(verified.program, 0, verified.reached, len(verified.program)))
    assert len(found.sums) == (0 if name in STAY else 2 if name == "in a loop" else 1)
    for a in EDGES:
        for b in EDGES:
            result = agree(program, struct.pack("<QQ", a, b))
            if name in BECOME and name != "in a loop":
                assert result == (a + b) % 2**64 + (a + b >> 64)
