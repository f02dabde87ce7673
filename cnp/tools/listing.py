"""A compiled function -> listings: its ops, the stencils chosen for them, their holes, and the machine code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnp.errors import TrapKind, UserError
from cnp.ir.optable import Code
from cnp.ir.signature import register_name
from cnp.ir.text import print_function
from cnp.runtime.layout import NO_OP_NUMBER
from cnp.stencil.naming import form_size, placement_name
from cnp.stencil.words import Form, Value
from cnp.tools.disassembly import ALIGNMENT, Instruction, distances, instructions, quads
from cnp.tools.holes import ADDRESSES, Patched, patched_bits, pattern_value, read_holes

if TYPE_CHECKING:
    from cnp.backends.foreign import ForeignFunction
    from cnp.ir.function import Function
    from cnp.runtime.callable import NativeFunction
    from cnp.runtime.code import Part
    from cnp.stencil.library import Library
    from cnp.stencil.records import Stencil

    Made = NativeFunction | ForeignFunction

_MOVES = {
    Code.MOVE: ("i64_move", "f64_move"),
    Code.CONST32: ("i64_move",),
    Code.CONST64: ("i64_move",),
    Code.CONSTF32: ("f64_move",),
    Code.CONSTF64: ("f64_move",),
    Code.SELECT: ("i64_select", "f64_select"),
}
"""Rows that the core serves ops without a row of their own with."""
_FRAME_OFFSETS = {Value.SLOT_D, Value.SLOT_A, Value.SLOT_B, Value.SLOT_C, Value.OFFSET}
_IMMEDIATES = {Value.IMMEDIATE_A, Value.IMMEDIATE_B, Value.IMMEDIATE_C}
_POLLS = ("poll", "poll_before_call", "poll_large_frame")
_LARGE = 4096  # from here on numbers are shown in hexadecimal
_QUAD = 8  # bytes of a row of the pool


@dataclass(frozen=True)
class Row:
    """One stencil of a function as it stands in the code, or what is between and behind them."""

    op: int | None  # number of the op it was chosen for; None for what serves no single op
    offset: int  # bytes from the start of the function
    stencil: str  # its op and placement
    holes: tuple[str, ...]  # `value=what it was patched with`, in the order of the code
    instructions: tuple[Instruction, ...]
    out_of_line: bool = False  # behind the code: reached by traps, side exits, and safepoints whose count has run out


def rows(made: Made, decode: bool = True) -> list[Row]:
    """The stencils of a function compiled with trace=True, in the order of the code; without instructions if told so.

    UserError without the trace, MissingExtra without capstone.
    """
    part, library = part_of(made), _library(made)
    if not part.traces:
        raise UserError(f"function {made.function.name!r} was compiled without trace=True, which listings need")
    code, addresses, namer = made.code, _Addresses(made), _Namer(library)
    tables: set[int] = set()

    def decoded(start: int, end: int) -> tuple[Instruction, ...]:
        if start == end or not decode:
            return ()
        found = instructions(code[start:end], made.entry + start, library.target, end - start)
        return tuple(Instruction(start + each.offset, each.code, addresses.named(each.text)) for each in found)

    result: list[Row] = []
    ends = [offset for _, _, offset in part.traces[1:]] + [part.code_end]
    cold = False
    left_at = {each.position for each in part.exits.rows} if part.exits else set()
    for (op, index, offset), end in zip(part.traces, ends):
        control = namer.control(index)
        cold = cold or offset in left_at or control in _POLLS
        cold = cold or (control == "trap_exit" and made.function.ops[op][0] != Code.TRAP)
        stencil = _form_in_use(library, index, code[offset:end])
        serves = None if op == NO_OP_NUMBER or control == "trap" or (cold and control != "trap_exit") else op
        name = control or namer.name(made.function, None if cold else serves, index)
        behind = offset + stencil.size
        found = read_holes(library, stencil, code[offset:behind], made.entry + offset)
        tables |= {each.value - made.entry for each in found if each.holes[0].value == Value.TABLE}
        holes = tuple(_shown(addresses, name, offset, each) for each in found)
        result.append(Row(serves, offset, name, holes, decoded(offset, behind), cold))
        if behind < end:
            result.append(Row(None, behind, "alignment", (), decoded(behind, end)))
    for start, entries in _behind(made, -(-part.code_end // ALIGNMENT) * ALIGNMENT, sorted(tables)):
        named = [Instruction(each.offset, each.code, addresses.named(each.text)) for each in entries if decode]
        result.append(Row(None, start, "jump table" if start in tables else "constants", (), tuple(named), cold))
    return result


def part_of(made: Made) -> Part:
    """What the core said of a compiled function."""
    from cnp.backends.foreign import ForeignFunction

    return made.parts[0] if isinstance(made, ForeignFunction) else made._code.parts[made._index]


def _library(made: Made) -> Library:
    from cnp.backends.foreign import ForeignFunction

    return made.library if isinstance(made, ForeignFunction) else made._code.core.library


def _behind(made: Made, start: int, tables: list[int]) -> Iterator[tuple[int, list[Instruction]]]:
    """What is behind the instructions: where each part starts, and its rows. Constants, then jump tables."""
    code = made.code
    ends = [*tables, len(code)]
    if start < ends[0]:
        yield start, quads(code, start, ends[0])
    for table, end in zip(tables, ends[1:]):
        yield table, distances(code, table, end, made.entry)


class _Addresses:
    """Says what addresses in a function's code are: offsets in the function, other functions, routines of the core."""

    def __init__(self, made: Made) -> None:
        from cnp.backends.foreign import ForeignFunction

        self.library = _library(made)
        self.entry, self.code = made.entry, made.code
        self._names: dict[int, str] = {}
        self.relocated: dict[int, str] = {}
        """What fields are for that nothing has been put into yet, by offset: of code that is not linked."""
        if isinstance(made, ForeignFunction):
            self._names = {part.offset: part.function.name for part in made.parts}
            self.relocated = {
                each.offset: each.symbol if isinstance(each.symbol, str) else each.symbol.function.name
                for each in made.relocations
            }
            return
        code, core = made._code, made._code.core
        self._names = {core.routine(name): str(name) for name in self.library.exports}
        self._names |= {code.entry(index): each.function.name for index, each in enumerate(code.parts)}

    def name(self, address: int) -> str:
        if address in self._names:
            return self._names[address]
        offset = address - self.entry
        return f"{offset:04x}" if 0 <= offset <= len(self.code) else f"{address:#x}"

    def named(self, text: str) -> str:
        """An instruction with what it names as an address put into words."""
        return re.sub(r"\b0x[0-9a-f]{6,}\b", lambda match: self.name(int(match[0], 16)), text)


