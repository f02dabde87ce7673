"""Turns the ops of the sources into rows of the op table: forms, alternatives at each operand, fused branches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cnp.build.ops import SourceOp
from cnp.stencil.model import NO_OP, NO_RESULT, OpFlag, Shape
from cnp.stencil.records import Indexed, Op
from cnp.stencil.words import Form
from cnp.target.record import Access, Role, Target
from cnp.types import Type

SHIFT = re.compile(r"i(32|64)_(shl|shr_s|shr_u|rotl|rotr)")
PATTERNS = 4
"""Whether the destination's register is also that of the first, and of the second other operand."""


@dataclass(frozen=True, slots=True)
class BuildOp:
    """An op row, with what the generator needs to write its stencils."""

    row: Op
    source: SourceOp
    function: str  # of C: the op itself, or the comparison that a branch tests
    negated: bool = False  # a branch that is taken when the comparison does not hold


def build_table(sources: Sequence[SourceOp], target: Target) -> list[BuildOp]:
    """All rows in their final order: each op, and after a comparison its branches."""
    drafts: list[BuildOp] = []
    for source in sources:
        drafts.append(_value_op(source, target))
        if source.attribute == "COMPARISON":
            drafts.append(_branch_op(source, target, negated=False))
            if source.inverse is None:
                drafts.append(_branch_op(source, target, negated=True))
    return _number(drafts)


def _number(drafts: Sequence[BuildOp]) -> list[BuildOp]:
    """Fill in indices that are known only when all rows are: of other ops, and of first placements."""
    index = {draft.row.method: code for code, draft in enumerate(drafts)}
    result, base = [], 1  # placement 0 is nothing's
    for code, draft in enumerate(drafts):
        source, row = draft.source, draft.row
        prefix = ""
        if row.shape == Shape.BRANCH:
            prefix = "branch_not_" if draft.negated else "branch_"
        swapped = index.get(prefix + source.swapped, NO_OP) if source.swapped else NO_OP
        if draft.negated:
            inverse = index["branch_" + source.name]
        elif source.inverse is not None:
            inverse = index[prefix + source.inverse]
        else:
            inverse = index.get("branch_not_" + source.name, NO_OP) if prefix else NO_OP
        branch = index["branch_" + source.name] if row.flags & OpFlag.COMPARISON and not prefix else NO_OP
        bases = []
        for form in Form:
            bases.append(base if row.forms >> form & 1 else 0)
            base += form_size(draft, form)
        row = replace(row, code=code, swapped=swapped, inverse=inverse, branch=branch, bases=tuple(bases))
        result.append(replace(draft, row=row))
    return result


def form_size(op: BuildOp, form: Form) -> int:
    """How many placements a form has; 0 if the op does not have the form."""
    if not op.row.forms >> form & 1:
        return 0
    size = op.row.patterns
    for alternatives in form_alternatives(op, form):
        size *= alternatives
    return size


def form_alternatives(op: BuildOp, form: Form) -> tuple[int, int, int, int]:
    """How many alternatives d, a, b and c have in a form. An index is row-major, patterns before them all."""
    row = op.row
    d, a, b, c = row.alternatives
    if form == Form.FREE:
        return d, a, b, c
    if form == Form.FREE_IMMEDIATE:
        return d, a, row.classes[1].bit_count(), 1
    if form == Form.REVERSED:
        return 1, row.reversed_alternatives, b - row.classes[1].bit_count(), c
    return 1, a, b, c


def _value_op(source: SourceOp, target: Target) -> BuildOp:
    operands = _operand_types(source)
    masks = _masks(source, operands, target)
    forms = _forms(source, operands, target)
    flags = OpFlag(0)
    if source.attribute == "COMMUTATIVE":
        flags |= OpFlag.COMMUTATIVE
    if source.attribute == "COMPARISON":
        flags |= OpFlag.COMPARISON
    if source.traps:
        flags |= OpFlag.MAY_TRAP
    if SHIFT.fullmatch(source.name):
        flags |= OpFlag.SHIFT
    if source.shape == Shape.STORE and _accessed(source, operands) == 1:
        flags |= OpFlag.STORES_BYTE
    hidden = source.attribute in ("MOVE", "TABLE", "MAGIC") or source.name.endswith("_select")
    if hidden:
        flags |= OpFlag.HIDDEN
    reversed_class = 0
    reversed_alternatives = 1
    if Form.REVERSED in forms:
        if len(operands) == 2:
            reversed_class = target.class_mask(Role.REVERSED, Access(source.name, operands[0]))
        reversed_alternatives = _places(operands[0], target) + reversed_class.bit_count()
    counts = [1]
    if source.result is not None and forms & {Form.FREE, Form.FREE_IMMEDIATE}:
        counts = [_places(source.result, target)]
    counts += _alternatives(source, operands, masks, target)
    row = Op(
        method=source.name if source.shape != Shape.TABLE else "branch_table",
        shape=source.shape,
        result_type=NO_RESULT if source.result is None else source.result,
        operand_types=operands,
        flags=flags,
        forms=sum(1 << form for form in forms),
        swapped=NO_OP,
        inverse=NO_OP,
        branch=NO_OP,
        alternatives=(counts[0], counts[1], counts[2], counts[3]),
        classes=masks,
        reversed_class=reversed_class,
        reversed_alternatives=reversed_alternatives,
        patterns=1 if target.groups is None else PATTERNS,
        bases=(0,) * len(Form),
        doc=source.body,
        source_line=source.place,
        indexed=_indexed(source, operands, masks, target),
    )
    return BuildOp(row, source, source.name)


