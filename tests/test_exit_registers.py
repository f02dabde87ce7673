"""Side exits with values in all of the machine's registers, which share their way out, on every machine."""

from __future__ import annotations

from typing import Any

import pytest
from machines import Machine

from cnp import Function, f64, i64

INTEGERS, FLOATS, EXITS = 40, 20, 5


def crowded(seen: list[Any]) -> Function:
    """f(way, n): that exit for a way from 1 on, else the sum of all registers, which are made of n and used again."""

    def handler(point: int, values: tuple[Any, ...]) -> int:
        seen.append((point, values))
        return point

    f = Function("crowded", [i64, i64], i64)
    way, n = f.params
    integers, floats = [f.reg(i64) for _ in range(INTEGERS)], [f.reg(f64) for _ in range(FLOATS)]
    for k, register in enumerate(integers):
        f.i64_add(register, n, k * k)
    for k, register in enumerate(floats):
        f.f64_convert_i64_s(register, n)
        f.f64_add(register, register, k + 0.5)
    everything = [*integers, *floats]
    for k in range(1, EXITS + 1):
        f.branch_i64_eq(way, k, f.exit(handler, k, everything[:: (-1) ** k]))
        for register in everything:  # a use weighs, and what weighs is in a register
            (f.i64_xor if register in integers else f.f64_neg)(register, *[register, k][: 1 + (register in integers)])
    total, x = f.reg(i64), f.reg(i64)
    f.i64_const(total, 0)
    for register in integers:
        f.i64_add(total, total, register)
    for register in floats:
        f.i64_trunc_sat_f64_s(x, register)
        f.i64_add(total, total, x)
    f.ret(total)
    return f


@pytest.mark.parametrize("backend", ["machine", "reference"])
def test_every_register_is_passed_on(machine: Machine, backend: str) -> None:
    seen: list[Any] = []
    f = crowded(seen)
    g = machine.compile(f) if backend == "machine" else f.compile(backend="reference")
    for n in (1, -(2**62)):
        integers = [n + k * k for k in range(INTEGERS)]
        floats = [n + (k + 0.5) for k in range(FLOATS)]
        for way in range(1, EXITS + 1):
            seen.clear()
            assert g(way, n) == way
            assert seen == [(way, (*integers, *floats)[:: (-1) ** way])]
            integers = [each ^ way for each in integers]
            floats = [-each for each in floats]
        seen.clear()
        total = sum(integers) + sum(map(int, floats))
        assert g(0, n) == (total + 2**63) % 2**64 - 2**63
        assert not seen


def test_values_are_in_registers_and_in_the_frame() -> None:
    """Else the test above tests nothing."""
    for _, _, values in crowded([]).compile().exits:
        places = {place for _, _, place in values}
        in_frame = {each for each in places if each.startswith("frame")}
        registers = places - in_frame
        assert in_frame and all(sum(each[0] == file for each in registers) > 6 for file in "rf"), places
