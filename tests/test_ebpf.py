"""The eBPF example: every instruction, on edge values, gives the same interpreted and compiled."""

from __future__ import annotations

import struct
from collections import Counter

import pytest
from ebpf_support import EDGES, EXIT, IMMEDIATES, OF_KIND, agree, copy, insn, load, mov, native_or_skip, variants, wide

import cnp
from examples.ebpf import Instruction, MapSpec, Program
from examples.ebpf import instruction as bpf
from examples.ebpf.maps import ARRAY

_W, _D = bpf.ALU, bpf.ALU64


@pytest.mark.parametrize(
    ("a", "instruction", "expected"),
    [
        (-1, insn(_W | bpf.ADD | bpf.K, 0, imm=2), 1),
        (-1, insn(_D | bpf.ADD | bpf.K, 0, imm=2), 1),
        (5, insn(_W | bpf.SUB | bpf.K, 0, imm=6), 0xFFFFFFFF),
        (5, insn(_D | bpf.DIV | bpf.K, 0, imm=0), 0),
        (-5, insn(_W | bpf.MOD | bpf.K, 0, imm=0), 0xFFFFFFFB),
        (-5, insn(_D | bpf.MOD | bpf.K, 0, imm=0), 2**64 - 5),
        (-7, insn(_D | bpf.DIV | bpf.K, 0, offset=1, imm=2), 2**64 - 3),
        (-7, insn(_D | bpf.MOD | bpf.K, 0, offset=1, imm=2), 2**64 - 1),
        (-(2**63), insn(_D | bpf.DIV | bpf.K, 0, offset=1, imm=-1), 2**63),
        (-(2**63), insn(_D | bpf.MOD | bpf.K, 0, offset=1, imm=-1), 0),
        (-(2**31), insn(_W | bpf.DIV | bpf.K, 0, offset=1, imm=-1), 2**31),
        (7, insn(_D | bpf.DIV | bpf.K, 0, imm=-1), 0),
        (1, insn(_D | bpf.LSH | bpf.K, 0, imm=65), 2),
        (1, insn(_W | bpf.LSH | bpf.K, 0, imm=33), 2),
        (-8, insn(_W | bpf.ARSH | bpf.K, 0, imm=1), 0xFFFFFFFC),
        (0x80, insn(_D | bpf.MOV | bpf.X, 0, 0, 8), 2**64 - 128),
        (0x80, insn(_W | bpf.MOV | bpf.X, 0, 0, 8), 0xFFFFFF80),
        (0x8000, insn(_D | bpf.MOV | bpf.X, 0, 0, 16), 2**64 - 2**15),
        (0x80000000, insn(_D | bpf.MOV | bpf.X, 0, 0, 32), 2**64 - 2**31),
        (0x1122334455667788, insn(_W | bpf.END, 0, imm=16), 0x7788),
        (0x1122334455667788, insn(_W | bpf.END | bpf.X, 0, imm=16), 0x8877),
        (0x1122334455667788, insn(_W | bpf.END | bpf.X, 0, imm=32), 0x88776655),
        (0x1122334455667788, insn(_D | bpf.END, 0, imm=64), 0x8877665544332211),
        (1, insn(_D | bpf.NEG, 0), 2**64 - 1),
        (1, insn(_W | bpf.NEG, 0), 2**32 - 1),
    ],
)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_known_answers(a: int, instruction: Instruction, expected: int, backend: str) -> None:
    program = Program([*wide(0, a & 2**64 - 1), instruction, EXIT], backend=backend)
    assert program.interpret() == expected
    try:
        assert program.run() == expected
    except cnp.Unsupported:
        pytest.skip(f"NOT TESTED: {backend} cannot run here")


PAIRS = [struct.pack("<QQQ", a, b, 0) for a in EDGES for b in EDGES]
START = [load(6, 1, 0), load(7, 1, 8), mov(0, 0)]
NARROW = [insn(bpf.ALU | bpf.MOV | bpf.X, each, each) for each in (6, 7)]  # the compiler then knows more of them


