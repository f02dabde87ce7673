"""Splits AArch64 code into instructions, as far as clang emits them for armv8-a."""

from __future__ import annotations

from functools import lru_cache

from cnp.target.fields import bits, signed, unknown, word_at
from cnp.target.record import Instruction

_SIZE = 4
_STACK_POINTER = 31  # where the encoding means sp; elsewhere 31 is the zero register

# The first row that a word matches says what it is: (mask, value, form). Forms: "." neither jumps nor moves the stack
# pointer, "-" not known here, "b" b, "c" b.cond, cbz and cbnz, "t" tbz and tbnz, "C" calls, "J" br, "R" ret,
# "a" adds an immediate to the register in 9:5, "s" sets the register in 4:0, which may be sp, "p" a pair with
# writeback, "w" a register with writeback, "m" and "e" several structures and a single one with post-index.
_ROWS = (
    # Immediates: adr and adrp, adds and subs, add and sub, ands, and orr eor, mov[nzk], bitfields, extr.
    (0x1F000000, 0x10000000, "."), (0x3F800000, 0x31000000, "."), (0xBF800000, 0x91000000, "a"),
    (0xBF800000, 0x11000000, "s"), (0x7F800000, 0x72000000, "."), (0x1F800000, 0x12000000, "s"),
    (0x7F800000, 0x32800000, "-"), (0x1F800000, 0x12800000, "."), (0x7F800000, 0x73000000, "-"),
    (0x1F800000, 0x13000000, "."), (0x7FA00000, 0x13800000, "."),
    # Branches: b, bl, b.cond, cbz and cbnz, tbz and tbnz, br, blr, ret.
    (0xFC000000, 0x14000000, "b"), (0xFC000000, 0x94000000, "C"), (0xFF000010, 0x54000000, "c"),
    (0x7E000000, 0x34000000, "c"), (0x7E000000, 0x36000000, "t"), (0xFFFFFC1F, 0xD61F0000, "J"),
    (0xFFFFFC1F, 0xD63F0000, "C"), (0xFFFFFC1F, 0xD65F0000, "R"),
    # System: svc, brk, hints, barriers, sys, mrs and msr.
    (0xFFE0001F, 0xD4000001, "."), (0xFFE0001F, 0xD4200000, "."), (0xFFFFF01F, 0xD503201F, "."),
    (0xFFFFF01F, 0xD503301F, "."), (0xFFF80000, 0xD5080000, "."), (0xFFD00000, 0xD5100000, "."),
    # Exclusive loads and stores, of pairs, literals; pairs: not opcode 3, not stgp; with writeback, without.
    (0x3F200000, 0x08000000, "."), (0xBFA00000, 0x88200000, "."), (0x3B000000, 0x18000000, "."),
    (0xFA000000, 0xE8000000, "-"), (0xFE400000, 0x68000000, "-"), (0x3A800000, 0x28800000, "p"),
    (0x3A800000, 0x28000000, "."),
    # Single registers: an unsigned offset, none or unprivileged, writeback, a register as offset. SIMD structures.
    (0x3B000000, 0x39000000, "."), (0x3B200400, 0x38000000, "."), (0x3B200400, 0x38000400, "w"),
    (0x3B200C00, 0x38200800, "."), (0xBFBF0000, 0x0C000000, "."), (0xBFA00000, 0x0C800000, "m"),
    (0xBF9F0000, 0x0D000000, "."), (0xBF800000, 0x0D800000, "e"),
    # Registers: logical, shifted add and sub, extended adds and subs, add and sub, adc and sbc, ccmp, csel, div,
    # shifts, one source, multiply and add.
    (0x1F000000, 0x0A000000, "."), (0x1F200000, 0x0B000000, "."), (0x3FE00000, 0x2B200000, "."),
    (0x3FE00000, 0x0B200000, "s"), (0x1FE0FC00, 0x1A000000, "."), (0x3FE00410, 0x3A400000, "."),
    (0x3FE00800, 0x1A800000, "."), (0x7FE0F800, 0x1AC00800, "."), (0x7FE0F000, 0x1AC02000, "."),
    (0x7FFFE000, 0x5AC00000, "."), (0x7F000000, 0x1B000000, "."),
    # Vectors, scalars in vector registers, floating point, its multiply and add.
    (0x9E000000, 0x0E000000, "."), (0xDE000000, 0x5E000000, "."), (0x7F000000, 0x1E000000, "."),
    (0xFF000000, 0x1F000000, "."),
)  # fmt: skip
_DISPLACEMENTS = {"b": (0, 26), "c": (5, 19), "t": (5, 14)}  # lowest bit and width, counted in instructions
_B_COND = 0x54  # the highest byte of b.cond
_AL = 14  # b.al and b.nv, its conditions 14 and 15, always jump
_STRUCTURE_REGISTERS = {0: 4, 2: 4, 4: 3, 6: 3, 7: 1, 8: 2, 10: 2}  # by opcode of several structures


