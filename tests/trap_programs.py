"""Functions that trap, and what catches that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cnp import Function, Trap, TrapKind, i64


def trapping(kind: TrapKind) -> Function:
    """A function whose op 1 traps with that kind."""
    f = Function(f"traps_{kind.name.lower()}", [], i64)
    a, d = f.reg(i64), f.reg(i64)
    f.i64_const(a, -(2**63))
    if kind == TrapKind.UNREACHABLE:
        f.unreachable()
        return f
    if kind == TrapKind.INTEGER_DIVIDE_BY_ZERO:
        f.i64_rem_u(d, a, 0)
    elif kind == TrapKind.INTEGER_OVERFLOW:
        f.i64_div_s(d, a, -1)
    else:
        f.i64_trunc_f64_s(d, float("nan"))
    f.ret(d)
    return f


OP_NAMES = {
    TrapKind.UNREACHABLE: "unreachable",
    TrapKind.INTEGER_DIVIDE_BY_ZERO: "i64.rem_u",
    TrapKind.INTEGER_OVERFLOW: "i64.div_s",
    TrapKind.INVALID_CONVERSION_TO_INTEGER: "i64.trunc_f64_s",
}


def recursion() -> Function:
    """f(n) = n + f(n - 1), f(0) = 0."""
    f = Function("recursion", [i64], i64)
    n, d, more = f.params[0], f.reg(i64), f.label()
    f.branch_i64_nez(n, more)
    f.ret(0)
    f.place(more)
    f.i64_sub(d, n, 1)
    f.call(d, f, d)
    f.i64_add(d, d, n)
    f.ret(d)
    return f


def caught(call: Callable[[], Any]) -> Trap:
    with pytest.raises(Trap) as found:
        call()
    return found.value
