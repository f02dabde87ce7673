"""Writes a stencil library: the model's rows packed into the sections of the file format."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnp.errors import InternalError
from cnp.stencil.layout import (
    CHECKSUM_OFFSET,
    CHECKSUM_SIZE,
    CHUNK,
    CLASS,
    DIGEST_OFFSET,
    DIGEST_SIZE,
    FAMILY,
    FIELD,
    HEADER,
    HEADER_SIZE,
    HOLE,
    KIND,
    KIND_SIZE,
    MAGIC,
    OP,
    RUN,
    SECTION_ALIGNMENT,
    SECTION_ENTRY,
    SEGMENT,
    SYMBOL,
    SectionName,
    SymbolKind,
    library_checksum,
    library_digest,
    pack_stencil,
)
from cnp.stencil.model import CHUNK_SIZE, FORMAT_VERSION, MOST_GROUPS, MOST_REGISTERS, NO_OP
from cnp.stencil.records import Family, Hole, Op, Stencil
from cnp.stencil.words import FieldShape
from cnp.target.immediate import ImmediateClass
from cnp.target.patch import PatchKind, Segment

_MOST = 2**63 - 1
"""What a number of 64 bits without a sign is at the most, as one with a sign: all of them are in range."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a library file says."""

    target: str
    abi_hash: int
    integer_registers: int
    float_registers: int
    ops: Sequence[Op]
    placements: Sequence[int]  # index of a stencil; 0 is absent
    families: Sequence[Family]
    kinds: Sequence[PatchKind]
    classes: Sequence[ImmediateClass]
    fields: Sequence[Sequence[int]]  # by register
    stencils: Sequence[Stencil]  # the first stands for an absent one
    blob: bytes
    symbols: Sequence[tuple[SymbolKind, str, int]]
    meta: Mapping[str, Any]


