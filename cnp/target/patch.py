"""Patch kinds: how a value becomes a field of an instruction."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class KindFlag(enum.IntFlag):
    """How a patch kind takes its value."""

    PC_RELATIVE = 1  # value + addend - address of the hole
    PAGES = 2  # with PC_RELATIVE: the distance of the pages of 4 KiB that the two are in; alone: the place in its page


PAGE = 4096
"""Bytes of what KindFlag.PAGES calls a page, whatever the machine's pages are."""

NEGATE, INVERT = 1, 2
"""Flags of a segment: it holds bits of the value's opposite, or of its complement."""


NO_FLAGS = KindFlag(0)


@dataclass(frozen=True, slots=True)
class Segment:
    """Bits of a value and where they go: `bits` of them from bit `start` on, to bit `to` of the field's last four
    bytes.
    """

    start: int
    bits: int
    to: int
    flags: int = 0  # NEGATE, INVERT


@dataclass(frozen=True, slots=True)
class PatchKind:
    """How a value becomes a field: bits of the four bytes that end with it."""

    name: str
    segments: tuple[Segment, ...]
    low: int = -(1 << 63)  # what the field takes; where other fields take the rest of the value, anything
    high: int = (1 << 64) - 1
    scale: int = 1  # the value is a multiple of it
    width: int = 4  # bytes
    bias: int = 0  # added to the value: a low half that is signed rounds the high one
    flags: KindFlag = NO_FLAGS

    @property
    def pc_relative(self) -> bool:
        """Whether the field holds a distance from its own address."""
        return bool(self.flags & KindFlag.PC_RELATIVE)

    @property
    def checked(self) -> bool:
        """Whether the field alone has to hold the value."""
        return self.low > -(1 << 63) or self.high < (1 << 64) - 1

    @property
    def mask(self) -> int:
        """The bits of the field, in the last four bytes."""
        return sum((1 << each.bits) - 1 << each.to for each in self.segments)

    def encode(self, value: int) -> int:
        """The field's bits for a value. OverflowError or ValueError where it does not fit or is not aligned."""
        if not self.low <= value <= self.high:
            raise OverflowError(f"{value} does not fit {self.name}: {self.low} to {self.high} are accepted")
        if value % self.scale:
            raise ValueError(f"{value} does not fit {self.name}: multiples of {self.scale} are accepted")
        word, value = 0, value + self.bias
        for each in self.segments:
            bits = -value if each.flags & NEGATE else value
            bits = ~bits if each.flags & INVERT else bits
            word |= (bits >> each.start & (1 << each.bits) - 1) << each.to
        return word


@dataclass(frozen=True, slots=True)
class RelocationKind:
    """An ELF relocation type: the fields it fills in, as offsets from where it applies."""

    name: str
    fields: tuple[tuple[int, PatchKind], ...]
    of_label: bool = False  # its symbol is where the other half of the same value is
    low_half: bool = False  # the value's upper half is lost, which must not matter
    of_call: bool = False  # what an object file says where code calls, or jumps to, a symbol
