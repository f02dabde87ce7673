"""The built-in functions in cnp ops: those that called.py admits."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import cnp
from cnp import f64, i64

from ..values import Builtin
from .called import OF_C
from .code import Code, type_of
from .elements import PUSH
from .kinds import FLOAT, Kind

_SAFE = 2.0**62


def call(code: Code, callee: Any, d: Any, first: int, kinds: Sequence[Kind]) -> None:
    """d = callee(registers from `first` on)."""
    if callee.native is not None:
        _call_c(code, callee, d, first, kinds)
        return
    f, kind = code.function, kinds[0]
    match callee.name:
        case "sqrt":
            argument = code.real(first, kind)
            f.branch_f64_lt(argument, 0.0, code.out())
            f.f64_sqrt(d, argument)
        case "abs" if kind is FLOAT:
            f.f64_abs(d, code.value(first, kind))
        case "abs":
            _abs(code, d, code.value(first, kind))
        case "float":
            f.move(d, code.real(first, kind))
        case "int" | "floor" if kind is FLOAT:
            _to_int(code, d, code.value(first, kind), callee.name == "floor")
        case "int" | "floor":
            f.move(d, code.value(first, kind))
        case "len":
            length = f.reg(i64)
            f.i64_load(length, code.value(first, kind), 8)
            f.branch_i64_eqz(length, code.out())  # it may have become a list
            f.move(d, length)
        case "push":
            f.call(None, PUSH[kind], code.value(first, kind), code.value(first + 1, kinds[1]))
        case "min" | "max":
            _choose(code, d, code.value(first, kind), code.value(first + 1, kind), kind, callee.name == "min")


def _call_c(code: Code, callee: Builtin, d: cnp.Register, first: int, kinds: Sequence[Kind]) -> None:
    native = callee.native
    wanted = [OF_C[each] for each in native.argtypes]
    values = [(code.real if each is FLOAT else code.value)(first + n, kinds[n]) for n, each in enumerate(wanted)]
    address = ctypes.cast(native, ctypes.c_void_p).value or 0
    extern = cnp.extern(address, [type_of(each) for each in wanted], type_of(OF_C[native.restype]), callee.name)
    code.function.call(d, extern, *values)


def _abs(code: Code, d: cnp.Register, value: Any) -> None:
    f, sign, flipped = code.function, code.function.reg(i64), code.function.reg(i64)
    f.branch_i64_eq(value, -(2**63), code.out())
    f.i64_shr_s(sign, value, 63)
    f.i64_xor(flipped, value, sign)
    f.i64_sub(d, flipped, sign)


def _to_int(code: Code, d: cnp.Register, value: Any, down: bool) -> None:
    """Towards zero, or down. Leaves if it may not fit, and for NaN."""
    f, inside, size = code.function, code.function.label(), code.function.reg(f64)
    f.f64_abs(size, value)
    f.branch_f64_lt(size, _SAFE, inside)
    f.jump(code.out())
    f.place(inside)
    if down:
        f.f64_floor(size, value)
        f.i64_trunc_sat_f64_s(d, size)
    else:
        f.i64_trunc_sat_f64_s(d, value)


def _choose(code: Code, d: cnp.Register, a: Any, b: Any, kind: Kind, least: bool) -> None:
    """The second if it is the better one, else the first, which settles NaN and zeros."""
    f, better = code.function, code.function.reg(cnp.i32)
    if kind is FLOAT:
        (f.f64_lt if least else f.f64_gt)(better, b, a)
    else:
        (f.i64_lt_s if least else f.i64_gt_s)(better, b, a)
    f.select(d, b, a, better)
