"""Gives x86-64 instructions the immediates that clang does not: it takes a hole into a register where a number of known
size would be part of the instruction."""

from __future__ import annotations

_REX_W, _REX_R, _REX_B = 8, 4, 1
# `op r/m, r` and the reg field of `81 /n`, `op r/m, imm32`: add, or, and, sub, xor, cmp.
_OPERATIONS = {0x01: 0, 0x09: 1, 0x21: 4, 0x29: 5, 0x31: 6, 0x39: 7}
_WIDE, _NARROW = 0x81, 0x83
_MULTIPLY_WIDE, _MULTIPLY_NARROW = 0x69, 0x6B
_FIELD = bytes(4)


def _split(code: bytes) -> tuple[int, bytes]:
    """REX prefix (0 if there is none) and what follows it."""
    return (code[0], code[1:]) if code[0] & 0xF0 == 0x40 else (0, code)


def _join(rex: int, rest: bytes) -> bytes:
    return bytes((rex,)) + rest if rex & 15 else rest


def narrow_immediate(code: bytes, field: int) -> bytes | None:
    """An instruction that ends in a 32-bit immediate at offset `field`, with one of 8 bits in its place, both zero.

    The processor extends both by their sign, so they mean the same for every value in [-128, 127]. None if the
    instruction has no such form.
    """
    rex, rest = _split(code)
    if field != len(code) - 4:
        return None
    opcode, body = rest[0], rest[1:-4]
    if opcode == _WIDE:
        return _join(rex, bytes((_NARROW,)) + body + b"\0")
    if opcode == _MULTIPLY_WIDE:
        return _join(rex, bytes((_MULTIPLY_NARROW,)) + body + b"\0")
    if opcode & 0xC7 == 0x05:  # the accumulator's form, which has no ModRM byte
        return _join(rex, bytes((_NARROW, 0xC0 | opcode & 0x38)) + b"\0")
    return None


def fold_immediate(load: bytes, operation: bytes, kept: frozenset[int]) -> tuple[bytes, int] | None:
    """`mov scratch, imm32; op x, scratch` as `op x, imm32`, and the offset of its immediate; both immediates are zero.

    `kept` are the numbers of registers that mean something afterwards: scratch must not be one. None if the two are
    anything else.
    """
    rex, rest = _split(load)
    if len(rest) == 6 and rest[0] == 0xC7 and rest[1] & 0xF8 == 0xC0 and rex & _REX_W:
        scratch, extended = rest[1] & 7, True  # the immediate's sign is extended to 64 bits
    elif len(rest) == 5 and rest[0] & 0xF8 == 0xB8 and not rex & _REX_W:
        scratch, extended = rest[0] & 7, False
    else:
        return None
    scratch |= 8 if rex & _REX_B else 0
    rex, rest = _split(operation)
    if scratch in kept or len(rest) < 2 or rest[0] not in _OPERATIONS or (rex & _REX_W and not extended):
        return None
    modrm = rest[1]
    if (modrm >> 3 & 7 | (8 if rex & _REX_R else 0)) != scratch:
        return None
    base = modrm & 7 | (8 if rex & _REX_B else 0)
    if base == scratch or (modrm >> 6 != 3 and modrm & 7 == 4):
        return None  # a SIB byte could name it too
    body = bytes((_WIDE, modrm & 0xC7 | _OPERATIONS[rest[0]] << 3)) + rest[2:]
    # A bare REX is of no use to these.
    folded = _join((rex & ~_REX_R) if rex else 0, body)
    return folded + _FIELD, len(folded)
