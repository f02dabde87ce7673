"""Patch kinds: how values become fields, in Python and in the core, and how listings read them back."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from stencil_fixtures import load_c

from cnp.stencil.layout import KIND_SIZE
from cnp.stencil.records import Chunk, Hole, Stencil
from cnp.stencil.words import Value
from cnp.stencil.writer import kind_row
from cnp.target import TARGETS
from cnp.target.patch import INVERT, NEGATE, PAGE, KindFlag, PatchKind, Segment
from cnp.target.x86_64 import TARGET as X86_64
from cnp.tools.holes import patched_bits, read_holes

SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
RELATIVE, PAGES = KindFlag.PC_RELATIVE, KindFlag.PC_RELATIVE | KindFlag.PAGES


def ranged(bits: int, scale: int = 1) -> tuple[int, int]:
    """Lowest and highest of signed numbers of so many bits, times a scale."""
    return -(1 << bits - 1) * scale, ((1 << bits - 1) - 1) * scale


# Fields of real instructions, with what is known of them from their manuals.
MOVE_WIDE = [PatchKind(f"movk{16 * n}", (Segment(16 * n, 16, 5),)) for n in range(4)]
SCALED = PatchKind("ldr64", (Segment(3, 12, 10),), 0, 4095 * 8, 8)
BRANCH = PatchKind("b", (Segment(2, 26, 0),), *ranged(26, 4), 4, flags=RELATIVE)
ADRP = PatchKind("adrp", (Segment(12, 2, 29), Segment(14, 19, 5)), *ranged(21, PAGE), flags=PAGES)
SHIFT_LEFT = PatchKind("lsl", (Segment(0, 6, 16, NEGATE), Segment(0, 6, 10, INVERT)), 0, 63)
HIGH_20 = PatchKind("hi20", (Segment(12, 20, 12),), -(1 << 31) - 2048, (1 << 31) - 2049, bias=2048)
LOW_12 = PatchKind("lo12", (Segment(0, 12, 20),))
STORE_12 = PatchKind("lo12s", (Segment(0, 5, 7), Segment(5, 7, 25)))
AUIPC = PatchKind("auipc", (Segment(12, 20, 12),), -(1 << 31) - 2048, (1 << 31) - 2049, bias=2048, flags=RELATIVE)
PC_LOW_12 = PatchKind("pclo12", (Segment(0, 12, 20),), flags=RELATIVE)
CONDITION = PatchKind(
    "beq", (Segment(12, 1, 31), Segment(5, 6, 25), Segment(1, 4, 8), Segment(11, 1, 7)), -4096, 4094, 2, flags=RELATIVE
)
SHORT = PatchKind("c.addi", (Segment(0, 5, 18), Segment(5, 1, 28)), *ranged(6), width=2)
MINUS = PatchKind("sub", (Segment(0, 12, 10, NEGATE),), -4095, 0)
ODD = PatchKind(
    "odd", (Segment(0, 4, 0, NEGATE | INVERT), Segment(4, 4, 8), Segment(8, 4, 16, INVERT)), *ranged(12), bias=5
)
MADE_UP = (*MOVE_WIDE, SCALED, BRANCH, ADRP, SHIFT_LEFT, HIGH_20, LOW_12, STORE_12, AUIPC, PC_LOW_12, CONDITION, SHORT,
           MINUS, ODD)  # fmt: skip
KINDS = tuple(dict.fromkeys((*MADE_UP, *(each for target in TARGETS.values() for each in target.kinds))))


def values(kind: PatchKind) -> list[int]:
    """Some that fit, the ends among them."""
    choose = random.Random(kind.name)
    low, high = max(kind.low, SMALLEST), min(kind.high, LARGEST)
    found = [low, high, low + kind.scale, high - kind.scale, 0, kind.scale]
    found += [choose.randint(low, high) for _ in range(200)]
    found += [choose.randint(max(low, -5000), min(high, 5000)) for _ in range(100)]
    return [each for each in (-(-each // kind.scale) * kind.scale for each in found) if low <= each <= high]


# ---- encoding


@pytest.mark.parametrize(
    ("kind", "value", "instruction", "field"),
    [
        (MOVE_WIDE[1], 0x1234_5678_9ABC_DEF0, 0xF2A00000, 0xF2B35780),  # movk x0, #0x9abc, lsl 16
        (MOVE_WIDE[3], -1, 0xF2E00000, 0xF2FFFFE0),  # movk x0, #0xffff, lsl 48
        (SCALED, 32760, 0xF9400000, 0xF97FFC00),  # ldr x0, [x0, #32760]
        (BRANCH, -4, 0x14000000, 0x17FFFFFF),  # b .-4
        (ADRP, 0x5000, 0x90000000, 0xB0000020),  # adrp x0, 5 pages on
        (ADRP, -PAGE, 0x90000000, 0xF0FFFFE0),
        (SHIFT_LEFT, 3, 0xD3400020, 0xD37DF020),  # lsl x0, x1, #3
        (SHIFT_LEFT, 0, 0xD3400020, 0xD340FC20),
        (HIGH_20, 0x12345FFF, 0x00000037, 0x12346037),  # lui zero, 0x12346, because the lower half is -1
        (LOW_12, 0x12345FFF, 0x00000013, 0xFFF00013),  # addi zero, zero, -1
        (STORE_12, 0x7E5, 0x0005B023, 0x7E05B2A3),  # sd zero, 2021(a1)
        (CONDITION, 16, 0x00000063, 0x00000863),  # beq zero, zero, .+16
        (CONDITION, -4096, 0x00000063, 0x80000063),
        (CONDITION, -2, 0x00000063, 0xFE000FE3),
        (SHORT, -1, 0x05010000, 0x157D0000),  # c.addi a0, -1, the upper half of a word
        (MINUS, -4095, 0xD1000000, 0xD13FFC00),  # sub x0, x0, #4095
    ],
)
def test_fields_of_instructions(kind: PatchKind, value: int, instruction: int, field: int) -> None:
    assert instruction & kind.mask == 0
    assert instruction | kind.encode(value) == field


def test_a_lower_half_with_a_sign_makes_the_upper_half_round() -> None:
    for value in values(HIGH_20):
        upper = HIGH_20.encode(value)
        lower = LOW_12.encode(value) >> 20
        assert (upper + (lower ^ 2048) - 2048 - value) % (1 << 32) == 0


def test_the_parts_of_a_wide_value_make_it_up() -> None:
    for value in values(LOW_12):
        parts = [kind.encode(value) >> 5 for kind in MOVE_WIDE]
        assert sum(part << 16 * n for n, part in enumerate(parts)) == value % (1 << 64)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_bit_of_a_field_is_the_bit_that_is_meant(kind: PatchKind) -> None:
    for value in values(kind):
        word = 0
        for each in kind.segments:
            taken = -(value + kind.bias) if each.flags & NEGATE else value + kind.bias
            for bit in range(each.bits):
                is_set = (taken >> (each.start + bit)) % 2
                word |= (1 - is_set if each.flags & INVERT else is_set) << (each.to + bit)
        assert kind.encode(value) == word
        assert word & ~kind.mask == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_does_not_fit_is_refused(kind: PatchKind) -> None:
    for value in (kind.low - kind.scale, kind.high + kind.scale, kind.low - 1, kind.high + 1, kind.high + (1 << 64)):
        with pytest.raises(OverflowError) as caught:
            kind.encode(value)
        assert str(caught.value) == f"{value} does not fit {kind.name}: {kind.low} to {kind.high} are accepted"
    for step in range(1, kind.scale):
        with pytest.raises(ValueError, match=rf"does not fit {kind.name}: multiples of {kind.scale} are accepted"):
            kind.encode(kind.low + step)
    assert kind.encode(kind.low) & ~kind.mask == kind.encode(kind.high) & ~kind.mask == 0


def test_what_a_bias_adds_is_no_part_of_the_range() -> None:
    assert HIGH_20.encode(HIGH_20.high) == 0x7FFFF000
    assert HIGH_20.encode(HIGH_20.low) == 0x80000000
    assert HIGH_20.checked and not LOW_12.checked and SHIFT_LEFT.checked and MINUS.checked


def test_masks() -> None:
    assert CONDITION.mask == 0xFE000F80 and ADRP.mask == 0x60FFFFE0 and SHORT.mask == 0x107C0000
    assert X86_64.kinds[4].mask == 0xFF000000 and PatchKind("all", (Segment(0, 32, 0),)).mask == 0xFFFFFFFF
    assert BRANCH.pc_relative and ADRP.pc_relative and not LOW_12.pc_relative


# ---- the core


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    text = """#include "core/core.c"
void many_encoded(const struct patch_kind *kind, const s64 *values, u32 *found, u64 n) {
    for (u64 k = 0; k < n; k++) found[k] = encode(kind, (i64)values[k]);
}
void many_fit(const struct patch_kind *kind, const s64 *values, u32 *found, u64 n) {
    for (u64 k = 0; k < n; k++) found[k] = (u32)fits(kind, values[k]);
}
u32 mask_of(const struct patch_kind *kind) { return kind->mask; }
"""
    return load_c(tmp_path_factory.mktemp("patch"), text)


def row(kind: PatchKind) -> Any:
    return ctypes.create_string_buffer(kind_row(kind), KIND_SIZE)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_core_encodes_alike(core: ctypes.CDLL, kind: PatchKind) -> None:
    fitting = values(kind)
    array, found = (ctypes.c_int64 * len(fitting))(*fitting), (ctypes.c_uint32 * len(fitting))()
    core.many_encoded(row(kind), array, found, ctypes.c_uint64(len(fitting)))
    assert list(found) == [kind.encode(value) for value in fitting]
    assert core.mask_of(row(kind)) & 0xFFFFFFFF == kind.mask


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_core_refuses_alike(core: ctypes.CDLL, kind: PatchKind) -> None:
    def fits(value: int) -> bool:
        try:
            kind.encode(value)
        except (OverflowError, ValueError):
            return False
        return True

    choose = random.Random(kind.name)
    tried = [end + step for end in (kind.low, kind.high, 0, 1 << 31, -(1 << 31)) for step in range(-9, 10)]
    tried += [choose.randint(SMALLEST, LARGEST) >> choose.randrange(64) for _ in range(500)]
    tried = [value for value in tried if SMALLEST <= value <= LARGEST]
    array, found = (ctypes.c_int64 * len(tried))(*tried), (ctypes.c_uint32 * len(tried))()
    core.many_fit(row(kind), array, found, ctypes.c_uint64(len(tried)))
    assert [value for value, fit in zip(tried, found) if bool(fit) != fits(value)] == []


# ---- reading back

ADDRESS = 0x7F12_3456_7ABC


def library(kinds: Sequence[PatchKind]) -> Any:
    """As much of a library as kinds are."""
    rows = [
        (
            *(each.flags, each.width, each.bias, each.scale, each.low, each.high),
            *(number for part in each.segments for number in (part.start, part.bits, part.to, part.flags)),
        )
        for each in kinds
    ]
    return SimpleNamespace(kinds=rows)


def patched(kinds: Sequence[PatchKind], holes: Sequence[Hole], wanted: Sequence[int], size: int) -> bytes:
    """Code whose holes were patched with these values, and whose other bits are ones."""
    code = bytearray(b"\xff" * size)
    for hole, value in zip(holes, wanted):
        kind = kinds[hole.kind]
        given = value + hole.addend
        if kind.flags & KindFlag.PAGES:
            given = (given & -PAGE) - (ADDRESS + hole.offset & -PAGE)
        elif kind.pc_relative:
            given -= ADDRESS + hole.offset
        end = hole.offset + kind.width
        word = int.from_bytes(code[end - kind.width : end].rjust(4, b"\0"), "little") & ~kind.mask | kind.encode(given)
        code[end - kind.width : end] = word.to_bytes(4, "little")[4 - kind.width :]
    return bytes(code)


def hole(offset: int, kind: int, value: Value = Value.IMMEDIATE_A, addend: int = 0, extra: int = 0) -> Hole:
    return Hole(0, value, kind, addend, extra, offset)


def read(
    kinds: Sequence[PatchKind], holes: Sequence[Hole], wanted: Sequence[int], size: int = 40
) -> list[tuple[int, bool]]:
    """What is read back from code that these values were put into."""
    code = patched(kinds, holes, wanted, size)
    stencil = Stencil((Chunk(bytes(size)),), tuple(holes))
    return [(each.value, each.pooled) for each in read_holes(library(kinds), stencil, code, ADDRESS)]


def has_all(kind: PatchKind) -> bool:
    """Whether a field holds a value down to its lowest bit, or to that of what it is a multiple of."""
    lowest = PAGE if kind.flags & KindFlag.PAGES else kind.scale
    return kind.checked and 1 << min(each.start for each in kind.segments) <= lowest


WHOLE = [each for each in KINDS if has_all(each)]


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.name)
@pytest.mark.parametrize("addend", [0, -4, 8])
def test_a_whole_value_is_read_back(kind: PatchKind, addend: int) -> None:
    for given in values(kind):
        value = given - addend
        if kind.pc_relative:
            value += ADDRESS + 4
        if kind.flags & KindFlag.PAGES:
            value = ((ADDRESS + 4 & -PAGE) + (given & -PAGE)) - addend
        assert read([kind], [hole(4, 0, Value.TARGET, addend)], [value]) == [(value, False)]


@pytest.mark.parametrize(
    ("kinds", "bits"),
    [
        ([X86_64.kinds[1], X86_64.kinds[2]], 64),
        (MOVE_WIDE, 64),
        (MOVE_WIDE[:2], 32),
        (MOVE_WIDE[::-1], 64),
        ([HIGH_20, LOW_12], 32),
        ([HIGH_20, STORE_12], 32),
        ([LOW_12, HIGH_20], 32),
    ],
)
@pytest.mark.parametrize("addend", [0, 1, -1])
def test_holes_that_share_a_value_are_one(kinds: list[PatchKind], bits: int, addend: int) -> None:
    holes = [hole(4 * n, n, addend=addend) for n in range(len(kinds))]
    low = max(each.low for each in kinds) if any(each.checked for each in kinds) else -(1 << bits - 1)
    choose = random.Random(bits)
    for _ in range(200):
        value = choose.choice((choose.randrange(-300, 300), low + choose.getrandbits(bits) - addend))
        assert read(kinds, holes, [value] * len(holes)) == [(value, False)]


def test_halves_of_a_distance_are_one() -> None:
    """The second half says how far it is from the first, which is what both are relative to."""
    choose = random.Random(3)
    for _ in range(200):
        value = ADDRESS + choose.randrange(-(1 << 31), (1 << 31) - 5000)
        holes = [hole(8, 0, Value.LIBRARY, extra=7), hole(12, 1, Value.LIBRARY, 4, extra=7)]
        assert read([AUIPC, PC_LOW_12], holes, [value, value]) == [(value, False)]


def test_a_value_that_is_used_again_is_shown_again() -> None:
    imm32 = X86_64.kinds[0]
    holes = [hole(0, 0, Value.SLOT_A), hole(8, 0, Value.SLOT_A)]
    assert read([imm32], holes, [24, 24]) == [(24, False)] * 2
    wide = [hole(4 * n, n % 2) for n in range(4)]
    assert read(X86_64.kinds[1:3], wide, [1 << 40] * 4) == [(1 << 40, False)] * 2


def test_different_values_are_not_taken_together() -> None:
    low, high = X86_64.kinds[1], X86_64.kinds[2]
    holes = [hole(0, 0), hole(4, 1), hole(8, 0, Value.IMMEDIATE_B), hole(12, 1, Value.IMMEDIATE_B)]
    assert read([low, high], holes, [5, 5, 1 << 60, 1 << 60]) == [(5, False), (1 << 60, False)]
    exits = [hole(0, 0, Value.EXIT, extra=2), hole(4, 0, Value.EXIT, extra=3)]
    assert read([X86_64.kinds[3]], exits, [ADDRESS + 9, ADDRESS - 9]) == [(ADDRESS + 9, False), (ADDRESS - 9, False)]


def test_a_value_in_the_pool_is_known_by_a_distance_to_what_is_no_address() -> None:
    rel32 = X86_64.kinds[3]
    for value in Value:
        if value != Value.REGISTERS:
            is_address = value in (Value.TARGET, Value.EXIT, Value.LIBRARY, Value.CALLEE, Value.TABLE)
            assert read([rel32], [hole(4, 0, value, -4)], [ADDRESS + 96]) == [(ADDRESS + 96, not is_address)], value


def test_registers_are_not_shown_and_everything_a_hole_fills_in_is_masked() -> None:
    registers = PatchKind("registers16", (Segment(0, 32, 0),), width=2)
    holes = [hole(0, 0, Value.TARGET), hole(6, 1, Value.REGISTERS, extra=0x0201)]
    assert read([CONDITION, registers], holes, [ADDRESS + 16, 0]) == [(ADDRESS + 16, False)]
    stencil = Stencil((Chunk(bytes(10)),), tuple(holes))
    assert patched_bits(library([CONDITION, registers]), stencil).hex() == "800f00fe" + "0000" + "ffff" + "0000"
