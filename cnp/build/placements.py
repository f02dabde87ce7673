"""Where the operands of an op may live: every placement that is compiled, and which one's stencil serves another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnp.build.rows import register_rows
from cnp.build.table import BuildOp, form_alternatives, form_size
from cnp.stencil.model import OpFlag, Shape
from cnp.stencil.words import Form
from cnp.target.record import Target
from cnp.types import Type

Key = tuple[int, int, int, "tuple[int, ...] | None"]
"""Of a placement: its op's code, its form, its index, and the registers if others share its stencil."""


Group = tuple[int, int, int, bool]
"""Of placements that differ in registers alone: the first three of their keys."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What the placements of a family have in common."""

    scale: int  # the index is shifted by so much
    offset: int | None  # number of an immediate class
    immediate: bool  # the value that is stored is one


@dataclass(frozen=True, slots=True)
class Placement:
    """One placement of one op: the alternative of each operand, numbered as in the library."""

    op: BuildOp
    form: Form
    index: int  # within the form; or the number of a family of the op
    d: int
    a: int
    b: int
    c: int
    variant: Variant | None = None  # of a family; then the index is in a register
    registers: tuple[int, ...] = ()  # of a family: at each position; else of d, a, b and c, -1 where there is none

    def all_in_registers(self, target: Target) -> bool:
        """Whether no operand is in the frame or an immediate: others may be short of scratch registers."""
        if self.variant:
            return max(self.registers[1:]) < target.registers(Type.i64) and not self.variant.immediate
        row, source = self.op.row, self.op.source
        has_destination = self.form in (Form.FREE, Form.FREE_IMMEDIATE) and row.shape in (Shape.VALUE, Shape.LOAD)
        if has_destination and source.result is not None and self.registers[0] < 0:
            return False
        return all(number >= 0 for _, number in zip(row.operand_types, self.registers[1:]))

    def has_floats(self, target: Target) -> bool:
        """Whether its code may touch float registers: a table's jump keeps them in place by name, and what ops of the
        user's own do inside is not known.
        """
        types = [self.op.source.result, *self.op.row.operand_types]
        is_own = Path(self.op.source.path).is_absolute()
        takes = self.op.function in target.float_users or any(type and type.is_float for type in types)
        return takes or is_own or self.op.row.shape == Shape.TABLE

    def describe(self, target: Target) -> str:
        """`i64_add FREE (d=r1, a=slot, b=alternative 12), integer.c:8`, for messages."""
        row = self.op.row
        places = []
        if form_alternatives(self.op, self.form)[0] > 1 and self.op.source.result is not None:
            places.append(_place("d", self.d, self.registers[0], self.op.source.result, target))
        numbers = (self.a, self.b, self.c) if self.variant else self.registers[1:]
        for letter, type, alternative, number in zip("abc", row.operand_types, (self.a, self.b, self.c), numbers):
            places.append(_place(letter, alternative, number, type, target))
        return f"op {row.method}, form {self.form.name} ({', '.join(places)}), {self.op.source.place}"

    def is_general(self, target: Target) -> bool:
        """Whether its code must not depend on which registers it has, not even its size."""
        groups = target.groups
        return groups is not None and max(map(len, groups)) > 1 and not self._has_short_registers(target)

    def _has_short_registers(self, target: Target) -> bool:
        types = [self.op.source.result, *self.op.row.operand_types]
        alternatives = (self.d, self.a, self.b, self.c)
        return all(
            alternative == 0
            for type, alternative, register in zip(types, alternatives, self.registers)
            if type is not None and register >= 0 and len(target.register_groups(type)) > 1
        )

    @property
    def positions(self) -> frozenset[int]:
        """Those of d, a, b and c, as numbers, that are in registers."""
        return frozenset(position for position, register in enumerate(self.registers) if register >= 0)

    def long_positions(self, target: Target) -> frozenset[int]:
        """Those that are in registers which not all instructions take."""
        types = [self.op.source.result, *self.op.row.operand_types]
        return frozenset(
            position
            for position in self.positions
            if (type := types[position]) is not None and self.registers[position] not in target.register_groups(type)[0]
        )

    @property
    def label(self) -> str:
        """The name of its C functions, up to the variant."""
        registers = "_".join("n" if each < 0 else str(each) for each in self.registers)
        return f"{self.op.row.method}__{int(self.form)}_{self.index}_{registers}" + "i" * bool(self.variant)

    @property
    def group(self) -> Group:
        """What it has in common with those that differ in registers alone."""
        return self.op.row.code, int(self.form), self.index, self.variant is not None

    @property
    def key(self) -> Key:
        """What it is kept under."""
        return self.op.row.code, int(self.form), self.index, self.registers


def _place(letter: str, alternative: int, number: int, type: Type, target: Target) -> str:
    groups = len(target.register_groups(type))
    if alternative < groups:
        return f"{letter}={'f' if type.is_float else 'r'}{number}"
    return f"{letter}=slot" if alternative == groups else f"{letter}=immediate {alternative - groups - 1}"


def enumerate_placements(op: BuildOp, target: Target) -> Iterator[Placement]:
    """Every placement of an op that is compiled, form by form, in index order.

    Where registers share a stencil there are several placements an index, from which the build learns their fields.
    """
    for form in Form:
        for index in range(form_size(op, form)):
            if canonical_index(op, form, index, target) != index:
                continue
            d, a, b, c, pattern = split_index(op, form, index)
            for registers in register_rows(op, form, (d, a, b, c), pattern, target):
                yield Placement(op, form, index, d, a, b, c, registers=registers)


def split_index(op: BuildOp, form: Form, index: int) -> tuple[int, int, int, int, int]:
    """The alternatives of d, a, b and c, and the pattern."""
    n_d, n_a, n_b, n_c = form_alternatives(op, form)
    rest, c = divmod(index, n_c)
    rest, b = divmod(rest, n_b)
    rest, a = divmod(rest, n_a)
    pattern, d = divmod(rest, n_d)
    return d, a, b, c, pattern


def canonical_index(op: BuildOp, form: Form, index: int, target: Target) -> int:
    """The placement whose stencil serves this one.

    A commutative op with a and b exchanged needs one, not two. Where registers fall into groups, what has one of the
    last group, which is any register, serves them all.
    """
    row = op.row
    if target.groups is not None:
        return _general_index(op, form, index, target)
    if form != Form.FREE or not row.flags & OpFlag.COMMUTATIVE:
        return index
    _, n_a, n_b, _ = form_alternatives(op, form)
    rest, b = divmod(index, n_b)
    d, a = divmod(rest, n_a)
    return (d * n_a + b) * n_b + a if b < a else index


def _general_index(op: BuildOp, form: Form, index: int, target: Target) -> int:
    types = [op.source.result if op.row.shape != Shape.BRANCH else None, *op.row.operand_types, *[None] * 3][:4]
    *alternatives, pattern = split_index(op, form, index)
    counts = form_alternatives(op, form)
    in_registers = [
        type is not None and count > 1 and alternative < len(target.register_groups(type))
        for type, count, alternative in zip(types, counts, alternatives)
    ]
    if form == Form.FREE_IMMEDIATE or op.row.shape == Shape.MAGIC:
        in_registers[2] = False
    if not any(inside and alternative for inside, alternative in zip(in_registers, alternatives)):
        return index
    general = [
        len(target.register_groups(type)) - 1 if inside and type is not None else alternative
        for inside, type, alternative in zip(in_registers, types, alternatives)
    ]
    number = pattern
    for count, alternative in zip(counts, general):
        number = number * count + alternative
    return number