def _form_in_use(library: Library, index: int, code: bytes) -> Stencil:
    """The stencil itself or its short form: the one whose bytes, but for the holes, are those of the code."""
    stencil = library.stencil(index)
    for candidate in (stencil, library.stencil(stencil.short_form)) if stencil.short_form else ():
        filled = patched_bits(library, candidate)
        if candidate.size <= len(code) and all(
            (here ^ there) & ~bits & 0xFF == 0 for here, there, bits in zip(candidate.code, code, filled)
        ):
            return candidate
    return stencil


class _Namer:
    """Says what stencils are. Of the placements that share one, it picks one of the op that the stencil was chosen for.

    Otherwise r0 = 0 would be listed as the subtraction of r0 from itself, whose code is the same.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._names: dict[str, dict[int, str]] = {}  # by method, then by stencil
        self._controls = {index: name for name, index in library.control.items()}

    def control(self, index: int) -> str:
        """The name of a control stencil, empty for any other."""
        return str(self._controls.get(index, ""))

    def name(self, function: Function, op: int | None, index: int) -> str:
        """`i64.add d=r1 a=r2 b=I8`, for a stencil chosen for an op, or for none."""
        wanted: tuple[str, ...] = ()
        if op is not None:
            code = function.ops[op][0]
            wanted = _MOVES.get(code, ()) if code >= Code.PLACE else (self._library.ops[code].method,)
        for method in (*wanted, "i64_move", "f64_move"):
            if index in (names := self._names_of(method)):
                return _readable(names[index])
        return _readable(self._library.placement_name(index))

    def _names_of(self, method: str) -> dict[int, str]:
        if method not in self._names:
            names = self._names[method] = {}
            library, row = self._library, self._library.op_by_method[method]
            for form in Form:
                if row.forms >> form & 1:
                    for number in range(form_size(library, row, form)):
                        stencil = library.placements[row.bases[form] + number]
                        if stencil not in names:
                            names[stencil] = placement_name(library, row, form, number)
        return self._names[method]


def _readable(name: str) -> str:
    """`branch.i64_ge_s a=r1` as the text form spells it: `branch i64.ge_s a=r1`."""
    op, space, placement = name.partition(" ")
    if op == "branch.table":
        return f"branch_table{space}{placement}"
    if op.startswith("branch."):
        words = op.removeprefix("branch.").partition("not_")
        op = f"branch {'not ' * bool(words[1])}{(words[2] or words[0]).replace('_', '.', 1)}"
    return op + space + placement


def _shown(addresses: _Addresses, name: str, start: int, patched: Patched) -> str:
    """A value that holes were patched with: `immediate_b=1`. `name` is that of the stencil, which begins at `start`."""
    hole = patched.holes[0]
    value = addresses.relocated.get(start + hole.offset) or _value(addresses, name, patched)
    return f"{hole.value.name.lower()}={value}"


def _value(addresses: _Addresses, name: str, patched: Patched) -> str:
    hole, value = patched.holes[0], patched.value
    if hole.value in ADDRESSES:
        exact = hole.value != Value.LIBRARY or hole.extra in addresses.library.exports.values()
        return addresses.name(value) if exact else f"constant {hole.extra:#x}"
    if patched.pooled:
        start = value - addresses.entry
        value = int.from_bytes(addresses.code[start : start + _QUAD], "little", signed=True)
    if hole.value == Value.TRAP_PLACE:
        return str(TrapKind(value & 15)).replace(" ", "_")
    pattern = _pattern(addresses.library, name, hole.value)
    if pattern:
        value, bits = pattern_value(value, pattern), 32 if pattern == 32 else 64
        value -= (value >> bits - 1) << bits
    if hole.value in _FRAME_OFFSETS:
        return f"{value:+d}"
    return str(value) if abs(value) < _LARGE else f"{value:#x}"


def _pattern(library: Library, name: str, value: Value) -> int:
    """Of an immediate's class; 0 if it has none. The offset of a load or store is the last operand."""
    place = f" {value.name[-1].lower()}=" if value in _IMMEDIATES else "=" if value == Value.OFFSET else ""
    found = name.rpartition(place)[2].partition(" ")[0] if place else ""
    return next((pattern for each, *_, pattern in library.classes if each == found), 0)


