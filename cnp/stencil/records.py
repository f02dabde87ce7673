"""What a stencil library holds: ops, stencils, holes and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnp.stencil.model import OpFlag, Shape
from cnp.stencil.words import Value
from cnp.types import Type


@dataclass(frozen=True, slots=True)
class Hole:
    """A field of a stencil's code that is patched; it holds zero in the library."""

    chunk: int  # which of the stencil's chunks ends with it
    value: Value
    kind: int  # row of KINDS
    addend: int
    extra: int  # what `value` needs beside its kind
    offset: int  # of its first byte, from the start of the stencil


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most CHUNK_SIZE bytes of code, one instruction where all have WORD bytes; if it has holes, they end it."""

    code: bytes


@dataclass(frozen=True, slots=True)
class Stencil:
    """The machine code of one op in one placement, or of one control stencil."""

    chunks: tuple[Chunk, ...]
    holes: tuple[Hole, ...]
    short_form: int = 0  # index of the stencil whose final jump is short; 0 if there is none

    @property
    def size(self) -> int:
        """Bytes of code."""
        return sum(len(chunk.code) for chunk in self.chunks)

    @property
    def code(self) -> bytes:
        """The code, with zeros in its holes."""
        return b"".join(chunk.code for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class Indexed:
    """How an op takes a base and a shifted index, both in registers; there is a family for each combination."""

    scales: int = 0  # bit per shift of the index
    offsets: int = 1  # 1: no constant offset; 2: none, or one of a class
    values: int = 1  # 1: the value is in a register; 2: or, without an offset, an immediate of the class
    number: int = 0  # of that class

    @property
    def families(self) -> int:
        """How many families there are. Those of a scale: one an offset, then that of the immediate value."""
        return self.scales.bit_count() * (self.offsets + self.values - 1)


@dataclass(frozen=True, slots=True)
class Family:
    """Placements of an indexed op that differ in their registers only, as few stencils with register fields.

    Positions are the destination or stored value, the base and the index, in that order. The stencil of registers x, y
    and z is the one of their groups, with the fields of x, y and z combined, by exclusive or, into the four bytes that
    end its last chunk.
    """

    groups: tuple[tuple[int, ...], ...]  # by position and register
    fields: tuple[tuple[int, ...], ...]  # the same; 32 bits each
    stencils: Mapping[tuple[int, int, int], int]  # by groups: index of a stencil


@dataclass(frozen=True, slots=True)
class Op:
    """One row of the op table: a signature, and where the stencils of its placements are."""

    method: str  # "i64_add"
    shape: Shape
    result_type: int  # a Type, or NO_RESULT
    operand_types: tuple[Type, ...]
    flags: OpFlag
    forms: int  # bit per Form
    swapped: int  # index of the op that gives the same with a and b exchanged, or NO_OP
    inverse: int  # index of the op with the opposite outcome, or NO_OP
    branch: int  # index of a comparison's fused branch, or NO_OP
    alternatives: tuple[int, int, int, int]  # at d, a, b and c; 1 where there is no such operand
    classes: tuple[int, int, int]  # masks of immediate classes of a, b and c
    reversed_class: int  # the same, of a in form REVERSED
    reversed_alternatives: int  # at a, in form REVERSED
    patterns: int  # 4 where the stencil depends on whether d is a or b (bits 0 and 1), else 1
    bases: tuple[int, ...]  # index of each form's first placement
    doc: str  # the body, as C
    source_line: str  # "integer.c:12"
    indexed: Indexed = Indexed()
    families: int = 0  # index of its first family
    code: int = 0  # its index in the table

    @property
    def name(self) -> str:
        """The public name: `i64.add`."""
        return self.method.replace("_", ".", 1)
