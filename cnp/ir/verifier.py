"""Tells whether a function is well formed, and says in words why not.

The core has a verifier of its own, in C, that every compilation runs; it reports three numbers, which `message`
turns into an error. `verify` is an independent one in Python: the reference back end uses it, and tests compare both.

Both report the first of, in this order: what is wrong with one op by itself, by op number and operand; the first use of
a label that is placed nowhere; a function whose last op is reached and lets control go on; the first use of a register
that not every path to it has assigned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnp.ir.function import Function, Label, Register
from cnp.ir.optable import Code, Operand, Role
from cnp.ir.signature import callee_of, exit_operands, float_value, in_range, integer_value, operands_of, rounded
from cnp.ir.verify_code import MAXIMUM_OPS, Finding, VerifyCode
from cnp.ir.verify_message import message
from cnp.types import Type

__all__ = ["MAXIMUM_OPS", "Finding", "VerifyCode", "check_number", "find", "message", "verify"]


OK = Finding(VerifyCode.OK)
TERMINATORS = frozenset([Code.JUMP, Code.RET, Code.TABLE, Code.TRAP])
"""The ops after which control never goes on to the next."""


def verify(function: Function) -> None:
    """Raise VerifyError if the function is not well formed. Plain Python, about 10 µs an op."""
    finding = find(function)
    if finding.code:
        raise message(function, *finding)


def find(function: Function) -> Finding:
    """The first thing wrong with the function, or OK."""
    ops = function.ops
    if not ops:
        return Finding(VerifyCode.EMPTY)
    if len(ops) > MAXIMUM_OPS:
        return Finding(VerifyCode.TOO_LARGE)
    return _check_ops(function) or _check_labels(function) or _check_flow(function) or OK


# -- each op by itself


def _check_ops(function: Function) -> Finding | None:
    placed = exit_labels(function)
    for number, op in enumerate(function.ops):
        found = _check_op(function, op)
        if found is not None:
            return Finding(found[0], number, found[1])
        if op[0] == Code.PLACE:
            if op[1].code in placed:
                return Finding(VerifyCode.LABEL_PLACED_TWICE, number)
            placed.add(op[1].code)
    return None


def _check_op(function: Function, op: tuple[Any, ...]) -> tuple[VerifyCode, int] | None:
    expected = operands_of(function, op)
    if expected is None:
        return VerifyCode.BAD_OPCODE, 0
    actual = op[1:]
    if op[0] == Code.RET and len(actual) < 2 and len(actual) != len(expected):
        return VerifyCode.RETURN_VALUE_MISMATCH, 0
    if op[0] == Code.CALL and len(actual) >= 2 and callee_of(function, op[2]) is None:
        return VerifyCode.BAD_CALLEE, 1
    if len(actual) != len(expected):
        return VerifyCode.WRONG_OPERAND_COUNT, 0
    if op[0] == Code.CALL and op[1] is not None and expected[0].type is None:
        return VerifyCode.RETURN_VALUE_MISMATCH, 0
    for index, (operand, value) in enumerate(zip(expected, actual)):
        if op[0] == Code.CALL and value is None and index == 0:
            continue  # the result is not wanted
        code = _check_operand(function, operand, value)
        if code:
            return code, index
    return None


def _check_operand(function: Function, operand: Operand, value: Any) -> VerifyCode:
    if operand.role is Role.LABEL:
        return _check_label(function, value)
    if operand.role is Role.OFFSET:
        offset = integer_value(value)
        return VerifyCode.OK if offset is not None and -(2**31) < offset < 2**31 else VerifyCode.OFFSET_OUT_OF_RANGE
    if operand.role is Role.CALLEE:
        return VerifyCode.OK
    if value.__class__ is Register:
        code = _check_register(function, operand, value)
        return code or (VerifyCode.NOT_AN_OPERAND if operand.role is Role.CONSTANT else VerifyCode.OK)
    if operand.role is Role.DESTINATION:
        return VerifyCode.NOT_A_REGISTER
    assert operand.type is not None  # it follows from the destination, which was checked before
    return check_number(operand.type, value)


def _check_label(function: Function, value: Any) -> VerifyCode:
    if value.__class__ is not Label:
        return VerifyCode.NOT_A_LABEL
    own = value.code >> 32 == function._serial and value.code & 0xFFFFFFFF < function._label_count
    return VerifyCode.OK if own else VerifyCode.FOREIGN_LABEL


def _check_register(function: Function, operand: Operand, register: Register) -> VerifyCode:
    index = register.code & 0xFFFFFFFF
    if register.code >> 32 != function._serial or index >= len(function._types):
        return VerifyCode.FOREIGN_REGISTER
    if function._types[index] != operand.type:
        return VerifyCode.WRONG_ARGUMENT_TYPE if operand.role is Role.ARGUMENT else VerifyCode.WRONG_TYPE
    return VerifyCode.OK


def check_number(type: Type, value: Any) -> VerifyCode:
    """Whether a Python number may stand for a value of `type`."""
    if type.is_float:
        try:
            number = float_value(value)
            if number is None:
                return VerifyCode.NOT_AN_OPERAND
            rounded(type, number)
        except OverflowError:
            return VerifyCode.CONSTANT_OUT_OF_RANGE
        return VerifyCode.OK
    integer = integer_value(value)
    if integer is None:
        return VerifyCode.FLOAT_FOR_INTEGER if isinstance(value, float) else VerifyCode.NOT_AN_OPERAND
    return VerifyCode.OK if in_range(type, integer) else VerifyCode.CONSTANT_OUT_OF_RANGE


# -- the function as a whole


def labels_of(op: tuple[Any, ...]) -> list[tuple[int, int]]:
    """(operand number, label code) of every label that an op may jump to."""
    if op[0] == Code.PLACE:
        return []
    return [(index, each.code) for index, each in enumerate(op[1:]) if each.__class__ is Label]


def exit_labels(function: Function) -> set[int]:
    """The codes of the labels that mean side exits, and so count as placed."""
    return {function._first_code + index for index in function._exits}


def _check_labels(function: Function) -> Finding | None:
    placed = {op[1].code for op in function.ops if op[0] == Code.PLACE} | exit_labels(function)
    for number, op in enumerate(function.ops):
        for operand, label in labels_of(op):
            if label not in placed:
                return Finding(VerifyCode.UNBOUND_LABEL, number, operand)
    return None


def _check_flow(function: Function) -> Finding | None:
    """Where control may go, and whether every register it reads has been assigned on the way.

    Ops that nothing reaches are not looked at.
    """
    ops = function.ops
    effects = [_effects(function, op) for op in ops]
    assigned = _assigned(function, effects)
    if assigned[-1] is not None and ops[-1][0] not in TERMINATORS:
        return Finding(VerifyCode.FALLS_OFF_THE_END, len(ops) - 1)
    for number, (before, (reads, _)) in enumerate(zip(assigned, effects)):
        for operand, register in reads:
            if before is not None and not before >> register & 1:
                return Finding(VerifyCode.USE_BEFORE_DEFINITION, number, operand)
    return None


Effects = tuple[list[tuple[int, int]], int]


def _assigned(function: Function, effects: Sequence[Effects]) -> list[int | None]:
    """For every op, the registers (a set: an int of bits) that all paths to it have assigned; None: no path does."""
    ops = function.ops
    targets = {op[1].code: number for number, op in enumerate(ops) if op[0] == Code.PLACE}
    before: list[int | None] = [None] * len(ops)
    before[0] = (1 << len(function.params)) - 1
    work = [0]
    while work:
        number = work.pop()
        after = (before[number] or 0) | effects[number][1]
        successors = [targets[label] for _, label in labels_of(ops[number]) if label in targets]
        if ops[number][0] not in TERMINATORS and number + 1 < len(ops):
            successors.append(number + 1)
        for successor in successors:
            known = before[successor]
            meet = after if known is None else known & after
            if meet != known:
                before[successor] = meet
                work.append(successor)
    return before


def _effects(function: Function, op: tuple[Any, ...]) -> Effects:
    """(operand number, register) of every register an op reads, and the set of those it writes."""
    reads: list[tuple[int, int]] = []
    writes = 0
    for index, (operand, value) in enumerate(zip(operands_of(function, op) or (), op[1:])):
        if value.__class__ is Register:
            if operand.role is Role.DESTINATION:
                writes |= 1 << (value.code & 0xFFFFFFFF)
            else:
                reads.append((index, value.code & 0xFFFFFFFF))
    reads += [(len(op) - 1 + k, each.code & 0xFFFFFFFF) for k, each in enumerate(exit_operands(function, op))]
    return reads, writes
