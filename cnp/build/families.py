"""Learns register fields: from the code of many placements of an indexed op to a few stencils and the bits that differ.

Placements that differ in registers only are compiled for some of all registers: each varies alone at each position, and
in an op's first family, where every register has stencils of its own, every two registers at every two positions meet.
What a register contributes is taken from placements that differ in it alone; then every placement compiled must be the
exclusive or of what its registers contribute, or the op has no families.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cnp.build.extract import Code
from cnp.build.placements import Key, Placement, Variant
from cnp.build.table import BuildOp
from cnp.errors import BuildError
from cnp.stencil.model import MOST_GROUPS, Shape
from cnp.stencil.words import Form
from cnp.target.record import Target
from cnp.types import Type

Registers = tuple[int, int, int]
"""Of the destination or stored value (0 where that is an immediate), the base and the index; for the latter two the
number behind the last register stands for a frame slot."""

_FIELD_SIZE = 4


def variants(op: BuildOp) -> list[Variant]:
    """The families of an op, in the order of the library."""
    indexed = op.row.indexed
    kinds: list[tuple[int | None, bool]] = [(None, False), (indexed.number, False)][: indexed.offsets]
    kinds += [(None, True)] * (indexed.values - 1)
    scales = [scale for scale in range(8) if indexed.scales >> scale & 1]
    return [Variant(scale, offset, immediate) for scale in scales for offset, immediate in kinds]


def family_placements(op: BuildOp, target: Target) -> Iterator[Placement]:
    """What is compiled to learn the families of an op: `Placement.index` is the number of its variant."""
    for number, variant in enumerate(variants(op)):
        for registers in _array(number, _sizes(op, variant, target), target):
            yield placement_of(op, target, number, variant, registers)


def placement_of(op: BuildOp, target: Target, number: int, variant: Variant, registers: Registers) -> Placement:
    """One placement of a family."""
    first, base, _ = registers
    a = b = d = 0
    if op.row.shape == Shape.STORE:
        immediate = len(target.register_groups(op.row.operand_types[0])) + 1  # there is only one class then
        a, b = immediate if variant.immediate else first, base
    else:
        d, a = first, base
    return Placement(op, Form.FREE, number, d, a, b, 0, variant, registers)


def _sizes(op: BuildOp, variant: Variant, target: Target) -> Registers:
    """How many alternatives there are at each position."""
    type = op.row.operand_types[0] if op.row.shape == Shape.STORE else op.source.result
    assert type is not None
    places = target.registers(Type.i64) + 1
    return (1 if variant.immediate else target.registers(type)), places, places


def _array(number: int, sizes: Registers, target: Target) -> list[Registers]:
    """The registers to compile an op's variant with: lines where one varies alone, and some of each group together.

    Variants differ in the scale and in what is added, which is nowhere near registers: where registers do not share
    stencils anyway, every two of them at every two positions meet in the first variant alone.
    """
    first, base, index = sizes
    rows = {(x, y, z) for x in _some(first, target) for y in _some(base, target) for z in _some(index, target)}
    if target.groups is None and number == 0:
        rows |= {(x % first, y, (x + y) % index) for x in range(max(first, base)) for y in range(base)}
        rows |= {(x, y, z) for x in range(0, first, 3) for y in range(0, base, 3) for z in range(0, index, 3)}
    for fixed in _references(sizes, target):
        for position, size in enumerate(sizes):
            rows |= {_with(fixed, position, register) for register in range(size)}
    return sorted(rows)


def _some(size: int, target: Target) -> list[int]:
    """The first and the last two alternatives, and one between where there may be several groups."""
    middle = {size // 3} if target.groups is None else set()
    return sorted({0, max(size - 2, 0), size - 1} | middle)


def _references(sizes: Registers, target: Target) -> list[Registers]:
    """What stays when one position varies: the first registers, and the last.

    On x86-64 any register from r8 on makes a prefix necessary, which hides what another one does to it: the first
    registers are of those, the last is not. Where all registers share stencils nothing hides a field.
    """
    first, base, index = sizes
    last = [(first - 1, base - 2, index - 2)] if target.groups is None else []
    return [(0, 0, 0), *last]


def _with(registers: Registers, position: int, register: int) -> Registers:
    x, y, z = registers
    return (register, y, z) if position == 0 else (x, register, z) if position == 1 else (x, y, register)


@dataclass(frozen=True, slots=True)
class Learned:
    """A family whose stencils are not numbered yet."""

    groups: tuple[tuple[int, ...], ...]
    fields: tuple[tuple[int, ...], ...]
    codes: Mapping[Registers, Code]  # by groups


class NotFields(BuildError):
    """The code of an op's placements is not made of register fields."""


