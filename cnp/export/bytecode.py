"""Tables of guest bytecode -> C: the structures that the core's walker reads."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from cnp.errors import UserError
from cnp.export import called

if TYPE_CHECKING:
    from cnp.bytecode import Registers, Table
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
    return "".join(map(_declaration, guests, guests.values()))


def _declaration(name: str, table: Table) -> str:
    """With what programs in C number: files of registers, and the cells that its templates name, for which they give
    their own."""
    encoder = table._encoder
    files = [f"{each.count} {each.type}{' (the stack)' * (each is encoder.stack)}" for each in encoder.files]
    cells = [f"the assumption {each.name!a}" if _is_assumption(each) else "a data cell" for each in encoder.cells]
    return "".join(
        (
            _comment("Its files have", files),
            _file_numbers(name, encoder.files),
            _comment("Its templates name", cells),
            f"extern const cnp_bytecode cnp_bytecode_{name};\n",
        )
    )


def _comment(what: str, texts: Sequence[str]) -> str:
    listed = ", ".join(f"{number}: {text}" for number, text in enumerate(texts)).replace("*", "\\x2a")
    return f"/* {what} {listed}. */\n" if texts else ""


def _file_numbers(name: str, files: Sequence[Registers]) -> str:
    """Enumerators of the files whose names C can spell, and no other file has."""
    names = [each.name.upper() for each in files]
    numbers = [
        f"CNP_FILE_{name.upper()}_{each} = {number}"
        for number, each in enumerate(names)
        if re.fullmatch(r"\w+", each, re.ASCII) and names.count(each) == 1
    ]
    return f"enum {{ {', '.join(numbers)} }};\n" if numbers else ""


def _is_assumption(cell: Any) -> bool:
    return getattr(cell, "is_assumption", False)


def definitions(guests: Mapping[str, Table], library: Library) -> str:
    """For cnp.c. UserError for a table of another library's ops, or whose templates call what is of this process."""
    return "\n".join(_definition(name, table, library) for name, table in guests.items())


def _definition(name: str, table: Table, library: Library) -> str:
    encoder = table._encoder
    if encoder.op_table.library is not None and encoder.op_table.library.digest != library.digest:
        raise UserError(f"bytecode {name!r} has the ops of another library than {library.path}")
    guest = encoder.table
    arrays: dict[str, Any] = dict(zip(_ARRAYS, encoder._arrays))
    live = [[encoder.files.index(file) for file in exit.files] for exit in encoder.exits]
    arrays |= {"exits": _ranges(live), "live": [*chain.from_iterable(live)]}
    arrays["named"] = [int(_is_assumption(cell)) for cell in encoder.cells]
    arrays["sizes"] = [file.count for file in encoder.files]
    types = {**_ARRAYS, "exits": _RANGE, "live": "u32", "named": "u8", "sizes": "u32"}
    lines = [f"static const {types[each]} {name}_{each}[] = {_rows(rows)};" for each, rows in arrays.items()]
    pointers = ", ".join(f".{each} = {name}_{each}" for each in _ARRAYS)
    numbers = f".n_constants = {guest.n_constants}, .n_banks = {guest.n_banks}, .has_stack = {guest.has_stack}"
    registers = f".sizes = {name}_sizes, .n_places = {len(table._places)}"
    guards = f".exits = {name}_exits, .live = {name}_live, .named = {name}_named, .n_named = {len(encoder.cells)}"
    callees = f".callees = {name}_callees, .n_callees = {len(encoder.callees)}"
    return "\n".join(
        (
            called.template_callees(name, encoder.callees, library),
            *lines,
            f"const cnp_bytecode cnp_bytecode_{name} = {{",
            f"    .table = {{{pointers}, {numbers}}},",
            f"    {registers}, {guards},",
            f"    {callees}}};",
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
