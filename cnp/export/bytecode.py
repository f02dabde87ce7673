"""Tables of guest bytecode -> C: the structures that the core's walker reads."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
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
    "operands": "struct guest_operand",
    "banks": "struct guest_bank",
    "constants": "i64",
}
"""Members of `struct guest_table` that point to rows, in the order in which an encoder keeps the rows."""


def declarations(guests: Mapping[str, Table]) -> str:
    """For the header. UserError for a name that C cannot spell."""
    for name in guests:
        if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
            raise UserError(f"bytecode {name!r}; accepted: a name of letters, digits and underscores")
    return "".join(f"extern const cnp_bytecode cnp_bytecode_{name};\n" for name in guests)


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
    if encoder.exits or encoder.cells:
        raise UserError(f"bytecode {name!r}: a template has an exit, or names a cell; C programs cannot have them yet")
    guest = encoder.table
    arrays = dict(zip(_ARRAYS, encoder._arrays))
    arrays |= {"spans": table._spans, "types": table._types}
    types = {**_ARRAYS, "spans": "struct guest_span", "types": "u8"}
    lines = [f"static const {types[each]} {name}_{each}[] = {_rows(rows)};" for each, rows in arrays.items()]
    pointers = ", ".join(f".{each} = {name}_{each}" for each in _ARRAYS)
    numbers = f".n_constants = {guest.n_constants}, .n_banks = {guest.n_banks}, .has_stack = {guest.has_stack}"
    rest = f".n_registers = {len(table._types)}, .most_parameters = {table._room(table._spans)}"
    return "\n".join(
        (
            *lines,
            f"const cnp_bytecode cnp_bytecode_{name} = {{",
            f"    .table = {{{pointers}, {numbers}}},",
            f"    .spans = {name}_spans, .types = {name}_types, {rest}}};",
            "",
        )
    )


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
