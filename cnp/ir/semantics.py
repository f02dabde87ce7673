"""What every op means, in plain Python: from operand values to a result value, or to a trap.

This is the oracle that compiled code is compared with, so it is written from the WebAssembly 1.0 specification (with
the sign-extension and saturating-truncation ops), not from stencils/*.c: integers are unbounded and reduced at the end,
and what the specification rounds is computed exactly where Python can.

Values: an i32 or i64 is an int in the signed range of its type, an f32 or f64 a float (an f32 one that binary32 holds),
the result of a comparison 0 or 1.

NaN: any NaN may stand for any other as the result of arithmetic; neg, abs, copysign, loads, stores and the reinterpret
ops keep sign and payload. One limit: a *signalling* f32 NaN becomes quiet on its way through a Python float, so
f32.reinterpret_i32 and f32.load set the quiet bit (0x00400000) that compiled code would leave clear.
"""

from __future__ import annotations

import ctypes
import math
import operator
import struct
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Final

from cnp.errors import TrapKind


class TrapSignal(Exception):
    """An op trapped. Whoever runs the op knows function and op number, and turns this into a cnp.Trap."""

    def __init__(self, kind: TrapKind) -> None:
        self.kind = kind
        super().__init__(kind)


Meaning = Callable[..., "int | float"]


# Integers


def signed(value: int, bits: int) -> int:
    """The number in [-2^(bits-1), 2^(bits-1)) that equals value modulo 2^bits."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def unsigned(value: int, bits: int) -> int:
    """The number in [0, 2^bits) that equals value modulo 2^bits."""
    return value % (1 << bits)


def _wrapped(bits: int, operation: Callable[[int, int], int]) -> Meaning:
    return lambda a, b: signed(operation(a, b), bits)


def _end_around(a: int, b: int) -> int:
    """Ones' complement addition, as RFC 1071 has it: 2^64 counts as 1. Only two zeros make a zero."""
    total = unsigned(a, 64) + unsigned(b, 64)
    return signed(total + (total >> 64), 64)


def _quotient(bits: int, a: int, b: int) -> int:
    """Of two numbers, rounded towards zero; traps if there is none, or if it does not fit in bits as signed."""
    if b == 0:
        raise TrapSignal(TrapKind.INTEGER_DIVIDE_BY_ZERO)
    quotient = math.trunc(Fraction(a, b))
    if quotient == 1 << (bits - 1):
        raise TrapSignal(TrapKind.INTEGER_OVERFLOW)
    return quotient


def _remainder(a: int, b: int) -> int:
    """With the sign of a; smaller than b in magnitude."""
    if b == 0:
        raise TrapSignal(TrapKind.INTEGER_DIVIDE_BY_ZERO)
    return a - b * math.trunc(Fraction(a, b))


