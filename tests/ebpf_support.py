"""What tests of the eBPF example share: how programs are written, and that all ways to run one agree."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

import cnp
from examples.ebpf import Fault, Instruction, Program, toolchain
from examples.ebpf import instruction as bpf

Code = list[Instruction]
EDGES = (0, 1, 2, 7, 31, 63, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 1 << 63, (1 << 64) - 1)
IMMEDIATES = (0, 1, -1, 2, 7, 31, 63, 255, 0x7FFFFFFF, -0x80000000)
EXIT = Instruction(bpf.JMP | bpf.EXIT)
OF_KIND = {kind: sorted(code for code, each in bpf.OPCODES.items() if each is kind) for kind in bpf.Kind}


def insn(code: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> Instruction:
    return Instruction(code, dst, src, offset, imm)


def mov(dst: int, imm: int) -> Instruction:
    return insn(bpf.ALU64 | bpf.MOV | bpf.K, dst, imm=imm)


def copy(dst: int, src: int) -> Instruction:
    return insn(bpf.ALU64 | bpf.MOV | bpf.X, dst, src)


def load(dst: int, src: int, offset: int, size: int = bpf.DW) -> Instruction:
    return insn(bpf.LDX | bpf.MEM | size, dst, src, offset)


def wide(dst: int, value: int, src: int = 0, high: int = 0) -> Code:
    low = (value & 0xFFFFFFFF ^ 1 << 31) - (1 << 31)
    return [insn(bpf.LD | bpf.DW, dst, src, 0, low), insn(0, imm=high if src else (value >> 32 ^ 1 << 31) - (1 << 31))]


def call(imm: int) -> Instruction:
    return insn(bpf.JMP | bpf.CALL, imm=imm)


def local(number: int, target: int) -> Instruction:
    return insn(bpf.JMP | bpf.CALL, src=bpf.LOCAL, imm=target - number - 1)


def variants(code: int) -> list[Instruction]:
    """An opcode on r6 and r7 with every offset and immediate that it accepts, jumps left out."""
    kind, operation = bpf.OPCODES[code], code & 0xF0
    if kind is bpf.Kind.SWAP:
        return [insn(code, 6, imm=bits) for bits in (16, 32, 64)]
    if operation == bpf.NEG:
        return [insn(code, 6)]
    offsets = [0, 1] if operation in (bpf.DIV, bpf.MOD) else [0]
    if operation == bpf.MOV and code & bpf.X:
        offsets = [0, 8, 16, 32] if code & 7 == bpf.ALU64 else [0, 8, 16]
    if code & bpf.X:
        return [insn(code, 6, 7, offset) for offset in offsets]
    return [insn(code, 6, 0, offset, imm) for offset in offsets for imm in IMMEDIATES]


def native_or_skip() -> None:
    try:
        Program([mov(0, 1), EXIT]).run()
    except cnp.Unsupported as error:
        pytest.skip(f"NOT TESTED: native cannot run here: {error}")


def outcome(program: Program, run: Callable[[bytearray], int], context: bytes, buffer: bytearray) -> tuple[object, ...]:
    """What a run gives or raises, and what it leaves in the context and in maps."""
    buffer[:] = context
    program.reset()
    result: object
    try:
        result = run(buffer)
    except Fault as fault:
        result = fault.number, fault.address, str(fault)
    memory = [ctypes.string_at(r.address, r.length) for each in program.maps for r in (each.values, each.index)]
    return result, bytes(buffer), *memory


def agree(program: Program, context: bytes = b"") -> object:
    """The result of both, which are compared first. Both find the context at one address, which is a result too."""
    buffer = bytearray(context)
    expected = outcome(program, lambda each: program.interpret(each, budget=10_000), context, buffer)
    found = outcome(program, program.run, context, buffer)
    assert found == expected, bpf.format_program(program.verified.program)
    return expected[0]


def clang_or_skip() -> None:
    native_or_skip()
    try:
        toolchain.find_clang()
    except toolchain.NoCompiler as error:
        pytest.skip(f"NOT TESTED: C programs for eBPF: {error}")
