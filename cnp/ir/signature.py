"""What each op of a function expects: the one description that verifier, text form and interpreter share."""

from __future__ import annotations

import math
import struct

from cnp.ir.function import Function, Label, Register, callee_signature
from cnp.ir.optable import (
    CALL,
    CODE_NAMES,
    CONST32,
    CONST64,
    CONSTF32,
    CONSTF64,
    JUMP,
    MOVE,
    PLACE,
    RET,
    SAFEPOINT,
    SELECT,
    TABLE,
    TRAP,
    Operand,
    Role,
    public_name,
)
from cnp.types import Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_LABEL = Operand(Role.LABEL, "label")
_CONDITION = Operand(Role.SOURCE, "condition", Type.i32)


def _constant(type: Type) -> tuple[Operand, ...]:
    return (Operand(Role.DESTINATION, "d", type), Operand(Role.CONSTANT, "value", type))


_FIXED: dict[int, tuple[Operand, ...]] = {
    PLACE: (_LABEL,),
    JUMP: (_LABEL,),
    TRAP: (),
    SAFEPOINT: (),
    CONST32: _constant(Type.i32),
    CONST64: _constant(Type.i64),
    CONSTF32: _constant(Type.f32),
    CONSTF64: _constant(Type.f64),
}
_OF_RET = {type: (Operand(Role.SOURCE, "value", type),) for type in Type}
_OF_MOVE = {type: (Operand(Role.DESTINATION, "d", type), Operand(Role.SOURCE, "a", type)) for type in (*Type, None)}
_OF_SELECT = {type: (*moved, Operand(Role.SOURCE, "b", type), _CONDITION) for type, moved in _OF_MOVE.items()}


def operands_of(function: Function, op: Sequence[Any]) -> Sequence[Operand] | None:
    """The operands that `op` must have, in the order of the tuple after its code. None for an unknown op.

    A type is None where it follows from an operand that is itself wrong.
    """
    code = op[0]
    fixed = _FIXED.get(code)
    if fixed is not None:
        return fixed
    if code == MOVE:
        return _OF_MOVE[type_of(function, op[1]) if len(op) > 1 else None]
    if code == SELECT:
        return _OF_SELECT[type_of(function, op[1]) if len(op) > 1 else None]
    if code == RET:
        return () if function.result is None else _OF_RET[function.result]
    if code == TABLE:
        labels = [Operand(Role.LABEL, f"label {i}") for i in range(len(op) - 3)]
        return (Operand(Role.SOURCE, "index", Type.i32), Operand(Role.LABEL, "default"), *labels)
    if code == CALL:
        return _operands_of_call(function, op)
    return function.op_table.operands(code)


def _operands_of_call(function: Function, op: Sequence[Any]) -> Sequence[Operand]:
    signature = callee_of(function, op[2]) if len(op) > 2 else None
    _, params, result = signature or ("", (), None)
    arguments = [Operand(Role.ARGUMENT, f"argument {i}", type) for i, type in enumerate(params)]
    return (Operand(Role.DESTINATION, "d", result), Operand(Role.CALLEE, "callee"), *arguments)


def labels_in_order(op: Sequence[Any]) -> list[Label]:
    """The labels that an op mentions, in the order of the text form: a branch_table's default comes last."""
    operands = (*op[3:], op[2]) if op[0] == TABLE and len(op) >= 3 else op[1:]
    return [each for each in operands if each.__class__ is Label]


def exit_operands(function: Function, op: Sequence[Any]) -> list[Register]:
    """The registers that the side exits want where an op may lead: as if they were operands behind the op's own."""
    if not function._exits or op[0] == PLACE:
        return []
    exits = [function._exits.get(each.code - function._first_code) for each in labels_in_order(op)]
    return [value for each in exits if each for value in each.values if value.__class__ is Register]


def callee_of(function: Function, number: Any) -> tuple[str, Sequence[Type], Type | None] | None:
    """Name, parameter types and result type of a function's callee by number, None if there is none."""
    if isinstance(number, int) and 0 <= number < len(function.callees):
        return callee_signature(function.callees[number])
    return None


def op_name(function: Function, code: int) -> str:
    """The public name of an op of a function by code, as the text form spells it."""
    name = CODE_NAMES.get(code)
    if name is None:
        row = function.op_table.rows.get(code)
        name = public_name(row) if row is not None else f"op code {code}"
    return name


def type_of(function: Function, operand: Any) -> Type | None:
    """The type of a register of `function`, None for anything else."""
    index = register_index(function, operand)
    return None if index is None else Type(function._types[index])


def register_index(function: Function, operand: Any) -> int | None:
    """The index of a register of `function`, None for anything else."""
    if operand.__class__ is not Register or operand.code >> 32 != function._serial:
        return None
    index: int = operand.code & 0xFFFFFFFF
    return index if index < len(function._types) else None


def register_name(function: Function, index: int) -> str:
    """As the text form spells it: its own name, or %index."""
    return function._register_names.get(index) or f"%{index}"


def label_name(function: Function, index: int) -> str:
    """As the text form spells it: its own name, or @index."""
    return function._label_names.get(index) or f"@{index}"


def integer_value(number: Any) -> int | None:
    """The value of anything with __index__, None for anything else."""
    try:
        return int(number.__index__())
    except (AttributeError, TypeError):
        return None


def float_value(number: Any) -> float | None:
    """The value of anything with __float__ or __index__, None for anything else. OverflowError past the f64 range."""
    try:
        return math.ldexp(number, 0)  # float() would take text as well
    except TypeError:
        return None


def in_range(type: Type, value: int) -> bool:
    """Whether an integer constant is accepted: as signed or as unsigned number of the type's width."""
    return -(1 << (type.bits - 1)) <= value < 1 << type.bits


def as_signed(type: Type, value: int) -> int:
    """The signed number with the same low bits."""
    half = 1 << (type.bits - 1)
    return (value + half) % (2 * half) - half


def rounded(type: Type, value: float) -> float:
    """`value` rounded to the nearest of its type. OverflowError for a finite one that would become infinite."""
    if type is not Type.f32 or math.isnan(value):
        return value
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def normalised(type: Type, number: Any) -> int | float:
    """A constant that the verifier accepts, as a register of that type holds it in the reference interpreter."""
    if type.is_integer:
        return as_signed(type, number.__index__())
    return rounded(type, float(number))
