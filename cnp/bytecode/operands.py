"""What a table of guest instructions is written in: fields of their bytes, registers, places on the operand stack."""

from __future__ import annotations

from cnp.errors import UserError
from cnp.types import Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Literal


class Field:
    """A number in the bytes of an instruction.

    It is the `bits` (1 to 64) from bit `shift` on, of the `size` bytes at `offset` (0 to 255, from the opcode's
    instruction, behind its prefixes) taken as one number in `order`; size is by default no more than needed, at most 8.
    Its value is number * scale + bias, where scale is in [-2^31, 2^31) and bias in [-2^63, 2^63). With `extended` the
    bits that prefixes collected come in front of its own, of which there are up to 32 then. UserError for anything
    out of range.

    In a template a field stands for its value: a constant, a memory offset, or the number of a callee.
    """

    __slots__ = ("bias", "bits", "extended", "offset", "order", "scale", "shift", "signed", "size")

    def __init__(
        self,
        offset: int,
        bits: int = 8,
        *,
        shift: int = 0,
        size: int | None = None,
        signed: bool = False,
        order: Literal["little", "big"] = "little",
        scale: int = 1,
        bias: int = 0,
        extended: bool = False,
    ) -> None:
        self.offset = within("field: offset", offset, 0, 255)
        self.bits = within("field: bits", bits, 1, 64)
        self.shift = within("field: shift", shift, 0, 63)
        self.size = (bits + shift + 7) // 8 if size is None else size
        within("field: size in bytes", self.size, (bits + shift + 7) // 8, 8)
        if order not in ("little", "big"):
            raise UserError(f"field: order is {order!r}; accepted: 'little' or 'big'")
        self.order = order
        self.scale = within("field: scale", scale, -(2**31), 2**31 - 1)
        self.bias = within("field: bias", bias, -(2**63), 2**63 - 1)
        self.signed = signed
        self.extended = extended
        if extended:
            within("field: bits of an extended one", bits, 1, 32)

    @property
    def end(self) -> int:
        """Behind its bytes."""
        return self.offset + self.size

    def bits_at(self, code: bytes, base: int) -> int | None:
        """Its bits in the instruction that begins at `base`, None if they are not all there."""
        data = code[base + self.offset : base + self.end]
        if len(data) < self.size:
            return None
        return int.from_bytes(data, self.order) >> self.shift & (1 << self.bits) - 1

    def value(self, bits: int) -> int:
        """What its bits stand for, without those of prefixes."""
        half = 1 << self.bits - 1 if self.signed else 0
        return ((bits ^ half) - half) * self.scale + self.bias

    def __repr__(self) -> str:
        return f"the field of {self.bits} bits at byte {self.offset}"


class Registers:
    """A file of `count` (1 to 65536) registers of one type, which keep their values from instruction to instruction.

    In a template file[n] is a register by number and file[field] the one that the field's value numbers. Those that
    are no parameters are set to `initial` when the function begins; without it, what is read before it is written is
    a VerifyError. How many a function has may be less, see Table.function.
    """

    __slots__ = ("count", "initial", "name", "type")

    def __init__(self, type: Type, count: int, name: str = "register", *, initial: float | None = None) -> None:
        if type.__class__ is not Type:
            raise UserError(f"registers cannot be of type {type!r}; accepted: i32 i64 f32 f64")
        self.type = type
        self.count = within(f"{name}: count", count, 1, 65536)
        self.name = name
        self.initial = initial

    def __getitem__(self, index: int | Field) -> Element:
        if not isinstance(index, Field):
            within(f"{self.name}: number", index, 0, self.count - 1)
        return Element(self, index)

    def __repr__(self) -> str:
        return f"<{self.count} registers {self.name!r} of type {self.type}>"


class Element:
    """One of a file's registers, by number or by field."""

    __slots__ = ("file", "index")

    def __init__(self, file: Registers, index: int | Field) -> None:
        self.file = file
        self.index = index


class Variable(Element):
    """A register by itself: an accumulator, a context pointer, a temporary of templates."""

    __slots__ = ()

    def __init__(self, type: Type, name: str = "variable", *, initial: float | None = None) -> None:
        super().__init__(Registers(type, 1, name, initial=initial), 0)


class Target:
    """Where an instruction jumps to: a field's value in bytes (see its scale), from the instruction's `start`, which is
    that of its first prefix, from its `end`, or from `zero`, the first byte of the function."""

    __slots__ = ("field", "relative_to")

    def __init__(self, field: Field, relative_to: Literal["start", "end", "zero"] = "start") -> None:
        if relative_to not in ("start", "end", "zero"):
            raise UserError(f"target: relative to {relative_to!r}; accepted: 'start', 'end' or 'zero'")
        self.field = field
        self.relative_to = relative_to


class Exit:
    """A label that leads out of compiled code, to the interpreter: the handler of Table.function gets the offset of the
    instruction, with its prefixes, and a tuple of what is `live`, as it is in front of the instruction.

    That are Variables, files of registers, of each all that the function has, and the operand stack, as deep as it is
    there, from the bottom. UserError for anything else.
    """

    __slots__ = ("files",)

    def __init__(self, *live: Variable | Registers) -> None:
        for each in live:
            if not isinstance(each, (Variable, Registers)):
                raise UserError(f"exit: it cannot pass on {each!r}; accepted: Variables and files of Registers")
        self.files = [each.file if isinstance(each, Variable) else each for each in live]


class Peek:
    """A value on the operand stack, see `peek`."""

    __slots__ = ("depth",)

    def __init__(self, depth: int) -> None:
        self.depth = within("peek", depth, 0, 32767)


def peek(depth: int) -> Peek:
    """The value that many (0 to 32767) below the top of the stack, as it is in front of the op; it stays there. As a
    destination it is replaced."""
    return Peek(depth)


class _Move:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


pop = _Move("pop")
"""A value taken from the operand stack. Where an op pops several, the last of its operands was on top."""
push = _Move("push")
"""A new top of the operand stack, as a destination. The op's pops come before."""


def within(what: str, value: int, low: int, high: int) -> int:
    """The value, or UserError if it is no integer in [low, high]."""
    if not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{what} is {value!r}; accepted: {low} to {high}")
    return value
