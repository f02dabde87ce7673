"""The oracle itself, against facts from elsewhere: the WebAssembly specification's test vectors, C's struct layout,
NumPy's IEEE 754 arithmetic, exact rationals, and the table of ops in stencils/*.c."""

from __future__ import annotations

import ctypes
import math
import re
import struct
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnp.errors import TrapKind
from cnp.ir.semantics import LOADS, SEMANTICS, STORES, TrapSignal, load, store, to_f32

INF, NAN = math.inf, math.nan
MIN32, MAX32, MIN64, MAX64 = -(2**31), 2**31 - 1, -(2**63), 2**63 - 1
i32s = st.integers(MIN32, MAX32)
i64s = st.integers(MIN64, MAX64)
f64s = st.floats()
f32s = st.floats(width=32)


def same(a: float, b: float) -> bool:
    """Equal in value, type and sign of zero; any two NaNs are the same."""
    if isinstance(a, float) and isinstance(b, float) and not (math.isnan(a) and math.isnan(b)):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return type(a) is type(b) and (a == b or a != a)


# From the WebAssembly specification's test suite: i32.wast, i64.wast, f32.wast, f64.wast, float_misc.wast,
# conversions.wast. Integers are written unsigned there; here as the signed number with the same bits.
VECTORS = [
    ("i32.add", (MAX32, 1), MIN32),
    ("i32.sub", (MIN32, 1), MAX32),
    ("i32.mul", (0x01234567, 0x76543210), 0x358E7470),
    ("i64.mul", (0x0123456789ABCDEF, 0xFEDCBA9876543210 - 2**64), 0x2236D88FE5618CF0),
    ("i64.add_end_around", (3, 4), 7),
    ("i64.add_end_around", (-1, 0), -1),
    ("i64.add_end_around", (-1, 1), 1),
    ("i64.add_end_around", (-1, -1), -1),
    ("i64.add_end_around", (MIN64, MIN64), 1),
    ("i64.add_end_around", (-5, 4), -1),
    ("i32.div_s", (-5, 2), -2),
    ("i32.div_s", (5, -2), -2),
    ("i32.div_s", (MIN32, 2), -(2**30)),
    ("i32.div_u", (-1, -1), 1),
    ("i32.div_u", (MIN32, -1), 0),
    ("i32.div_u", (-5, 2), 0x7FFFFFFD),
    ("i64.div_s", (0x123456789, 1000), 0x123456789 // 1000),
    ("i64.div_u", (MIN64, -1), 0),
    ("i32.rem_s", (MIN32, -1), 0),
    ("i32.rem_s", (-5, 2), -1),
    ("i32.rem_s", (5, -2), 1),
    ("i64.rem_s", (MIN64, -1), 0),
    ("i64.rem_s", (MIN64, 1000), -808),
    ("i64.rem_u", (MIN64, -1), MIN64),
    ("i64.rem_u", (-5, 2), 1),
    ("i32.shl", (1, 32), 1),
    ("i32.shl", (1, 31), MIN32),
    ("i32.shl", (1, MAX32), MIN32),
    ("i32.shr_s", (-1, MAX32), -1),
    ("i32.shr_s", (MIN32, 31), -1),
    ("i32.shr_u", (-1, MIN32), -1),
    ("i32.shr_u", (MIN32, 31), 1),
    ("i64.shl", (1, 64), 1),
    ("i64.shr_u", (-1, 63), 1),
    ("i32.rotl", (0xABCD9876 - 2**32, 1), 0x579B30ED),
    ("i32.rotl", (0xB0C1D2E3 - 2**32, 0xFF05), 0x183A5C76),
    ("i32.rotr", (0xB0C1D2E3 - 2**32, 0xFF05), 0x1D860E97),
    ("i32.rotr", (1, 1), MIN32),
    ("i64.rotl", (0xABCD987602468ACE - 2**64, 1), 0x579B30EC048D159D),
    ("i64.rotr", (0xABCD987602468ACE - 2**64, 1), 0x55E6CC3B01234567),
    ("i32.clz", (0x00008000,), 16),
    ("i32.clz", (0,), 32),
    ("i32.ctz", (MIN32,), 31),
    ("i32.ctz", (0,), 32),
    ("i64.clz", (-1,), 0),
    ("i64.ctz", (0,), 64),
    ("i32.popcnt", (0xDEADBEEF - 2**32,), 24),
    ("i64.popcnt", (0xDEADBEEFDEADBEEF - 2**64,), 48),
    ("i32.extend8_s", (0x012345_80,), -0x80),
    ("i32.extend8_s", (0xFEDCBA_7F - 2**32,), 0x7F),
    ("i64.extend16_s", (0x012345678ABC_8000,), -0x8000),
    ("i64.extend32_s", (0x01234567_80000000,), MIN32),
    ("i32.bswap", (0x01020304,), 0x04030201),
    ("i64.bswap", (0xF1,), 0xF1 * 2**56 - 2**64),
    ("i32.eqz", (0,), 1),
    ("i64.eqz", (MIN64,), 0),
    ("i64.nez", (MIN64,), 1),
    ("i32.lt_s", (MIN32, MAX32), 1),
    ("i32.lt_u", (MIN32, MAX32), 0),
    ("i64.ge_u", (-1, 0), 1),
    ("i64.le_s", (-1, -1), 1),
    ("f32.add", (16777216.0, 1.0), 16777216.0),  # a tie, to even
    ("f32.add", (1.0, 2**-24 + 2**-47), 1.0 + 2**-23),
    ("f32.mul", (2.0**127, 2.0), INF),
    ("f32.mul", (2.0**-149, 0.5), 0.0),
    ("f64.mul", (1e308, 10.0), INF),
    ("f64.div", (1.0, 0.0), INF),
    ("f64.div", (-1.0, 0.0), -INF),
    ("f64.div", (1.0, -0.0), -INF),
    ("f64.div", (0.0, 0.0), NAN),
    ("f64.div", (NAN, 0.0), NAN),
    ("f64.div", (INF, INF), NAN),
    ("f64.div", (INF, 0.0), INF),
    ("f64.sub", (INF, INF), NAN),
    ("f64.sqrt", (-0.0,), -0.0),
    ("f64.sqrt", (-1.0,), NAN),
    ("f64.sqrt", (-INF,), NAN),
    ("f32.sqrt", (2.0,), float.fromhex("0x1.6a09e6p+0")),
    ("f64.min", (0.0, -0.0), -0.0),
    ("f64.min", (-0.0, 0.0), -0.0),
    ("f64.max", (-0.0, 0.0), 0.0),
    ("f32.max", (-0.0, -0.0), -0.0),
    ("f32.min", (-INF, NAN), NAN),
    ("f32.max", (NAN, INF), NAN),
    ("f64.min", (1.0, -INF), -INF),
    ("f64.ceil", (-0.5,), -0.0),
    ("f64.floor", (-0.5,), -1.0),
    ("f64.floor", (-0.0,), -0.0),
    ("f64.trunc", (-1.9,), -1.0),
    ("f64.nearest", (0.5,), 0.0),
    ("f64.nearest", (-0.5,), -0.0),
    ("f64.nearest", (1.5,), 2.0),
    ("f64.nearest", (2.5,), 2.0),
    ("f64.nearest", (-3.5,), -4.0),
    ("f64.nearest", (4503599627370497.5,), 4503599627370498.0),
    ("f32.nearest", (8388609.0,), 8388609.0),
    ("f64.nearest", (-INF,), -INF),
    ("f64.ceil", (NAN,), NAN),
    ("f64.copysign", (1.0, -NAN), -1.0),
    ("f64.abs", (-INF,), INF),
    ("f64.eq", (-0.0, 0.0), 1),
    ("f64.eq", (NAN, NAN), 0),
    ("f64.ne", (NAN, NAN), 1),
    ("f64.lt", (NAN, 1.0), 0),
    ("f64.ge", (NAN, 1.0), 0),
    ("i32.wrap_i64", (0xFFFFFFFF80000000 - 2**64,), MIN32),
    ("i64.extend_i32_s", (-1,), -1),
    ("i64.extend_i32_u", (-1,), 0xFFFFFFFF),
    ("i32.trunc_f32_s", (-2147483648.0,), MIN32),
    ("i32.trunc_f64_s", (-2147483648.9,), MIN32),
    ("i32.trunc_f64_s", (2147483647.9,), MAX32),
    ("i32.trunc_f64_u", (4294967295.9,), -1),
    ("i32.trunc_f32_u", (-0.99999994,), 0),
    ("i64.trunc_f64_s", (-9223372036854775808.0,), MIN64),
    ("i64.trunc_f64_u", (18446744073709549568.0,), -2048),
    ("i32.trunc_sat_f32_s", (NAN,), 0),
    ("i32.trunc_sat_f32_s", (2147483648.0,), MAX32),
    ("i32.trunc_sat_f64_s", (-INF,), MIN32),
    ("i32.trunc_sat_f64_u", (-1.0,), 0),
    ("i32.trunc_sat_f64_u", (INF,), -1),
    ("i64.trunc_sat_f32_u", (18446744073709551616.0,), -1),
    ("i64.trunc_sat_f64_s", (INF,), MAX64),
    ("i64.trunc_sat_f64_u", (1e8,), 100_000_000),
    ("f32.convert_i32_s", (16777217,), 16777216.0),
    ("f32.convert_i32_s", (16777219,), 16777220.0),
    ("f32.convert_i64_s", (0x7FFFFF4000000001,), float.fromhex("0x1.fffffep+62")),  # wrong if rounded twice
    ("f32.convert_i64_s", (-0x7FFFFFBFFFFFFFFF,), -float.fromhex("0x1.fffffep+62")),
    ("f32.convert_i64_u", (-1,), 18446744073709551616.0),
    ("f32.convert_i64_u", (0xFFFFFE8000000001 - 2**64,), float.fromhex("0x1.fffffep+63")),
    ("f64.convert_i64_s", (9007199254740993,), 9007199254740992.0),
    ("f64.convert_i64_u", (-1,), 18446744073709551616.0),
    ("f64.convert_i64_u", (0x8000000000000401 - 2**64,), float.fromhex("0x1.0000000000001p+63")),
    ("f64.convert_i32_u", (-1,), 4294967295.0),
    ("f32.demote_f64", (float.fromhex("0x1.fffffep+127"),), float.fromhex("0x1.fffffep+127")),
    ("f32.demote_f64", (float.fromhex("0x1.ffffffp+127"),), INF),
    ("f32.demote_f64", (float.fromhex("0x1.fffffefffffffp+127"),), float.fromhex("0x1.fffffep+127")),
    ("f32.demote_f64", (float.fromhex("-0x1p-150"),), -0.0),
    ("f32.demote_f64", (float.fromhex("0x1.0000000000001p-150"),), 2.0**-149),
    ("f64.promote_f32", (-0.0,), -0.0),
    ("i32.reinterpret_f32", (-0.0,), MIN32),
    ("i32.reinterpret_f32", (1.0,), 0x3F800000),
    ("i64.reinterpret_f64", (-0.0,), MIN64),
    ("f32.reinterpret_i32", (1,), 2.0**-149),
    ("f64.reinterpret_i64", (0x3FF0000000000000,), 1.0),
]


@pytest.mark.parametrize(("name", "operands", "result"), VECTORS)
def test_specification_vectors(name: str, operands: tuple[float, ...], result: float) -> None:
    assert same(SEMANTICS[name](*operands), result)


ZERO, OVERFLOW = TrapKind.INTEGER_DIVIDE_BY_ZERO, TrapKind.INTEGER_OVERFLOW
INVALID = TrapKind.INVALID_CONVERSION_TO_INTEGER
TRAPS = [
    *(
        (f"{t}.{op}", (a, 0), ZERO)
        for t in ("i32", "i64")
        for op in ("div_s", "div_u", "rem_s", "rem_u")
        for a in (0, 1)
    ),
    ("i32.div_s", (MIN32, -1), OVERFLOW),
    ("i64.div_s", (MIN64, -1), OVERFLOW),
    ("i32.trunc_f32_s", (2147483648.0,), OVERFLOW),
    ("i32.trunc_f32_s", (-2147483904.0,), OVERFLOW),
    ("i32.trunc_f64_s", (-2147483649.0,), OVERFLOW),
    ("i32.trunc_f64_u", (4294967296.0,), OVERFLOW),
    ("i32.trunc_f64_u", (-1.0,), OVERFLOW),
    ("i64.trunc_f32_s", (9223372036854775808.0,), OVERFLOW),
    ("i64.trunc_f64_s", (-9223372036854777856.0,), OVERFLOW),
    ("i64.trunc_f64_u", (INF,), OVERFLOW),
    *((f"{t}.trunc_{f}_{s}", (NAN,), INVALID) for t in ("i32", "i64") for f in ("f32", "f64") for s in "su"),
]


@pytest.mark.parametrize(("name", "operands", "kind"), TRAPS)
def test_traps(name: str, operands: tuple[float, ...], kind: TrapKind) -> None:
    with pytest.raises(TrapSignal) as caught:
        SEMANTICS[name](*operands)
    assert caught.value.kind is kind


def test_every_op_of_the_table_has_a_meaning_of_its_signature() -> None:
    """And there is no other: stencils/*.c is the one table of ops."""
    without_meaning = {"move", "select"}
    values: set[str] = set()
    loads: set[str] = set()
    stores: set[str] = set()
    for source in (Path(__file__).parent.parent / "stencils").glob("*.c"):
        for match in re.finditer(
            r"^OP\((\w+?)_(\w+), ([A-Z]+).*?, (\w+), ([^()]*)\)", source.read_text(), re.MULTILINE
        ):
            kind, op, attribute, result, parameters = match.groups()
            if kind not in ("i32", "i64", "f32", "f64") or op in without_meaning or attribute == "MAGIC":
                continue
            name = f"{kind}.{op}"
            {"LOAD": loads, "STORE": stores}.get(attribute, values).add(name)
            if attribute not in ("LOAD", "STORE"):
                ones = [1.0 if each.startswith("f") else 1 for each in parameters.split(", ")]
                assert type(SEMANTICS[name](*ones)) is (float if result.startswith("f") else int), name
    assert values == set(SEMANTICS)
    assert loads == set(LOADS)
    assert stores == set(STORES)


@given(i64s, i64s)
def test_division_is_the_quotient_rounded_towards_zero(a: int, b: int) -> None:
    if b == 0 or (a, b) == (MIN64, -1):
        return
    quotient, remainder = SEMANTICS["i64.div_s"](a, b), SEMANTICS["i64.rem_s"](a, b)
    assert quotient * b + remainder == a
    assert abs(remainder) < abs(b)
    assert remainder == 0 or (remainder < 0) == (a < 0)
    ua, ub = a % 2**64, b % 2**64
    assert SEMANTICS["i64.div_u"](a, b) % 2**64 == ua // ub
    assert SEMANTICS["i64.rem_u"](a, b) % 2**64 == ua % ub


@given(i32s, i32s)
def test_i32_against_c_types(a: int, b: int) -> None:
    for name, exact in (("add", a + b), ("sub", a - b), ("mul", a * b), ("shl", a << b % 32)):
        assert SEMANTICS[f"i32.{name}"](a, b) == ctypes.c_int32(exact).value
    assert SEMANTICS["i32.rotr"](SEMANTICS["i32.rotl"](a, b), b) == a
    assert SEMANTICS["i32.bswap"](a) == struct.unpack(">i", struct.pack("<i", a))[0]
    assert SEMANTICS["i32.extend16_s"](a) == ctypes.c_int16(a).value
    assert SEMANTICS["i64.extend8_s"](a) == ctypes.c_int8(a).value


@given(i64s, i64s)
def test_comparisons_agree_with_their_inverse_and_swapped_op(a: int, b: int) -> None:
    for name, inverse, swapped in (("lt", "ge", "gt"), ("gt", "le", "lt"), ("le", "gt", "ge"), ("ge", "lt", "le")):
        for sign in "su":
            holds = SEMANTICS[f"i64.{name}_{sign}"](a, b)
            assert holds == 1 - SEMANTICS[f"i64.{inverse}_{sign}"](a, b) == SEMANTICS[f"i64.{swapped}_{sign}"](b, a)
    assert SEMANTICS["i64.lt_u"](a, b) == (ctypes.c_uint64(a).value < ctypes.c_uint64(b).value)


@given(f32s, f32s)
def test_f32_against_numpy(a: float, b: float) -> None:
    numpy = pytest.importorskip("numpy")
    x, y = numpy.float32(a), numpy.float32(b)
    with numpy.errstate(all="ignore"):
        for name, expected in (("add", x + y), ("sub", x - y), ("mul", x * y), ("div", x / y), ("sqrt", numpy.sqrt(x))):
            operands = (a,) if name == "sqrt" else (a, b)
            assert same(SEMANTICS[f"f32.{name}"](*operands), float(expected)), name
        assert same(SEMANTICS["f32.nearest"](a), float(numpy.rint(x)))
        assert same(SEMANTICS["f32.floor"](a), float(numpy.floor(x)))
        assert same(SEMANTICS["f32.ceil"](a), float(numpy.ceil(x)))
        assert same(SEMANTICS["f32.trunc"](a), float(numpy.trunc(x)))


@given(f64s, f64s)
def test_f64_against_numpy(a: float, b: float) -> None:
    numpy = pytest.importorskip("numpy")
    x, y = numpy.float64(a), numpy.float64(b)
    with numpy.errstate(all="ignore"):
        assert same(SEMANTICS["f64.div"](a, b), float(x / y))
        assert same(SEMANTICS["f64.sqrt"](a), float(numpy.sqrt(x)))
        assert same(SEMANTICS["f64.nearest"](a), float(numpy.rint(x)))
        assert same(SEMANTICS["f32.demote_f64"](a), float(numpy.float32(x)))
        if (a, b) != (0.0, 0.0):  # NumPy leaves the sign of max(0.0, -0.0) open
            assert same(SEMANTICS["f64.max"](a, b), float(numpy.maximum(x, y)))
            assert same(SEMANTICS["f64.min"](a, b), float(numpy.minimum(x, y)))


@given(i64s)
def test_integers_become_the_nearest_float(a: int) -> None:
    for sign, exact in (("s", a), ("u", a % 2**64)):
        result = SEMANTICS[f"f32.convert_i64_{sign}"](a)
        assert result == to_f32(result)
        ulp = Fraction(2) ** (max(exact.bit_length(), 24) - 24)
        assert abs(Fraction(result) - exact) <= ulp / 2
        assert SEMANTICS[f"f64.convert_i64_{sign}"](a) == int(exact) / 1


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_neg_abs_copysign_act_on_the_sign_bit_only(a: int, b: int) -> None:
    if a & 0x7F800000 == 0x7F800000 and a & 0x007FFFFF:
        a |= 0x00400000  # a signalling f32 NaN cannot be a Python float
    for kind, bits, width in (("f32", a, 32), ("f64", b, 64)):
        top = 1 << (width - 1)
        integer = "i32" if width == 32 else "i64"
        x = SEMANTICS[f"{kind}.reinterpret_{integer}"](bits - 2 * top if bits & top else bits)

        def bits_of(value: float, kind: str = kind, integer: str = integer, top: int = top) -> int:
            return int(SEMANTICS[f"{integer}.reinterpret_{kind}"](value)) % (2 * top)

        assert bits_of(x) == bits
        assert bits_of(SEMANTICS[f"{kind}.neg"](x)) == bits ^ top
        assert bits_of(SEMANTICS[f"{kind}.abs"](x)) == bits & ~top
        assert bits_of(SEMANTICS[f"{kind}.copysign"](x, -1.0)) == bits | top
        assert bits_of(SEMANTICS[f"{kind}.copysign"](1.0, x)) & top == bits & top


@given(f64s)
def test_saturating_truncation_agrees_with_the_trapping_one(a: float) -> None:
    for name in ("i32.trunc_{}f64_s", "i32.trunc_{}f64_u", "i64.trunc_{}f64_s", "i64.trunc_{}f64_u"):
        saturated = SEMANTICS[name.format("sat_")](a)
        try:
            assert SEMANTICS[name.format("")](a) == saturated
        except TrapSignal:
            assert saturated in (0, MIN32, MAX32, MIN64, MAX64, -1)


def test_loads_and_stores_touch_only_their_bytes() -> None:
    buffer = ctypes.create_string_buffer(24)
    address = ctypes.addressof(buffer) + 7  # unaligned
    for name, (width, kind) in STORES.items():
        buffer.raw = b"\xaa" * 24
        value = -1.5 if kind[0] == "f" else -0x7EDCBA98
        whole = struct.pack({"f32": "<f", "f64": "<d", "i32": "<i", "i64": "<q"}[kind], value)
        store(name, address, value)
        assert buffer.raw == b"\xaa" * 7 + whole[:width] + b"\xaa" * (17 - width), name
    buffer.raw = b"\xaa" * 7 + bytes(range(0x81, 0x89)) + b"\xaa" * 9
    formats = {(1, True): "<b", (1, False): "<B", (2, True): "<h", (2, False): "<H"}
    formats |= {(4, True): "<i", (4, False): "<I", (8, True): "<q"}
    for name, (width, is_signed, kind) in LOADS.items():
        code = {"f32": "<f", "f64": "<d"}.get(kind, formats[width, is_signed])
        for where in (address, address - 2**64):  # an i64 address is a signed number
            assert load(name, where) == struct.unpack_from(code, buffer.raw, 7)[0], name
