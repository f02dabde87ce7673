"""Splits RISC-V code into instructions, as far as clang emits them for rv64gc."""

from __future__ import annotations

from collections.abc import Sequence

from cnp.target.fields import bits, signed, unknown, word_at
from cnp.target.record import Instruction

_ZERO, _RETURN_ADDRESS, _STACK_POINTER = 0, 1, 2
_RETURN_ADDRESSES = (_RETURN_ADDRESS, 5)
"""ra, and t0, the alternate link register."""
_ADDI, _AUIPC, _FLOAT, _BRANCH, _JALR, _JAL = 0x13, 0x17, 0x53, 0x63, 0x67, 0x6F

# The values of bits 14:12 that are known, by opcode. First those that set the integer register in 11:7: loads,
# operations with an immediate, auipc, the same in 32 bits, atomics, operations, lui, the same in 32 bits, csr.
_SETS = {
    0x03: "0123456", _ADDI: "01234567", _AUIPC: "01234567", 0x1B: "015", 0x2F: "23", 0x33: "01234567",
    0x37: "01234567", 0x3B: "014567", 0x73: "123567",
}  # fmt: skip
# Floating-point loads, fences, stores, floating-point stores, fmadd fmsub fnmsub fnmadd, floating-point operations.
_OTHERS = {
    0x07: "23", 0x0F: "01", 0x23: "0123", 0x27: "23", 0x43: "012347", 0x47: "012347", 0x4B: "012347", 0x4F: "012347",
    _FLOAT: "012347",
}  # fmt: skip
_COMPARE_CONVERT_MOVE = (0x14, 0x18, 0x1C)  # 31:27 of the floating-point operations that set an integer register
_ECALL, _EBREAK, _C_EBREAK = 0x00000073, 0x00100073, 0x9002

# One letter for each 15:13 of the compressed instructions, by 1:0. "." sets no register that could be the stack
# pointer, "r" sets the one in 11:7, "l" does, and it must not be zero, "n" c.addi4spn, "a" c.addi, "u" c.addi16sp and
# c.lui, "m" arithmetic on x8 to x15, "j" c.j, "b" c.beqz and c.bnez, "x" c.jr, c.mv, c.jalr and c.add, "-" not known.
_COMPRESSED = ("n...-...", "alrumjbb", "r.llx...")

# Where the parts of an immediate are: lowest bit in the instruction, how many bits, lowest bit in the number.
_JAL_PARTS = ((31, 1, 20), (12, 8, 12), (20, 1, 11), (21, 10, 1))
_BRANCH_PARTS = ((31, 1, 12), (7, 1, 11), (25, 6, 5), (8, 4, 1))
_C_J_PARTS = ((12, 1, 11), (11, 1, 4), (9, 2, 8), (8, 1, 10), (7, 1, 6), (6, 1, 7), (3, 3, 1), (2, 1, 5))
_C_BRANCH_PARTS = ((12, 1, 8), (10, 2, 3), (5, 2, 6), (3, 2, 1), (2, 1, 5))
_C_ADDI16SP_PARTS = ((12, 1, 9), (6, 1, 4), (5, 1, 6), (3, 2, 7), (2, 1, 5))
_C_ADDI_PARTS = ((12, 1, 5), (2, 5, 0))
_CONDITION = 0x01FFF07F  # a branch but for its displacement


def decode(code: bytes) -> list[Instruction]:
    """The instructions of code, in order. ValueError, with the offset and the bytes, at one that is not known.

    auipc and the jalr after it that adds to it are one, if it jumps or links in the ABI's way.
    """
    result = []
    offset = 0
    while offset < len(code):
        instruction = _read(code, offset)
        result.append(instruction)
        offset += instruction.size
    return result


def invert(condition: int) -> int:
    """The conditional branch, without its displacement, that is taken when this one is not."""
    return condition ^ 1 << 12


def _read(code: bytes, offset: int) -> Instruction:
    half = word_at(code, offset, 2)
    if half & 3 != 3:
        size, instruction = 2, _compressed(half, offset)
    else:
        size, word = 4, word_at(code, offset)
        instruction = _far(code, word, offset) or _full(word, offset)
    if instruction is None:
        raise unknown(code, offset, size)
    return instruction


