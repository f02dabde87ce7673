"""Calls on every machine: of functions, of C, of itself until the stack ends, and traps behind them."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import pytest
from agreement import check
from machines import C_FUNCTIONS, FLOAT, INTEGER, EmulatedMachine, Machine
from sample_functions import FAR, recursion, summing, trap_of
from trials import EDGES

import cnp
from cnp.errors import TrapKind
from cnp.ir import Extern, Function, Register
from cnp.types import Type

i32, i64, f32, f64 = Type
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
        greedy.f64_convert_i64_s(each, many[number % len(many)])
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
            f.f64_convert_i64_s(each, kept[number % len(kept)])
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


def calling_again(machine: Machine, type: Type) -> Extern:
    """C that calls the function it is given, with one argument, and adds 1."""
    if isinstance(machine, EmulatedMachine):
        address = machine.emulator.functions["call_again" if type is i64 else "call_again_float"]
    else:
        of = ctypes.c_int64 if type is i64 else ctypes.c_double
        inner = ctypes.CFUNCTYPE(of, of)
        made = ctypes.CFUNCTYPE(of, ctypes.c_void_p, of)(lambda at, x: inner(at)(x) + 1)
        _kept.append(made)
        address = ctypes.cast(made, ctypes.c_void_p).value or 0
    return cnp.extern(address, [i64, type], type)


_kept: list[Any] = []


@pytest.mark.parametrize("type", [i64, f64], ids=str)
def test_c_that_calls_code(machine: Machine, type: Type) -> None:
    inner = summing([type], type)
    compiled = machine.compile(inner)
    outer = Function("outer", [type], type)
    kept, d = outer.reg(type), outer.reg(type)
    getattr(outer, f"{type}_mul")(kept, outer.params[0], 3)
    outer.call(d, calling_again(machine, type), machine.address_for_c(compiled), outer.params[0])
    getattr(outer, f"{type}_add")(d, d, kept)
    outer.ret(d)
    call = machine.compile(outer)
    for value in (5, -7, 2**40):
        assert call(value) == 4 * value + 1


# -- recursion


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
