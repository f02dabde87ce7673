"""Turns what a verifier reports, three numbers, into an error that names the op, the operand and what is accepted."""

from __future__ import annotations

from typing import Any

from cnp.errors import VerifyError
from cnp.ir.function import Function, Label, Register
from cnp.ir.optable import Operand, Role
from cnp.ir.signature import callee_of, exit_operands, label_name, op_name, operands_of, register_index, register_name
from cnp.ir.verify_code import MAXIMUM_OPS, VerifyCode
from cnp.types import Type

_RANGES = {
    Type.i32: "a number in [-2^31, 2^32)",
    Type.i64: "a number in [-2^63, 2^64)",
    Type.f32: "a number below 2^128 in magnitude",
    Type.f64: "a number",
}

_PASSED_ON = Operand(Role.SOURCE, "value")


def message(function: Function, code: int, op: int, operand: int) -> VerifyError:
    """The error for a verifier's report. `op` and `operand` count from 0; `operand` after the op's code."""
    code = VerifyCode(code)
    start = f"function {function.name!r}"
    whole = _about_function(function, code)
    if whole:
        return VerifyError(f"{start}: {whole}")
    found = function.ops[op]
    place = f"{start}, op {op} ({op_name(function, found[0])})"
    about = _about_op(function, code, found)
    if about:
        return VerifyError(f"{place}: {about}")
    if operand >= len(found) - 1:  # behind the op's own
        value = exit_operands(function, found)[operand - len(found) + 1]
        return VerifyError(f"{place}, side exit: {_about_operand(function, code, _PASSED_ON, value)}")
    expected = (operands_of(function, found) or ())[operand]
    about = _about_operand(function, code, expected, found[1 + operand])
    return VerifyError(f"{place}, operand {expected.name}: {about}")


def _about_function(function: Function, code: VerifyCode) -> str:
    if code == VerifyCode.EMPTY:
        return "it has no ops; accepted: at least one, the last of which ends it, such as ret"
    if code == VerifyCode.TOO_LARGE:
        size = f"{len(function.ops)} ops and {len(function._types)} registers"
        return (
            f"too large: {size}; accepted: up to {MAXIMUM_OPS} ops, half a MiB of values alive at once, and as much "
            "code as the target's jumps and loads of constants reach"
        )
    return ""


def _about_op(function: Function, code: VerifyCode, op: tuple[Any, ...]) -> str:
    if code == VerifyCode.BAD_OPCODE:
        return "there is no such op; accepted: the codes that the methods of Function emit"
    if code == VerifyCode.WRONG_OPERAND_COUNT:
        expected = operands_of(function, op) or ()
        names = f" ({', '.join(each.name for each in expected)})" if expected else ""
        return f"{len(op) - 1} operands; accepted: {len(expected)}{names}"
    if code == VerifyCode.FALLS_OFF_THE_END:
        return "control goes on past the last op; accepted there: jump, ret, branch_table, unreachable"
    if code == VerifyCode.LABEL_PLACED_TWICE:
        label = f"label {_label(function, op[1])}"
        if op[1].code - function._first_code in function._exits:
            return f"{label} is a side exit; accepted: a label that Function.label made"
        return f"{label} is placed a second time; accepted: once"
    if code == VerifyCode.RETURN_VALUE_MISMATCH and op_name(function, op[0]) == "ret":
        if function.result is None:
            return "a value is returned; accepted: none, as the function has no result"
        return f"no value is returned; accepted: {_source(function.result)}"
    if code == VerifyCode.RETURN_VALUE_MISMATCH:
        callee = callee_of(function, op[2])
        return f"{callee[0] if callee else '?'!r} has no result; accepted as destination: None"
    return ""


def _about_operand(function: Function, code: VerifyCode, expected: Operand, value: Any) -> str:
    found = _describe(function, value)
    if code == VerifyCode.UNBOUND_LABEL:
        return f"{found} is placed nowhere; accepted: a label that a place op puts somewhere"
    if code == VerifyCode.USE_BEFORE_DEFINITION:
        return f"{found} is read where some path has not assigned it; accepted: a register assigned on every path"
    if code == VerifyCode.FOREIGN_REGISTER or code == VerifyCode.FOREIGN_LABEL:
        return f"{found} belongs to another function; accepted: {_accepted(expected)} of this one"
    if code == VerifyCode.CONSTANT_OUT_OF_RANGE:
        return f"{found} is out of range; accepted: {_accepted(expected)}"
    if code == VerifyCode.BAD_CALLEE:
        return f"{found} is no callee; accepted: the number of one of the function's {len(function.callees)}"
    return f"found {found}; accepted: {_accepted(expected)}"


def _accepted(expected: Operand) -> str:
    if expected.role is Role.LABEL:
        return "a label"
    if expected.role is Role.OFFSET:
        return "an integer in (-2^31, 2^31)"
    if expected.type is None:
        return "a register"
    if expected.role is Role.CONSTANT:
        return _RANGES[expected.type]
    return _register(expected.type) if expected.role is Role.DESTINATION else _source(expected.type)


def _register(type: Type) -> str:
    return f"an {type} register"


def _source(type: Type) -> str:
    return f"{_register(type)} or {_RANGES[type]}"


def _describe(function: Function, value: Any) -> str:
    """A value found where an operand belongs, in words."""
    if isinstance(value, Register):
        index = register_index(function, value)
        if index is None:
            return f"register {value.code & 0xFFFFFFFF}"
        return f"register {register_name(function, index)} of type {Type(function._types[index])}"
    if isinstance(value, Label):
        own = value.code >> 32 == function._serial
        return f"label {_label(function, value)}" if own else f"label {value.code & 0xFFFFFFFF}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _label(function: Function, label: Label) -> str:
    return label_name(function, label.code & 0xFFFFFFFF)
