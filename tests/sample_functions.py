"""Functions that several tests of compiled code want, and what they share to make and call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cnp.errors import Trap
from cnp.ir import Function, Register
from cnp.types import Type

i32, i64, f32, f64 = Type
FAR = 600
"""So many values alive need slots that no instruction's offset reaches."""


def trap_of(call: Any, *arguments: Any) -> Trap:
    with pytest.raises(Trap) as caught:
        call(*arguments)
    return caught.value


def summing(types: Sequence[Type], result: Type) -> Function:
    """Parameter k is taken k + 1 times, as an f64 or, where the result is an integer, an i64."""
    f = Function("summing", types, result)
    wide = i64 if result.is_integer else f64
    total, part = f.reg(wide), f.reg(wide)
    f.move(total, 0 if wide is i64 else 0.0)
    for number, (type, each) in enumerate(zip(types, f.params), 1):
        convert(f, part, wide, each, type)
        getattr(f, f"{wide}_mul")(part, part, number)
        getattr(f, f"{wide}_add")(total, total, part)
    d = f.reg(result)
    convert(f, d, result, total, wide)
    f.ret(d)
    return f


def convert(f: Function, d: Register, to: Type, a: Register, of: Type) -> None:
    """d = a in another type; floats saturate."""
    if to is of:
        f.move(d, a)
        return
    names = {
        (i64, i32): "i64_extend_i32_s", (i32, i64): "i32_wrap_i64", (f64, f32): "f64_promote_f32",
        (f32, f64): "f32_demote_f64",
    }  # fmt: skip
    verb = "convert" if to.is_float else "trunc_sat"
    getattr(f, names.get((to, of), f"{to}_{verb}_{of}_s"))(d, a)


def recursion(values: int = 0) -> Function:
    """f(n) = n + f(n - 1), f(0) = 0, with values that live across the call."""
    f = Function("recursion", [i64], i64)
    n, d, more = f.params[0], f.reg(i64), f.label()
    f.branch_i64_nez(n, more)
    f.ret(0)
    f.place(more)
    kept = [f.reg(i64) for _ in range(values)]
    for number, each in enumerate(kept):
        f.i64_add(each, n, number)
    f.i64_sub(d, n, 1)
    f.call(d, f, d)
    f.i64_add(d, d, n)
    for number, each in enumerate(kept):
        f.i64_add(d, d, each)
        f.i64_sub(d, d, n)
        f.i64_sub(d, d, number)
    f.ret(d)
    return f
