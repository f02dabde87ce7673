"""A stencil library -> what the core wants to know of it, addresses apart."""

from __future__ import annotations

from cnp.errors import LibraryError
from cnp.runtime.layout import KNOWN_CONTROLS, KNOWN_OPS, REDUCIBLE_OPS, Library
from cnp.stencil.layout import SymbolKind

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from cnp.stencil.library import Library as StencilLibrary

SECTIONS = ("ops", "placements", "stencils", "holes", "chunks", "runs", "families", "kinds", "classes", "fields")
"""Members of `struct library` that point to the section of that name."""


def describe(library: StencilLibrary) -> Library:
    """All but pointers and the address of the blob. LibraryError if something is not in the library."""
    tables = Library()
    values = {kind: [value for _, value in rows] for kind, rows in library.symbols.items()}
    names = (SymbolKind.INTEGER_REGISTER, SymbolKind.FLOAT_REGISTER)
    for row, alternatives in zip(tables.alternative, (values[kind] for kind in names)):
        row[: len(alternatives) + 1] = [*alternatives, max(alternatives) + 1]
    for name, value in library.limits.items():
        if name != "pools":
            setattr(tables, name, value)
    tables.last_routine = max(library.exports.values())
    tables.n_ops = len(library.ops)
    tables.integer_registers = library.integer_registers
    tables.float_registers = library.float_registers
    tables.integer_argument[: len(values[SymbolKind.ARGUMENT])] = values[SymbolKind.ARGUMENT]
    (tables.integer_result,), (tables.float_result,) = values[SymbolKind.RESULT], values[SymbolKind.FLOAT_RESULT]
    tables.survivors = sum(1 << register for register in values[SymbolKind.SURVIVOR])
    tables.scratch = sum(1 << register for register in values[SymbolKind.SCRATCH])
    tables.padding[:] = library.padding
    control, rows = library.control, library.op_by_method
    try:
        tables.control[:] = [control[name] for name in KNOWN_CONTROLS]
        tables.known[:] = [rows[name].code for name in KNOWN_OPS]
        for code in (rows[name].code for name in REDUCIBLE_OPS):
            tables.reducible[code >> 6] |= 1 << (code & 63)
    except KeyError as missing:
        raise LibraryError(f"{library.path}: the core needs {missing.args[0]!r}, which is not in it") from None
    return tables
