"""Whole functions on every machine: calls, C, recursion, spills, frames and branches that are out of short reach,
polls.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from agreement import FRAME, check, function
from expectations import same
from machines import C_FUNCTIONS, FLOAT, INTEGER, EmulatedMachine, Machine
from trials import EDGES

from cnp.errors import Trap, TrapKind, VerifyError
from cnp.ir import Function, Label, Register
from cnp.ir.optable import default_ops
from cnp.stencil.model import Shape
from cnp.types import Type

i32, i64, f32, f64 = Type
ROWS = default_ops().by_name
FAR = 600
"""So many values alive need slots that no instruction's offset reaches."""


def trap_of(call: Any, *arguments: Any) -> Trap:
    with pytest.raises(Trap) as caught:
        call(*arguments)
    return caught.value


# -- calls


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


ALL_EIGHT = [[each] * 8 for each in Type] + [[i64, f64] * 8, [i32, f32] * 8, [f32, i64, i32, f64] * 4, [i32], []]


@pytest.mark.parametrize("result", list(Type), ids=str)
@pytest.mark.parametrize("types", ALL_EIGHT, ids=lambda types: "-".join(map(str, types)))
def test_arguments_arrive(machine: Machine, types: list[Type], result: Type) -> None:
    """Through registers that the caller's values are in, too, and in the other order."""
    callee = summing(types[:8], result)
    inputs = [each for each in (i64, i32, f64, f32) if each in types] or [i64]
    f = Function("f", inputs, result)
    values: dict[Type, list[Register]] = {type: [] for type in Type}
    for type, param in zip(inputs, f.params):
        for number in range(types.count(type)):
            values[type].append(f.reg(type))
            getattr(f, f"{type}_add")(values[type][-1], param, number)
    d, e = f.reg(result), f.reg(result)
    arguments = [values[type][types[:number].count(type)] for number, type in enumerate(types[:8])]
    f.call(d, callee, *arguments)
    taken: dict[Type, int] = dict.fromkeys(Type, 0)
    backwards = []
    for type in types[:8]:
        taken[type] += 1
        backwards.append(values[type][-taken[type]])
    f.call(e, machine.callee(callee) if machine.is_native else callee, *backwards)
    getattr(f, f"{result}_{'sub' if result.is_integer else 'mul'}")(d, d, e)
    f.ret(d)
    check(machine, f, [{i64: 2**40, i32: -7, f64: 1.5, f32: -0.25}[type] for type in inputs])


def test_values_live_across_calls(machine: Machine) -> None:
    """As many as there are registers, and twice as many; the callee, and C, use all of them."""
    greedy = Function("greedy", [i64], i64)
    many: list[Any] = [greedy.reg(i64) for _ in range(machine.registers[INTEGER] + 3)]
    floats: list[Any] = [greedy.reg(f64) for _ in range(machine.registers[FLOAT] + 3)]
    for number, each in enumerate(many):
        greedy.i64_mul(each, greedy.params[0], number + 5)
    for number, each in enumerate(floats):
        greedy.f64_convert_i64_s(each, many[number])
    for each in floats:
        greedy.i64_trunc_sat_f64_s(many[0], each)
        greedy.i64_add(many[1], many[1], many[0])
    for each in many[2:]:
        greedy.i64_xor(many[1], many[1], each)
    greedy.ret(many[1])
    for count, callees in itertools.product((1, 2), ([greedy], [machine.extern("narrow"), greedy])):
        f = Function("f", [i64], i64)
        kept = [f.reg(i64) for _ in range(count * machine.registers[INTEGER])]
        kept_floats = [f.reg(f64) for _ in range(count * machine.registers[FLOAT])]
        for number, each in enumerate(kept):
            f.i64_add(each, f.params[0], number * number)
        for number, each in enumerate(kept_floats):
            f.f64_convert_i64_s(each, kept[number])
        d, e = f.reg(i64), f.reg(i32)
        for callee in callees:
            f.call(d if callee is greedy else e, callee, kept[3])
        if callees[0] is not greedy:
            f.i64_extend_i32_s(kept[4], e)
        for each in kept_floats:
            f.i64_trunc_sat_f64_s(kept[0], each)
            f.i64_add(d, d, kept[0])
        for each in kept[1:]:
            f.i64_xor(d, d, each)
            f.i64_mul(d, d, 3)
        f.ret(d)
        check(machine, f, [0x123456789])


