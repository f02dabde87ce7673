"""Frames on every machine: more values alive than there are registers, and than instructions reach."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from agreement import FRAME, check, check_calls
from machines import Machine
from sample_functions import FAR, convert, summing
from trials import EDGES

from cnp.ir import Function, Register
from cnp.ir.optable import default_ops
from cnp.stencil.model import Shape
from cnp.types import Type

i32, i64, f32, f64 = Type
ROWS = default_ops().by_name


@pytest.mark.parametrize("types", [[each] for each in Type] + [list(Type)], ids=lambda types: "-".join(map(str, types)))
@pytest.mark.parametrize("count", [60, FAR])
def test_many_values(machine: Machine, count: int, types: list[Type]) -> None:
    """Made, changed and used in an order that nobody foresees; some across a call and a call of C."""
    r = random.Random(count)
    f = Function("many", [i64], i64)
    values = [f.reg(types[n % len(types)]) for n in range(count)]
    kinds = [types[n % len(types)] for n in range(count)]
    total, part = f.reg(i64), f.reg(i64)
    for number, (each, type) in enumerate(zip(values, kinds)):
        f.i64_add(part, f.params[0], number * 7)
        convert(f, each, type, part, i64)
    leaf = summing([i64], i64)
    for turn in range(count):
        n = r.randrange(count)
        same_type = [each for each, kind in zip(values, kinds) if kind is kinds[n]]
        getattr(f, f"{kinds[n]}_{r.choice(('add', 'sub'))}")(values[n], *r.choices(same_type, k=2))
        if turn % 200 == 59:
            convert(f, part, i64, values[n], kinds[n])
            f.call(part, leaf, part)
            narrow = f.reg(i32)
            f.call(narrow, machine.extern("narrow"), part)
            convert(f, values[n], kinds[n], narrow, i32)
    f.move(total, 1)
    for each, type in zip(values, kinds):
        convert(f, part, i64, each, type)
        f.i64_mul(total, total, 31)
        f.i64_xor(total, total, part)
    f.ret(total)
    check(machine, f, [12345], pins=[bytes([FRAME] * len(f.register_types))])


def occupied(f: Function) -> list[Register]:
    """Registers that fill the part of a frame that instructions reach."""
    found = [f.reg(i64) for _ in range(FAR)]
    for number, each in enumerate(found):
        f.i64_add(each, f.params[0], number)
    return found


def release(f: Function, registers: Sequence[Register]) -> Register:
    total = f.reg(i64)
    f.move(total, 0)
    for each in registers:
        f.i64_mul(total, total, 3)
        f.i64_add(total, total, each)
    return total


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.shape in (Shape.VALUE, Shape.LOAD)])
def test_operands_in_slots_out_of_reach(machine: Machine, name: str) -> None:
    """Of every op that has a result: any of them, or all."""
    row = ROWS[name]
    types, result = [Type(each) for each in row.operand_types], Type(row.result_type)
    is_load = row.shape == Shape.LOAD
    arguments: list[Any] = [machine.middle] if is_load else [EDGES[type][4] for type in types]
    f = Function("f", [i64, *types], i64)
    fill = occupied(f)
    pins = {}
    for far in itertools.product((False, True), repeat=len(types) + 1):
        operands, d = [f.reg(type) for type in types], f.reg(result)
        for each, param in zip(operands, f.params[1:]):
            f.move(each, param)
        if is_load:
            getattr(f, row.method)(d, operands[0], 8)
        else:
            getattr(f, row.method)(d, *operands)
        if result.is_float:
            is_number = f.reg(i32)
            getattr(f, f"{result}_eq")(is_number, d, d)
            f.select(d, d, 0.0, is_number)
        getattr(f, f"{result}_store")(d, f.params[0], 0)
        for type, each in zip(types, operands):
            getattr(f, f"{type}_store")(each, f.params[0], 16)
        f.i64_load(fill[0], f.params[0], 0)
        f.i64_add(fill[1], fill[1], fill[0])
        for number, (each, is_far) in enumerate(zip((*operands, d), far)):
            if not is_far:
                pins[each.code & 0xFFFF] = number
    f.ret(release(f, fill))
    placed = bytes(pins.get(number, FRAME) for number in range(len(f.register_types)))
    check(machine, f, [machine.middle, *arguments], pins=[placed])


@pytest.mark.parametrize("type", list(Type), ids=str)
def test_moves_to_and_from_slots_out_of_reach(machine: Machine, type: Type) -> None:
    f = Function("f", [i64, type], i64)
    fill = occupied(f)
    near, far, farther, back, last = (f.reg(type) for _ in range(5))
    f.move(near, f.params[1])
    f.move(far, near)
    f.move(last, far)
    f.move(farther, last)
    getattr(f, f"{type}_store")(near, f.params[0], 0)
    f.move(near, farther)
    f.move(back, far)
    same_type = Function("same", [type], type)
    same_type.ret(same_type.params[0])
    f.call(farther, same_type, farther)
    for number, each in enumerate((near, back, far, farther), 1):
        getattr(f, f"{type}_store")(each, f.params[0], 8 * number)
    f.ret(release(f, fill))
    pins = {near.code & 0xFFFF: 0, back.code & 0xFFFF: 5, last.code & 0xFFFF: machine.registers[type.is_float] - 1}
    placed = bytes(pins.get(number, FRAME) for number in range(len(f.register_types)))
    check(machine, f, [machine.middle, EDGES[type][6]], pins=[placed])


def test_other_ops_on_slots_out_of_reach(machine: Machine) -> None:
    """Branches, tables, stores, moves, constants, select, and addresses that are folded."""
    f = Function("f", [i64, i64, i32, f64, f32], i64)
    b = f.params[0]
    fill = occupied(f)
    base, index, c, x, y = f.reg(i64), f.reg(i64), f.reg(i32), f.reg(f64), f.reg(f32)
    for d, a in zip((base, index, c, x, y), f.params):
        f.move(d, a)
    f.i64_const(total := f.reg(i64), 5)
    f.i64_const(wide := f.reg(i64), 0x123456789ABCDEF)
    f.f64_const(float_ := f.reg(f64), 0.1)
    f.f32_const(single := f.reg(f32), 0.1)
    for number, (type, value) in enumerate([(i64, index), (i32, c), (f64, x), (f32, y), (i64, wide), (f64, float_)]):
        for method in ("store", "store8", "store16") if type.is_integer else ("store",):
            getattr(f, f"{type}_{method}")(value, base, 8 * number)
    address, scaled = f.reg(i64), f.reg(i64)
    for scale in range(4):
        f.i64_and(scaled, index, 7)
        f.i64_shl(scaled, scaled, scale)
        f.i64_add(address, base, scaled)
        f.i64_load(part := f.reg(i64), address, 0)
        f.i64_add(total, total, part)
        f.i32_store(c, address, 3)
    for name, row in ROWS.items():
        if row.shape == Shape.BRANCH:
            on = f.label()
            pick = {i32: (c, c), i64: (index, wide), f64: (x, float_), f32: (y, single)}
            operands = [pick[Type(each)][n] for n, each in enumerate(row.operand_types)]
            f.i64_mul(total, total, 3)
            getattr(f, row.method)(*operands, on)
            f.i64_add(total, total, len(name))
            f.place(on)
    for type, a, other in ((i64, index, wide), (f64, x, float_), (f32, y, single), (i32, c, c)):
        d = f.reg(type)
        f.select(d, a, other, c)
        f.move(a, d)
        getattr(f, f"{type}_store")(a, b, 64)
    labels, end = [f.label() for _ in range(3)], f.label()
    f.i32_and(c, c, 3)
    f.branch_table(c, labels[:2], labels[2])
    for number, each in enumerate(labels):
        f.place(each)
        f.i64_add(total, total, 1000 * number)
        f.jump(end)
    f.place(end)
    f.i64_xor(total, total, release(f, fill))
    f.ret(total)
    calls = [[machine.middle - 32, value, value, 0.1 * value, 0.5 * value] for value in range(5)]
    check_calls(machine, f, calls, pins=[bytes([FRAME] * 700)])


def test_loops_and_calls_with_large_frames(machine: Machine) -> None:
    leaf = summing([i64, f64], i64)
    f = Function("f", [i64], i64)
    fill = occupied(f)
    n, d, x, head = f.reg(i64), f.reg(i64), f.reg(f64), f.label()
    e = f.reg(i32)
    f.move(n, 20_000)
    f.move(d, 0)
    f.place(head)
    f.i64_add(d, d, fill[-1])
    f.i64_sub(n, n, 1)
    f.branch_i64_gt_s(n, 0, head)
    f.f64_convert_i64_s(x, fill[FAR // 2])
    f.call(d, leaf, d, x)
    f.call(e, machine.extern("narrow"), d)
    f.call(fill[0], machine.extern("sum_integers"), *fill[:8])
    f.i64_extend_i32_s(d, e)
    f.i64_xor(d, d, release(f, fill))
    f.ret(d)
    fills = [7 + number for number in range(FAR)]
    call = machine.compile(f)
    total = 20_000 * fills[-1] + 2 * fills[FAR // 2]
    fills[0] = sum((n + 1) * each for n, each in enumerate(fills[:8]))
    wanted = 0
    for each in fills:
        wanted = (wanted * 3 + each) % 2**64
    assert call(7) == (total ^ wanted) - (2**64 if (total ^ wanted) >> 63 else 0)
