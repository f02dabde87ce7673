"""The Python verifier: every code with its message, and which finding comes first."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from cnp.errors import VerifyError
from cnp.ir import Function, Register
from cnp.ir.optable import Code
from cnp.ir.verifier import Finding, VerifyCode, find, message, verify
from cnp.types import f32, f64, i32, i64


def new() -> tuple[Function, Register, Register, Register]:
    """A function f(x: i64, y: f64, c: i32) -> i64."""
    f = Function("f", params=[i64, f64, i32], result=i64)
    for register, name in zip(f.params, "xyc"):
        f.name_register(register, name)
    x, y, c = f.params
    return f, x, y, c


def expect(f: Function, code: VerifyCode, op: int, operand: int, text: str) -> None:
    assert find(f) == Finding(code, op, operand)
    with pytest.raises(VerifyError) as caught:
        verify(f)
    assert str(caught.value) == text


def test_a_good_function() -> None:
    f, x, y, c = new()
    f.i64_add(x, x, -(2**63))
    f.i64_add(x, x, 2**64 - 1)
    f.i32_add(c, c, -(2**31))
    f.i32_add(c, c, 2**32 - 1)
    f.i32_add(c, c, True)
    f.f64_add(y, y, 1)
    f.f64_add(y, y, Fraction(1, 3))
    f.ret(x)
    assert find(f) == Finding(VerifyCode.OK)
    verify(f)


def test_empty() -> None:
    text = "function 'f': it has no ops; accepted: at least one, the last of which ends it, such as ret"
    expect(new()[0], VerifyCode.EMPTY, 0, 0, text)


def test_bad_opcode() -> None:
    f, *_ = new()
    f._emit((0xEEEE, 1))
    text = "function 'f', op 0 (op code 61166): there is no such op; accepted: the codes that "
    text += "the methods of Function emit"
    expect(f, VerifyCode.BAD_OPCODE, 0, 0, text)


def test_wrong_operand_count() -> None:
    f, x, *_ = new()
    f._emit((int(Code.SELECT), x, x, 1))
    text = "function 'f', op 0 (select): 3 operands; accepted: 4 (d, a, b, condition)"
    expect(f, VerifyCode.WRONG_OPERAND_COUNT, 0, 0, text)


BAD_OPERANDS: dict[str, tuple[Callable[[Function, Any, Any, Any], object], VerifyCode, int, str]] = {
    "number as destination": (
        lambda f, x, y, c: f.i64_add(3, x, x),
        VerifyCode.NOT_A_REGISTER,
        0,
        "(i64.add), operand d: found 3; accepted: an i64 register",
    ),
    "destination of another type": (
        lambda f, x, y, c: f.i64_add(y, x, x),
        VerifyCode.WRONG_TYPE,
        0,
        "(i64.add), operand d: found register y of type f64; accepted: an i64 register",
    ),
    "source of another type": (
        lambda f, x, y, c: f.i64_add(x, x, c),
        VerifyCode.WRONG_TYPE,
        2,
        "(i64.add), operand b: found register c of type i32; accepted: an i64 register or a number in [-2^63, 2^64)",
    ),
    "unnamed register": (
        lambda f, x, y, c: f.f64_add(y, f.reg(f32), 1.0),
        VerifyCode.WRONG_TYPE,
        1,
        "(f64.add), operand a: found register %3 of type f32; accepted: an f64 register or a number",
    ),
    "move between types": (
        lambda f, x, y, c: f.move(x, y),
        VerifyCode.WRONG_TYPE,
        1,
        "(move), operand a: found register y of type f64; accepted: an i64 register or a number in [-2^63, 2^64)",
    ),
    "text": (
        lambda f, x, y, c: f.i64_add(x, x, "1"),
        VerifyCode.NOT_AN_OPERAND,
        2,
        "(i64.add), operand b: found '1'; accepted: an i64 register or a number in [-2^63, 2^64)",
    ),
    "text for a float": (
        lambda f, x, y, c: f.f64_add(y, y, "1"),
        VerifyCode.NOT_AN_OPERAND,
        2,
        "(f64.add), operand b: found '1'; accepted: an f64 register or a number",
    ),
    "too small": (
        lambda f, x, y, c: f.i32_add(c, -(2**31) - 1, c),
        VerifyCode.CONSTANT_OUT_OF_RANGE,
        1,
        "(i32.add), operand a: -2147483649 is out of range; accepted: an i32 register or a number in [-2^31, 2^32)",
    ),
    "too large": (
        lambda f, x, y, c: f.i64_const(x, 2**64),
        VerifyCode.CONSTANT_OUT_OF_RANGE,
        1,
        "(i64.const), operand value: 18446744073709551616 is out of range; accepted: a number in [-2^63, 2^64)",
    ),
    "too large for a float": (
        lambda f, x, y, c: f.f64_const(y, 10**400),
        VerifyCode.CONSTANT_OUT_OF_RANGE,
        1,
        f"(f64.const), operand value: {'1' + '0' * 56}... is out of range; accepted: a number",
    ),
    "register for a constant": (
        lambda f, x, y, c: f.i64_const(x, x),
        VerifyCode.NOT_AN_OPERAND,
        1,
        "(i64.const), operand value: found register x of type i64; accepted: a number in [-2^63, 2^64)",
    ),
    "register of another type for a constant": (
        lambda f, x, y, c: f.i64_const(x, c),
        VerifyCode.WRONG_TYPE,
        1,
        "(i64.const), operand value: found register c of type i32; accepted: a number in [-2^63, 2^64)",
    ),
    "too large for an f32": (
        lambda f, x, y, c: f.f32_const(f.reg(f32), 2.0**128),
        VerifyCode.CONSTANT_OUT_OF_RANGE,
        1,
        "(f32.const), operand value: 3.402823669209385e+38 is out of range; accepted: a number below 2^128 in "
        "magnitude",
    ),
    "fraction for an integer": (
        lambda f, x, y, c: f.i64_add(x, Fraction(1, 2), x),
        VerifyCode.NOT_AN_OPERAND,
        1,
        "(i64.add), operand a: found Fraction(1, 2); accepted: an i64 register or a number in [-2^63, 2^64)",
    ),
    "float for an integer": (
        lambda f, x, y, c: f.i64_add(x, x, 1.0),
        VerifyCode.FLOAT_FOR_INTEGER,
        2,
        "(i64.add), operand b: found 1.0; accepted: an i64 register or a number in [-2^63, 2^64)",
    ),
    "register as label": (
        lambda f, x, y, c: f.branch_i64_eq(x, 0, x),
        VerifyCode.NOT_A_LABEL,
        2,
        "(branch i64.eq), operand label: found register x of type i64; accepted: a label",
    ),
    "in a table": (
        lambda f, x, y, c: f.branch_table(c, [7], f.label("l")),
        VerifyCode.NOT_A_LABEL,
        2,
        "(branch_table), operand label 0: found 7; accepted: a label",
    ),
    "foreign register": (
        lambda f, x, y, c: f.i64_add(x, x, Function("g", params=[i64]).params[0]),
        VerifyCode.FOREIGN_REGISTER,
        2,
        "(i64.add), operand b: register 0 belongs to another function; accepted: an i64 register or a number in "
        "[-2^63, 2^64) of this one",
    ),
    "foreign label": (
        lambda f, x, y, c: f.jump(Function("g").label()),
        VerifyCode.FOREIGN_LABEL,
        0,
        "(jump), operand label: label 0 belongs to another function; accepted: a label of this one",
    ),
    "offset": (
        lambda f, x, y, c: f.i32_load(c, x, 2**31),
        VerifyCode.OFFSET_OUT_OF_RANGE,
        2,
        "(i32.load), operand offset: found 2147483648; accepted: an integer in (-2^31, 2^31)",
    ),
    "register as offset": (
        lambda f, x, y, c: f.i32_store(c, x, x),
        VerifyCode.OFFSET_OUT_OF_RANGE,
        2,
        "(i32.store), operand offset: found register x of type i64; accepted: an integer in (-2^31, 2^31)",
    ),
    "missing result": (
        lambda f, x, y, c: f.ret(),
        VerifyCode.RETURN_VALUE_MISMATCH,
        0,
        "(ret): no value is returned; accepted: an i64 register or a number in [-2^63, 2^64)",
    ),
    "result of another type": (
        lambda f, x, y, c: f.ret(y),
        VerifyCode.WRONG_TYPE,
        0,
        "(ret), operand value: found register y of type f64; accepted: an i64 register or a number in [-2^63, 2^64)",
    ),
    "callee number": (
        lambda f, x, y, c: f._emit((int(Code.CALL), x, 5)),
        VerifyCode.BAD_CALLEE,
        1,
        "(call), operand callee: 5 is no callee; accepted: the number of one of the function's 0",
    ),
    "argument": (
        lambda f, x, y, c: f.call(x, f, x, x, c),
        VerifyCode.WRONG_ARGUMENT_TYPE,
        3,
        "(call), operand argument 1: found register x of type i64; accepted: an f64 register or a number",
    ),
    "call's destination": (
        lambda f, x, y, c: f.call(y, f, x, y, c),
        VerifyCode.WRONG_TYPE,
        0,
        "(call), operand d: found register y of type f64; accepted: an i64 register",
    ),
}


@pytest.mark.parametrize("name", BAD_OPERANDS)
def test_bad_operand(name: str) -> None:
    emit, code, operand, text = BAD_OPERANDS[name]
    f, x, y, c = new()
    f.safepoint()
    emit(f, x, y, c)
    f.unreachable()
    expect(f, code, 1, operand, f"function 'f', op 1 {text}")


def test_superfluous_result() -> None:
    f = Function("f")
    f.ret(1)
    text = "function 'f', op 0 (ret): a value is returned; accepted: none, as the function has no result"
    expect(f, VerifyCode.RETURN_VALUE_MISMATCH, 0, 0, text)


def test_result_of_a_callee_without_one() -> None:
    f, x, *_ = new()
    f.call(None, Function("g"))
    f._ops[0] = (int(Code.CALL), x, 0)
    text = "function 'f', op 0 (call): 'g' has no result; accepted as destination: None"
    expect(f, VerifyCode.RETURN_VALUE_MISMATCH, 0, 0, text)


def test_call_with_wrong_count() -> None:
    f, x, y, c = new()
    f.call(x, f, x, y, c)
    f._ops[0] = f._ops[0][:-1]
    text = "function 'f', op 0 (call): 4 operands; accepted: 5 (d, callee, argument 0, argument 1, argument 2)"
    expect(f, VerifyCode.WRONG_OPERAND_COUNT, 0, 0, text)


def test_label_placed_twice() -> None:
    f, *_ = new()
    head = f.label("head")
    f.place(head)
    f.place(head)
    text = "function 'f', op 1 (place): label head is placed a second time; accepted: once"
    expect(f, VerifyCode.LABEL_PLACED_TWICE, 1, 0, text)


def test_unbound_label() -> None:
    f, _, _, c = new()
    here = f.label()
    f.place(here)
    f.branch_table(c, [here, f.label()], here)
    text = "function 'f', op 1 (branch_table), operand label 1: label @1 is placed nowhere; "
    expect(f, VerifyCode.UNBOUND_LABEL, 1, 3, text + "accepted: a label that a place op puts somewhere")


@pytest.mark.parametrize("last", ["place", "i64_add", "branch_i64_eq", "safepoint"])
def test_falls_off_the_end(last: str) -> None:
    f, x, *_ = new()
    label = f.label()
    if last != "place":
        f.place(label)
    getattr(f, last)(*{"place": [label], "i64_add": [x, x, x], "branch_i64_eq": [x, 0, label]}.get(last, []))
    op = len(f.ops) - 1
    name = {"i64_add": "i64.add", "branch_i64_eq": "branch i64.eq"}.get(last, last)
    text = f"function 'f', op {op} ({name}): control goes on past the last op; accepted there: jump, ret, "
    expect(f, VerifyCode.FALLS_OFF_THE_END, op, 0, text + "branch_table, unreachable")


def test_use_before_definition() -> None:
    f, x, _, c = new()
    d, e, skip = f.reg(i64, "d"), f.reg(i64, "e"), f.label()
    f.branch_i32_eqz(c, skip)
    f.i64_const(d, 1)
    f.place(skip)
    f.i64_add(x, x, d)
    f.ret(e)
    text = "function 'f', op 3 (i64.add), operand b: register d of type i64 is read where some path has "
    expect(
        f, VerifyCode.USE_BEFORE_DEFINITION, 3, 2, text + "not assigned it; accepted: a register assigned on every path"
    )


def test_an_end_that_nothing_reaches_may_be_open() -> None:
    f, x, *_ = new()
    f.ret(x)
    f.place(f.label())
    assert find(f) == Finding(VerifyCode.OK)


def test_definition_in_a_loop_reaches_its_head_on_one_path_only() -> None:
    f, x, *_ = new()
    d, head, done = f.reg(i64), f.label(), f.label()
    f.place(head)
    f.branch_i64_eq(x, 0, done)
    f.i64_add(d, x, 1)
    f.jump(head)
    f.place(done)
    f.ret(d)
    assert find(f) == Finding(VerifyCode.USE_BEFORE_DEFINITION, 5, 0)


def test_an_op_reads_before_it_writes() -> None:
    f, *_ = new()
    d = f.reg(i64)
    f.i64_add(d, d, 1)
    f.ret(d)
    assert find(f) == Finding(VerifyCode.USE_BEFORE_DEFINITION, 0, 1)


def test_ops_that_nothing_reaches_may_read_anything() -> None:
    f, x, *_ = new()
    f.ret(x)
    f.ret(f.reg(i64))
    assert find(f) == Finding(VerifyCode.OK)


def test_order_of_findings() -> None:
    f, x, y, _ = new()
    d = f.reg(i64)
    f.i64_add(x, d, d)  # read before it is assigned
    f.jump(f.label())  # placed nowhere
    f.i64_add(x, x, y)  # of another type; and past this last op there is nothing
    assert find(f) == Finding(VerifyCode.WRONG_TYPE, 2, 2)
    f._ops[2] = f._ops[0]
    assert find(f) == Finding(VerifyCode.UNBOUND_LABEL, 1, 0)
    f._ops[1] = (int(Code.SAFEPOINT),)
    assert find(f) == Finding(VerifyCode.FALLS_OFF_THE_END, 2, 0)
    f.ret(d)
    assert find(f) == Finding(VerifyCode.USE_BEFORE_DEFINITION, 0, 1)


def test_too_large_has_a_message() -> None:
    f, *_ = new()
    f.unreachable()
    text = "function 'f': too large: 1 ops and 3 registers; accepted: up to 67108864 ops, half a MiB of values "
    text += "alive at once, and as much code as the target's jumps reach"
    assert str(message(f, VerifyCode.TOO_LARGE, 0, 0)) == text


def test_every_code_has_a_message() -> None:
    covered = {code for _, code, _, _ in BAD_OPERANDS.values()}
    others = {VerifyCode.OK, VerifyCode.BAD_OPCODE, VerifyCode.WRONG_OPERAND_COUNT, VerifyCode.UNBOUND_LABEL}
    others |= {VerifyCode.LABEL_PLACED_TWICE, VerifyCode.USE_BEFORE_DEFINITION, VerifyCode.FALLS_OFF_THE_END}
    others |= {VerifyCode.TOO_LARGE, VerifyCode.EMPTY}
    assert covered | others == set(VerifyCode)


def test_numpy_scalars_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    f, x, y, c = new()
    f.i64_add(x, x, numpy.int64(3))
    f.f64_add(y, y, numpy.float32(0.5))
    f.ret(x)
    assert find(f) == Finding(VerifyCode.OK)
    f.i32_add(c, c, numpy.float64(1))
    assert find(f) == Finding(VerifyCode.FLOAT_FOR_INTEGER, 3, 2)
