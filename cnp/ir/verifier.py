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
from cnp.ir.optable import CALL, JUMP, PLACE, RET, TABLE, TRAP, Operand, Role
from cnp.ir.signature import callee_of, exit_operands, float_value, in_range, integer_value, operands_of, rounded
from cnp.ir.verify_code import MAXIMUM_OPS, Finding, VerifyCode
from cnp.ir.verify_message import message
from cnp.types import Type

__all__ = ["MAXIMUM_OPS", "Finding", "VerifyCode", "check_number", "find", "message", "verify"]

# Names of their own, because an enum member costs a lookup each time it is named.
_DESTINATION, _CONSTANT, _OFFSET = Role.DESTINATION, Role.CONSTANT, Role.OFFSET
_LABEL, _CALLEE, _ARGUMENT = Role.LABEL, Role.CALLEE, Role.ARGUMENT
_OK = VerifyCode.OK

OK = Finding(_OK)
TERMINATORS = frozenset([JUMP, RET, TABLE, TRAP])
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
    expected = [operands_of(function, op) for op in ops]
    found = _check_ops(function, expected)
    if found is None:
        labels = [labels_of(op) for op in ops]
        found = _check_labels(function, labels) or _check_flow(function, expected, labels)
    return found or OK


# -- each op by itself

Expected = Sequence[Operand] | None
"""The operands that an op must have; None: there is no such op."""


def _check_ops(function: Function, expected: Sequence[Expected]) -> Finding | None:
    placed = exit_labels(function)
    for number, (op, operands) in enumerate(zip(function.ops, expected)):
        found = _check_op(function, op, operands)
        if found is not None:
            return Finding(found[0], number, found[1])
        if op[0] == PLACE:
            if op[1].code in placed:
                return Finding(VerifyCode.LABEL_PLACED_TWICE, number)
            placed.add(op[1].code)
    return None


def _check_op(function: Function, op: tuple[Any, ...], expected: Expected) -> tuple[VerifyCode, int] | None:
    if expected is None:
        return VerifyCode.BAD_OPCODE, 0
    actual = op[1:]
    if op[0] == RET and len(actual) < 2 and len(actual) != len(expected):
        return VerifyCode.RETURN_VALUE_MISMATCH, 0
    if op[0] == CALL and len(actual) >= 2 and callee_of(function, op[2]) is None:
        return VerifyCode.BAD_CALLEE, 1
    if len(actual) != len(expected):
        return VerifyCode.WRONG_OPERAND_COUNT, 0
    if op[0] == CALL and op[1] is not None and expected[0].type is None:
        return VerifyCode.RETURN_VALUE_MISMATCH, 0
    for index, (operand, value) in enumerate(zip(expected, actual)):
        code = _check_operand(function, operand, value)
        if code and not (value is None and index == 0 and op[0] == CALL):  # else the result is not wanted
            return code, index
    return None


def _check_operand(function: Function, operand: Operand, value: Any) -> VerifyCode:
    role = operand.role
    if role is _LABEL:
        return _check_label(function, value)
    if role is _OFFSET:
        offset = integer_value(value)
        return _OK if offset is not None and -(2**31) < offset < 2**31 else VerifyCode.OFFSET_OUT_OF_RANGE
    if role is _CALLEE:
        return _OK
    if value.__class__ is Register:
        code = _check_register(function, operand, value)
        return code or (VerifyCode.NOT_AN_OPERAND if role is _CONSTANT else _OK)
    if role is _DESTINATION:
        return VerifyCode.NOT_A_REGISTER
    assert operand.type is not None  # it follows from the destination, which was checked before
    return check_number(operand.type, value)


def _check_label(function: Function, value: Any) -> VerifyCode:
    if value.__class__ is not Label:
        return VerifyCode.NOT_A_LABEL
    own = value.code >> 32 == function._serial and value.code & 0xFFFFFFFF < function._label_count
    return _OK if own else VerifyCode.FOREIGN_LABEL


