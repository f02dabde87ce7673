"""Of each op, what kind of value it gives for operands of given kinds, or that the interpreter has to do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .. import bytecode as bc
from ..values import Array, Cell, Closure
from .arrays import pack
from .kinds import BOOL, ELEMENTS, FLOAT, INT, NUMBERS, WHOLE, Kind, Known, of_value

EXITS = Kind("exits")
Rule: TypeAlias = "Callable[..., Kind | None]"


def result_of(op: int, kinds: tuple[Kind, ...]) -> Kind | None:
    """The result's kind; None for an op without a result; EXITS where compiled code has to leave.

    Of a conditional jump it is Known whether it is taken, if that is."""
    rule = _RULES.get(op)
    return EXITS if rule is None else rule(*kinds)


def _arithmetic(a: Kind, b: Kind) -> Kind:
    if a in WHOLE and b in WHOLE:
        return INT
    return FLOAT if a in NUMBERS and b in NUMBERS else EXITS


def _quotient(a: Kind, b: Kind) -> Kind:
    return FLOAT if a in NUMBERS and b in NUMBERS else EXITS


def _whole(a: Kind, b: Kind) -> Kind:
    return INT if a in WHOLE and b in WHOLE else EXITS


def _bits(a: Kind, b: Kind) -> Kind:
    return BOOL if a is BOOL and b is BOOL else _whole(a, b)


def _comparison(a: Kind, b: Kind) -> Kind:
    return BOOL if a in NUMBERS and b in NUMBERS else EXITS


def _sameness(a: Kind, b: Kind, same: bool) -> Kind:
    if a in NUMBERS and b in NUMBERS:
        return BOOL
    if _nothing(a) or _nothing(b):
        other = b if _nothing(a) else a
        if other in NUMBERS or other in ELEMENTS or isinstance(other, Known):
            return Known(_nothing(other) == same)
    return EXITS


def _nothing(kind: Kind) -> bool:
    return isinstance(kind, Known) and kind.value is None


def _ordered_jump(a: Kind, b: Kind) -> Kind | None:
    return None if a in NUMBERS and b in NUMBERS else EXITS


def _same_jump(a: Kind, b: Kind, same: bool) -> Kind | None:
    kind = _sameness(a, b, same)
    return None if kind is BOOL else kind


def _condition(a: Kind, when: bool) -> Kind | None:
    if a in NUMBERS:
        return None
    return Known(bool(a.value) == when) if isinstance(a, Known) else EXITS


def _negative(a: Kind) -> Kind:
    return (FLOAT if a is FLOAT else INT) if a in NUMBERS else EXITS


def _not(a: Kind) -> Kind:
    return BOOL if a in NUMBERS else EXITS


def _element(array: Kind, index: Kind) -> Kind:
    return ELEMENTS.get(array, EXITS) if index is INT else EXITS


def _store(array: Kind, index: Kind, value: Kind) -> Kind | None:
    return None if index is INT and value in NUMBERS and ELEMENTS.get(array) is value else EXITS


def _get_cell(cell: Kind) -> Kind:
    if not isinstance(cell, Known) or not isinstance(cell.value, Cell):
        return EXITS
    value = cell.value.value
    if cell.value.final and isinstance(value, Closure):
        return Known(value)
    if cell.value.final and type(value) is Array:
        return pack(value) or EXITS
    return of_value(value) or EXITS


def _set_cell(cell: Kind, value: Kind) -> Kind | None:
    return None if isinstance(cell, Known) and value in NUMBERS else EXITS


def _prepare(a: Kind, b: Kind) -> Kind | None:
    return None if a is INT and b is INT else EXITS


_RULES: dict[int, Rule] = {
    bc.ADD: _arithmetic,
    bc.SUB: _arithmetic,
    bc.MUL: _arithmetic,
    bc.DIV: _quotient,
    bc.MOD: _whole,
    bc.FLOOR_DIV: _whole,
    bc.AND: _bits,
    bc.OR: _bits,
    bc.XOR: _bits,
    bc.SHL: _whole,
    bc.SHR: _whole,
    bc.LT: _comparison,
    bc.LE: _comparison,
    bc.EQ: lambda a, b: _sameness(a, b, True),
    bc.NE: lambda a, b: _sameness(a, b, False),
    bc.JUMP_LT: _ordered_jump,
    bc.JUMP_NOT_LT: _ordered_jump,
    bc.JUMP_LE: _ordered_jump,
    bc.JUMP_NOT_LE: _ordered_jump,
    bc.JUMP_EQ: lambda a, b: _same_jump(a, b, True),
    bc.JUMP_NE: lambda a, b: _same_jump(a, b, False),
    bc.JUMP: lambda: None,
    bc.JUMP_IF: lambda a: _condition(a, True),
    bc.JUMP_IF_NOT: lambda a: _condition(a, False),
    bc.NEG: _negative,
    bc.NOT: _not,
    bc.MOVE: lambda a: a,
    bc.INDEX: _element,
    bc.STORE: _store,
    bc.GET_UP: _get_cell,
    bc.SET_UP: _set_cell,
    bc.GET_CELL: _get_cell,
    bc.SET_CELL: _set_cell,
    bc.RETURN: lambda a: None,
    bc.FOR: lambda a, b: None,
    bc.FOR_PREPARE: _prepare,
    bc.HOT: lambda: None,
    bc.RUN: lambda: None,
    bc.ENTER: lambda: None,
    bc.STEP: lambda: None,
}
