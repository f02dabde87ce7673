"""A stencil library -> programs to emit: the shapes of `programs` that it has the ops for, and one of all its ops."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cnp import Function, Label, Register, f32, f64, i32, i64
from cnp.bench import programs
from cnp.bench.figure import Unavailable
from cnp.ir.optable import Operand, Role, default_ops, operands_of_row
from cnp.stencil.model import OpFlag, Shape
from cnp.types import NO_TYPE, Type

if TYPE_CHECKING:
    from cnp.ir.optable import OpRow

_REGISTERS = 5  # of a type: more than there are parameters, fewer than the machine has
_NUMBERS = 3  # every so many ops have a number for their last source
_OFFSETS = 64  # different ones


def make(shape: str, size: int) -> Function:
    """A function of a shape and of about `size` ops. Unavailable if the library lacks one that it needs."""
    try:
        return SHAPES[shape](size)
    except AttributeError as error:
        raise Unavailable(f"the library lacks an op of this program: {error}") from None


def _face(size: int) -> Function:
    return programs.face()


def every_op(size: int) -> Function:
    """All ops that the library lets users name, in a shuffled order, again and again; a branch skips the next op.

    It is for emitting, not for running: loads and stores go wherever the parameters say. Unavailable if the library
    has no such op.
    """
    rows = _rows()
    if not rows:
        raise Unavailable("the library has no op that users may name")
    choose = random.Random(1)
    choose.shuffle(rows)
    types = (i64, i32, f64, f32)
    f = Function("every_op", params=[*types, *types], result=i64)
    operands = _Operands(f, choose)
    skipped: Label | None = None
    for number in range(size):
        if len(f.ops) >= size - 1 - (skipped is not None):
            break
        row = rows[number % len(rows)]
        label = f.label() if row.shape == Shape.BRANCH else None
        getattr(f, row.method)(*operands.of(row, label, number % _NUMBERS == 0, skipped is None))
        if skipped is not None:
            f.place(skipped)
        skipped = label
    if skipped is not None:
        f.place(skipped)
    f.ret(f.params[0])
    return f


SHAPES: dict[str, Callable[[int], Function]] = {"face": _face, **programs.SHAPES, "every_op": every_op}
"""Makers of a function of about so many ops, by name; that of the README, `face`, has one size only."""
POOLED = ("face", *programs.SHAPES)
"""The programs that figures over several are of. `every_op` is for comparing libraries, and stands beside them."""


def pooled(shapes: Iterable[str]) -> list[str]:
    """Those of the shapes that are in POOLED. Unavailable if none is."""
    found = [each for each in shapes if each in POOLED]
    if not found:
        raise Unavailable(f"the library has the ops of none of {', '.join(POOLED)}")
    return found


def _rows() -> list[OpRow]:
    """Values, loads, stores and branches, in the order of the table."""
    wanted = (Shape.VALUE, Shape.LOAD, Shape.STORE, Shape.BRANCH)
    rows = [each for _, each in sorted(default_ops().rows.items()) if not each.flags & OpFlag.HIDDEN]
    return [
        each
        for each in rows
        if each.shape in wanted and not (each.shape == Shape.VALUE and each.result_type == NO_TYPE)
    ]


class _Operands:
    """Registers, numbers and offsets for one op after the other."""

    def __init__(self, f: Function, choose: random.Random) -> None:
        self._f = f
        self._choose = choose
        self._written: dict[Type, list[Register]] = {each: [] for each in Type}
        for each, type in zip(f.params, f.register_types):
            self._written[type].append(each)

    def of(self, row: OpRow, label: Label | None, with_number: bool, always_runs: bool) -> list[object]:
        """The operands of an op. One that a branch may skip writes no register for the first time."""
        operands = operands_of_row(row)
        sources = [each for each in operands if each.role is Role.SOURCE]
        numbered = sources[-1] if with_number and len(sources) > 1 and row.shape == Shape.VALUE else None
        values: list[object] = []
        for each in operands:
            if each is numbered:
                values.append(1.5 if _type(each).is_float else self._choose.randrange(3, 100))
            elif each.role is Role.SOURCE:
                values.append(self._choose.choice(self._written[_type(each)]))
            elif each.role is Role.OFFSET:
                values.append(self._choose.randrange(_OFFSETS) * 8)
            elif each.role is Role.LABEL:
                values.append(label)
            else:
                values.append(None)
        if operands[0].role is Role.DESTINATION:  # last, because it may be a register that nothing has written yet
            values[0] = self._destination(_type(operands[0]), always_runs)
        return values

    def _destination(self, type: Type, always_runs: bool) -> Register:
        written = self._written[type]
        if always_runs and len(written) < _REGISTERS:
            written.append(self._f.reg(type))
            return written[-1]
        return self._choose.choice(written)


def _type(operand: Operand) -> Type:
    assert operand.type is not None
    return operand.type
