"""Puts extracted stencils, the core and the op table together into the contents of a library."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnp.build.core import Blob, add_constants
from cnp.build.elf import Constant
from cnp.build.extract import Code, CodeHole
from cnp.build.families import Learned, learn_op
from cnp.build.fields import REGISTER_FIELDS, FieldTable, Learner
from cnp.build.placements import Key, canonical_index, split_index
from cnp.build.rows import register_rows
from cnp.build.table import BuildOp, form_size
from cnp.errors import BuildError
from cnp.stencil.layout import SymbolKind
from cnp.stencil.model import CHUNK_SIZE, WORD, OpFlag
from cnp.stencil.records import Chunk, Family, Hole, Indexed, Stencil
from cnp.stencil.words import Form, Value
from cnp.stencil.writer import Contents
from cnp.target.patch import PatchKind
from cnp.target.record import LIMITS, Target
from cnp.types import Type

ABSENT = Stencil((Chunk(b""),), ())
_MOST_CHUNKS, _MOST_HOLES, _MOST_SIZE = 255, 63, 511


class StencilTable:
    """Stencils by index, each kept once; index 0 stands for an absent one."""

    def __init__(self, blob: Blob, kinds: Sequence[PatchKind], limits: Mapping[str, int]) -> None:
        self._kinds = kinds
        self._limits = limits
        self.stencils: list[Stencil] = [ABSENT]
        self._index: dict[tuple[Stencil, bool], int] = {}
        self._known: dict[Code, int] = {}
        self._blob = blob

    def add(self, code: Code) -> int:
        """The index of a stencil with this code, holes and short form (the next one). BuildError if it is too large."""
        index = self._known.get(code)
        if index is None:
            stencil, short = self._cut(code), self._short(code)
            index = self._index.get((stencil, short is not None))
            if index is None:
                index = self._index[stencil, short is not None] = len(self.stencils)
                self.stencils.append(replace(stencil, short_form=index + 1 if short else 0))
                if short:
                    self.stencils.append(short)
            self._known[code] = index
        return index

    def _short(self, code: Code) -> Stencil | None:
        """The short form, if the core can turn one into the other: all but the last chunk is the same, or the last one
        that the short form has is an instruction that differs in nothing but the way the branch goes, and the long one
        has one more.
        """
        if code.short is None:
            return None
        may_have_less = self._limits["reaches_far"]  # chunks, since the core puts the short form first then
        less = len(code.data) - len(code.short.data)
        long, short = self._cut(code), self._cut(code.short, 0 if may_have_less else less)
        same = len(short.chunks) - 1
        can_replace = 0 <= len(long.chunks) - len(short.chunks) <= may_have_less
        return short if can_replace and long.chunks[:same] == short.chunks[:same] else None

    def _cut(self, code: Code, less: int = 0) -> Stencil:
        """Cut into chunks: each ends with its hole, if it has one, and is a word or holds at most CHUNK_SIZE bytes. The
        last stretch is cut as if it had `less` more bytes.
        """
        size = WORD if self._limits["words"] else CHUNK_SIZE
        chunks: list[Chunk] = []
        holes: list[Hole] = []
        start = 0
        for hole in sorted(code.holes, key=lambda each: each.offset):
            end = hole.offset + hole.kind.width
            chunks += _cut(code.data[start:end], size, less if end == len(code.data) else 0)
            kind = self._kinds.index(hole.kind)
            holes.append(Hole(len(chunks) - 1, hole.value, kind, hole.addend, self._extra(hole), hole.offset))
            start = end
        chunks += _cut(code.data[start:], size, less)
        if len(chunks) > _MOST_CHUNKS or len(holes) > _MOST_HOLES or len(code.data) > _MOST_SIZE:
            raise BuildError(
                f"a stencil of {len(code.data)} bytes, {len(chunks)} chunks and {len(holes)} holes is too large: "
                f"{_MOST_SIZE} bytes, {_MOST_CHUNKS} chunks and {_MOST_HOLES} holes are accepted"
            )
        return Stencil(tuple(chunks), tuple(holes))

    def _extra(self, hole: CodeHole) -> int:
        if isinstance(hole.extra, Constant):
            return self._blob.constants[hole.extra]
        if isinstance(hole.extra, str):
            return self._blob.exports.get(hole.extra, 0)
        return hole.extra


def _cut(data: bytes, size: int, less: int = 0) -> Iterable[Chunk]:
    """Chunks of a stretch whose end is a hole's; with `less` more bytes, only the first may be shorter than `size`."""
    first = (len(data) + less) % size or size
    starts = [0, *range(first, len(data), size)] if data else []
    ends = [*starts[1:], len(data)]
    return [Chunk(data[start:end]) for start, end in zip(starts, ends)]


def constants_of(codes: Iterable[Code]) -> set[Constant]:
    """The constants that stencils refer to."""
    return {hole.extra for code in codes for hole in code.holes if isinstance(hole.extra, Constant)}


def _family(learned: Learned, table: StencilTable) -> Family:
    stencils = {groups: table.add(code) for groups, code in learned.codes.items()}
    return Family(learned.groups, learned.fields, stencils)