def learn(op: BuildOp, variant: Variant, target: Target, codes: Mapping[Registers, Code]) -> Learned:
    """Tell registers' fields from the rest. NotFields, naming registers, where code is not made of such fields."""
    sizes = _sizes(op, variant, target)
    name = f"op {op.row.method}, index shifted by {variant.scale}, {op.source.place}"
    groups, fields = [], []
    for position, size in enumerate(sizes):
        lines = [[codes[_with(fixed, position, each)] for each in range(size)] for fixed in _references(sizes, target)]
        keys = [tuple(_outside(line[each]) for line in lines) for each in range(size)]
        distinct = list(dict.fromkeys(keys))
        if len(distinct) > MOST_GROUPS:
            raise NotFields(f"{name}: registers at position {position} fall into {len(distinct)} groups, not fields")
        groups.append(tuple(distinct.index(key) for key in keys))
        fields.append(tuple(_field(lines[0][each]) ^ _field(lines[0][keys.index(keys[each])]) for each in range(size)))
    made: dict[Registers, Code] = {}
    for registers, code in sorted(codes.items()):
        x, y, z = registers
        combination = (groups[0][x], groups[1][y], groups[2][z])
        plain = _xor(code, fields[0][x] ^ fields[1][y] ^ fields[2][z])
        if any(hole.offset + hole.kind.width > len(code.data) - _FIELD_SIZE for hole in code.holes[:-1]):
            raise NotFields(f"{name}: a hole is where register fields are")
        if made.setdefault(combination, plain) != plain:
            raise NotFields(f"{name}: the code of registers {registers} is not that of others with other fields")
    for missing in set(itertools.product(*groups)) - set(made):
        raise NotFields(f"{name}: no placement of groups {missing} was compiled")
    return Learned(tuple(groups), tuple(fields), made)


def _outside(code: Code) -> object:
    """All that a register's field is not."""
    return len(code.data), code.data[:-_FIELD_SIZE], code.holes


def _field(code: Code) -> int:
    return int.from_bytes(code.data[-_FIELD_SIZE:].rjust(_FIELD_SIZE, b"\0"), "little")


def _xor(code: Code, field: int) -> Code:
    size = min(len(code.data), _FIELD_SIZE)
    changed = (_field(code) ^ field).to_bytes(_FIELD_SIZE, "little")
    return replace(code, data=code.data[:-size] + changed[_FIELD_SIZE - size :])


def learn_op(op: BuildOp, target: Target, codes: Mapping[Key, Code]) -> list[Learned]:
    """The families of an op, or none: what an op does may take more than register fields can tell, or more registers.

    On x86-64 clang takes two instructions for a load that extends a sign to 32 bits.
    """
    found: list[Learned] = []
    for number, variant in enumerate(variants(op)):
        registers = _array(number, _sizes(op, variant, target), target)
        keys = {each: placement_of(op, target, number, variant, each).key for each in registers}
        if not all(key in codes for key in keys.values()):
            return []
        try:
            found.append(learn(op, variant, target, {each: codes[key] for each, key in keys.items()}))
        except NotFields:
            return []
    return found
