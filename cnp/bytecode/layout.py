"""The bytes of one instruction -> rows of its parts, and the numbers of the rows of its fields."""

from __future__ import annotations

from cnp.bytecode.parts import Align, Targets, Varint
from cnp.errors import UserError
from cnp.runtime.guest_layout import NO_FIELD, GuestPart, PartKind

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from cnp.bytecode.encode import Encoder
    from cnp.bytecode.instruction import Instruction
    from cnp.bytecode.operands import Field
    from cnp.bytecode.parts import Part


_SIGN = 0x40  # of a varint of one byte


class Layout:
    """Where an instruction's numbers are: in the `length` bytes that it always has, or in a part that follows."""

    def __init__(self, encoder: Encoder, instruction: Instruction, length: int, place: str) -> None:
        self._encoder = encoder
        self._length = length
        self._then = instruction.then
        self.rows = [self._row(number, each, place) for number, each in enumerate(instruction.then)]

    def field(self, field: Field, place: str) -> int:
        """The number of a field's row. UserError, which begins with the place, if the instruction does not have it."""
        part = self.part(field)
        if part is None and isinstance(field, Varint):
            raise UserError(f"{place}: {field!r} is not behind its {self._length} bytes; accepted: one of its `then`")
        if part is None and field.end > self._length:
            raise UserError(f"{place}: {field!r} ends at byte {field.end}; the instruction has {self._length}")
        return self._encoder.field(field, part)

    def part(self, part: Part) -> int | None:
        """The number of a part, None if the instruction does not have it."""
        return next((number for number, each in enumerate(self._then) if each is part), None)

    def _row(self, number: int, part: Part, place: str) -> GuestPart:
        if isinstance(part, Align):
            return GuestPart(PartKind.ALIGNMENT, part.unit)
        if not isinstance(part, Targets):
            row = self._encoder.field(part, number)
            if isinstance(part, Varint) and part.bits >= 7 and (part.scale, part.bias) == (1, 0):
                return GuestPart(PartKind.PLAIN_VARINT, _SIGN * part.signed, row)
            return GuestPart(PartKind.NUMBER, 0, row)
        place = f"{place}, part {number}"
        for field in part.counts:
            if (self.part(field) or 0) > number:
                raise UserError(f"{place}: {field!r} is behind it; accepted: one in front of the targets it counts")
        count, *less = (self.field(each, place) for each in part.counts)
        return GuestPart(PartKind.NUMBERS, 0, self._encoder.field(part.each, number), count, *(less or [NO_FIELD]))