def _code(
    op: BuildOp, form: Form, index: int, target: Target, codes: Mapping[Key, Code], table: FieldTable
) -> Code | None:
    """The stencil of a placement; None if it has none."""
    *alternatives, pattern = split_index(op, form, index)
    rows = register_rows(op, form, alternatives, pattern, target)
    found = {row: codes[key] for row in rows if (key := (op.row.code, int(form), index, row)) in codes}
    if len(found) < len(rows) or not rows:
        return None
    if target.groups is None:
        return found[rows[0]]
    types = [op.source.result, *op.row.operand_types, None, None, None][:4]
    files = tuple(type is not None and type.is_float for type in types)
    name = f"op {op.row.method}, form {form.name}, placement {index}, {op.source.place}"
    masks = _masks(target, table, is_general=_is_general(target, files, alternatives, rows[0]))
    return Learner(target, table, (files[0], files[1], files[2], files[3]), masks, name).learn(found)


def _is_general(target: Target, files: Sequence[bool], alternatives: Sequence[int], registers: Sequence[int]) -> bool:
    """Whether a placement has registers of several groups."""
    assert target.groups is not None
    return any(
        register >= 0 and alternative == len(target.groups[file]) - 1
        for file, alternative, register in zip(files, alternatives, registers)
    )


def _masks(target: Target, table: FieldTable, is_general: bool) -> tuple[int, int]:
    """The bits of registers' numbers that are in fields, by file."""
    assert target.groups is not None
    first, second = (
        table.mask(is_float, tuple(itertools.chain(*groups)) if is_general else groups[0])
        for is_float, groups in zip((False, True), target.groups)
    )
    return first, second


@dataclass(frozen=True, slots=True)
class Assembled:
    """The contents of a library, and how many placements share its stencils."""

    contents: Contents
    placements: int


def assemble(
    target: Target,
    ops: Sequence[BuildOp],
    codes: Mapping[Key, Code],
    controls: Mapping[str, Code],
    core: Blob,
    abi_hash: int,
    survivors: Sequence[int],
    meta: Mapping[str, Any],
) -> Assembled:
    """Number everything. The order is that of the ops, their forms and placements, then control and padding."""
    blob = add_constants(core, constants_of([*codes.values(), *controls.values()]))
    kinds = [*target.kinds, *REGISTER_FIELDS.values()]
    table, fields = StencilTable(blob, kinds, target.limits), FieldTable(target)
    placements = [0]
    rows = []
    for op in ops:
        may_trap = False
        for form in Form:
            known: dict[int, Code | None] = {}
            for index in range(form_size(op, form)):
                index = canonical_index(op, form, index, target)
                if index not in known:
                    known[index] = _code(op, form, index, target, codes, fields)
                code = known[index]
                placements.append(table.add(code) if code else 0)
                may_trap |= code is not None and any(hole.value == Value.EXIT for hole in code.holes)
        stays = may_trap or op.source.touches_memory
        flags = op.row.flags | OpFlag.MAY_TRAP if stays else op.row.flags & ~OpFlag.MAY_TRAP
        rows.append(replace(op.row, flags=flags))
    families: list[Family] = []
    for number, op in enumerate(ops):
        learned = learn_op(op, target, codes)
        indexed = op.row.indexed if learned else Indexed()
        rows[number] = replace(rows[number], indexed=indexed, families=len(families))
        families += [_family(each, table) for each in learned]
    control = {name: table.add(code) for name, code in controls.items()}
    padding = [table.add(Code(code, ())) if code else 0 for code in target.padding]
    symbols = [(SymbolKind.EXPORT, name, offset) for name, offset in blob.exports.items()]
    symbols += [(SymbolKind.CONTROL, name, index) for name, index in control.items()]
    symbols += [(SymbolKind.PADDING, "", index) for index in padding]
    symbols += [(SymbolKind.ARGUMENT, "", register) for register in target.integer_arguments]
    symbols += [(SymbolKind.RESULT, "", target.integer_result), (SymbolKind.FLOAT_RESULT, "", target.float_result)]
    symbols += [(SymbolKind.SURVIVOR, "", register) for register in survivors]
    symbols += [(SymbolKind.SCRATCH, "", register) for register in target.scratch_registers]
    symbols += [(SymbolKind.FEATURE, name, 0) for name in target.features]
    for kind, names, type in (
        (SymbolKind.INTEGER_REGISTER, target.integer_registers, Type.i64),
        (SymbolKind.FLOAT_REGISTER, target.float_registers, Type.f64),
    ):
        groups = target.register_groups(type)
        symbols += [
            (kind, name, next(group for group, members in enumerate(groups) if number in members))
            for number, name in enumerate(names)
        ]
    symbols += [(SymbolKind.LIMIT, name, target.limits[name]) for name in LIMITS]
    contents = Contents(
        target=target.name,
        abi_hash=abi_hash,
        integer_registers=len(target.integer_registers),
        float_registers=len(target.float_registers),
        ops=rows,
        placements=placements,
        families=families,
        kinds=kinds,
        classes=target.classes,
        fields=fields.rows,
        stencils=table.stencils,
        blob=blob.data,
        symbols=symbols,
        meta=meta,
    )
    return Assembled(contents, sum(map(bool, placements)))