@pytest.mark.parametrize("name", C_FUNCTIONS)
def test_c_functions(machine: Machine, name: str) -> None:
    """With arguments from registers that others go to, from the frame, and constants."""
    extern = machine.extern(name)
    result = extern.result
    assert result is not None
    for constants in (0, 3):
        f = Function("f", extern.params[constants:] if len(extern.params) > 1 else extern.params, result)
        fixed: list[Any] = [EDGES[type][3] for type in extern.params[:constants]] if len(extern.params) > 1 else []
        d = f.reg(result)
        f.call(d, extern, *fixed, *f.params)
        backwards: dict[Type, list[Any]] = {type: [] for type in Type}
        for type, each in zip(extern.params, [*fixed, *f.params]):
            backwards[type].append(each)
        e = f.reg(result)
        f.call(e, extern, *[backwards[type].pop() for type in extern.params])
        getattr(f, f"{result}_sub")(d, d, e)
        f.ret(d)
        arguments = {i64: 2**33 + 5, i32: -9, f32: 0.5, f64: -3.25}
        check(machine, f, [arguments[type] for type in f.register_types[: len(f.params)]])


def test_what_c_leaves_above_an_i32_is_not_believed(machine: Machine) -> None:
    f = Function("f", [i64], i64)
    narrow, signed, unsigned = f.reg(i32), f.reg(i64), f.reg(i64)
    f.call(narrow, machine.extern("narrow"), f.params[0])
    f.i64_extend_i32_s(signed, narrow)
    f.i64_extend_i32_u(unsigned, narrow)
    f.i64_mul(signed, signed, 3)
    f.i64_add(signed, signed, unsigned)
    f.ret(signed)
    call = machine.compile(f)
    assert call(0x1234_0000_0005) == 20
    assert call(0x1234_8000_0001) == 0x8000_0001 + 3 * (0x8000_0001 - 2**32)


# -- recursion


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


@pytest.mark.parametrize("values", [0, 40, FAR])
def test_recursion_to_the_end_of_the_stack(machine: Machine, values: int) -> None:
    call = machine.compile(recursion(values))
    depth = 200 if values else 5_000
    assert call(depth) == depth * (depth + 1) // 2
    for _ in range(2):
        trap = trap_of(call, -1)
        assert (trap.kind, trap.function) == (TrapKind.STACK_OVERFLOW, "recursion")
        assert call(depth) == depth * (depth + 1) // 2


def test_functions_that_call_each_other(machine: Machine) -> None:
    even, odd = Function("even", [i64], i32), Function("odd", [i64], i32)
    for f, other, end in ((even, odd, 1), (odd, even, 0)):
        more, d, n = f.label(), f.reg(i32), f.reg(i64)
        f.branch_i64_nez(f.params[0], more)
        f.ret(end)
        f.place(more)
        f.i64_sub(n, f.params[0], 1)
        f.call(d, other, n)
        f.ret(d)
    call = machine.compile(even)
    assert [call(n) for n in range(6)] == [1, 0, 1, 0, 1, 0]
    assert call(3000) == 1
    assert trap_of(call, -1).kind == TrapKind.STACK_OVERFLOW


def test_traps_in_callees_say_where(machine: Machine) -> None:
    inner = Function("inner", [i64, i64], i64)
    d = inner.reg(i64)
    inner.i64_add(d, inner.params[0], 1)
    inner.i64_div_s(d, d, inner.params[1])
    inner.ret(d)
    outer = Function("outer", [i64, i64], i64)
    d, past = outer.reg(i64), outer.label()
    outer.call(d, inner, *outer.params)
    outer.branch_i64_ne(d, 7, past)
    outer.unreachable()
    outer.place(past)
    outer.ret(d)
    call = machine.compile(outer)
    assert call(9, 2) == 5
    for arguments, kind, name, op in (
        ((9, 0), TrapKind.INTEGER_DIVIDE_BY_ZERO, "inner", 1),
        ((-(2**63), 0), TrapKind.INTEGER_DIVIDE_BY_ZERO, "inner", 1),
        ((2**63 - 1, -1), TrapKind.INTEGER_OVERFLOW, "inner", 1),
        ((6, 1), TrapKind.UNREACHABLE, "outer", 2),
    ):
        trap = trap_of(call, *arguments)
        assert (trap.kind, trap.function, trap.op) == (kind, name, op)
    assert call(9, 2) == 5


# -- many values alive


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


