"""What the single ops of cnp are in C, traps included: functions from the names of operands to statements.

Integers are u32 and u64, which wrap. A trap is abort(). Besides the C library nothing is needed: no builtins, and none
of the functions that libtcc keeps in a library of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from cnp.ir.semantics import LOADS, STORES
from cnp.types import Type

Statement = Callable[..., str]
"""From the destination, if there is one, and the sources, all as C spells them."""

TYPES = {Type.i32: "u32", Type.i64: "u64", Type.f32: "f32", Type.f64: "f64"}
PRELUDE = (
    "typedef unsigned char u8;typedef unsigned short u16;typedef unsigned u32;typedef unsigned long long u64;"
    "typedef signed char s8;typedef short s16;typedef int s32;typedef long long s64;typedef float f32;"
    "typedef double f64;void abort(void);\n"
)
BITS = """
static u32 bits_of_f32(f32 a) { union { f32 f; u32 u; } x; x.f = a; return x.u; }
static u64 bits_of_f64(f64 a) { union { f64 f; u64 u; } x; x.f = a; return x.u; }
static f32 f32_of_bits(u32 a) { union { u32 u; f32 f; } x; x.u = a; return x.f; }
static f64 f64_of_bits(u64 a) { union { u64 u; f64 f; } x; x.u = a; return x.f; }
"""
_HELPERS = """
static u32 clz(u64 a, u32 bits) { u32 n = 0; while (n < bits && !(a >> (bits - 1 - n) & 1)) n++; return n; }
static u32 ctz(u64 a, u32 bits) { u32 n = 0; while (n < bits && !(a >> n & 1)) n++; return n; }
static u32 popcnt(u64 a) { u32 n = 0; while (a) { a &= a - 1; n++; } return n; }
static u64 bswap(u64 a, u32 bits) {
    u64 b = 0;
    for (; bits; bits -= 8, a >>= 8) b = b << 8 | (a & 255);
    return b;
}

static f64 least(f64 a, f64 b) {
    if (a == b) return f64_of_bits(bits_of_f64(a) | bits_of_f64(b));
    if (a != a || b != b) return a + b;
    return a < b ? a : b;
}
static f64 greatest(f64 a, f64 b) {
    if (a == b) return f64_of_bits(bits_of_f64(a) & bits_of_f64(b));
    if (a != a || b != b) return a + b;
    return a > b ? a : b;
}

static u64 u64_of_f64(f64 a) { return a < 0x1p63 ? (u64)(s64)a : (u64)(s64)(a - 0x1p63) ^ 1ull << 63; }
static u32 trunc_sat_i32_s(f64 a) {
    if (a != a) return 0;
    return a <= -0x1p31 ? 1u << 31 : a >= 0x1p31 ? (1u << 31) - 1 : (u32)(s32)a;
}
static u32 trunc_sat_i32_u(f64 a) {
    if (a != a || a <= 0) return 0;
    return a >= 0x1p32 ? ~0u : (u32)(s64)a;
}
static u64 trunc_sat_i64_s(f64 a) {
    if (a != a) return 0;
    return a <= -0x1p63 ? 1ull << 63 : a >= 0x1p63 ? (1ull << 63) - 1 : (u64)(s64)a;
}
static u64 trunc_sat_i64_u(f64 a) {
    if (a != a || a <= 0) return 0;
    return a >= 0x1p64 ? ~0ull : u64_of_f64(a);
}