def _branch_op(source: SourceOp, target: Target, negated: bool) -> BuildOp:
    value = _value_op(source, target)
    operands = _operand_types(source)
    masks = (0, 0, 0)
    if len(operands) == 2:
        masks = (0, target.class_mask(Role.OPERAND, Access("branch_" + source.name, operands[1])), 0)
    counts = _alternatives(source, operands, masks, target)
    row = replace(
        value.row,
        method=("branch_not_" if negated else "branch_") + source.name,
        shape=Shape.BRANCH,
        result_type=NO_RESULT,
        flags=value.row.flags & ~OpFlag.COMMUTATIVE | (OpFlag.HIDDEN if negated else OpFlag(0)),
        forms=1 << Form.FREE,
        alternatives=(1, counts[0], counts[1], counts[2]),
        classes=masks,
        reversed_class=0,
        reversed_alternatives=1,
    )
    return BuildOp(row, source, source.name, negated=negated)


def _operand_types(source: SourceOp) -> tuple[Type, ...]:
    """Types of a, b and c. A store's value comes first; an address is the i64 base of a base and an offset."""
    if source.shape == Shape.STORE:
        return tuple(sorted((each for each in source.operands if each is not None), key=int)) + (Type.i64,)
    return tuple(Type.i64 if each is None else each for each in source.operands)


def _forms(source: SourceOp, operands: Sequence[Type], target: Target) -> set[Form]:
    if source.shape == Shape.MAGIC:
        return {Form.TIED, Form.SCRATCH}
    if source.shape != Shape.VALUE or len(operands) == 1:
        return {Form.FREE}
    if source.name in target.three_address if target.three_address is not None else len(operands) < 3:
        return {Form.FREE}
    if source.result is None or source.result.is_float != operands[0].is_float:
        return {Form.SLOT_RESULT}
    forms = {Form.TIED}
    if source.attribute == "COMPARISON":
        return forms
    if source.name in target.three_address_immediate:
        forms.add(Form.FREE_IMMEDIATE)
    if source.attribute != "COMMUTATIVE" and operands[1].is_float == operands[0].is_float:
        forms.add(Form.REVERSED)
    return forms


def _indexed(source: SourceOp, operands: Sequence[Type], masks: Masks, target: Target) -> Indexed:
    """Which families an op may have. A scale other than 0 is that of an array of what is accessed."""
    if source.name in ("i32_add", "i64_add"):
        return Indexed(sum(1 << scale for scale in target.add_scales))
    if source.shape not in (Shape.LOAD, Shape.STORE) or not target.indexed_offsets:
        return Indexed()
    scale = _accessed(source, operands).bit_length() - 1
    role, access = Role.INDEXED_OFFSET, _access(source, operands)
    stored = source.shape == Shape.STORE and target.class_mask(Role.INDEXED_STORED, access)
    mask = stored or (target.class_mask(role, access) if target.indexed_offsets > 1 else 0)
    return Indexed(1 | 1 << scale, target.indexed_offsets, 2 if stored else 1, max(mask.bit_length() - 1, 0))


def _accessed(source: SourceOp, operands: Sequence[Type]) -> int:
    """How many bytes a load or store accesses."""
    type = operands[0] if source.result is None else source.result
    narrow = re.search(r"(?:load|store)(8|16|32)(?:_|$)", source.name)
    return (int(narrow[1]) if narrow else type.bits) // 8


def _access(source: SourceOp, operands: Sequence[Type]) -> Access:
    return Access(source.name, operands[0], _accessed(source, operands))


Masks = tuple[int, int, int]


def _masks(source: SourceOp, operands: Sequence[Type], target: Target) -> Masks:
    """The immediate classes of a, b and c."""
    if source.shape in (Shape.LOAD, Shape.STORE):
        access, base = _access(source, operands), Access(source.name, Type.i64)
        address = (target.class_mask(Role.BASE, base), target.class_mask(Role.OFFSET, access))
        return (*address, 0) if source.shape == Shape.LOAD else (target.class_mask(Role.STORED, access), *address)
    if source.shape == Shape.MAGIC or SHIFT.fullmatch(source.name):
        return 0, target.class_mask(Role.SHIFT, Access(source.name, operands[0])), 0
    if source.attribute == "MOVE":
        return target.class_mask(Role.MOVE, Access(source.name, operands[0])), 0, 0
    if source.shape != Shape.VALUE or len(operands) != 2:
        return 0, 0, 0
    role = Role.BASE if source.operands[1] is None else Role.OPERAND
    return 0, target.class_mask(role, Access(source.name, operands[1])), 0


def _places(type: Type, target: Target) -> int:
    """How many alternatives are no immediates: groups of registers, and a slot."""
    return len(target.register_groups(type)) + 1


def _alternatives(source: SourceOp, operands: Sequence[Type], masks: Masks, target: Target) -> list[int]:
    """How many alternatives a, b and c have. An offset, and a magic shift, are never in a register."""
    counts = [_places(type, target) + mask.bit_count() for type, mask in zip(operands, masks)]
    if source.shape in (Shape.LOAD, Shape.STORE):
        counts.append(masks[len(operands)].bit_count())
    if source.shape == Shape.MAGIC:
        counts[1] = masks[1].bit_count()
    return counts + [1] * (3 - len(counts))
