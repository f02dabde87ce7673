"""Finds the field of an immediate by comparing the code of one placement compiled for several literals."""

from __future__ import annotations

from collections.abc import Sequence

from cnp.build.elf import Function, Reference
from cnp.build.immediates import LITERAL_RELOCATION
from cnp.build.placements import Immediate
from cnp.stencil.model import ImmediateClass

_WIDTHS = {ImmediateClass.I8: 1, ImmediateClass.U32: 4, ImmediateClass.I32: 4}


def merge_samples(samples: Sequence[Function], immediates: Sequence[Immediate]) -> Function | None:
    """One function with a reference where the literals are, or None if the samples differ in any other way.

    `samples[n]` was compiled with the nth literal of every immediate. Literals that appear nowhere (an operand the op
    ignores) leave no reference. A field must hold the literal itself. clang also compares with a literal plus or minus
    one (x <= C as x < C + 1), which is wrong where that wraps (an unsigned x <= -1) and leaves the class where it
    does not: such code is not a stencil for every value.
    """
    first = samples[0]
    for other in samples[1:]:
        if len(other.code) != len(first.code) or other.references != first.references:
            return None
    references = list(first.references)
    code = bytearray(first.code)
    covered: set[int] = set()
    for immediate in immediates:
        width = _WIDTHS[immediate.mask]
        found = [
            offset
            for offset in range(len(code) - width + 1)
            if all(
                sample.code[offset : offset + width] == _field(literal, width)
                for sample, literal in zip(samples, immediate.literals)
            )
        ]
        if len(found) > 1:
            return None
        for offset in found:
            covered.update(range(offset, offset + width))
            code[offset : offset + width] = bytes(width)
            references.append(Reference(offset, LITERAL_RELOCATION[width], immediate.hole, 0))
    for offset in range(len(code)):
        if offset not in covered and any(sample.code[offset] != first.code[offset] for sample in samples):
            return None
    references.sort(key=lambda row: row.offset)
    return Function(first.name, bytes(code), tuple(references))


def _field(value: int, width: int) -> bytes:
    return (value & (1 << 8 * width) - 1).to_bytes(width, "little")