def stencils_text(made: Made) -> str:
    """A stencil a line: offset, op number, placement, holes."""
    return "".join(
        f"{row.offset:04x}  op {'-' if row.op is None else row.op:>4}  {row.stencil:44} {' '.join(row.holes)}".rstrip()
        + "\n"
        for row in rows(made, decode=False)
    )


def allocation_text(made: Made) -> str:
    """A register a line: the range of positions it lives in (two an op), and where."""
    function = made.function
    part = part_of(made)
    lines = []
    for index, (type, interval) in enumerate(zip(function.register_types, part.intervals)):
        start, end, place, slot = interval
        where = [f"{'f' if type.is_float else 'r'}{place}"] if place >= 0 else []
        where += [f"slot {slot}"] if slot >= 0 else []
        life = f"{start} to {end}" if end >= 0 else "unused"
        lines.append(f"{register_name(function, index):16} {type}  {life:16} {' and '.join(where)}".rstrip() + "\n")
    return "".join(lines)


def _machine_code_text(made: Made) -> str:
    return made.disassemble()


STAGES: dict[str, tuple[str, Callable[[NativeFunction], str]]] = {
    "i": ("ops", lambda made: print_function(made.function)),
    "a": ("registers", allocation_text),
    "s": ("stencils", stencils_text),
    "d": ("machine code", _machine_code_text),
}
"""What CNP_DUMP shows, by its letters: a heading, and what makes the text."""
