"""Classes of immediates, and the encodings among them that take an algorithm."""

from __future__ import annotations

from typing import NamedTuple


class ImmediateClass(NamedTuple):
    """The values that an immediate's encoding reaches. A target lists its own, the narrowest first."""

    name: str
    low: int
    high: int
    scale: int = 1  # values are multiples of it
    pattern: int = 0  # what `encoded` takes; 0 for a range
    loaded: bool = False  # takes an instruction of its own: worth a register in a loop

    @property
    def is_slot(self) -> bool:
        """Whether it has no constants: it is the address of a slot that is out of reach of instructions."""
        return self.high < self.low

    def takes(self, value: int) -> bool:
        """Whether a value belongs to the class."""
        if self.pattern:
            return encoded(value, self.pattern) is not None
        return self.low <= value <= self.high and value % self.scale == 0


ONES = 0x80
"""In a pattern of halfwords: the others are 0xFFFF, not 0."""
_PIECE = 18  # bits: a halfword, and which it is


def encoded(value: int, pattern: int) -> int | None:
    """What a hole of a pattern's class is patched with, or None if the value is none of it.

    32 and 64: ones in a row, rotated and repeated over as many bits, as `logical_immediate` has them. 1, 2 and 3: 64
    bits of which so many halfwords are not 0, with ONES not 0xFFFF, as `halfwords` has them.
    """
    return halfwords(value, pattern) if pattern & 3 else logical_immediate(value, pattern)


def halfwords(value: int, pattern: int) -> int | None:
    """18 bits a piece, the lowest first, for AArch64's movz (movn with ONES) and the movk behind it: a halfword, and
    its number above it. None if there are more than the pattern has; where there are fewer, the lowest others fill up.
    """
    other = 0xFFFF if pattern & ONES else 0
    pieces = [value >> 16 * number & 0xFFFF for number in range(4)]
    chosen = sorted(range(4), key=lambda number: pieces[number] == other)[: pattern & 3]
    if any(piece != other for number, piece in enumerate(pieces) if number not in chosen):
        return None
    fields = [number << 16 | pieces[number] for number in chosen]
    fields[0] ^= other  # movn takes the opposite
    return sum(field << _PIECE * place for place, field in enumerate(fields))


def logical_immediate(value: int, bits: int) -> int | None:
    """The 13 bits N:immr:imms for a value of 32 or 64 bits, or None if it has no such form.

    Arm Architecture Reference Manual, DecodeBitMasks: an element of 2, 4, ... 64 bits is repeated; it is a row of ones,
    rotated right.
    """
    value &= (1 << bits) - 1
    size = bits
    while size > 2 and value & (1 << size // 2) - 1 == value >> size // 2 & (1 << size // 2) - 1:
        size //= 2
    element = value & (1 << size) - 1
    ones = element.bit_count()
    if value != sum(element << shift for shift in range(0, bits, size)) or ones in (0, size):
        return None
    for rotation in range(size):
        rotated = (element << rotation | element >> size - rotation) & (1 << size) - 1
        if rotated == (1 << ones) - 1:
            return (size == 64) << 12 | rotation << 6 | (~(size * 2 - 1) & 0x3F) | ones - 1
    return None
