"""What a table says of a guest's instructions: their opcodes, their lengths, and the ops that each of them is."""

from __future__ import annotations

from cnp.bytecode.operands import Field, within
from cnp.bytecode.parts import Cursor, Varint, checked
from cnp.errors import UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from cnp.bytecode.parts import Part


class Instruction:
    """One instruction of the guest: a name for messages, and its template, ops as they are methods of cnp.Function.

    An op is a tuple of the method's name and its operands: ("i64_add", d, a, b). An operand is, by what the op takes:

    - a register: Variable, file[number], file[field], pop, push or peek(n)
    - a number that is read: a register, a Python number, or a Field, whose value it is (of a float, whose bits)
    - the offset of a load or store, which may be left out: an int or a Field
    - a label: a Target, an Exit, or a str, a label of the template's own that ("place", "name") puts somewhere
    - the last of a branch_table's labels: Targets, for as many as the bytecode says
    - of load_cell or assume a cnp.DataCell or cnp.Assumption, or a Field that numbers the cells of Table.function
    - the callee of a call: what Function.call takes, or a Field that numbers the callees of Table.function

    `length` is in bytes, without prefixes, up to 65535; by default the page's. `then` are up to 16 parts that follow
    these bytes, one behind the other: Varints, Targets (once), Align, and Fields, whose offset is from where the part
    in front ends.
    """

    __slots__ = ("length", "name", "ops", "then")

    def __init__(self, name: str, *ops: tuple[Any, ...], length: int | None = None, then: Sequence[Part] = ()) -> None:
        self.name = name
        self.ops = ops
        self.length = None if length is None else within(f"instruction {name!r}: length", length, 1, 65535)
        self.then = checked(f"instruction {name!r}", then)

    def __repr__(self) -> str:
        return f"<instruction {self.name!r}>"


class Prefix:
    """Bytes in front of an instruction, or a part of its opcode: what follows is looked up in `page` (None: the same).

    With length 0 (up to 255) nothing is taken: the page has another field of the same bytes. `collects` is a field
    whose bits are put in front of those of the extended fields that follow; of all prefixes together up to 32.
    """

    __slots__ = ("collects", "length", "page")

    def __init__(self, page: Page | None = None, length: int = 1, *, collects: Field | None = None) -> None:
        self.page = page
        self.length = within("prefix: length", length, 0, 255)
        self.collects = collects
        if collects is not None and (collects.end > length or isinstance(collects, Varint)):
            raise UserError(f"prefix: it collects {collects!r}; accepted: one in its {length} bytes")


class Page:
    """Instructions by the value of a field: `opcode` has up to 16 bits, taken as unsigned. `length` is that of the
    instructions which say none. UserError for a value that the field cannot have."""

    __slots__ = ("instructions", "length", "opcode")

    def __init__(
        self, opcode: Field, instructions: Mapping[int, Instruction | Prefix], length: int | None = None
    ) -> None:
        within("page: bits of the opcode", opcode.bits, 1, 16)
        is_plain = (opcode.scale, opcode.bias, opcode.signed, opcode.extended) == (1, 0, False, False)
        if not is_plain or isinstance(opcode, Varint):
            raise UserError("page: the opcode is a varint, or has sign, scale, bias or extension; accepted: plain bits")
        for value in instructions:
            within("page: opcode", value, 0, 2**opcode.bits - 1)
        self.opcode = opcode
        self.instructions = dict(instructions)
        self.length = length


def pages(first: Page) -> list[Page]:
    """The page and all that its prefixes lead to. UserError if prefixes without bytes lead in a circle."""
    found = [first]
    for page in found:
        for each in page.instructions.values():
            if isinstance(each, Prefix) and each.page is not None and each.page not in found:
                found.append(each.page)
    for page in found:
        _check_circle(page, [])
    return found


def _check_circle(page: Page, above: list[Page]) -> None:
    if page in above:
        raise UserError("page: prefixes of length 0 lead back to it; accepted: bytes, or another page")
    for each in page.instructions.values():
        if isinstance(each, Prefix) and not each.length:
            _check_circle(each.page or page, [*above, page])


class Read:
    """An instruction in bytecode: from `start` to `end`; its opcode is read at `base`, behind its prefixes."""

    __slots__ = ("base", "end", "instruction", "opcode", "start")

    def __init__(self, start: int, base: int, end: int, opcode: int, instruction: Instruction | None) -> None:
        self.start, self.base, self.end = start, base, end
        self.opcode = opcode
        self.instruction = instruction

    def __repr__(self) -> str:
        name = f" {self.instruction.name}" if self.instruction else ""
        return f"offset {self.start} (opcode {self.opcode:#x}{name})"


def read(first: Page, code: bytes) -> Iterator[Read]:
    """The instructions of bytecode, up to one that is unknown or not there as a whole, which is the last (as far as
    its opcode is there)."""
    start = 0
    while start < len(code):
        page, base = first, start
        while True:
            opcode = page.opcode.bits_at(code, base)
            found = None if opcode is None else page.instructions.get(opcode)
            if opcode is None:
                return
            if not isinstance(found, Prefix):
                break
            base += found.length
            page = found.page or page
        end = base + ((found.length or page.length or 1) if found else 1)
        end = Cursor(code, base, end, found.then).place if found else end
        yield Read(start, base, end, opcode, found)
        if found is None:
            return
        start = end
