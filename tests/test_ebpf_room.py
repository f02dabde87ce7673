"""Accesses to the context that need no check since a register counts what is left of it: which these are, and that none
of them is ever outside."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from ebpf_support import EXIT, agree, insn, mov, native_or_skip

from examples.ebpf import EbpfError, Fault, Instruction, OutOfBudget, Program
from examples.ebpf import instruction as bpf
from examples.ebpf.accesses import Check

Code = list[Instruction]


def step(register: int, by: int) -> Instruction:
    return insn(bpf.ALU64 | bpf.ADD | bpf.K, register, imm=by)


def byte(offset: int, pointer: int = 1, size: int = bpf.B) -> Code:
    """r4 = what is there, which is added to r0."""
    return [insn(bpf.LDX | bpf.MEM | size, 4, pointer, offset), insn(bpf.ALU64 | bpf.ADD | bpf.X, 0, 4)]


def branch(code: int, imm: int, offset: int, register: int = 2) -> Instruction:
    return insn(bpf.JMP | code | bpf.K, register, offset=offset, imm=imm)


def loop(*body: Instruction, least: int = 8, back: Instruction | None = None) -> Code:
    """r0 = 0; while r2 >= least: body."""
    whole = [*body, back or branch(bpf.JGT, least - 1, -len(body) - 1)]
    return [mov(0, 0), branch(bpf.JLT, least, len(whole)), *whole, EXIT]


def unchecked(program: Program) -> int:
    """How many accesses by pointers whose offset is not known need no check."""
    return sum(each.check is Check.NOTHING and each.offset is None for each in program.verified.accesses.values())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (loop(*byte(0, size=bpf.DW), step(1, 8), step(2, -8)), 1),
        (loop(*byte(0, size=bpf.DW), step(2, -8), step(1, 8)), 1),
        (loop(*byte(0), *byte(7), step(1, 4), *byte(3), step(1, 4), step(2, -8)), 3),
        (loop(step(1, 8), step(2, -8), *byte(0, size=bpf.DW)), 0),  # what follows the eight bytes
        (loop(*byte(1, size=bpf.DW), step(1, 8), step(2, -8)), 0),
        (loop(step(1, 8), branch(bpf.JLT, 16, 2), *byte(0, size=bpf.DW), step(2, -8)), 1),  # the counter is 8 ahead
        (loop(step(1, 8), branch(bpf.JLT, 15, 2), *byte(0, size=bpf.DW), step(2, -8)), 0),
        (loop(*byte(-1), step(1, 8), step(2, -8)), 0),
        (loop(*byte(0, size=bpf.DW), step(1, 8), step(2, -7)), 0),  # the counter is behind
        (loop(*byte(0), step(1, -1), step(2, 1), least=1), 0),  # backwards
        (loop(*byte(0), step(1, 1), step(2, -1), least=2), 1),
        (loop(*byte(0), step(1, 1), step(2, -1), least=1, back=branch(bpf.JNE, 0, -5)), 1),
        (loop(*byte(0), step(1, 1), step(2, -1), least=1, back=branch(bpf.JSGT, 0, -5)), 0),  # signed
        (loop(*byte(0), step(1, 1), step(2, -2), least=1), 0),  # it wraps
        (loop(*byte(0), step(1, 1), insn(bpf.ALU | bpf.ADD | bpf.K, 2, imm=-1), least=1), 0),  # of 32 bits
        (loop(*byte(0), step(1, 1), insn(bpf.ALU64 | bpf.MOV | bpf.K, 2, imm=1), least=1), 0),  # it counts no more
    ],
)
def test_what_needs_no_check(code: Code, expected: int) -> None:
    native_or_skip()
    program = Program(code)
    # The first round's offsets are known; only where they are joined with those of others they are not.
    assert unchecked(program) == expected
    for length in (0, 1, 7, 8, 9, 16, 40, 41):
        outcome = agree(program, bytes(range(length)))
        assert not expected or isinstance(outcome, int)


def random_program(r: random.Random) -> Code:
    """Loops that mostly count right, one after the other; some numbers in them are changed."""
    code: Code = [mov(0, 0), mov(4, 0)]
    for _ in range(r.randrange(1, 4)):
        least, width = r.randrange(1, 9), r.choice((1, 2, 4, 8))
        size = {1: bpf.B, 2: bpf.H, 4: bpf.W, 8: bpf.DW}[width]
        by = r.choice((1, width, least))
        parts = [byte(r.choice((0, 1, max(0, least - width))), size=size) for _ in range(r.randrange(1, 3))]
        parts += [[step(1, by)], [step(2, -by)]]
        if r.random() < 0.4:
            r.shuffle(parts)
        if r.random() < 0.2:
            parts.insert(
                r.randrange(4), [branch(r.choice((bpf.JEQ, bpf.JNE, bpf.JGE)), r.randrange(9), r.randrange(2))]
            )
        code += loop(*itertools.chain(*parts), least=least)[1:-1]
    for number, each in enumerate(code):
        if r.random() < 0.04:
            name = "offset" if each.code & 7 == bpf.LDX else "imm"
            code[number] = each._replace(**{name: getattr(each, name) + r.choice((-1, 1, 4))})
    return [*code, EXIT]


def test_none_of_them_is_outside() -> None:
    """Random programs, interpreted with these checks and without."""
    r = random.Random(7)
    found = ran = 0
    for _ in range(1200):
        try:
            program = Program(random_program(r))
        except EbpfError:  # an offset that is known to be outside
            continue
        count = unchecked(program)
        if not count:
            continue
        found += count
        verified = program.verified
        weak = dict(verified.accesses)
        strict = {
            key: replace(each, check=Check.RANGE) if each.check is Check.NOTHING and each.offset is None else each
            for key, each in weak.items()
        }
        for length in (1, 2, 7, 8, 9, 17, 33):
            outcomes = []
            for accesses in (weak, strict):
                verified.accesses.update(accesses)
                try:
                    outcomes.append(program.interpret(bytes(range(length)), budget=100))
                except OutOfBudget as stopped:
                    outcomes.append(str(stopped))
                except Fault as fault:
                    outcomes.append(str(fault).replace(f"{fault.address:#x}", ""))
            assert outcomes[0] == outcomes[1], bpf.format_program(verified.program)
            ran += 1
    assert found > 200
    assert ran > 1000
