"""Classes of immediates: what each takes, in Python and in the core; and the encodings that take an algorithm."""

from __future__ import annotations

import ctypes
import itertools
import random
from collections.abc import Iterable
from functools import cache

import pytest
from stencil_fixtures import load_c

from cnp.stencil.layout import CLASS
from cnp.stencil.library import Library
from cnp.stencil.sources import library_path
from cnp.target import TARGETS, Target
from cnp.target.immediate import ONES, ImmediateClass, encoded, halfwords, logical_immediate
from cnp.tools.holes import halfwords_value, logical_value

SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1


def decode_bit_masks(encoded: int, bits: int) -> int | None:
    """DecodeBitMasks of the Arm Architecture Reference Manual, bit by bit; None for what is reserved."""
    n, immr, imms = encoded >> 12, encoded >> 6 & 63, encoded & 63
    if bits == 32 and n:
        return None
    text = f"{n}{~imms & 63:06b}"
    length = 6 - text.find("1") if "1" in text else -1
    if length < 1:
        return None
    size = 2**length
    ones, rotation = imms % size + 1, immr % size
    if ones == size:
        return None
    element = [1] * ones + [0] * (size - ones)  # the lowest bit first
    element = element[rotation:] + element[:rotation]  # rotated right
    return int("".join(map(str, reversed(element * (bits // size)))), 2)


@cache
def patterns(bits: int) -> dict[int, list[int]]:
    """All values there are, and the encodings of each."""
    found: dict[int, list[int]] = {}
    for number in range(1 << 13):
        value = decode_bit_masks(number, bits)
        if value is not None:
            found.setdefault(value, []).append(number)
    return found


def near_patterns(bits: int) -> Iterable[int]:
    """Values that mostly have no such form, and some that have: every pattern with one bit changed, and more."""
    choose = random.Random(bits)
    for value in patterns(bits):
        yield value ^ 1 << choose.randrange(bits)
    for value in range(-300, 300):
        yield value & (1 << bits) - 1
    for _ in range(3000):
        yield choose.getrandbits(bits)
    for size in (2, 4, 8, 16, 32, 64)[: 5 if bits == 32 else 6]:
        for _ in range(100):
            element = choose.getrandbits(size)
            yield sum(element << at for at in range(0, bits, size))


@pytest.mark.parametrize(("bits", "count"), [(32, 1302), (64, 5334)])
def test_every_pattern_has_its_encoding(bits: int, count: int) -> None:
    assert len(patterns(bits)) == count
    for value, encodings in patterns(bits).items():
        encoded = logical_immediate(value, bits)
        assert encoded in encodings, hex(value)
        assert encoded == min(encodings, key=lambda each: each >> 6 & 63), "a rotation less than the element's size"


@pytest.mark.parametrize("bits", [32, 64])
def test_what_is_no_pattern_has_none(bits: int) -> None:
    found = [(value, logical_immediate(value, bits) is not None) for value in near_patterns(bits)]
    assert [has for _, has in found] == [value in patterns(bits) for value, _ in found]
    assert sum(not has for _, has in found) > 3000


def test_negative_values_are_taken_as_rows_of_bits() -> None:
    assert logical_immediate(-2, 64) == logical_immediate(2**64 - 2, 64) is not None
    assert logical_immediate(-(1 << 31), 32) == logical_immediate(1 << 31, 32) is not None
    for bits in (32, 64):
        assert logical_immediate(0, bits) is None and logical_immediate(-1, bits) is None


@pytest.mark.parametrize("bits", [32, 64])
def test_listings_read_every_encoding_back(bits: int) -> None:
    for value, encodings in patterns(bits).items():
        assert {logical_value(each, bits) for each in encodings} == {value}


# ---- halfwords

PATTERNS = [*(1, 2, 3), *(ONES | count for count in (1, 2, 3))]
WHOLE = (1 << 64) - 1


def run_moves(pieces: int, pattern: int) -> int:
    """What movz (or movn) and the movk behind it leave, by the Arm Architecture Reference Manual."""
    fields = [pieces >> 18 * place & 0x3FFFF for place in range(pattern & 3)]
    number, halfword = fields[0] >> 16, fields[0] & 0xFFFF
    value = WHOLE ^ halfword << 16 * number if pattern & ONES else halfword << 16 * number
    for field in fields[1:]:
        number, halfword = field >> 16, field & 0xFFFF
        value = value & ~(0xFFFF << 16 * number) | halfword << 16 * number
    return value


def sparse_values() -> Iterable[int]:
    """All combinations of halfwords that are zeros, ones, or neither."""
    for halves in itertools.product((0, 0xFFFF, 0x1234, 0x8000, 1), repeat=4):
        yield sum(each << 16 * number for number, each in enumerate(halves))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_so_many_moves_make_a_value_of_so_many_halfwords(pattern: int) -> None:
    other, taken = 0xFFFF if pattern & ONES else 0, 0
    for value in sparse_values():
        pieces = halfwords(value, pattern)
        needed = sum(value >> 16 * number & 0xFFFF != other for number in range(4))
        assert (pieces is not None) == (needed <= pattern & 3), hex(value)
        if pieces is not None:
            assert run_moves(pieces, pattern) == value == halfwords_value(pieces, pattern), hex(value)
            taken += 1
    assert 0 < taken < 5**4


def test_moves_skip_zeros() -> None:
    assert halfwords(0x1234 << 48, 1) == 3 << 16 | 0x1234
    assert halfwords(0x1234 << 32, 1) == 2 << 16 | 0x1234
    assert halfwords(0x1234_0000_5678_0000, 2) == (3 << 16 | 0x1234) << 18 | 1 << 16 | 0x5678
    assert halfwords(~(0x1234 << 32), ONES | 1) == 2 << 16 | 0x1234
    assert halfwords(-1, ONES | 1) == 0


# ---- classes

CLASSES = [
    *dict.fromkeys(each for target in TARGETS.values() for each in target.classes),
    ImmediateClass("U12", 0, 4095),
    ImmediateClass("S12", -2048, 2047),
    ImmediateClass("U12X8", 0, 4095 * 8, 8),
    ImmediateClass("PAIR", -512, 504, 8),
    ImmediateClass("HIGH20", -(1 << 31), (1 << 31) - 4096, 4096),
    ImmediateClass("NEGATIVE", -4096, -1),
    ImmediateClass("LOG32", 0, 0, pattern=32),
    ImmediateClass("LOG64", 0, 0, pattern=64),
]


def edges(each: ImmediateClass) -> list[int]:
    """Values about the ends of a class, and many others."""
    choose = random.Random(each.name)
    ends = [end + step for end in (each.low, each.high, 0) for step in range(-2 * each.scale, 2 * each.scale + 1, 1)][
        :9000
    ]
    powers = [sign * (1 << bit) + step for bit in range(64) for sign in (1, -1) for step in (-1, 0, 1)]
    inside = [
        choose.randint(each.low, min(each.high, LARGEST)) // each.scale * each.scale
        for _ in range(200)
        if each.low <= each.high
    ]
    anywhere = [choose.randint(SMALLEST, LARGEST) for _ in range(100)]
    sparse = [value - (value >> 63 << 64) for value in sparse_values()]
    return [value for value in (*ends, *powers, *inside, *anywhere, *sparse) if SMALLEST <= value <= LARGEST]


def is_of_pattern(value: int, pattern: int) -> bool:
    if pattern not in PATTERNS:
        return value & (1 << pattern) - 1 in patterns(pattern)
    other = 0xFFFF if pattern & ONES else 0
    return sum(value >> 16 * number & 0xFFFF != other for number in range(4)) <= pattern & 3


@pytest.mark.parametrize("each", CLASSES, ids=lambda each: each.name)
def test_a_class_takes_multiples_of_its_scale_in_its_range(each: ImmediateClass) -> None:
    for value in edges(each):
        if each.pattern:
            expected = is_of_pattern(value, each.pattern)
        else:
            expected = each.low <= value <= each.high and value == value // each.scale * each.scale
        assert each.takes(value) == expected, value


def covers(each: ImmediateClass, later: ImmediateClass) -> bool:
    """Whether a class takes all that a later one takes."""
    if later.pattern or each.pattern:
        return later.pattern == each.pattern
    return each.low <= later.low <= later.high <= each.high and later.scale % each.scale == 0


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_classes_that_an_op_takes_begin_with_the_narrowest(target: Target) -> None:
    """A constant is of the first class that takes it: one behind it that takes no more has stencils for nothing."""
    if not library_path(target.name).exists():
        pytest.skip(f"NOT TESTED: no library for {target.name} is built")
    with Library.open(library_path(target.name)) as library:
        masks = {mask for op in library.ops for mask in (*op.classes, op.reversed_class)}
    assert len(masks) > 3
    for mask in masks:
        offered = [each for number, each in enumerate(target.classes) if mask >> number & 1]
        for each, later in itertools.combinations(offered, 2):
            assert not covers(each, later), f"{later.name} is never chosen where {each.name} may be"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    text = """#include "core/immediate.h"
void many_logical(const u64 *values, s64 *found, u64 n, u32 bits) {
    for (u64 k = 0; k < n; k++) found[k] = logical_immediate(values[k], bits);
}
void many_encoded(const u64 *values, s64 *found, u64 n, u32 pattern) {
    for (u64 k = 0; k < n; k++) found[k] = encoded(values[k], pattern);
}
void many_taken(const struct immediate_class *class, const s64 *values, s64 *found, u64 n) {
    for (u64 k = 0; k < n; k++) found[k] = takes(class, values[k]);
}
"""
    return load_c(tmp_path_factory.mktemp("immediate"), text)


@pytest.mark.parametrize("bits", [32, 64])
def test_the_core_encodes_patterns_alike(core: ctypes.CDLL, bits: int) -> None:
    values = [*patterns(bits), *near_patterns(bits), 0, (1 << bits) - 1]
    if bits == 32:
        values += [value | 0xDEADBEEF00000000 for value in patterns(32)]  # the upper half does not matter
    array, found = (ctypes.c_uint64 * len(values))(*values), (ctypes.c_int64 * len(values))()
    core.many_logical(array, found, ctypes.c_uint64(len(values)), ctypes.c_uint32(bits))
    for value, number in zip(values, found):
        expected = logical_immediate(value, bits)
        assert number == (-1 if expected is None else expected), hex(value)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_core_encodes_halfwords_alike(core: ctypes.CDLL, pattern: int) -> None:
    values = [*sparse_values(), *patterns(64), *near_patterns(64)]
    array, found = (ctypes.c_uint64 * len(values))(*values), (ctypes.c_int64 * len(values))()
    core.many_encoded(array, found, ctypes.c_uint64(len(values)), ctypes.c_uint32(pattern))
    for value, pieces in zip(values, found):
        expected = encoded(value, pattern)
        assert pieces == (-1 if expected is None else expected), hex(value)


@pytest.mark.parametrize("each", CLASSES, ids=lambda each: each.name)
def test_the_core_takes_what_python_takes(core: ctypes.CDLL, each: ImmediateClass) -> None:
    values = edges(each)
    row = CLASS.pack(each.name.encode(), each.low, min(each.high, LARGEST), each.scale, each.pattern, each.loaded)
    array, found = (ctypes.c_int64 * len(values))(*values), (ctypes.c_int64 * len(values))()
    core.many_taken(ctypes.create_string_buffer(row, len(row)), array, found, ctypes.c_uint64(len(values)))
    assert [value for value, taken in zip(values, found) if taken != each.takes(value)] == []
