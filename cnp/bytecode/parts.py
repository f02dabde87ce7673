"""What follows the bytes that an instruction always has: numbers of any length, tables of targets, alignment."""

from __future__ import annotations

from cnp.bytecode.operands import Field, within
from cnp.errors import UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

MOST_TARGETS = 32767
_MOST_PARTS = 16


class Varint(Field):
    """A number in LEB128, as WebAssembly and DWARF have it: a Field whose length is in its bytes.

    It has up to `bits` (1 to 64), of which each byte brings seven, the lowest first. So it takes at most ten bytes, and
    five for 32 bits; one that goes on, or has more bits than that, is a BytecodeError. Scale and bias are a Field's.
    """

    __slots__ = ()

    def __init__(self, bits: int = 64, *, signed: bool = False, scale: int = 1, bias: int = 0) -> None:
        super().__init__(0, bits, signed=signed, scale=scale, bias=bias)

    def __repr__(self) -> str:
        return f"the varint of {self.bits} bits"


class Targets:
    """Targets of a branch_table, one behind the other: `count` of them, each a number like `each`, in bytes and
    relative to the same as a Target's.

    `count` is a Field of the instruction or, in front of this one, a Varint: 0 to 32767, or count - less if there is
    such a field, too. In ("branch_table", index, default, ..., targets) it stands for all of them, as the last operand.
    """

    __slots__ = ("counts", "each", "relative_to")

    def __init__(
        self,
        each: Field,
        count: Field,
        *,
        less: Field | None = None,
        relative_to: Literal["start", "end", "zero"] = "start",
    ) -> None:
        if relative_to not in ("start", "end", "zero"):
            raise UserError(f"targets: relative to {relative_to!r}; accepted: 'start', 'end' or 'zero'")
        self.counts = (count,) if less is None else (count, less)
        for field in (each, *self.counts):
            if not isinstance(field, Field) or field.extended:
                raise UserError(f"targets: found {field!r}; accepted: a Varint, or a Field that is not extended")
        self.each = each
        self.relative_to = relative_to

    def __repr__(self) -> str:
        return f"the targets that {self.counts[0]!r} counts"


class Align:
    """Bytes, whatever they are, up to the next multiple of `unit` (1 to 255) from the first byte of the function."""

    __slots__ = ("unit",)

    def __init__(self, unit: int) -> None:
        self.unit = within("align", unit, 1, 255)


Part = Field | Targets | Align


def checked(place: str, then: Sequence[Part]) -> tuple[Part, ...]:
    """The parts of an instruction. UserError if there cannot be such."""
    parts = tuple(then)
    for number, each in enumerate(parts):
        if not isinstance(each, (Field, Targets, Align)):
            raise UserError(f"{place}: part {number} is {each!r}; accepted: a Field, a Varint, Targets or Align")
        if any(each is other for other in parts[:number]):
            raise UserError(f"{place}: part {number} is {each!r} again; accepted: another one")
    if len(parts) > _MOST_PARTS or sum(isinstance(each, Targets) for each in parts) > 1:
        raise UserError(f"{place}: {len(parts)} parts; accepted: up to {_MOST_PARTS}, among them one of Targets")
    return parts


class Cursor:
    """Reads parts as the core does, to say where they end; what is missing or wrong ends them somewhere."""

    def __init__(self, code: bytes, base: int, place: int, then: Sequence[Part]) -> None:
        self._code = code
        self._base = base
        self._values: dict[int, int] = {}  # of parts, by id
        self.place = place
        for part in then:
            if isinstance(part, Align):
                self.place += -self.place % part.unit
            elif isinstance(part, Field):
                self._values[id(part)] = self._number(part)
            else:
                count, *less = map(self._value, part.counts)
                left = count - sum(less)
                while 0 < left <= MOST_TARGETS and self.place < len(code):
                    self._number(part.each)
                    left -= 1

    def _value(self, field: Field) -> int:
        if id(field) in self._values:
            return self._values[id(field)]
        return field.value(field.bits_at(self._code, self._base) or 0)

    def _number(self, field: Field) -> int:
        start = self.place
        if not isinstance(field, Varint):
            self.place += field.end
            return field.value(field.bits_at(self._code, start) or 0)
        while self._code[self.place : self.place + 1] >= b"\x80":
            self.place += 1
        self.place += 1
        bytes = self._code[start : self.place]
        number = sum((each & 0x7F) << 7 * k for k, each in enumerate(bytes))
        if field.signed and bytes[-1:] >= b"\x40":
            number -= 1 << 7 * len(bytes)
        return field.value(number & (1 << field.bits) - 1)
