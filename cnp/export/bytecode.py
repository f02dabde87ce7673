"""Tables of guest bytecode -> C: the structures that the core's walker reads."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from cnp.errors import UserError

if TYPE_CHECKING:
    from cnp.bytecode import Table
    from cnp.stencil.library import Library

_ARRAYS = {
    "fields": "struct guest_field",
    "pages": "struct guest_page",
    "entries": "struct guest_entry",
    "instructions": "struct guest_instruction",
    "targets": "struct guest_target",
    "parts": "struct guest_part",
    "operands": "struct guest_operand",
    "banks": "struct guest_bank",
    "constants": "i64",
}
"""Members of `struct guest_table` that point to rows, in the order in which an encoder keeps the rows."""
_RANGE = "struct guest_span"


def declarations(guests: Mapping[str, Table]) -> str:
    """For the header. UserError for a name that C cannot spell."""
    for name in guests:
        if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
            raise UserError(f"bytecode {name!r}; accepted: a name of letters, digits and underscores")
    return "".join(f"{_named(table)}extern const cnp_bytecode cnp_bytecode_{name};\n" for name, table in guests.items())


def _named(table: Table) -> str:
    """A comment: which cells its templates name, in the order in which C programs give theirs."""
    cells = table._encoder.cells
    texts = (f"the assumption {each.name!a}" if _is_assumption(each) else "a data cell" for each in cells)
    listed = ", ".join(f"{number}: {text}" for number, text in enumerate(texts)).replace("*", "\\x2a")
    return f"/* Its templates name {listed}. */\n" if cells else ""


def _is_assumption(cell: Any) -> bool:
    return getattr(cell, "is_assumption", False)


def definitions(guests: Mapping[str, Table], library: Library) -> str:
    """For cnp.c. UserError for a table of another library's ops, or whose templates call functions of this process."""
    return "\n".join(_definition(name, table, library) for name, table in guests.items())


def _definition(name: str, table: Table, library: Library) -> str:
    encoder = table._encoder
    if encoder.op_table.library is not None and encoder.op_table.library.digest != library.digest:
        raise UserError(f"bytecode {name!r} has the ops of another library than {library.path}")
    if encoder.callees:
        raise UserError(
            f"bytecode {name!r}: a template calls {encoder.callees[0]!r}; accepted in C: callees that a field numbers"
        )
    guest = encoder.table
    arrays = dict(zip(_ARRAYS, encoder._arrays))
    live = [[encoder.files.index(file) for file in exit.files] for exit in encoder.exits]
    spans = table._spans
    arrays |= {"spans": spans.rows, "types": spans.types, "exits": _ranges(live)}
    arrays["live"] = [*chain.from_iterable(live)]
    arrays["named"] = [int(_is_assumption(cell)) for cell in encoder.cells]
    types = {**_ARRAYS, "spans": _RANGE, "types": "u8", "exits": _RANGE, "live": "u32", "named": "u8"}
    lines = [f"static const {types[each]} {name}_{each}[] = {_rows(rows)};" for each, rows in arrays.items()]
    pointers = ", ".join(f".{each} = {name}_{each}" for each in _ARRAYS)
    numbers = f".n_constants = {guest.n_constants}, .n_banks = {guest.n_banks}, .has_stack = {guest.has_stack}"
    rest = f".n_registers = {len(spans.types)}, .most_parameters = {spans.room}"
    guards = f".exits = {name}_exits, .live = {name}_live, .named = {name}_named, .n_named = {len(encoder.cells)}"
    return "\n".join(
        (
            *lines,
            f"const cnp_bytecode cnp_bytecode_{name} = {{",
            f"    .table = {{{pointers}, {numbers}}},",
            f"    .spans = {name}_spans, .types = {name}_types, {rest},",
            f"    {guards}}};",
            "",
        )
    )


def _ranges(lists: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """First and count of each, where all are put one behind the other; at least one."""
    firsts = accumulate(map(len, lists), initial=0)
    return list(zip(firsts, map(len, lists))) or [(0, 0)]


def _rows(rows: Any) -> str:
    return f"{{{', '.join(map(_initializer, rows)) or '0'}}}"


def _initializer(value: Any) -> str:
    if isinstance(value, ctypes.Structure):
        return _rows(getattr(value, each[0]) for each in value._fields_)
    if isinstance(value, int):
        if value == -(1 << 31):  # C has no such literal of type int
            return "-0x7fffffff - 1"
        return str(value) if -(1 << 31) < value < 1 << 31 else f"{value & (1 << 64) - 1:#x}ull"
    return _rows(value)