def _check_register(function: Function, operand: Operand, register: Register) -> VerifyCode:
    index, types = register.code - function._first_code, function._types
    if not 0 <= index < len(types):
        return VerifyCode.FOREIGN_REGISTER
    if types[index] == operand.type:
        return _OK
    return VerifyCode.WRONG_ARGUMENT_TYPE if operand.role is _ARGUMENT else VerifyCode.WRONG_TYPE


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
        return _OK
    integer = integer_value(value)
    if integer is None:
        return VerifyCode.FLOAT_FOR_INTEGER if isinstance(value, float) else VerifyCode.NOT_AN_OPERAND
    return _OK if in_range(type, integer) else VerifyCode.CONSTANT_OUT_OF_RANGE


# -- the function as a whole


Labels = list[tuple[int, int]]
"""(operand number, label code) of every label that an op may jump to."""


def labels_of(op: tuple[Any, ...]) -> Labels:
    """Those of an op."""
    if op[0] == PLACE:
        return []
    return [(index, each.code) for index, each in enumerate(op[1:]) if each.__class__ is Label]


def exit_labels(function: Function) -> set[int]:
    """The codes of the labels that mean side exits, and so count as placed."""
    return {function._first_code + index for index in function._exits}


def _check_labels(function: Function, labels: Sequence[Labels]) -> Finding | None:
    placed = {op[1].code for op in function.ops if op[0] == PLACE} | exit_labels(function)
    for number, each in enumerate(labels):
        for operand, label in each:
            if label not in placed:
                return Finding(VerifyCode.UNBOUND_LABEL, number, operand)
    return None


def _check_flow(function: Function, expected: Sequence[Expected], labels: Sequence[Labels]) -> Finding | None:
    """Where control may go, and whether every register it reads has been assigned on the way.

    Ops that nothing reaches are not looked at.
    """
    ops = function.ops
    effects = [_effects(function, op, operands or ()) for op, operands in zip(ops, expected)]
    assigned = _assigned(function, [writes for _, writes in effects], labels)
    if assigned[-1] is not None and ops[-1][0] not in TERMINATORS:
        return Finding(VerifyCode.FALLS_OFF_THE_END, len(ops) - 1)
    for number, (before, (reads, _)) in enumerate(zip(assigned, effects)):
        if before is None:
            continue
        for operand, register in reads:
            if not before >> register & 1:
                return Finding(VerifyCode.USE_BEFORE_DEFINITION, number, operand)
    return None


def _assigned(function: Function, writes: Sequence[int], labels: Sequence[Labels]) -> list[int | None]:
    """For every op, the registers (a set: an int of bits) that all paths to it have assigned; None: no path does."""
    ops = function.ops
    targets = {op[1].code: number for number, op in enumerate(ops) if op[0] == PLACE}
    before: list[int | None] = [None] * len(ops)
    work = [(0, (1 << len(function.params)) - 1)]
    while work:
        number, after = work.pop()
        while number < len(ops):  # from op to op, as long as that tells something new
            known = before[number]
            meet = after if known is None else known & after
            if meet == known:
                break
            before[number] = meet
            after = meet | writes[number]
            work += [(targets[label], after) for _, label in labels[number] if label in targets]
            if ops[number][0] in TERMINATORS:
                break
            number += 1
    return before


def _effects(function: Function, op: tuple[Any, ...], expected: Sequence[Operand]) -> tuple[list[tuple[int, int]], int]:
    """(operand number, register) of every register an op reads, and the set of those it writes."""
    reads: list[tuple[int, int]] = []
    writes = 0
    for index, (operand, value) in enumerate(zip(expected, op[1:])):
        if value.__class__ is Register:
            if operand.role is _DESTINATION:
                writes |= 1 << (value.code & 0xFFFFFFFF)
            else:
                reads.append((index, value.code & 0xFFFFFFFF))
    reads += [(len(op) - 1 + k, each.code & 0xFFFFFFFF) for k, each in enumerate(exit_operands(function, op))]
    return reads, writes
