"""Comparisons that become part of the branch or select that needs them: nobody can tell the difference."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from agreement import check, check_calls, emitted, placements
from folding_programs import ROWS, from_lines
from machines import Machine
from trials import EDGES

from cnp.ir import Function, Register
from cnp.ir.optable import comparison_of
from cnp.ir.semantics import SEMANTICS
from cnp.stencil.model import Shape
from cnp.types import Type

i32, i64, f32, f64 = Type


# -- conditions

COMPARISONS = {name: comparison_of(ROWS[name]) for name, row in ROWS.items() if row.shape == Shape.BRANCH}
COMPARISONS = {branch: name for branch, name in COMPARISONS.items() if name in ROWS}


def _pairs(types: Sequence[Type]) -> list[tuple[Any, ...]]:
    edges = [EDGES[each] for each in types]
    if len(edges) == 1:
        return [(each,) for each in edges[0]]
    n = len(edges[0])
    pairs = [(edges[0][k], edges[1][k * step % n]) for k in range(n) for step in (1, 3)]
    if types[0].is_float:
        nan = float("nan")
        pairs += [(nan, 1.0), (1.0, nan), (nan, nan), (0.0, -0.0), (-0.0, 0.0)]
    return pairs


CONSUMERS = ["branch nez", "branch eqz", "eqz, branch nez", "eqz, branch eqz", "select", "eqz, select", "nez, select"]


def consume(f: Function, condition: Register, how: str) -> None:
    """Return 11 or 22, depending on the condition."""
    *before, last = how.split(", ")
    for each in before:
        flipped = f.reg(i32)
        getattr(f, f"i32_{each}")(flipped, condition)
        condition = flipped
    if last == "select":
        d = f.reg(i64)
        f.select(d, 11, 22, condition)
        f.ret(d)
        return
    on = f.label()
    getattr(f, f"branch_i32_{last.split()[1]}")(condition, on)
    f.ret(22)
    f.place(on)
    f.ret(11)


@pytest.mark.parametrize("how", CONSUMERS)
@pytest.mark.parametrize("name", sorted(set(COMPARISONS.values())))
def test_conditions(machine: Machine, name: str, how: str) -> None:
    types = [Type(each) for each in ROWS[name].operand_types]
    f = Function("f", types, i64)
    condition = f.reg(i32)
    getattr(f, ROWS[name].method)(condition, *f.params)
    consume(f, condition, how)
    compiled = [machine.compile(f, pins=each) for each in (None, *placements(machine, f))]
    for values in machine.some(_pairs(types), 24):
        outcome = SEMANTICS[name](*values)
        flips = how.count("eqz")
        expected = 11 if bool(outcome) != bool(flips % 2) else 22
        assert [each(*values) for each in compiled] == [expected] * len(compiled), values


@pytest.mark.parametrize("how", CONSUMERS)
@pytest.mark.parametrize("name", sorted(set(COMPARISONS.values())))
def test_conditions_on_constants(machine: Machine, name: str, how: str) -> None:
    types = [Type(each) for each in ROWS[name].operand_types]
    pairs = _pairs(types)
    for values in pairs[:: max(1, len(pairs) // 8)]:
        for constant in itertools.product((False, True), repeat=len(types)):
            f = Function("f", types, i64)
            condition = f.reg(i32)
            operands = [value if c else p for value, c, p in zip(values, constant, f.params)]
            getattr(f, ROWS[name].method)(condition, *operands)
            consume(f, condition, how)
            check(machine, f, values, pins=list(placements(machine, f))[:3])


CONDITIONS = {
    "used twice": "i64.lt_s c, i, v;branch i32.nez c, out;i64.const x, 5;out: i64.extend_i32_u t, c;ret t",
    "used by two branches": "i64.lt_s c, i, v;branch i32.nez c, on;branch i32.eqz c, out;on: ret 1;out: ret 2",
    "used by a branch and a select": "i64.eqz c, i;select t, b, v, c;branch i32.nez c, on;ret t;on: ret 3",
    "used by two selects": "i64.eqz c, i;select t, b, v, c;select u, v, i, c;i64.sub t, t, u;ret t",
    "used twice by one select": "i32.wrap_i64 e, i;i32.eqz c, e;i64.extend_i32_u u, c;select t, u, v, c;ret t",
    "operand changes": "i64.lt_s c, i, v;i64.const i, 100;branch i32.nez c, on;ret 1;on: ret 2",
    "operand changes, select": "i64.eqz c, i;i64.const i, 100;select t, v, i, c;ret t",
    "operand changes in a call": "i64.lt_s c, i, v;call i, g(i);branch i32.nez c, on;ret i;on: ret 2",
    "call between": "i64.lt_s c, i, v;call x, g(i);branch i32.nez c, on;ret x;on: ret 2",
    "overwrites its operand": "i32.wrap_i64 c, i;i32.eqz c, c;branch i32.nez c, on;ret 1;on: ret 2",
    "overwrites its operand twice": "i32.wrap_i64 c, i;i32.eqz c, c;i32.eqz c, c;branch i32.nez c, on;ret 1;on: ret 2",
    "overwrites its operand, select": "i32.wrap_i64 c, i;i32.eqz c, c;select t, b, v, c;ret t",
    "overwrites its operand twice, select": "i32.wrap_i64 c, i;i32.eqz c, c;i32.eqz c, c;select t, v, i, c;ret t",
    "overwrites both": "i32.wrap_i64 c, i;i32.lt_s c, c, c;branch i32.eqz c, on;ret 1;on: ret 2",
    "all bits of an i64": "i64.shl t, i, 40;i64.nez c, t;select x, v, 3, c;ret x",
    "all bits of an i64, eqz": "i64.shl t, i, 40;i64.eqz c, t;select x, v, 3, c;ret x",
    "all bits of an i64, branch": "i64.shl t, i, 40;i64.eqz c, t;branch i32.eqz c, on;ret 1;on: ret 2",
    "the low half of an i64": "i64.shl t, i, 40;i32.wrap_i64 e, t;i32.nez c, e;select x, v, 3, c;ret x",
    "the low half of an i64, negative": "i64.sub t, 0, i;i32.wrap_i64 e, t;i32.nez c, e;select x, v, 3, c;ret x",
    "the condition is an operand": "i64.nez c, i;select x, i, v, c;ret x",
    "the condition is an operand, eqz": "i64.eqz c, i;select x, i, v, c;ret x",
    "the condition is the destination": "i64.nez c, i;select i, v, b, c;i64.sub i, i, b;ret i",
    "the condition is the destination, eqz": "i64.eqz c, i;select i, b, v, c;i64.sub i, i, b;ret i",
    "all are one": "i64.eqz c, i;select i, i, i, c;ret i",
    "i32 selected by itself": "i32.wrap_i64 c, i;i32.eqz e, c;select c, c, e, e;i64.extend_i32_s t, c;ret t",
    "a constant condition": "select t, i, v, 1;select u, i, v, 0;i64.shl u, u, 8;i64.add t, t, u;ret t",
    "a condition of a constant": "i32.eqz c, 0;select t, i, v, c;i64.eqz c, 5;select u, i, v, c;i64.shl u, u, 8;"
    "i64.add t, t, u;ret t",
    "a branch on a condition of a constant": "i64.nez c, 0x100000000;branch i32.nez c, on;ret 1;on: ret 2",
    "a branch on a constant": "branch i32.nez 0, out;branch i32.eqz 0, on;out: ret 1;on: ret 2",
    "a constant made in the block": "i32.const c, 1;i32.eqz e, c;select t, i, v, e;ret t",
    "the label before": "i64.lt_s c, i, v;on: branch i32.nez c, out;ret 1;out: ret 2",
    "floats": "f64.convert_i64_s g, i;f64.lt c, g, 3.0;i32.eqz c, c;branch i32.nez c, on;ret 1;on: ret 2",
    "not less with nan": "f64.div g, 0.0, 0.0;f64.lt c, g, 3.0;branch i32.eqz c, on;ret 1;on: ret 2",
    "a float in a select": "f64.convert_i64_s g, i;f64.lt c, g, 3.0;select t, i, v, c;ret t",
    "a select of floats": "f64.convert_i64_s g, i;i64.eqz c, i;select g, g, 2.5, c;i64.reinterpret_f64 t, g;ret t",
    "a comparison of addresses": "i64.add s, b, i;i64.lt_u c, s, b;branch i32.nez c, on;i64.load x, s;ret x;on: ret 2",
    "a comparison of what is loaded": "i64.add s, b, i;i64.load x, s;i64.lt_u c, x, v;branch i32.nez c, on;"
    "ret x;on: ret 2",
    "a loop on a condition": "back: i64.sub v, v, 1;i64.add i, i, v;i64.gt_s c, v, 0;branch i32.nez c, back;ret i",
    "a loop on the inverse": "back: i64.sub v, v, 1;i64.add i, i, v;i64.le_s c, v, 0;branch i32.eqz c, back;ret i",
    "a while loop on a condition": "back: i64.gt_s c, v, 0;branch i32.eqz c, out;i64.sub v, v, 1;i64.add i, i, v;"
    "jump back;out: ret i",
    "a while loop on floats": "f64.convert_i64_s g, v;back: f64.gt c, g, 0.5;branch i32.eqz c, out;f64.sub g, g, 1.0;"
    "i64.add i, i, 3;jump back;out: ret i",
    "a while loop on nan": "f64.sqrt g, -1.0;back: f64.lt c, g, 0.5;branch i32.eqz c, out;i64.add i, i, 3;"
    "jump back;out: ret i",
    "a dead condition": "i64.lt_s c, i, v;i64.gt_s c, i, v;branch i32.nez c, on;ret 1;on: ret 2",
    "around a jump": "i64.lt_s c, i, v;branch i32.nez c, on;jump out;on: ret 1;out: ret 2",
    "around a jump, inverted": "i64.lt_s c, i, v;branch i32.eqz c, on;jump out;on: ret 1;out: ret 2",
    "around a jump, a float inverted": "f64.convert_i64_s g, i;f64.ge c, g, 5.0;branch i32.eqz c, on;jump out;"
    "on: ret 1;out: ret 2",
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_that_others_need(machine: Machine, name: str) -> None:
    f = from_lines(CONDITIONS[name])
    check_calls(machine, f, [[machine.address + 40, index, 7] for index in (0, 1, 9)], rounds=2)


@pytest.mark.parametrize("how", CONSUMERS)
def test_conditions_are_folded(machine: Machine, how: str) -> None:
    f = Function("f", [i64, i64], i64)
    condition = f.reg(i32)
    if "select" in how:
        f.i64_eqz(condition, f.params[0])
    else:
        f.i64_lt_s(condition, *f.params)
    consume(f, condition, how)
    names = [name for _, name in emitted(machine, f)]
    steps = how.count(",")
    assert sum("lt_s d" in each or "eqz d" in each or "nez d" in each for each in names) == (steps if steps else 0)
