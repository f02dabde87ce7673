"""A stencil library -> C: its sections as bytes, where they are, and the core's `struct library`."""

from __future__ import annotations

import ctypes
from typing import Any

from cnp.ir.optable import Code
from cnp.runtime.layout import Library as Tables
from cnp.runtime.tables import SECTIONS, describe
from cnp.stencil.layout import SectionName, SymbolKind
from cnp.stencil.library import Library

_ALIGNMENT = 64
_LINE = 64  # bytes of data a line
_NEEDED = (*SECTIONS, "blob")
_PLAIN = frozenset(range(32, 127)) - frozenset(b'"\\?')  # no quotes, escapes or trigraphs


def data(library: Library) -> str:
    """The sections that run-time work needs, one behind the other, as one string: gcc reads a string seven times as
    fast as an array of numbers.
    """
    content = b"".join(_sections(library))
    lines = (f'    "{_escaped(content[start : start + _LINE])}"' for start in range(0, len(content), _LINE))
    return "\n".join(
        (
            "/* The stencils and the core. */",
            "#ifdef __GNUC__",
            "#pragma GCC diagnostic push",
            '#pragma GCC diagnostic ignored "-Woverlength-strings"',
            "#endif",
            f"static const char library_data[] __attribute__((aligned({_ALIGNMENT}))) =",
            *lines,
            "    ;",
            "#ifdef __GNUC__",
            "#pragma GCC diagnostic pop",
            "#endif",
            "",
        )
    )


def tables(library: Library) -> str:
    """Where everything is in the data, and what the core and the host want to know of the library."""
    at, offsets = 0, []
    for name, section in zip(_NEEDED, _sections(library)):
        offsets.append(f"{name.upper()}_AT = {at}")
        at += len(section)
    offsets.append(f"BLOB_SIZE = {library.section_range(SectionName.BLOB)[1]}")
    routines = (f"AT_{name} = {value}" for name, value in library.exports.items())
    codes = (f"IR_{code.name} = {code.value:#x}" for code in Code)
    features = (f'"{name}"' for name, _ in library.symbols[SymbolKind.FEATURE])
    pointers = [f"    library->{name} = (const void *)(library_data + {name.upper()}_AT);" for name in SECTIONS]
    if library.limits["pools"]:
        pointers.append("    library->constants = library_data + BLOB_AT;")
    return "\n".join(
        (
            "/* Offsets in the data; of the core's routines, in the blob; and the numbers of ops that have no row. */",
            f"enum {{ {', '.join(offsets)} }};",
            f"enum {{ {', '.join(routines)} }};",
            f"enum {{ {', '.join(codes)} }};",
            f"static const char *const features[] = {{{', '.join((*features, 'NULL'))}}};",
            "static const struct library library_values = {",
            *(f"    .{name} = {_initializer(value)}," for name, value in _values(describe(library))),
            "};",
            "static void point_to_sections(struct library *library) {",
            *pointers,
            "}",
            "",
        )
    )


def _sections(library: Library) -> list[bytes]:
    found = [bytes(library.section(SectionName[name.upper()])) for name in _NEEDED]
    return [each + bytes(-len(each) % _ALIGNMENT) for each in found]


def _values(structure: Tables) -> list[tuple[str, Any]]:
    fields = ((each[0], each[1]) for each in structure._fields_)
    return [(name, getattr(structure, name)) for name, type in fields if type is not ctypes.c_void_p and name != "blob"]


def _initializer(value: Any) -> str:
    if isinstance(value, int):
        return f"{value}ull" if value >= 1 << 31 else str(value)
    return f"{{{', '.join(_initializer(each) for each in value)}}}"


def _escaped(content: bytes) -> str:
    """As C spells it; an escape is of three digits only where a digit follows."""
    text = []
    for each, following in zip(content, (*content[1:], 0)):
        if each in _PLAIN:
            text.append(chr(each))
        else:
            text.append(f"\\{each:03o}" if ord("0") <= following <= ord("7") else f"\\{each:o}")
    return "".join(text)