FAR_OPS = [name for name, row in ROWS.items() if row.shape != Shape.STORE or name.endswith("store")]


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
    near, far, farther, back = (f.reg(type) for _ in range(4))
    f.move(near, f.params[1])
    f.move(far, near)
    f.move(farther, far)
    getattr(f, f"{type}_store")(near, f.params[0], 0)
    f.move(near, farther)
    f.move(back, far)
    same_type = Function("same", [type], type)
    same_type.ret(same_type.params[0])
    f.call(farther, same_type, farther)
    for number, each in enumerate((near, back, far, farther), 1):
        getattr(f, f"{type}_store")(each, f.params[0], 8 * number)
    f.ret(release(f, fill))
    pins = {near.code & 0xFFFF: 0, back.code & 0xFFFF: 5}
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
    for value in range(5):
        check(machine, f, [machine.middle - 32, value, value, 0.1 * value, 0.5 * value], pins=[bytes([FRAME] * 700)])


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


# -- branches that are out of short reach


def far_branches(size: int, machine: Machine, table: bool) -> Function:
    """Forwards and backwards over `size` bytes of code, which each round runs or leaves out, on conditions of all
    kinds.
    """
    f = Function("far", [i64, i32, f64], i64)
    n, c, x = f.params
    total, limit, head = f.reg(i64), f.reg(f64), f.label()
    f.move(total, 0)
    f.i64_const(bound := f.reg(i64), 2)
    f.f64_convert_i64_s(limit, bound)
    f.place(head)
    past: list[Label] = []

    def leave(method: str, *operands: Any) -> None:
        past.append(f.label())
        getattr(f, method)(*operands, past[-1])

    leave("branch_i64_eq", n, 1)
    leave("branch_i64_eqz", n)
    leave("branch_i32_nez", c)
    leave("branch_i64_lt_s", n, -5)
    leave("branch_f64_gt", x, limit)
    bit, odd = f.reg(i64), f.reg(i32)
    f.i64_and(bit, n, 64)
    leave("branch_i64_nez", bit)
    f.i64_lt_u(odd, n, 3)
    leave("branch_i32_nez", odd)
    if table:
        here = f.label()
        f.branch_table(c, [past[0]], here)
        f.place(here)
    else:
        f.branch_i32_eqz(c, past[0])
    fill(f, total, ops_of(size, machine))
    for number, each in enumerate(past):
        f.place(each)
        f.i64_mul(total, total, 3)
        f.i64_add(total, total, number)
    f.i64_sub(n, n, 1)
    f.i32_const(c, 0)
    f.branch_i64_gt_s(n, 0, head)
    back, done = f.label(), f.label()
    f.place(back)
    f.i64_eq(odd, total, 0)
    f.branch_i32_nez(odd, done)
    f.branch_i64_ne(n, -100, done)
    f.jump(head)
    f.place(done)
    f.ret(total)
    return f


def fill(f: Function, total: Register, count: int) -> None:
    for number in range(count):
        f.i64_mul(total, total, total) if number % 2 else f.i64_xor(total, total, f.params[0])


def filler(count: int) -> Function:
    f = Function("filler", [i64], i64)
    total = f.reg(i64)
    f.move(total, 3)
    fill(f, total, count)
    f.ret(total)
    return f


def ops_of(size: int, machine: Machine) -> int:
    """So many ops of `fill` make a little more code than that."""
    sizes = [len(machine.callee(filler(count)).code) for count in (1000, 2000)]
    return (size + 64) * 1000 // (sizes[1] - sizes[0]) + 16


def far_result(n: int, c: int, x: float) -> int:
    """What far_branches returns for arguments on which it always leaves early."""
    total = 0
    while True:
        leaves = [n == 1, n == 0, c != 0, n < -5, x > 2, bool(n & 64), n % 2**64 < 3, c == 0]
        first = leaves.index(True)
        for number in range(first % 7, 7):
            total = (total * 3 + number) % 2**64
        n, c = n - 1, 0
        if n <= 0:
            return total - (2**64 if total >> 63 else 0)


@pytest.mark.parametrize("size", [1 << 10, 4 << 10, 32 << 10, 128 << 10, 1 << 20], ids=lambda size: f"{size >> 10}K")
def test_branches_out_of_reach(machine: Machine, size: int) -> None:
    pool_reaches = machine.is_native or size < 1 << 20
    call = machine.compile(far_branches(size, machine, pool_reaches))
    assert len(call.code) > size
    for arguments in ((1, 0, 0.0), (0, 0, 0.0), (5, 7, 0.0), (-9, 0, 0.0), (4, 0, 3.0), (66, 0, 0.0), (2, 0, 0.0)):
        assert call(*arguments) == far_result(*arguments), arguments


