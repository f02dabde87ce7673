"""What the single ops of cnp are in LLVM IR, traps included: functions of llvmlite's builder and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from cnp.types import Type

Value = Any  # of llvmlite.ir, which has no types
Builder = Any

_BIT, _VOID = ir.IntType(1), ir.VoidType()
TYPES = {Type.i32: ir.IntType(32), Type.i64: ir.IntType(64), Type.f32: ir.FloatType(), Type.f64: ir.DoubleType()}


def trap(b: Builder) -> None:
    b.call(b.module.declare_intrinsic("llvm.trap", (), ir.FunctionType(_VOID, [])), [])
    b.unreachable()


def _trap_if(b: Builder, condition: Value) -> None:
    with b.if_then(condition, likely=False):
        trap(b)


def _is(b: Builder, value: Value, number: int) -> Value:
    return b.icmp_signed("==", value, value.type(number))


def is_not(b: Builder, value: Value, number: int) -> Value:
    return b.icmp_signed("!=", value, value.type(number))


def _may_be(value: Value, number: int) -> bool:
    return not isinstance(value, ir.Constant) or value.constant == number


def _div_s(b: Builder, x: Value, y: Value) -> Value:
    if _may_be(y, 0):
        _trap_if(b, _is(b, y, 0))
    if _may_be(y, -1):
        _trap_if(b, b.and_(_is(b, x, -(1 << (x.type.width - 1))), _is(b, y, -1)))
    return b.sdiv(x, y)


def _div_u(b: Builder, x: Value, y: Value) -> Value:
    if _may_be(y, 0):
        _trap_if(b, _is(b, y, 0))
    return b.udiv(x, y)


def _rem_s(b: Builder, x: Value, y: Value) -> Value:
    if _may_be(y, 0):
        _trap_if(b, _is(b, y, 0))
    if _may_be(y, -1):  # where the quotient may not fit, the remainder is that of 1
        y = b.select(_is(b, y, -1), y.type(1), y)
    return b.srem(x, y)


def _rem_u(b: Builder, x: Value, y: Value) -> Value:
    if _may_be(y, 0):
        _trap_if(b, _is(b, y, 0))
    return b.urem(x, y)


def _shift(operation: Callable[..., Value]) -> Callable[..., Value]:
    return lambda b, x, y: operation(b, x, b.and_(y, y.type(y.type.width - 1)))


def _intrinsic(name: str, repeated: int = 1) -> Callable[..., Value]:
    """A call of llvm.<name>, which is passed its last operand `repeated` times over at the front."""

    def call(b: Builder, *operands: Value) -> Value:
        operands = (*operands[:1] * (repeated - 1), *operands)
        type = operands[0].type
        function_type = ir.FunctionType(type, [each.type for each in operands])
        return b.call(b.module.declare_intrinsic(f"llvm.{name}", [type], function_type), operands)

    return call


def _add_end_around(b: Builder, x: Value, y: Value) -> Value:
    total = b.add(x, y)
    return b.add(total, b.zext(b.icmp_unsigned("<", total, x), x.type))


def _extend_low(width: int) -> Callable[..., Value]:
    return lambda b, x: b.sext(b.trunc(x, ir.IntType(width)), x.type)


_INTEGER: dict[str, Callable[..., Value]] = {
    "add": ir.IRBuilder.add,
    "sub": ir.IRBuilder.sub,
    "mul": ir.IRBuilder.mul,
    "and": ir.IRBuilder.and_,
    "or": ir.IRBuilder.or_,
    "xor": ir.IRBuilder.xor,
    "shl": _shift(ir.IRBuilder.shl),
    "shr_s": _shift(ir.IRBuilder.ashr),
    "shr_u": _shift(ir.IRBuilder.lshr),
    "rotl": _intrinsic("fshl", repeated=2),
    "rotr": _intrinsic("fshr", repeated=2),
    "div_s": _div_s,
    "div_u": _div_u,
    "rem_s": _rem_s,
    "rem_u": _rem_u,
    "clz": lambda b, x: b.ctlz(x, _BIT(0)),
    "ctz": lambda b, x: b.cttz(x, _BIT(0)),
    "popcnt": ir.IRBuilder.ctpop,
    "bswap": ir.IRBuilder.bswap,
    "extend8_s": _extend_low(8),
    "extend16_s": _extend_low(16),
}

_FLOAT: dict[str, Callable[..., Value]] = {
    "add": ir.IRBuilder.fadd,
    "sub": ir.IRBuilder.fsub,
    "mul": ir.IRBuilder.fmul,
    "div": ir.IRBuilder.fdiv,
    "neg": ir.IRBuilder.fneg,
    "sqrt": _intrinsic("sqrt"),
    "abs": _intrinsic("fabs"),
    "copysign": _intrinsic("copysign"),
    "ceil": _intrinsic("ceil"),
    "floor": _intrinsic("floor"),
    "trunc": _intrinsic("trunc"),
    "nearest": _intrinsic("roundeven"),
    "min": _intrinsic("minimum"),
    "max": _intrinsic("maximum"),
}

_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}


def _comparisons(type: Type) -> dict[str, Callable[..., Value]]:
    """From the names of a type's comparisons to functions that give a bit."""
    found: dict[str, Callable[..., Value]] = {}
    if type.is_integer:
        found = {f"{type}.eqz": lambda b, x: _is(b, x, 0), f"{type}.nez": lambda b, x: is_not(b, x, 0)}
    for name, symbol in _SYMBOLS.items():
        if type.is_float:
            compare = ir.IRBuilder.fcmp_unordered if name == "ne" else ir.IRBuilder.fcmp_ordered
            found[f"{type}.{name}"] = lambda b, x, y, compare=compare, symbol=symbol: compare(b, symbol, x, y)
            continue
        signed, unsigned = ("", None) if name in ("eq", "ne") else ("_s", "_u")
        found[f"{type}.{name}{signed}"] = lambda b, x, y, symbol=symbol: b.icmp_signed(symbol, x, y)
        if unsigned:
            found[f"{type}.{name}{unsigned}"] = lambda b, x, y, symbol=symbol: b.icmp_unsigned(symbol, x, y)
    return found


