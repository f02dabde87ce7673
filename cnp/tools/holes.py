"""What the holes of a stencil were patched with, read back from the code: patch kinds, the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnp.stencil.words import Value
from cnp.target.immediate import ONES
from cnp.target.patch import INVERT, NEGATE, PAGE, KindFlag

if TYPE_CHECKING:
    from cnp.stencil.library import Library
    from cnp.stencil.records import Hole, Stencil

ADDRESSES = (Value.TARGET, Value.EXIT, Value.LIBRARY, Value.CALLEE, Value.TABLE)
"""Values that are addresses. A distance to any other is one to its place in the function's pool."""
_WORD = 4  # bytes that a field's segments are numbered in, and that end where the field ends
_UNLIMITED = -(1 << 63)  # the least value of a kind that does not hold a whole value


@dataclass(frozen=True)
class Segment:
    """Bits of a value that a field holds."""

    start: int
    bits: int
    to: int
    flags: int


@dataclass(frozen=True)
class Kind:
    """A row of KINDS."""

    flags: KindFlag
    width: int
    bias: int
    scale: int
    low: int
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, row: Sequence[int]) -> Kind:
        """From what Library.kinds has."""
        flags, width, bias, scale, low, _, *rest = row
        segments = tuple(Segment(*rest[start : start + 4]) for start in range(0, len(rest), 4))
        return cls(KindFlag(flags), width, bias, scale, low, segments)

    @property
    def mask(self) -> int:
        """The bits of the field, in the four bytes that end it."""
        return sum((1 << each.bits) - 1 << each.to for each in self.segments)

    def covers(self) -> int:
        """The bits of a value that the field holds."""
        return sum((1 << each.bits) - 1 << each.start for each in self.segments)


@dataclass(frozen=True)
class Patched:
    """A value, and the holes that share it, in the order of the code."""

    holes: tuple[Hole, ...]
    value: int  # an address if it is one, or if the value itself lies in the function's pool
    pooled: bool


def patched_bits(library: Library, stencil: Stencil) -> bytes:
    """A mask over a stencil's bytes: the bits that holes fill in."""
    mask = bytearray(stencil.size)
    for hole in stencil.holes:
        kind = Kind.of(library.kinds[hole.kind])
        bits = (kind.mask & 0xFFFFFFFF).to_bytes(_WORD, "little")[_WORD - kind.width :]
        for at, byte in enumerate(bits, hole.offset):
            mask[at] |= byte
    return bytes(mask)


def read_holes(library: Library, stencil: Stencil, code: bytes, address: int) -> list[Patched]:
    """The values in a stencil's code as it runs at an address. Registers are none."""
    groups: list[list[Hole]] = []
    for hole in sorted(stencil.holes, key=lambda each: each.offset):
        if hole.value == Value.REGISTERS:
            continue
        if groups and _continues(library, groups[-1], hole):
            groups[-1].append(hole)
        else:
            groups.append([hole])
    return [_read(library, holes, code, address) for holes in groups]


def pattern_value(encoded: int, pattern: int) -> int:
    """The value, from 0 on, that `cnp.target.immediate.encoded` gives so for a pattern."""
    return halfwords_value(encoded, pattern) if pattern & 3 else logical_value(encoded, pattern)


def halfwords_value(encoded: int, pattern: int) -> int:
    """The 64 bits that `halfwords` gives as pieces of 18."""
    value = _ones(64) if pattern & ONES else 0
    for place in range(pattern & 3):
        piece = encoded >> 18 * place & _ones(18)
        start, halfword = (piece >> 16) * 16, piece & 0xFFFF
        halfword ^= 0xFFFF if pattern & ONES and not place else 0
        value = value & ~(0xFFFF << start) | halfword << start
    return value


def logical_value(encoded: int, bits: int) -> int:
    """The value that logical_immediate gives as 13 bits."""
    n, rotation, imms = encoded >> 12 & 1, encoded >> 6 & 63, encoded & 63
    size = 1 << (n << 6 | ~imms & 63).bit_length() - 1
    row, rotation = _ones((imms & size - 1) + 1), rotation & size - 1
    element = (row >> rotation | row << size - rotation) & _ones(size)
    return sum(element << start for start in range(0, bits, size))


def _continues(library: Library, holes: Sequence[Hole], hole: Hole) -> bool:
    """Whether a hole takes other bits of the value that the holes before it take."""
    first, kind = holes[0], Kind.of(library.kinds[hole.kind])
    if (first.value, first.extra) != (hole.value, hole.extra):
        return False
    if not any(library.kinds[each.kind][4] == _UNLIMITED for each in (*holes, hole)):
        return False
    return not any(Kind.of(library.kinds[each.kind]).covers() & kind.covers() for each in holes)


def _read(library: Library, holes: Sequence[Hole], code: bytes, address: int) -> Patched:
    """Solve for the value, from its lowest bits up: so far must what holes add be taken off again to know the next.

    What no field holds is 0: only a multiple is patched into a field of upper bits alone.
    """
    first, known, value = holes[0], 0, 0
    kinds = [Kind.of(library.kinds[hole.kind]) for hole in holes]
    sums = [_added(hole, kind, address) for hole, kind in zip(holes, kinds)]
    for added, kind in zip(sums, kinds):  # a multiple of the scale
        if kind.scale >> known > 1:
            known = kind.scale.bit_length() - 1
            value = -added & _ones(known)
    parts = [
        (segment, added, kind.bias, _field(code, hole, kind) >> segment.to & _ones(segment.bits))
        for hole, kind, added in zip(holes, kinds, sums)
        for segment in kind.segments
    ]
    for segment, added, bias, bits in sorted(parts, key=lambda part: part[0].start):
        end = segment.start + segment.bits
        if end > known:
            below = _changed((value + added & _ones(known)) + bias, segment.flags) & _ones(segment.start)
            value = _unchanged(below | bits << segment.start, segment.flags) - bias - added & _ones(end)
            known = end
    added = sums[0]
    lows = [kind.low for kind in kinds if kind.low != _UNLIMITED]
    low = max(lows) if lows else -(1 << known - 1)
    value = low + (value + added - low & _ones(known)) - added
    pooled = first.value not in ADDRESSES and bool(kinds[0].flags & KindFlag.PC_RELATIVE)
    return Patched(tuple(holes), value, pooled)


def _added(hole: Hole, kind: Kind, address: int) -> int:
    """What is added to a value before it becomes a field, the kind's bias apart."""
    if not kind.flags & KindFlag.PC_RELATIVE:
        return hole.addend
    at = address + hole.offset
    return hole.addend - (at & -PAGE if kind.flags & KindFlag.PAGES else at)


def _field(code: bytes, hole: Hole, kind: Kind) -> int:
    end = hole.offset + kind.width
    return int.from_bytes(code[end - kind.width : end].rjust(_WORD, b"\0"), "little")


def _ones(count: int) -> int:
    return (1 << count) - 1


def _changed(value: int, flags: int) -> int:
    value = -value if flags & NEGATE else value
    return ~value if flags & INVERT else value


def _unchanged(value: int, flags: int) -> int:
    value = ~value if flags & INVERT else value
    return -value if flags & NEGATE else value