def library_bytes(contents: Contents) -> bytes:
    """The file, byte for byte a function of the contents."""
    names = _Names()
    ops = b"".join(_op_row(op, names) for op in contents.ops)
    runs = _Runs(contents.stencils)
    stencils, holes = _stencils_and_holes(contents.stencils, runs)
    symbols = [SYMBOL.pack(kind, names.offset(name), value) for kind, name, value in contents.symbols]
    sections = {
        SectionName.OPS: ops,
        SectionName.NAMES: bytes(names.data),
        SectionName.PLACEMENTS: struct.pack(f"<{len(contents.placements)}I", *contents.placements),
        SectionName.STENCILS: stencils,
        SectionName.HOLES: holes,
        SectionName.CHUNKS: b"".join(map(_chunk_row, runs.chunks)),
        SectionName.RUNS: b"".join(map(RUN.pack, runs.rows)),
        SectionName.BLOB: contents.blob,
        SectionName.SYMBOLS: b"".join(symbols),
        SectionName.META: json.dumps(contents.meta, sort_keys=True, separators=(",", ":")).encode(),
        SectionName.FAMILIES: b"".join(map(_family_row, contents.families)),
        SectionName.KINDS: b"".join(map(kind_row, contents.kinds)),
        SectionName.CLASSES: b"".join(
            CLASS.pack(each.name.encode(), each.low, min(each.high, _MOST), each.scale, each.pattern, each.loaded)
            for each in contents.classes
        ),
        SectionName.FIELDS: b"".join(FIELD.pack(*_filled(row)) for row in contents.fields),
    }
    table, parts, at = b"", [], HEADER_SIZE
    for name in SectionName:
        padding = -at % SECTION_ALIGNMENT
        parts += [bytes(padding), sections[name]]
        table += SECTION_ENTRY.pack(at + padding, len(sections[name]))
        at += padding + len(sections[name])
    body = b"".join(parts)
    header = HEADER.pack(
        MAGIC, FORMAT_VERSION, HEADER_SIZE, contents.target.encode(), contents.abi_hash, bytes(32), at,
        len(SectionName), contents.integer_registers, contents.float_registers, 0,
    ) + table  # fmt: skip
    header = header.ljust(HEADER_SIZE, b"\0")
    data = bytearray(header + body)
    data[DIGEST_OFFSET : DIGEST_OFFSET + DIGEST_SIZE] = library_digest(data)
    data[CHECKSUM_OFFSET : CHECKSUM_OFFSET + CHECKSUM_SIZE] = library_checksum(data).to_bytes(CHECKSUM_SIZE, "little")
    return bytes(data)


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file whole: written beside it, then renamed, so that no reader ever sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class _Names:
    """NUL-terminated strings, each kept once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._offsets: dict[str, int] = {}

    def offset(self, text: str) -> int:
        if text not in self._offsets:
            self._offsets[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self._offsets[text]


def _op_row(op: Op, names: _Names) -> bytes:
    types = list(op.operand_types) + [0] * (3 - len(op.operand_types))
    return OP.pack(
        names.offset(op.method), op.shape, op.result_type, len(op.operand_types), *types, op.flags, op.forms,
        op.swapped, op.inverse, op.branch, NO_OP, *op.alternatives, op.reversed_alternatives, op.patterns,
        *op.classes, op.reversed_class, *op.bases, names.offset(op.doc), names.offset(op.source_line),
        op.families, op.indexed.scales, op.indexed.offsets, op.indexed.values, op.indexed.number,
    )  # fmt: skip


def kind_row(kind: PatchKind) -> bytes:
    """`struct patch_kind`."""
    head = KIND.pack(
        kind.flags, kind.width, len(kind.segments), _shape(kind), kind.bias, kind.scale, kind.mask, kind.low,
        min(kind.high, _MOST),
    )  # fmt: skip
    return (head + b"".join(SEGMENT.pack(each.start, each.bits, each.to, each.flags) for each in kind.segments)).ljust(
        KIND_SIZE, b"\0"
    )


def _shape(kind: PatchKind) -> FieldShape:
    if len(kind.segments) > 1 or kind.segments[0].flags:
        return FieldShape.SEGMENTS
    is_value = kind.segments[0] == Segment(0, 32, 0) and (kind.bias, kind.scale) == (0, 1)
    is_signed = (kind.low, kind.high) == (-(1 << 31), (1 << 31) - 1)
    return FieldShape.WHOLE if is_value and is_signed else FieldShape.ONE_SEGMENT


def _chunk_row(code: bytes) -> bytes:
    return CHUNK.pack(code.rjust(CHUNK_SIZE, b"\0"), -len(code))


def _family_row(family: Family) -> bytes:
    fields = [each for position in family.fields for each in _filled(position)]
    groups = [each for position in family.groups for each in _filled(position)]
    number = range(MOST_GROUPS)
    stencils = [family.stencils.get((x, y, z), 0) for x in number for y in number for z in number]
    return FAMILY.pack(*fields, *stencils, *groups)


def _filled(row: Sequence[int]) -> list[int]:
    return [*row, *([0] * (MOST_REGISTERS - len(row)))]


class _Runs:
    """The chunk table, each chunk once, and the run table: the chunks of stencils that have several.

    A run that is part of another is not written again.
    """

    def __init__(self, stencils: Sequence[Stencil]) -> None:
        self.chunks: dict[bytes, int] = {}
        self.rows: list[int] = []
        self._start: dict[tuple[bytes, ...], int] = {}
        runs = {_run(stencil): None for stencil in stencils}
        for run in runs:
            for code in run:
                self.chunks.setdefault(code, len(self.chunks))
        # Longest first, so that shorter runs are found inside them.
        for run in sorted((run for run in runs if len(run) > 1), key=len, reverse=True):
            if run not in self._start:
                self._add(run)

    def _add(self, run: tuple[bytes, ...]) -> None:
        base = len(self.rows)
        self.rows += [self.chunks[code] for code in run]
        for first in range(len(run)):
            for last in range(first + 2, len(run) + 1):
                self._start.setdefault(run[first:last], base + first)

    def start(self, stencil: Stencil) -> int:
        """A stencil's chunk, or the row of RUNS where its chunks are."""
        run = _run(stencil)
        return self._start[run] if len(run) > 1 else self.chunks[run[0]] if run else 0


def _run(stencil: Stencil) -> tuple[bytes, ...]:
    return tuple(chunk.code for chunk in stencil.chunks)


def _stencils_and_holes(stencils: Sequence[Stencil], runs: _Runs) -> tuple[bytes, bytes]:
    rows, hole_rows = bytearray(), bytearray()
    hole_starts: dict[tuple[Hole, ...], int] = {}
    for index, stencil in enumerate(stencils):
        if stencil.holes not in hole_starts:
            hole_starts[stencil.holes] = len(hole_rows) // HOLE.size
            for hole in stencil.holes:
                hole_rows += HOLE.pack(hole.chunk, hole.value, hole.kind, hole.addend, hole.extra, hole.offset)
        if stencil.short_form not in (0, index + 1):
            raise InternalError(f"stencil {index}: its short form is {stencil.short_form}, not the next one")
        rows += pack_stencil(
            runs.start(stencil), len(_run(stencil)), hole_starts[stencil.holes], stencil.size, len(stencil.holes),
            bool(stencil.short_form),
        )  # fmt: skip
    return bytes(rows), bytes(hole_rows)