def _far(code: bytes, auipc: int, offset: int) -> Instruction | None:
    """`auipc t, high; jalr zero, low(t)`, or the same with ra or t0 twice; None if it is neither."""
    if auipc & 0x7F != _AUIPC or offset + 8 > len(code):
        return None
    word, base = word_at(code, offset + 4), bits(auipc, 7, 5)
    if word & 0xFF07F != base << 15 | _JALR or base in (_ZERO, _STACK_POINTER):
        return None
    link = bits(word, 7, 5)
    if link == _ZERO:
        displacement = signed(auipc & ~0xFFF, 32) + signed(word >> 20, 12) - 8
        return Instruction(offset, 8, jump=True, displacement=displacement)
    return Instruction(offset, 8, calls=True) if link == base and link in _RETURN_ADDRESSES else None


def _full(word: int, offset: int) -> Instruction | None:
    opcode, function, register = word & 0x7F, bits(word, 12, 3), bits(word, 7, 5)
    if opcode == _BRANCH and function not in (2, 3):
        return _jump(offset, 4, _number(word, _BRANCH_PARTS), word & _CONDITION)
    if opcode == _JAL and register == _ZERO:
        return _jump(offset, 4, _number(word, _JAL_PARTS))
    if opcode == _JAL and register == _RETURN_ADDRESS:
        return Instruction(offset, 4, calls=True)
    if opcode == _JALR and function == 0:
        return _to_register(offset, 4, register, bits(word, 15, 5), word >> 20)
    if word in (_ECALL, _EBREAK) or str(function) in _OTHERS.get(opcode, ""):
        integer = opcode == _FLOAT and word >> 27 in _COMPARE_CONVERT_MOVE
        return Instruction(offset, 4, frame=None if integer and register == _STACK_POINTER else 0)
    if str(function) not in _SETS.get(opcode, ""):
        return None
    if register != _STACK_POINTER:
        return Instruction(offset, 4)
    adds = opcode == _ADDI and function == 0 and bits(word, 15, 5) == _STACK_POINTER
    return Instruction(offset, 4, frame=-signed(word >> 20, 12) if adds else None)


def _compressed(half: int, offset: int) -> Instruction | None:
    function, register, rest = half >> 13, bits(half, 7, 5), bits(half, 2, 5)
    form = _COMPRESSED[half & 3][function]
    if form == "j":
        return _jump(offset, 2, _number(half, _C_J_PARTS))
    if form == "b":
        wide = _BRANCH | (function & 1) << 12 | (8 + bits(half, 7, 3)) << 15
        return _jump(offset, 2, _number(half, _C_BRANCH_PARTS), wide)
    if form == "x" and rest == 0 and half != _C_EBREAK:
        return _to_register(offset, 2, bits(half, 12, 1), register, 0) if register else None
    illegal = {
        "-": True,
        "l": register == _ZERO,
        "n": bits(half, 5, 8) == 0,
        "u": bits(half, 12, 1) == rest == 0,
        "m": bits(half, 10, 3) == 7 and bits(half, 6, 1) == 1,
    }
    if illegal.get(form):
        return None
    if register != _STACK_POINTER or form in ".nm":
        return Instruction(offset, 2)
    parts = {"a": _C_ADDI_PARTS, "u": _C_ADDI16SP_PARTS}.get(form)
    return Instruction(offset, 2, frame=-_number(half, parts) if parts else None)


def _jump(offset: int, size: int, distance: int, condition: int | None = None) -> Instruction:
    return Instruction(offset, size, jump=True, condition=condition, displacement=distance - size)


def _to_register(offset: int, size: int, link: int, base: int, immediate: int) -> Instruction | None:
    """jalr, if it links in the ABI's way or not at all."""
    if link > _RETURN_ADDRESS:
        return None
    returns = link == _ZERO and base == _RETURN_ADDRESS and immediate == 0
    calls = link == _RETURN_ADDRESS
    return Instruction(offset, size, returns=returns, indirect_jump=not returns and not calls, calls=calls)


def _number(word: int, parts: Sequence[tuple[int, int, int]]) -> int:
    """The signed number whose parts are spread over an instruction."""
    value = sum(bits(word, low, count) << to for low, count, to in parts)
    return signed(value, max(count + to for _, count, to in parts))