def decode(code: bytes) -> list[Instruction]:
    """The instructions of code, in order. ValueError, with the offset and the bytes, at one that is not known."""
    return [_read(code, offset) for offset in range(0, len(code), _SIZE)]


def invert(condition: int) -> int:
    """The conditional branch, without its displacement, that is taken when this one is not."""
    return condition ^ (1 if condition >> 24 == _B_COND else 1 << 24)


def _read(code: bytes, offset: int) -> Instruction:
    word = word_at(code, offset)
    form = _form(word)
    if form == "-":
        raise unknown(code, offset)
    if form in _DISPLACEMENTS:
        return _jump(word, offset, form)
    return Instruction(
        offset, _SIZE, returns=form == "R", indirect_jump=form == "J", calls=form == "C", frame=_frame(word, form)
    )


@lru_cache(maxsize=4096)
def _form(word: int) -> str:
    return next((form for mask, value, form in _ROWS if word & mask == value), "-")


def _jump(word: int, offset: int, form: str) -> Instruction:
    low, count = _DISPLACEMENTS[form]
    displacement = signed(word >> low, count) * _SIZE - _SIZE
    condition: int | None = word & ~(((1 << count) - 1) << low)
    if form == "b" or (word >> 24 == _B_COND and bits(word, 0, 4) >= _AL):
        condition = None
    return Instruction(offset, _SIZE, jump=True, condition=condition, displacement=displacement)


def _frame(word: int, form: str) -> int | None:
    """Bytes that an instruction adds to the stack; None if it sets the stack pointer in a way not known here."""
    sets, on_stack = bits(word, 0, 5) == _STACK_POINTER, bits(word, 5, 5) == _STACK_POINTER
    if form in "as":
        if not sets or form == "s" or not on_stack:
            return None if sets else 0
        amount = bits(word, 10, 12) << 12 * bits(word, 22, 1)
        return amount if bits(word, 30, 1) else -amount
    if form not in "pwme" or not on_stack:
        return 0
    if form == "w":
        return -signed(word >> 12, 9)
    if form == "p":
        vector, opcode = bits(word, 26, 1), bits(word, 30, 2)
        return -signed(word >> 15, 7) << (2 + opcode if vector else 2 + opcode // 2)
    if bits(word, 16, 5) != _STACK_POINTER:  # by a register, instead of by what is moved
        return None
    if form == "m":
        return -_STRUCTURE_REGISTERS.get(bits(word, 12, 4), 0) * (8 << bits(word, 30, 1)) or None
    scale = bits(word, 14, 2)
    if scale == 3:  # one structure to all lanes
        scale = bits(word, 10, 2)
    elif scale == 2:
        scale += bits(word, 10, 1)
    return -(1 + bits(word, 21, 1) + 2 * bits(word, 13, 1)) << scale