COMPARISONS = {name: compare for type in Type for name, compare in _comparisons(type).items()}


def _as_value(compare: Callable[..., Value]) -> Callable[..., Value]:
    return lambda b, *operands: b.zext(compare(b, *operands), TYPES[Type.i32])


def _convert(operation: Callable[..., Value], result: Type) -> Callable[..., Value]:
    return lambda b, x: operation(b, x, TYPES[result])


def _truncate(result: Type, source: Type, signed: bool) -> Callable[..., Value]:
    """Traps for a NaN, and for what is out of range."""
    least = -(1 << (result.bits - 1)) if signed else 0
    above = float(1 << (result.bits - signed))
    # The greatest float below the range, where the source type has every integer around there.
    exact = (result.bits == 32 and source is Type.f64) or not signed
    convert = ir.IRBuilder.fptosi if signed else ir.IRBuilder.fptoui

    def truncate(b: Builder, x: Value) -> Value:
        low = b.fcmp_ordered(">", x, x.type(least - 1.0)) if exact else b.fcmp_ordered(">=", x, x.type(float(least)))
        fits = b.and_(low, b.fcmp_ordered("<", x, x.type(above)))
        _trap_if(b, b.not_(fits))
        return convert(b, x, TYPES[result])

    return truncate


def _saturate(result: Type, signed: bool) -> Callable[..., Value]:
    name = "llvm.fptosi.sat" if signed else "llvm.fptoui.sat"
    type = TYPES[result]

    def saturate(b: Builder, x: Value) -> Value:
        return b.call(b.module.declare_intrinsic(name, [type, x.type], ir.FunctionType(type, [x.type])), [x])

    return saturate


def _conversions() -> dict[str, Callable[..., Value]]:
    ops = {
        "i32.wrap_i64": _convert(ir.IRBuilder.trunc, Type.i32),
        "i64.extend_i32_s": _convert(ir.IRBuilder.sext, Type.i64),
        "i64.extend_i32_u": _convert(ir.IRBuilder.zext, Type.i64),
        "i64.extend32_s": _extend_low(32),
        "f32.demote_f64": _convert(ir.IRBuilder.fptrunc, Type.f32),
        "f64.promote_f32": _convert(ir.IRBuilder.fpext, Type.f64),
    }
    for integer, float_ in ((Type.i32, Type.f32), (Type.i64, Type.f64)):
        ops[f"{integer}.reinterpret_{float_}"] = _convert(ir.IRBuilder.bitcast, integer)
        ops[f"{float_}.reinterpret_{integer}"] = _convert(ir.IRBuilder.bitcast, float_)
    for integer in (Type.i32, Type.i64):
        for float_ in (Type.f32, Type.f64):
            for sign in "su":
                signed = sign == "s"
                ops[f"{integer}.trunc_{float_}_{sign}"] = _truncate(integer, float_, signed)
                ops[f"{integer}.trunc_sat_{float_}_{sign}"] = _saturate(integer, signed)
                convert = ir.IRBuilder.sitofp if signed else ir.IRBuilder.uitofp
                ops[f"{float_}.convert_{integer}_{sign}"] = _convert(convert, float_)
    return ops


VALUES: dict[str, Callable[..., Value]] = {
    **{f"{type}.{name}": each for type in (Type.i32, Type.i64) for name, each in _INTEGER.items()},
    **{f"{type}.{name}": each for type in (Type.f32, Type.f64) for name, each in _FLOAT.items()},
    **{name: _as_value(compare) for name, compare in COMPARISONS.items()},
    "i64.add_end_around": _add_end_around,
    **_conversions(),
}
