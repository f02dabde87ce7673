"""Compiling many loops takes time in proportion to them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from cnp.ir import Function, Label
from cnp.types import Type

i32, i64, f32, f64 = Type


# -- compile time


def _back_in_order(f: Function, n: int) -> None:
    labels = [f.label() for _ in range(n)]
    for each in labels:
        f.place(each)
        f.i64_add(f.params[0], f.params[0], 1)
    for each in labels:
        f.branch_i64_eqz(f.params[0], each)


def _nested(f: Function, n: int) -> None:
    labels = [f.label() for _ in range(n)]
    for each in labels:
        f.place(each)
        f.i64_add(f.params[0], f.params[0], 1)
    for each in reversed(labels):
        f.i64_add(f.params[0], f.params[0], 1)
        f.branch_i64_eqz(f.params[0], each)


def _continues(f: Function, n: int) -> None:
    head = f.label()
    f.place(head)
    for _ in range(n):
        inner: Label = f.label()
        f.place(inner)
        f.i64_add(f.params[0], f.params[0], 1)
        f.branch_i64_nez(f.params[0], inner)
        f.branch_i64_eqz(f.params[0], head)


def _far_uses(f: Function, n: int) -> None:
    a, b = f.params
    head, made = f.label(), [f.reg(i64) for _ in range(n)]
    f.place(head)
    for number, each in enumerate(made):
        f.i64_xor(each, b, number)
    for each in made:
        f.i64_add(a, a, each)
    f.branch_i64_nez(a, head)


def _copies(f: Function, n: int) -> None:
    a, b = f.params
    head, t, u = f.label(), f.reg(i64), f.reg(i64)
    f.place(head)
    for _ in range(n):
        f.i64_mul(t, b, b)
        f.i64_xor(u, t, 5)
        f.i64_add(a, a, u)
    f.branch_i64_nez(a, head)


MANY_LOOPS: dict[str, Callable[[Function, int], None]] = {
    "overlapping loops": _back_in_order,
    "nested loops": _nested,
    "continues": _continues,
    "far uses": _far_uses,
    "copies": _copies,
}


@pytest.mark.parametrize("name", MANY_LOOPS)
def test_compile_time_stays_linear(name: str) -> None:
    """Twice as many take about twice as long: four times as long is what no part of the work may come to.

    Of this thread's own time the least counts, in as many turns as it takes to see it on a machine that others use.
    """
    functions = []
    for n in (4_000, 16_000):
        functions.append(f := Function("f", [i64, i64], i64))
        MANY_LOOPS[name](f, n)
        f.ret(f.params[0])
    few = many = float("inf")
    for turn in range(20):
        few, many = (min(least, _seconds(f)) for least, f in zip((few, many), functions))
        if turn >= 2 and many < 12 * few:
            return
    pytest.fail(f"{many / few:.1f} times as long for four times as many")


def _seconds(f: Function) -> float:
    start = time.thread_time()
    f.compile()
    return time.thread_time() - start
