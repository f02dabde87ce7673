"""Constants that loops use are in registers: nobody can tell."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from agreement import check, check_calls
from machines import Machine
from random_externs import EXTERNS

from cnp.ir import Extern, Function
from cnp.types import Type

i32, i64, f32, f64 = Type


# -- constants in registers

WIDE: dict[Type, list[Any]] = {
    i32: [5, -1, 2**31 - 1, -(2**31), 0x12345678, 77, 78, 79, 80, 81],
    i64: [
        2**31,
        -(2**31) - 1,
        2**32 - 1,
        2**32,
        2**40,
        -(2**63),
        2**63 - 1,
        2**63 - 2,
        2**50,
        2**51,
        2**52,
        -(2**31),
        5,
    ],
    f32: [0.5, -0.0, 0.0, 1.5, -2.5, 1e-40, float("inf"), 3.0, 4.0, 5.0, 6.0, 7.0],
    f64: [0.5, -0.0, 0.0, 1.5, -2.5, 5e-324, float("inf"), 1e300, 3.0, 4.0, 5.0, 6.0, 7.0],
}


def _uses(f: Function, type: Type, acc: Any, value: Any, number: int, callee: Extern | None) -> None:
    how = number % 6
    if how == 0:
        getattr(f, f"{type}_add")(acc, acc, value)
    elif how == 1:
        getattr(f, f"{type}_sub")(acc, value, acc)
    elif how == 2:
        d = f.reg(type)
        f.move(d, value)
        getattr(f, f"{type}_add")(acc, acc, d)
    elif how == 3:
        f.select(acc, acc, value, f.params[2])
    elif how == 4:
        past = f.label()
        getattr(f, f"branch_{type}_eq")(acc, value, past)
        getattr(f, f"{type}_add")(acc, acc, 1)
        f.place(past)
    else:
        d = f.reg(i32)
        getattr(f, f"{type}_{'lt' if type.is_float else 'lt_s'}")(d, value, acc)
        f.select(acc, acc, value, d)
    if callee is not None:
        f.call(f.reg(i32), callee, *[5] * len(callee.params))


@pytest.mark.parametrize("calls", [False, True])
@pytest.mark.parametrize("types", [[each] for each in Type] + [list(Type)], ids=str)
@pytest.mark.parametrize("count", [1, 3, 8, 9, 13])
def test_constants(machine: Machine, types: list[Type], count: int, calls: bool) -> None:
    callee = (EXTERNS[8] if machine.is_native else machine.extern("narrow")) if calls else None
    for turn, loops in itertools.product(range(6), (1, 2)):
        f = Function("f", [i64, i64, i32], None)
        b, n, _ = f.params
        accs = {type: f.reg(type) for type in types}
        for type, acc in accs.items():
            getattr(f, f"{type}_const")(acc, 1)
        outer, m = f.label(), f.reg(i64)
        f.place(outer)
        for loop in range(loops):
            f.move(m, 2)
            head = f.label()
            f.place(head)
            for number in range(count):
                for type, acc in accs.items():
                    value = WIDE[type][(number + loop * 4) % len(WIDE[type])]
                    _uses(f, type, acc, value, number + turn, None if number % 4 else callee)
            f.i64_sub(m, m, 1)
            f.branch_i64_gt_s(m, 0, head)
        for type, acc in accs.items():
            clean, is_number = f.reg(type), f.reg(i32)
            f.move(clean, acc)
            if type.is_float:
                getattr(f, f"{type}_eq")(is_number, acc, acc)
                f.select(clean, acc, 0.0, is_number)
            getattr(f, f"{type}_store")(clean, b, 8 * type)
        f.i64_sub(n, n, 1)
        f.branch_i64_gt_s(n, 0, outer)
        f.ret()
        check_calls(machine, f, [[machine.address, 2, condition] for condition in (0, 1)], pins=[])


def test_a_constant_of_two_types(machine: Machine) -> None:
    """The same bits as an i64 and as an f64 are two constants, in two kinds of registers."""
    bits = 0x3FF8000000000000
    f = Function("f", [i64, i64, f64], i64)
    _, n, x = f.params
    total, d, head = f.reg(i64), f.reg(i64), f.label()
    f.i64_const(total, 0)
    f.place(head)
    f.f64_add(x, x, 1.5)
    f.i64_add(total, total, bits)
    f.i64_reinterpret_f64(d, x)
    f.i64_xor(total, total, d)
    f.i64_sub(n, n, 1)
    f.branch_i64_gt_s(n, 0, head)
    f.ret(total)
    check(machine, f, [machine.address, 3, 0.25], pins=[])
