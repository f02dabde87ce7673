"""Classes of immediates, and the one encoding among them that takes an algorithm."""

from __future__ import annotations

from typing import NamedTuple


class ImmediateClass(NamedTuple):
    """The values that an immediate's encoding reaches. A target lists its own, the narrowest first."""

    name: str
    low: int
    high: int
    scale: int = 1  # values are multiples of it
    pattern: int = 0  # 32 or 64: ones in a row, rotated and repeated over as many bits, as AArch64 encodes them
    loaded: bool = False  # takes an instruction of its own: worth a register in a loop

    @property
    def is_slot(self) -> bool:
        """Whether it has no constants: it is the address of a slot that is out of reach of instructions."""
        return self.high < self.low

    def takes(self, value: int) -> bool:
        """Whether a value belongs to the class."""
        if self.pattern:
            return logical_immediate(value, self.pattern) is not None
        return self.low <= value <= self.high and value % self.scale == 0


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