@pytest.mark.parametrize("code", OF_KIND[bpf.Kind.ARITHMETIC] + OF_KIND[bpf.Kind.SWAP], ids=hex)
def test_every_arithmetic_opcode_on_edge_values(code: int) -> None:
    native_or_skip()
    results = set()
    for each in variants(code):
        for before in ([], NARROW):
            program = Program([*START, *before, each, copy(0, 6), EXIT])
            for pair in PAIRS[:: 1 if code & bpf.X else 5]:
                results.add(agree(program, pair))
    assert len(results) > 2


@pytest.mark.parametrize("code", OF_KIND[bpf.Kind.BRANCH], ids=hex)
def test_every_branch_on_edge_values(code: int) -> None:
    native_or_skip()
    results = set()
    for imm in (0,) if code & bpf.X else IMMEDIATES:
        src = 7 if code & bpf.X else 0
        for before in ([], NARROW):
            jumps = [insn(code, 6, src, 1, imm), EXIT, mov(0, 1), EXIT]
            choices = [mov(0, 5), insn(code, 6, src, 1, imm), mov(0, -3), EXIT]
            both = [Program([*START, *before, *rest]) for rest in (jumps, choices)]
            for pair in PAIRS[:: 1 if code & bpf.X else 5]:
                results.add(tuple(agree(program, pair) for program in both))
    assert results == {(0, 2**64 - 3), (1, 5)}


def test_jumps_with_16_and_32_bit_offsets_and_backwards() -> None:
    native_or_skip()
    for jump in (insn(bpf.JMP | bpf.JA, offset=1), insn(bpf.JMP32 | bpf.JA, imm=1)):
        assert agree(Program([mov(0, 1), jump, mov(0, 2), EXIT])) == 1
    down = [mov(0, 0), mov(3, 9), insn(_D | bpf.ADD | bpf.X, 0, 3), insn(_D | bpf.ADD | bpf.K, 3, imm=-1)]
    assert agree(Program([*down, insn(bpf.JMP | bpf.JNE, 3, offset=-3), EXIT])) == 45


@pytest.mark.parametrize("code", [*OF_KIND[bpf.Kind.LOAD], *OF_KIND[bpf.Kind.STORE]], ids=hex)
def test_every_load_and_store(code: int) -> None:
    """Through pointers of which all, some and nothing is known, in and out of bounds."""
    native_or_skip()
    is_load = bpf.OPCODES[code] is bpf.Kind.LOAD
    results = Counter[str]()
    for imm in (0,) if is_load or code & 7 == bpf.STX else IMMEDIATES[:4]:
        access = insn(code, 0, 8, 3) if is_load else insn(code, 8, 7 if code & 7 == bpf.STX else 0, 3, imm)
        before = [load(6, 1, 0), load(7, 1, 8), mov(0, 0)]
        pointers = (
            [copy(8, 1)],
            [copy(8, 1), insn(_D | bpf.ADD | bpf.X, 8, 6)],
            [copy(8, 10), insn(_D | bpf.ADD | bpf.K, 8, imm=-16)],
            [copy(8, 10), insn(_D | bpf.ADD | bpf.K, 8, imm=-16), insn(_D | bpf.SUB | bpf.X, 8, 6)],
            [insn(bpf.STX | bpf.MEM | bpf.DW, 10, 1, -8), load(8, 10, -8), insn(_D | bpf.ADD | bpf.X, 8, 6)],
            [*wide(8, 0, bpf.MAP_VALUE), insn(_D | bpf.ADD | bpf.X, 8, 6)],
        )
        spec = MapSpec("data", ARRAY, 4, 24, 1, bytes(range(200, 224)))
        for pointer in pointers:
            program = Program([*before, *pointer, access, EXIT], maps=[spec])
            for first in (0, 5, 13, 14, 15, 18, 19, 20, 21, 24, 600, 4096, 2**63, 2**64 - 3, 2**64 - 4, 2**64 - 11):
                context = struct.pack("<QQQ", first, 0x8182838485868788, 0xF1F2F3F4F5F6F7F8)
                results["fault" if isinstance(agree(program, context), tuple) else "result"] += 1
                if not first:
                    assert not isinstance(agree(program, context), tuple)
    assert min(results.values()) > 20
