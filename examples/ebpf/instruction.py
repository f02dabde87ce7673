"""Turns the 8-byte encodings of eBPF (RFC 9669) into instructions, and instructions into bytes and into text.

A program is a list of slots of 8 bytes: jumps count slots, and LD_IMM64 takes two, of which the second has code 0."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

# Classes, sizes, modes and operations, as RFC 9669 names and numbers them.
LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)
W, H, B, DW = 0x00, 0x08, 0x10, 0x18
IMM, MEM, MEMSX, ATOMIC = 0x00, 0x60, 0x80, 0xC0
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR, MOV, ARSH, END = range(0x00, 0xE0, 0x10)
JA, JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, CALL, EXIT, JLT, JLE, JSLT, JSLE = range(0x00, 0xE0, 0x10)
K, X = 0x00, 0x08
FETCH, XCHG, CMPXCHG = 0x01, 0xE1, 0xF1  # in imm of an atomic; without them ADD, OR, AND, XOR
HELPER, LOCAL = 0, 1  # src of a call
MAP, MAP_VALUE, MAP_BY_INDEX, MAP_VALUE_BY_INDEX = 1, 2, 5, 6  # src of LD_IMM64, 0 for a number

SLOT = 8  # bytes
REGISTERS = 11
FRAME_POINTER = 10
FRAME_SIZE = 512  # bytes of stack that a function has below r10
MAXIMUM_SLOTS = 65536
SIZES = {W: 4, H: 2, B: 1, DW: 8}

_SLOT = struct.Struct("<BBhi")


class EbpfError(ValueError):
    """A program that is not accepted; the message says where it is wrong and what would be accepted."""


class Instruction(NamedTuple):
    """One slot: `code`, `dst`, `src` (registers, 0 to 15 as encoded), `offset` (i16), `imm` (i32)."""

    code: int
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0


Program = Sequence[Instruction]


class Kind(Enum):
    """What an opcode does."""

    ARITHMETIC = "arithmetic"
    SWAP = "byte swap"
    JUMP = "jump"
    BRANCH = "branch"
    CALL = "call"
    EXIT = "exit"
    LOAD = "load"
    STORE = "store"
    ATOMIC = "atomic"
    WIDE = "lddw"


_ARITHMETIC = {
    ADD: "+=", SUB: "-=", MUL: "*=", DIV: "/=", OR: "|=", AND: "&=", LSH: "<<=", RSH: ">>=", MOD: "%=", XOR: "^=",
    MOV: "=", ARSH: "s>>=",
}  # fmt: skip
_COMPARISONS = {
    JEQ: "==", JGT: ">", JGE: ">=", JSET: "&", JNE: "!=", JSGT: "s>", JSGE: "s>=", JLT: "<", JLE: "<=", JSLT: "s<",
    JSLE: "s<=",
}  # fmt: skip
ATOMICS = {
    ADD: "+=", OR: "|=", AND: "&=", XOR: "^=", ADD | FETCH: "fetch_add", OR | FETCH: "fetch_or",
    AND | FETCH: "fetch_and", XOR | FETCH: "fetch_xor", XCHG: "xchg", CMPXCHG: "cmpxchg",
}  # fmt: skip


def _opcodes() -> dict[int, Kind]:
    codes = {LD | IMM | DW: Kind.WIDE, JMP | CALL: Kind.CALL, JMP | EXIT: Kind.EXIT}
    for width in (ALU, ALU64):
        codes |= {width | operation | source: Kind.ARITHMETIC for operation in _ARITHMETIC for source in (K, X)}
        codes[width | NEG] = Kind.ARITHMETIC
        codes[width | END] = Kind.SWAP
    codes[ALU | END | X] = Kind.SWAP
    for width in (JMP, JMP32):
        codes |= {width | operation | source: Kind.BRANCH for operation in _COMPARISONS for source in (K, X)}
        codes[width | JA] = Kind.JUMP
    for size in SIZES:
        codes[LDX | MEM | size] = Kind.LOAD
        codes[ST | MEM | size] = codes[STX | MEM | size] = Kind.STORE
        if size != DW:
            codes[LDX | MEMSX | size] = Kind.LOAD
    codes |= {STX | ATOMIC | size: Kind.ATOMIC for size in (W, DW)}
    return codes


OPCODES = _opcodes()
"""Every opcode that is accepted, and what it does."""


def kind_of(instruction: Instruction) -> Kind:
    """What a known instruction does."""
    return OPCODES[instruction.code]


def is_wide(instruction: Instruction) -> bool:
    """Whether this is LD_IMM64, which takes two slots."""
    return instruction.code == LD | IMM | DW


def size_of(instruction: Instruction) -> int:
    """Bytes that a load, a store or an atomic accesses."""
    return SIZES[instruction.code & 0x18]


def writes_memory(instruction: Instruction) -> bool:
    """Whether a known instruction is a store or an atomic."""
    return OPCODES[instruction.code] in (Kind.STORE, Kind.ATOMIC)


def pointer_of(instruction: Instruction) -> int:
    """The register whose value, plus offset, a load, a store or an atomic accesses."""
    return instruction.src if instruction.code & 7 == LDX else instruction.dst


def target_of(number: int, instruction: Instruction) -> int:
    """The slot that a jump, a branch or a local call goes to."""
    kind = OPCODES[instruction.code]
    far = kind is Kind.CALL or instruction.code == JMP32 | JA
    return number + 1 + (instruction.imm if far else instruction.offset)


def wide_immediate(program: Program, number: int) -> int:
    """The 64 bits, unsigned, of the LD_IMM64 in a slot and the next."""
    return program[number].imm & 0xFFFFFFFF | (program[number + 1].imm & 0xFFFFFFFF) << 32


def writes(instruction: Instruction) -> tuple[int, ...]:
    """The registers that a known instruction assigns; a call leaves r1 to r5 unreadable besides."""
    kind = OPCODES[instruction.code]
    if kind in (Kind.ARITHMETIC, Kind.SWAP, Kind.LOAD, Kind.WIDE):
        return (instruction.dst,)
    if kind is Kind.CALL:
        return (0,)
    if kind is Kind.ATOMIC and instruction.imm & FETCH:
        return (0,) if instruction.imm == CMPXCHG else (instruction.src,)
    return ()


def reads(instruction: Instruction) -> tuple[int, ...]:
    """The registers that a known instruction other than a call reads."""
    code, dst, src, _, imm = instruction
    kind = OPCODES[code]
    by_register = (src,) if code & X else ()
    if kind is Kind.ARITHMETIC:
        return by_register if code & 0xF0 == MOV else (dst, *by_register)
    if kind is Kind.BRANCH:
        return (dst, *by_register)
    if kind is Kind.SWAP:
        return (dst,)
    if kind is Kind.LOAD:
        return (src,)
    if kind is Kind.STORE:
        return (dst, src) if code & 7 == STX else (dst,)
    if kind is Kind.ATOMIC:
        return (dst, src, 0) if imm == CMPXCHG else (dst, src)
    return (0,) if kind is Kind.EXIT else ()


# Text, as llvm-objdump and the kernel write it.


def format_instruction(number: int, program: Program) -> str:
    """The instruction in a slot, for example `r2 = *(u32 *)(r1 + 8)`. Unknown ones have a text too."""
    instruction = program[number]
    code, dst, src, _, imm = instruction
    kind = OPCODES.get(code)
    if kind is None:
        return f"unknown opcode {code:#04x}"
    if kind is Kind.WIDE:
        high = program[number + 1].imm if number + 1 < len(program) else 0
        prefix = {MAP: "map ", MAP_VALUE: "map value ", MAP_BY_INDEX: "map ", MAP_VALUE_BY_INDEX: "map value "}
        if src in prefix:
            return f"r{dst} = {prefix[src]}{imm}" + (f" + {high}" if src in (MAP_VALUE, MAP_VALUE_BY_INDEX) else "")
        return f"r{dst} = {imm & 0xFFFFFFFF | (high & 0xFFFFFFFF) << 32:#x} ll"
    if kind is Kind.ARITHMETIC:
        return _arithmetic_text(instruction)
    if kind is Kind.SWAP:
        name = "bswap" if code & 7 == ALU64 else "be" if code & X else "le"
        return f"r{dst} = {name}{imm} r{dst}"
    if kind in (Kind.JUMP, Kind.BRANCH):
        return _jump_text(number, instruction)
    if kind is Kind.CALL:
        return f"call {target_of(number, instruction)}" if src == LOCAL else f"call helper {imm}"
    return "exit" if kind is Kind.EXIT else _memory_text(instruction)


def _arithmetic_text(instruction: Instruction) -> str:
    code, dst, src, offset, imm = instruction
    letter = "r" if code & 7 == ALU64 else "w"
    operation = code & 0xF0
    if operation == NEG:
        return f"{letter}{dst} = -{letter}{dst}"
    operand = f"{letter}{src}" if code & X else str(imm)
    sign = ""
    if offset and operation in (DIV, MOD):
        sign = "s"
    elif offset and operation == MOV:
        operand = f"(s{offset}){operand}"
    return f"{letter}{dst} {sign}{_ARITHMETIC[operation]} {operand}"


def _jump_text(number: int, instruction: Instruction) -> str:
    code, dst, src, _, imm = instruction
    target = f"goto {target_of(number, instruction)}"
    if code & 0xF0 == JA:
        return target
    letter = "r" if code & 7 == JMP else "w"
    operand = f"{letter}{src}" if code & X else str(imm)
    return f"if {letter}{dst} {_COMPARISONS[code & 0xF0]} {operand} {target}"


def _memory_text(instruction: Instruction) -> str:
    code, dst, src, offset, imm = instruction
    sign = "s" if code & 0xE0 == MEMSX and code & 7 == LDX else "u"
    pointer = f"r{pointer_of(instruction)} {'-' if offset < 0 else '+'} {abs(offset)}"
    place = f"*({sign}{8 * size_of(instruction)} *)({pointer})"
    if code & 7 == LDX:
        return f"r{dst} = {place}"
    if code & 7 == ST:
        return f"{place} = {imm}"
    if OPCODES[code] is Kind.STORE:
        return f"{place} = r{src}"
    name = ATOMICS.get(imm, f"unknown atomic {imm:#x}")
    if imm == CMPXCHG:
        return f"r0 = cmpxchg({place}, r0, r{src})"
    return f"r{src} = {name}({place}, r{src})" if imm & FETCH else f"lock {place} {name} r{src}"


def format_program(program: Program) -> str:
    """The whole program, one instruction a line, each with the number of its slot."""
    lines = []
    number = 0
    while number < len(program):
        lines.append(f"{number:4}  {format_instruction(number, program)}")
        number += 2 if is_wide(program[number]) else 1
    return "\n".join(lines)


# Bytes.


def encode(program: Iterable[Instruction]) -> bytes:
    """The program as little-endian eBPF code, 8 bytes a slot."""
    return b"".join(_SLOT.pack(code, dst | src << 4, offset, imm) for code, dst, src, offset, imm in program)


def decode(data: bytes) -> list[Instruction]:
    """The slots of little-endian eBPF code. Raises EbpfError if its size is not a multiple of 8 bytes."""
    if len(data) % SLOT:
        raise EbpfError(f"{len(data)} bytes are not eBPF code; a multiple of {SLOT} was expected")
    fields = _SLOT.iter_unpack(data)
    return [Instruction(code, regs & 15, regs >> 4, offset, imm) for code, regs, offset, imm in fields]