static f32 f32_of_u64(u64 a) { return (s64)a >= 0 ? (f32)(s64)a : 2 * (f32)(s64)(a >> 1 | (a & 1)); }
static f64 f64_of_u64(u64 a) { return (s64)a >= 0 ? (f64)(s64)a : 2 * (f64)(s64)(a >> 1 | (a & 1)); }
"""
_ROUNDING = ("sqrt", "fabs", "ceil", "floor", "trunc", "rint")
_MATHEMATICS = (
    *(f"f64 {name}(f64);" for name in _ROUNDING),
    *(f"f32 {name}f(f32);" for name in _ROUNDING),
    "f64 copysign(f64, f64);f32 copysignf(f32, f32);",
)
LIBRARY_FUNCTIONS = ("abort", "copysign", "copysignf", *_ROUNDING, *(f"{name}f" for name in _ROUNDING))
"""What statements and helpers call of the C library."""
HELPERS = "".join(_MATHEMATICS) + BITS + _HELPERS
"""For a program with ops of HELPED; others are compiled without, and so without the time it takes."""

_SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^"}
_RELATIONS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}


def _infix(symbol: str) -> Statement:
    return lambda d, a, b: f"{d}={a}{symbol}{b};\n"


def _function(name: str, *more: int) -> Statement:
    """d = name(sources, more)."""
    last = "".join(f",{each}" for each in more)
    return lambda d, *sources: f"{d}={name}({','.join(sources)}{last});\n"


def _cast(*types: str) -> Statement:
    """d = a, cast to the last type first."""
    casts = "".join(f"({each})" for each in types)
    return lambda d, a: f"{d}={casts}{a};\n"


def _checked(name: str) -> Statement:
    """The statement of a division or remainder, checked as cnp does it."""
    bits = int(name[1:3])
    divided, minus_one, least = UNCHECKED[name], f"~(u{bits})0", f"(u{bits})1<<{bits - 1}"
    if name.endswith("div_s"):
        return lambda d, a, b: f"if(!{b}||({b}=={minus_one}&&{a}=={least}))abort();{divided(d, a, b)}"
    if name.endswith("rem_s"):
        return lambda d, a, b: f"if(!{b})abort();if({b}=={minus_one}){d}=0;else {divided(d, a, b)}"
    return lambda d, a, b: f"if(!{b})abort();{divided(d, a, b)}"


def _unchecked(name: str) -> Statement:
    bits, symbol = name[1:3], _DIVISIONS[name[4:7]]
    if name.endswith("_u"):
        return _infix(symbol)
    return lambda d, a, b: f"{d}=(u{bits})((s{bits}){a}{symbol}(s{bits}){b});\n"


_DIVISIONS = {"div": "/", "rem": "%"}
UNCHECKED = {
    name: _unchecked(name)
    for name in (f"i{bits}.{each}_{sign}" for bits in (32, 64) for each in _DIVISIONS for sign in "su")
}
"""Divisions and remainders by a constant that is neither 0 nor -1."""
CHECKED = {name: _checked(name) for name in UNCHECKED}
"""Divisions and remainders by anything."""


def _integer_ops(bits: int) -> dict[str, Statement]:
    u, s, mask = f"u{bits}", f"s{bits}", bits - 1
    return {
        **{name: _infix(symbol) for name, symbol in _SYMBOLS.items()},
        "shl": lambda d, a, b: f"{d}={a}<<({b}&{mask});\n",
        "shr_u": lambda d, a, b: f"{d}={a}>>({b}&{mask});\n",
        "shr_s": lambda d, a, b: f"{d}=({u})(({s}){a}>>({b}&{mask}));\n",
        "rotl": lambda d, a, b: f"{d}={a}<<({b}&{mask})|{a}>>(-{b}&{mask});\n",
        "rotr": lambda d, a, b: f"{d}={a}>>({b}&{mask})|{a}<<(-{b}&{mask});\n",
        **{f"extend{width}_s": _cast(u, s, f"s{width}") for width in (8, 16, 32) if width < bits},
        **({"add_end_around": lambda d, a, b: f"{d}={a}+{b}+({a}>~(u64){b});\n"} if bits == 64 else {}),
    }


def _comparisons(type: Type) -> dict[str, Callable[..., str]]:
    """From names to conditions."""
    found: dict[str, Callable[..., str]] = {}
    for name, symbol in _RELATIONS.items():
        if type.is_float or name in ("eq", "ne"):
            found[name] = lambda a, b, symbol=symbol: f"{a}{symbol}{b}"
            continue
        s = f"(s{type.bits})"
        found[f"{name}_s"] = lambda a, b, symbol=symbol, s=s: f"{s}{a}{symbol}{s}{b}"
        found[f"{name}_u"] = lambda a, b, symbol=symbol: f"{a}{symbol}{b}"
    if type.is_integer:
        found |= {"eqz": lambda a: f"{a}==0", "nez": lambda a: f"{a}!=0"}
    return found


def _as_value(condition: Callable[..., str]) -> Statement:
    return lambda d, *sources: f"{d}={condition(*sources)};\n"


def _as_branch(condition: Callable[..., str]) -> Statement:
    return lambda *operands: f"if({condition(*operands[:-1])})goto {operands[-1]};\n"


def _truncate(bits: int, sign: str, source: Type) -> Statement:
    """Traps for a NaN, and for what is out of range."""
    power = f"0x1p{bits - (sign == 's')}"
    low = f">=-{power}" if sign == "s" else ">-1"
    if bits == 32 and sign == "s" and source is Type.f64:
        low = f">-{power}-1"
    cast = {"32s": "(u32)(s32)", "32u": "(u32)(s64)", "64s": "(u64)(s64)", "64u": "u64_of_f64"}[f"{bits}{sign}"]
    return lambda d, a: f"if(!({a}{low}&&{a}<{power}))abort();{d}={cast}({a});\n"


def _conversions() -> dict[str, Statement]:
    ops = {
        "i32.wrap_i64": _cast("u32"),
        "i64.extend_i32_s": _cast("u64", "s64", "s32"),
        "i64.extend_i32_u": _cast("u64"),
        "f32.demote_f64": _cast("f32"),
        "f64.promote_f32": _cast("f64"),
    }
    for type in ("f32", "f64"):
        ops[f"{type}.convert_i32_s"] = _cast(type, "s32")
        ops[f"{type}.convert_i32_u"] = _cast(type, "s64")
        ops[f"{type}.convert_i64_s"] = _cast(type, "s64")
    return ops


def _helped() -> dict[str, Statement]:
    ops = {}
    for bits in (32, 64):
        ops[f"i{bits}.clz"] = _function("clz", bits)
        ops[f"i{bits}.ctz"] = _function("ctz", bits)
        ops[f"i{bits}.popcnt"] = _function("popcnt")
        ops[f"i{bits}.bswap"] = _function("bswap", bits)
        ops[f"i{bits}.reinterpret_f{bits}"] = _function(f"bits_of_f{bits}")
        ops[f"f{bits}.reinterpret_i{bits}"] = _function(f"f{bits}_of_bits")
        for sign in "su":
            for source in (Type.f32, Type.f64):
                ops[f"i{bits}.trunc_{source}_{sign}"] = _truncate(bits, sign, source)
                ops[f"i{bits}.trunc_sat_{source}_{sign}"] = _function(f"trunc_sat_i{bits}_{sign}")
    for type, suffix in ((Type.f32, "f"), (Type.f64, "")):
        ops[f"{type}.min"] = _function("least")
        ops[f"{type}.max"] = _function("greatest")
        ops[f"{type}.abs"] = _function(f"fabs{suffix}")
        ops[f"{type}.nearest"] = _function(f"rint{suffix}")
        ops[f"{type}.convert_i64_u"] = _function(f"{type}_of_u64")
        for name in ("sqrt", "copysign", "ceil", "floor", "trunc"):
            ops[f"{type}.{name}"] = _function(f"{name}{suffix}")
    return ops


def _memory() -> dict[str, Statement]:
    # Through a variable, because libtcc takes 32 bits of an address that is constant.
    ops: dict[str, Statement] = {}
    for name, (width, signed, result) in LOADS.items():
        type = result if result[0] == "f" else f"{'s' if signed else 'u'}{8 * width}"
        read = f"({TYPES[Type[result]]})*({type}*)at"
        ops[name] = lambda d, base, offset, read=read: f"{{u64 at={base}+{offset};{d}={read};}}\n"
    for name, (width, stored) in STORES.items():
        type = stored if stored[0] == "f" else f"u{8 * width}"
        write = f"*({type}*)at=({type})"
        ops[name] = lambda value, base, offset, write=write: f"{{u64 at={base}+{offset};{write}{value};}}\n"
    return ops


_CONTROL: dict[str, Statement] = {
    "place": lambda label: f"{label}:;\n",
    "jump": lambda label: f"goto {label};\n",
    "ret": lambda *value: f"return {''.join(value)};\n",
    "unreachable": lambda: "abort();\n",
    "safepoint": lambda: "",
    "move": lambda d, a: f"{d}={a};\n",
    "select": lambda d, a, b, condition: f"{d}={condition}?{a}:{b};\n",
    "branch_table": lambda index, default, *labels: (
        f"switch({index}){{"
        + "".join(f"case {number}:goto {label};" for number, label in enumerate(labels))
        + f"default:goto {default};}}\n"
    ),
    **{f"{each}.const": _cast() for each in Type},
}

_FLOAT: dict[str, Statement] = {
    **{name: _infix(symbol) for name, symbol in {"add": "+", "sub": "-", "mul": "*", "div": "/"}.items()},
    "neg": lambda d, a: f"{d}=-{a};\n",
}

HELPED = _helped()
"""The ops that need HELPERS."""

STATEMENTS: dict[str, Statement] = {
    **_CONTROL,
    **_memory(),
    **_conversions(),
    **HELPED,
    **{f"i{bits}.{name}": each for bits in (32, 64) for name, each in _integer_ops(bits).items()},
    **{f"{type}.{name}": each for type in (Type.f32, Type.f64) for name, each in _FLOAT.items()},
    **{f"{type}.{name}": _as_value(each) for type in Type for name, each in _comparisons(type).items()},
    **{f"branch {type}.{name}": _as_branch(each) for type in Type for name, each in _comparisons(type).items()},
}
"""All but divisions of integers and calls."""
