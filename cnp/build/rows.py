"""Which registers a placement is compiled with: all there are, or enough for the build to learn their fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnp.build.table import BuildOp
from cnp.stencil.model import OpFlag, Shape
from cnp.stencil.words import Form
from cnp.target.record import Target
from cnp.types import Type

Registers = tuple[int, ...]
"""Guest registers of d, a, b and c, -1 where there is none."""
_D, _A, _B, _C = range(4)
_HAS_DESTINATION = (Form.FREE, Form.FREE_IMMEDIATE)
_MOVES_FAR = frozenset(("i64_load", "f64_load", "i64_store", "f64_store"))
"""What stencils/core/put.c takes for slots out of reach."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Positions that hold the same register, and the registers to compile them with."""

    positions: tuple[int, ...]
    is_float: bool
    choices: tuple[int, ...]
    is_mixed: bool  # some are registers that short instructions take, others are not


def register_rows(
    op: BuildOp, form: Form, alternatives: Sequence[int], pattern: int, target: Target
) -> list[Registers]:
    """The registers to compile a placement with, the first row being what others are compared with.

    Every position takes every register that C can name where all are registers; elsewhere two, and all change once. No
    rows where the pattern cannot be: the destination is no register, or of another file; and where the core exchanges
    the operands, or has no such address.
    """
    types = _register_types(op, form, alternatives, target)
    if target.groups is None:
        numbers = zip(types, (alternatives[0], *alternatives[1:]))
        return [tuple(-1 if type is None else number for type, number in numbers)]
    variables = _variables(op, form, types, alternatives, pattern, target)
    if variables is None or _is_exchanged(op, form, types) or _is_no_far_slot(op, alternatives, target):
        return []
    first, second = _assign(variables, 0), _assign(variables, 1)
    rows = {_registers(variables, first): None}
    is_thorough = pattern == 0 and not any(_is_slot(op, form, alternatives, target))
    for number, variable in enumerate(variables):
        position = variable.positions[0]
        for fixed in (first, second) if is_thorough else (first,):
            taken = {row[position] for row in rows} if fixed is second else set()
            choices = variable.choices if is_thorough and fixed is first else _other(variable, fixed[number])
            if fixed is second:  # what other positions have in the first
                choices = (*choices, *(each for each in variable.choices if each not in taken))
            for choice in choices:
                changed = [*fixed[:number], choice, *fixed[number + 1 :]]
                if _is_distinct(variables, changed):
                    rows[_registers(variables, changed)] = None
    rows[_registers(variables, second)] = None
    return list(rows)


def _is_exchanged(op: BuildOp, form: Form, types: Sequence[Type | None]) -> bool:
    """Whether a slot comes in front of a register, for which there are stencils in the other order."""
    commutes = form == Form.FREE and op.row.flags & OpFlag.COMMUTATIVE
    return bool(commutes and types[_A] is None and types[_B] is not None)


def _is_no_far_slot(op: BuildOp, alternatives: Sequence[int], target: Target) -> bool:
    """Whether an address is that of a slot out of reach, but not as the core moves from and to such slots: all of one,
    without an offset, between it and a place.
    """
    row = op.row
    if row.shape not in (Shape.LOAD, Shape.STORE):
        return False
    base = _B if row.shape == Shape.STORE else _A
    places = len(target.register_groups(Type.i64)) + 1
    names = [each for number, each in enumerate(target.classes) if row.classes[base - _A] >> number & 1]
    if alternatives[base] < places or not names[alternatives[base] - places].is_slot:
        return False
    stored = row.operand_types[0]
    is_constant = base == _B and alternatives[_A] > len(target.register_groups(stored))
    return row.method not in _MOVES_FAR or alternatives[base + 1] != 0 or is_constant


def other_operands(form: Form) -> tuple[int, int]:
    """The positions that a pattern compares with the destination."""
    if form == Form.REVERSED:
        return _A, _C
    return (_A, _B) if form in _HAS_DESTINATION else (_B, _C)