def test_a_table_that_is_out_of_reach_is_refused(machine: Machine) -> None:
    f = far_branches(1 << 20, machine, table=True)
    try:
        call = machine.compile(f)
    except VerifyError as error:
        assert not machine.is_native
        assert "too large" in str(error)
    else:
        assert call(5, 7, 0.0) == far_result(5, 7, 0.0)


@pytest.mark.parametrize("size", [4 << 10, 32 << 10, 1 << 20], ids=lambda size: f"{size >> 10}K")
def test_what_lies_between_far_branches_runs(machine: Machine, size: int) -> None:
    """Nobody leaves it out: forwards branches are not taken, those back are."""
    f = Function("between", [i64], i64)
    n, total, head, past = f.params[0], f.reg(i64), f.label(), f.label()
    f.move(total, 3)
    f.place(head)
    f.branch_i64_eqz(n, past)
    f.branch_i64_lt_s(n, 0, past)
    count = ops_of(size, machine)
    fill(f, total, count)
    f.i64_sub(n, n, 1)
    f.branch_i64_nez(n, head)
    f.place(past)
    f.ret(total)
    call = machine.compile(f)
    assert len(call.code) > size
    total_ = 3
    for n_ in (2, 1):
        for number in range(count):
            total_ = total_ * total_ % 2**64 if number % 2 else total_ ^ n_
    assert call(2) == total_ - (2**64 if total_ >> 63 else 0)
    assert call(0) == 3


@pytest.mark.parametrize("labels", [1, 2, 1000])
def test_a_table_of_many_labels(machine: Machine, labels: int) -> None:
    f = Function("table", [i32], i64)
    found = [f.label() for _ in range(labels + 1)]
    f.branch_table(f.params[0], found[:-1], found[-1])
    for number, each in enumerate(found):
        f.place(each)
        f.ret(number * 3)
    for pins in (None, bytes([FRAME])):
        call = machine.compile(f, pins=pins)
        for index in {0, 1, labels // 2, labels - 1, labels, labels + 1, 2**31 - 1, -1, -(2**31)}:
            assert call(index) == 3 * (index if 0 <= index < labels else labels)


# -- polls


def endless(values: int = 0) -> Function:
    f = Function("endless", [i64], i64)
    head = f.label()
    kept = [f.reg(i64) for _ in range(values)]
    for each in kept:
        f.move(each, f.params[0])
    f.place(head)
    f.i64_add(f.params[0], f.params[0], 1)
    f.branch_i64_nez(f.params[0], head)
    for each in kept:
        f.i64_add(f.params[0], f.params[0], each)
    f.ret(f.params[0])
    return f


@pytest.mark.parametrize("values", [0, FAR])
def test_interruption(machine: Machine, values: int) -> None:
    if not isinstance(machine, EmulatedMachine):
        pytest.skip("test_native_traps.py has it")
    emulator = machine.emulator
    calls = recursion(values)
    never = Function("never", [i64], i64)
    head, d = never.label(), never.reg(i64)
    never.place(head)
    never.call(d, calls, 3)
    never.jump(head)
    for f in (endless(values), never):
        call = machine.compile(f)
        timer = threading.Timer(0.05, lambda: setattr(emulator, "interrupt", True))
        start = time.monotonic()
        timer.start()
        try:
            assert trap_of(call, 1).kind == TrapKind.INTERRUPTED
        finally:
            timer.join()
            emulator.interrupt = False
        assert time.monotonic() - start < 5
    assert machine.compile(recursion())(10) == 55


# -- options


@pytest.mark.parametrize("options", [{"landing_pads": True}, {"safepoints": False}, {"trace": True}], ids=str)
def test_options(machine: Machine, options: dict[str, bool]) -> None:
    f = function(
        """
func f(n: i64, k: i32) -> i64
  reg d, t: i64
  label head, a, b, done
  i64.const d, 0
head:
  branch_table k, [a, b], done
a:
  i64.add d, d, n
  i32.const k, 1
b:
  call t, g(n)
  i64.add d, d, t
  i64.sub n, n, 1
  branch i64.gt_s n, 0, head
done:
  ret d
end

func g(n: i64) -> i64
  i64.mul n, n, 3
  ret n
end
"""
    )
    call = machine.compile(f, **options)
    assert call(10, 0) == 10 + 3 * 55
    assert call(10, 1) == 3 * 55
    assert call(10, 7) == 0


def test_results_are_what_python_expects(machine: Machine) -> None:
    for type in Type:
        f = Function("same", [type], type)
        f.ret(f.params[0])
        call = machine.compile(f)
        for value in EDGES[type]:
            assert same(call(value), value)
