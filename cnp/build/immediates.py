"""Makes immediates that are relocations as short as the target allows: in an instruction, in 8 bits if they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cnp.build.elf import Reference
from cnp.build.jumps import Piece
from cnp.target.record import Target

LITERAL = -1
"""The relocation type of fields that no ELF relocation stands for."""
_IMMEDIATE = "IMMEDIATE_"


def tighten(pieces: Sequence[Piece], target: Target, narrow: frozenset[str]) -> list[Piece]:
    """Rewrite instructions with immediate holes; those named in `narrow` are known to fit 8 bits."""
    if target.narrow_immediate is None:
        return list(pieces)
    return [_narrow(each, target, narrow) for each in _fold_last(list(pieces), target)]


def _fold_last(pieces: list[Piece], target: Target) -> list[Piece]:
    """Merge an immediate's load into the instruction that uses it, if nothing but jumps comes after the two."""
    bodies = [index for index, each in enumerate(pieces) if not each.jump]
    if len(bodies) < 2 or bodies[-1] != bodies[-2] + 1:
        return pieces
    load, operation = pieces[bodies[-2]], pieces[bodies[-1]]
    if _immediate(load) is None or any(each.jump and each.to == operation.label for each in pieces):
        return pieces
    if not all(isinstance(each.symbol, str) for each in operation.references):
        return pieces  # a constant is reached from the end of the instruction, which would move
    if len(load.references) != 1:
        return pieces
    (row,) = load.references
    empty = bytearray(load.data)
    empty[row.offset : row.offset + 4] = bytes(4)
    kept = frozenset(target.register_numbers.values())
    folded = target.fold_immediate(bytes(empty), operation.data, kept) if target.fold_immediate else None
    if folded is None:
        return pieces
    data, field = folded
    references = (*operation.references, replace(row, offset=field))
    merged = replace(load, data=data, references=references)
    return [*pieces[: bodies[-2]], merged, *pieces[bodies[-1] + 1 :]]


def _narrow(piece: Piece, target: Target, narrow: frozenset[str]) -> Piece:
    row = _immediate(piece)
    if row is None or row.symbol not in narrow or target.narrow_immediate is None:
        return piece
    data = target.narrow_immediate(piece.data, row.offset)
    if data is None:
        return piece
    field = len(data) - 1
    # The other references of the instruction come before its immediate; only the opcode's length may have changed.
    shift = field - row.offset
    others = [replace(each, offset=each.offset + shift) for each in piece.references if each is not row]
    kind = next(each for each in target.kinds if each.width == 1 and not each.pc_relative)
    return replace(piece, data=data, references=(*others, Reference(field, LITERAL, row.symbol, 0, kind)))


def _immediate(piece: Piece) -> Reference | None:
    """The relocation of an immediate that ends an instruction, if it has one."""
    if not piece.references or piece.jump:
        return None
    row = piece.references[-1]
    is_immediate = isinstance(row.symbol, str) and row.symbol.startswith(_IMMEDIATE)
    return row if is_immediate and row.offset == len(piece.data) - 4 and row.addend == 0 else None