def _register_types(op: BuildOp, form: Form, alternatives: Sequence[int], target: Target) -> list[Type | None]:
    """By position: the type of what is in a register there, else None."""
    row, result = op.row, op.source.result
    types: list[Type | None] = [None] * 4
    if result is not None and form in _HAS_DESTINATION and row.shape in (Shape.VALUE, Shape.LOAD):
        types[_D] = result
    for position, type in enumerate(row.operand_types, _A):
        only_immediate = position == _B and (row.shape == Shape.MAGIC or form == Form.FREE_IMMEDIATE)
        types[position] = None if only_immediate else type
    return [
        None if type is None or alternative >= len(target.register_groups(type)) else type
        for type, alternative in zip(types, alternatives)
    ]


def _is_slot(op: BuildOp, form: Form, alternatives: Sequence[int], target: Target) -> list[bool]:
    types = [op.source.result if form in _HAS_DESTINATION else None, *op.row.operand_types]
    return [
        type is not None and alternative >= len(target.register_groups(type))
        for type, alternative in zip(types, alternatives)
    ]


def _variables(
    op: BuildOp, form: Form, types: Sequence[Type | None], alternatives: Sequence[int], pattern: int, target: Target
) -> list[Variable] | None:
    """What varies. None where the pattern cannot be."""
    tied = {Form.TIED: _A, Form.SCRATCH: _A, Form.REVERSED: _B}.get(form, _D)
    shared = {tied}
    for bit, position in enumerate(other_operands(form)):
        if pattern >> bit & 1:
            here, there = types[tied], types[position]
            if here is None or there is None or here.is_float != there.is_float:
                return None
            if alternatives[tied] != alternatives[position] or op.row.shape not in (Shape.VALUE, Shape.LOAD):
                return None
            shared.add(position)
    groups = [tuple(sorted(shared)), *((position,) for position in range(4) if position not in shared)]
    found = []
    for positions in groups:
        type = types[positions[0]] if positions[0] != _D or types[_D] is not None else None
        if type is not None:
            group = alternatives[positions[0]]
            is_mixed = 0 < group == len(target.register_groups(type)) - 1
            found.append(Variable(positions, type.is_float, _choices(type, group, target), is_mixed))
    return found


def _choices(type: Type, group: int, target: Target) -> tuple[int, ...]:
    """The registers of a group that C can name; of the last of several all, as its stencils are for any."""
    groups, named = target.register_groups(type), target.named[type.is_float]
    if len(groups) > 1 and group == len(groups) - 1:
        return tuple(range(named))
    return tuple(number for number in groups[group] if number < named)


def _assign(variables: Sequence[Variable], which: int) -> list[int]:
    """A register for each variable, different ones in a file; two assignments have few in common.

    Of several the last one is high, so that registers between it and the others keep their order: clang exchanges the
    operands of a commutative op where they are not in the order of its parameters.
    """
    taken: set[tuple[bool, int]] = set()
    result = []
    for number, variable in enumerate(variables):
        is_last = number == len(variables) - 1 and number > 0
        choices = variable.choices[::-1] if is_last else variable.choices
        free = [each for each in choices if (variable.is_float, each) not in taken] or list(choices)
        result.append(free[min(which, len(free) - 1)])
        taken.add((variable.is_float, result[-1]))
    return result


def _other(variable: Variable, fixed: int) -> tuple[int, ...]:
    """A register that differs from a fixed one in several bits, and one that short instructions may not take."""
    found = variable.choices[len(variable.choices) // 2 :][:1]
    if variable.is_mixed:
        found += variable.choices[-2:-1]
    return tuple(each for each in found if each != fixed)


def _is_distinct(variables: Sequence[Variable], numbers: Sequence[int]) -> bool:
    found = {(variable.is_float, number) for variable, number in zip(variables, numbers)}
    return len(found) == len(variables)


def _registers(variables: Sequence[Variable], numbers: Sequence[int]) -> Registers:
    registers = [-1] * 4
    for variable, number in zip(variables, numbers):
        for position in variable.positions:
            registers[position] = number
    return tuple(registers)