def _div_u(bits: int, a: int, b: int) -> int:
    if b == 0:
        raise TrapSignal(TrapKind.INTEGER_DIVIDE_BY_ZERO)
    return signed(unsigned(a, bits) // unsigned(b, bits), bits)


def _rotate_left(bits: int, a: int, count: int) -> int:
    digits = f"{unsigned(a, bits):0{bits}b}"
    count %= bits
    return signed(int(digits[count:] + digits[:count], 2), bits)


def _count_trailing_zeros(bits: int, a: int) -> int:
    digits = f"{unsigned(a, bits):0{bits}b}"
    return bits - len(digits.rstrip("0"))


def _swap_bytes(bits: int, a: int) -> int:
    return int.from_bytes(a.to_bytes(bits // 8, "little", signed=True), "big", signed=True)


_Relation = Callable[[float, float], bool]
_ORDER: Final[dict[str, _Relation]] = {"lt": operator.lt, "gt": operator.gt, "le": operator.le, "ge": operator.ge}
_EQUALITY: Final[dict[str, _Relation]] = {"eq": operator.eq, "ne": operator.ne}


def _holds(relation: _Relation, a: float, b: float) -> int:
    return int(relation(a, b))


def _holds_unsigned(bits: int, relation: _Relation, a: int, b: int) -> int:
    return int(relation(unsigned(a, bits), unsigned(b, bits)))


def _integer_ops(bits: int) -> dict[str, Meaning]:
    ops: dict[str, Meaning] = {
        "add": _wrapped(bits, operator.add),
        "sub": _wrapped(bits, operator.sub),
        "mul": _wrapped(bits, operator.mul),
        "div_s": partial(_quotient, bits),
        "div_u": partial(_div_u, bits),
        "rem_s": _remainder,
        "rem_u": lambda a, b: signed(_remainder(unsigned(a, bits), unsigned(b, bits)), bits),
        "and": operator.and_,
        "or": operator.or_,
        "xor": operator.xor,
        "shl": lambda a, b: signed(a << b % bits, bits),
        "shr_s": lambda a, b: a >> b % bits,
        "shr_u": lambda a, b: signed(unsigned(a, bits) >> b % bits, bits),
        "rotl": partial(_rotate_left, bits),
        "rotr": lambda a, b: _rotate_left(bits, a, -b),
        "clz": lambda a: bits - unsigned(a, bits).bit_length(),
        "ctz": partial(_count_trailing_zeros, bits),
        "popcnt": lambda a: unsigned(a, bits).bit_count(),
        "bswap": partial(_swap_bytes, bits),
        "eqz": lambda a: int(a == 0),
        "nez": lambda a: int(a != 0),
    }
    for width in (8, 16, 32):
        if width < bits:
            ops[f"extend{width}_s"] = partial(lambda width, a: signed(a, width), width)
    for name, relation in _EQUALITY.items():
        ops[name] = partial(_holds, relation)
    for name, relation in _ORDER.items():
        ops[f"{name}_s"] = partial(_holds, relation)
        ops[f"{name}_u"] = partial(_holds_unsigned, bits, relation)
    return ops


# Floats


def to_f32(value: float) -> float:
    """The binary32 number nearest to value, ties to even; infinite where it would overflow."""
    return ctypes.c_float(value).value


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, math.copysign(1.0, a) * math.copysign(1.0, b))


def _square_root(a: float) -> float:
    return math.nan if a < 0 else math.sqrt(a)


def _sign_aware(value: float) -> tuple[float, float]:
    return value, math.copysign(1.0, value)  # orders -0.0 before 0.0


def _extreme(choose: Callable[..., float], a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return math.nan
    return choose(a, b, key=_sign_aware)


def _to_integral(rounding: Callable[[float], int], a: float) -> float:
    if not math.isfinite(a):
        return a
    return math.copysign(float(rounding(a)), a)  # zero keeps the sign of what was rounded


def _float_ops(rounded: Callable[[float], float]) -> dict[str, Meaning]:
    """rounded: from binary64 to the type. Rounding twice is exact for + - * / and sqrt of binary32 numbers, since
    binary64 has more than twice the digits and two (Figueroa, 1995)."""
    ops: dict[str, Meaning] = {
        "add": lambda a, b: rounded(a + b),
        "sub": lambda a, b: rounded(a - b),
        "mul": lambda a, b: rounded(a * b),
        "div": lambda a, b: rounded(_divide(a, b)),
        "sqrt": lambda a: rounded(_square_root(a)),
        "neg": operator.neg,
        "abs": math.fabs,
        "copysign": math.copysign,
        "ceil": partial(_to_integral, math.ceil),
        "floor": partial(_to_integral, math.floor),
        "trunc": partial(_to_integral, math.trunc),
        "nearest": partial(_to_integral, round),
        "min": partial(_extreme, min),
        "max": partial(_extreme, max),
    }
    for name, relation in (_EQUALITY | _ORDER).items():
        ops[name] = partial(_holds, relation)
    return ops


# Between types


def _bounds(bits: int, sign: str) -> tuple[int, int]:
    """Least and greatest integer of bits that are signed (sign "s") or unsigned ("u")."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if sign == "s" else (0, (1 << bits) - 1)


def _truncate(bits: int, sign: str, a: float) -> int:
    if math.isnan(a):
        raise TrapSignal(TrapKind.INVALID_CONVERSION_TO_INTEGER)
    least, greatest = _bounds(bits, sign)
    if math.isinf(a) or not least <= math.trunc(a) <= greatest:
        raise TrapSignal(TrapKind.INTEGER_OVERFLOW)
    return signed(math.trunc(a), bits)


def _truncate_saturating(bits: int, sign: str, a: float) -> int:
    if math.isnan(a):
        return 0
    least, greatest = _bounds(bits, sign)
    if math.isinf(a):
        return signed(least if a < 0 else greatest, bits)
    return signed(min(max(math.trunc(a), least), greatest), bits)


def _exact_to_f32(value: int) -> float:
    """An integer of up to 64 bits rounded once: through binary64 it would be rounded twice."""
    unit = 1 << max(0, value.bit_length() - 24)  # the weight of the last of the 24 digits that binary32 has
    return float(round(Fraction(value, unit)) * unit)  # round() takes ties to even


def _reinterpret(source: str, result: str) -> Meaning:
    pack, unpack = struct.Struct(source).pack, struct.Struct(result).unpack

    def meaning(a: float) -> int | float:
        value: int | float = unpack(pack(a))[0]
        return value

    return meaning


def _conversions() -> dict[str, Meaning]:
    ops: dict[str, Meaning] = {
        "i32.wrap_i64": lambda a: signed(a, 32),
        "i64.extend_i32_s": lambda a: a,
        "i64.extend_i32_u": lambda a: unsigned(a, 32),
        "f32.demote_f64": to_f32,
        "f64.promote_f32": lambda a: a,
        "i32.reinterpret_f32": _reinterpret("<f", "<i"),
        "i64.reinterpret_f64": _reinterpret("<d", "<q"),
        "f32.reinterpret_i32": _reinterpret("<i", "<f"),
        "f64.reinterpret_i64": _reinterpret("<q", "<d"),
    }
    for integer, bits in (("i32", 32), ("i64", 64)):
        for sign in "su":
            for source in ("f32", "f64"):
                ops[f"{integer}.trunc_{source}_{sign}"] = partial(_truncate, bits, sign)
                ops[f"{integer}.trunc_sat_{source}_{sign}"] = partial(_truncate_saturating, bits, sign)
        ops[f"f32.convert_{integer}_s"] = _exact_to_f32
        ops[f"f32.convert_{integer}_u"] = partial(lambda bits, a: _exact_to_f32(unsigned(a, bits)), bits)
        ops[f"f64.convert_{integer}_s"] = float  # which Python rounds correctly
        ops[f"f64.convert_{integer}_u"] = partial(lambda bits, a: float(unsigned(a, bits)), bits)
    return ops


SEMANTICS: Final[dict[str, Meaning]] = {
    **{f"i32.{name}": meaning for name, meaning in _integer_ops(32).items()},
    **{f"i64.{name}": meaning for name, meaning in _integer_ops(64).items()},
    "i64.add_end_around": _end_around,
    **{f"f32.{name}": meaning for name, meaning in _float_ops(to_f32).items()},
    **{f"f64.{name}": meaning for name, meaning in _float_ops(float).items()},
    **_conversions(),
}
"""From public name ("i64.add") to meaning: from operand values to the result. A meaning raises TrapSignal only."""


# Memory

LOADS: Final[dict[str, tuple[int, bool, str]]] = {
    "i32.load": (4, True, "i32"),
    "i64.load": (8, True, "i64"),
    "f32.load": (4, True, "f32"),
    "f64.load": (8, True, "f64"),
    "i32.load8_s": (1, True, "i32"),
    "i32.load8_u": (1, False, "i32"),
    "i32.load16_s": (2, True, "i32"),
    "i32.load16_u": (2, False, "i32"),
    "i64.load8_s": (1, True, "i64"),
    "i64.load8_u": (1, False, "i64"),
    "i64.load16_s": (2, True, "i64"),
    "i64.load16_u": (2, False, "i64"),
    "i64.load32_s": (4, True, "i64"),
    "i64.load32_u": (4, False, "i64"),
}
"""From public name to (bytes read, whether they hold a signed number, result type)."""

STORES: Final[dict[str, tuple[int, str]]] = {
    "i32.store": (4, "i32"),
    "i64.store": (8, "i64"),
    "f32.store": (4, "f32"),
    "f64.store": (8, "f64"),
    "i32.store8": (1, "i32"),
    "i32.store16": (2, "i32"),
    "i64.store8": (1, "i64"),
    "i64.store16": (2, "i64"),
    "i64.store32": (4, "i64"),
}
"""From public name to (bytes written, type of the value stored, whose low bytes they are)."""

_FLOAT_FORMATS: Final = {"f32": "<f", "f64": "<d"}


def load(name: str, address: int) -> int | float:
    """What the load op called name reads at address, taken modulo 2^64. Real memory: a bad address is a crash."""
    width, is_signed, result = LOADS[name]
    data = ctypes.string_at(unsigned(address, 64), width)
    if result in _FLOAT_FORMATS:
        number: float = struct.unpack(_FLOAT_FORMATS[result], data)[0]
        return number
    return int.from_bytes(data, "little", signed=is_signed)


def store(name: str, address: int, value: int | float) -> None:
    """Do what the store op called name does at address, taken modulo 2^64. Real memory: a bad address is a crash."""
    width, kind = STORES[name]
    if kind in _FLOAT_FORMATS:
        data = struct.pack(_FLOAT_FORMATS[kind], value)
    else:
        data = unsigned(int(value), 8 * width).to_bytes(width, "little")
    ctypes.memmove(unsigned(address, 64), data, width)
