"""Relocatable ELF files: sections, symbols and relocations, as they are read and written."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cnp.errors import LibraryError

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_RELOCATION = struct.Struct("<QQq")  # Elf64_Rela
_IDENTITY = b"\x7fELF" + bytes((2, 1, 1))  # 64-bit, little-endian, version 1
_RELOCATABLE, _VERSION = 1, 1

PROGBITS, SYMTAB, STRTAB, RELA, NOTE, NOBITS, GROUP, PROCESSOR_SPECIFIC = 1, 2, 3, 4, 7, 8, 17, 0x70000000
"""Types of sections."""
WRITE, ALLOCATE, EXECUTE, INFO_LINK, IN_GROUP = 1, 2, 4, 0x40, 0x200
"""Flags of sections."""
LOCAL, GLOBAL = 0, 1
"""Bindings of symbols."""
UNTYPED, OBJECT, FUNCTION, SECTION, FILE = range(5)
"""Types of symbols."""
DEFAULT, HIDDEN = 0, 2
"""Visibilities of symbols."""
_SPECIAL = 0xFF00  # section numbers from here on are none
_ONE_OF_ALL = 1  # GRP_COMDAT


@dataclass(eq=False, slots=True)
class Symbol:
    """A name for a place. One without a section is defined elsewhere."""

    name: str
    section: Section | None = None
    value: int = 0  # offset in the section
    size: int = 0
    type: int = UNTYPED
    binding: int = GLOBAL
    visibility: int = DEFAULT


@dataclass(eq=False, slots=True)
class Relocation:
    """A field of a section that a linker fills in."""

    offset: int
    type: int
    symbol: Symbol
    addend: int


@dataclass(eq=False, slots=True)
class Section:
    """Bytes, or room for some, and what a linker does to them."""

    name: str
    type: int = PROGBITS
    flags: int = 0
    data: bytes = b""
    alignment: int = 1
    entry_size: int = 0
    room: int = 0  # bytes of a section of type NOBITS
    relocations: list[Relocation] = field(default_factory=list)
    in_group: bool = False

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.room if self.type == NOBITS else len(self.data)


@dataclass(eq=False, slots=True)
class ObjectFile:
    """A whole file. Of files linked together only one keeps the sections in the group, which the symbol names."""

    machine: int
    flags: int
    sections: list[Section]
    symbols: list[Symbol]
    group: Symbol | None = None


def write(file: ObjectFile) -> bytes:
    """The bytes of the file."""
    symbols = sorted(file.symbols, key=lambda each: each.binding != LOCAL)  # local ones come first
    number = {id(each): index for index, each in enumerate(symbols, 1)}
    rows = _Rows()
    index: dict[int, int] = {}
    grouped = [each for each in file.sections if each.in_group]
    at = 1 + bool(grouped)
    for section in file.sections:
        index[id(section)] = at
        at += 1 + bool(section.relocations)
    symbol_table = at
    if grouped:
        assert file.group is not None
        members = [index[id(each)] for each in grouped]
        members += [index[id(each)] + 1 for each in grouped if each.relocations]
        data = struct.pack(f"<{1 + len(members)}I", _ONE_OF_ALL, *sorted(members))
        rows.add(".group", GROUP, 0, data, 4, symbol_table, number[id(file.group)], 4)
    for section in file.sections:
        flags = section.flags | IN_GROUP * section.in_group
        rows.add(
            section.name, section.type, flags, section.data, section.alignment, 0, 0, section.entry_size, section.size
        )  # fmt: skip
        if section.relocations:
            data = b"".join(
                _RELOCATION.pack(each.offset, number[id(each.symbol)] << 32 | each.type, each.addend)
                for each in section.relocations
            )
            flags = INFO_LINK | IN_GROUP * section.in_group
            rows.add(f".rela{section.name}", RELA, flags, data, 8, symbol_table, index[id(section)], _RELOCATION.size)
    names = _Names()
    table = bytes(_SYMBOL.size) + b"".join(_symbol_row(each, names, index) for each in symbols)
    first_global = 1 + sum(each.binding == LOCAL for each in symbols)
    rows.add(".symtab", SYMTAB, 0, table, 8, symbol_table + 1, first_global, _SYMBOL.size)
    rows.add(".strtab", STRTAB, 0, bytes(names.data), 1)
    return rows.finish(file.machine, file.flags)


def _symbol_row(symbol: Symbol, names: _Names, index: dict[int, int]) -> bytes:
    section = 0 if symbol.section is None else index[id(symbol.section)]
    name = 0 if symbol.type == SECTION else names.offset(symbol.name)
    return _SYMBOL.pack(name, symbol.binding << 4 | symbol.type, symbol.visibility, section, symbol.value, symbol.size)


class _Names:
    """NUL-terminated strings, each once, behind the empty one."""

    def __init__(self) -> None:
        self.data = bytearray(1)
        self._offsets = {"": 0}

    def offset(self, name: str) -> int:
        if name not in self._offsets:
            self._offsets[name] = len(self.data)
            self.data += name.encode() + b"\0"
        return self._offsets[name]


class _Rows:
    """The contents of sections one after another, and the table of sections."""

    def __init__(self) -> None:
        self._data = bytearray(_HEADER.size)
        self._table = [bytes(_SECTION.size)]
        self._names = _Names()

    def add(
        self, name: str, type: int, flags: int, data: bytes, alignment: int, link: int = 0, info: int = 0,
        entry_size: int = 0, size: int | None = None,
    ) -> None:  # fmt: skip
        self._data += bytes(-len(self._data) % alignment)
        size = len(data) if size is None else size
        name_at, at = self._names.offset(name), len(self._data)
        self._table.append(_SECTION.pack(name_at, type, flags, 0, at, size, link, info, alignment, entry_size))
        self._data += data

    def finish(self, machine: int, flags: int) -> bytes:
        names_index = len(self._table)
        self._names.offset(".shstrtab")
        self.add(".shstrtab", STRTAB, 0, bytes(self._names.data), 1)
        self._data += bytes(-len(self._data) % 8)
        self._data[: _HEADER.size] = _HEADER.pack(
            _IDENTITY, _RELOCATABLE, machine, _VERSION, 0, 0, len(self._data), flags, _HEADER.size, 0, 0,
            _SECTION.size, len(self._table), names_index,
        )  # fmt: skip
        return bytes(self._data) + b"".join(self._table)


def read(path: str, data: bytes) -> ObjectFile:
    """What of a file gets into a program: sections that are loaded, their relocations, their symbols, undefined ones.

    Besides, what only processors of one kind have, such as the attributes of RISC-V. LibraryError if it is damaged.
    """
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError, KeyError):
        raise LibraryError(f"{path} is damaged; rebuild it with `python build_stencils.py`") from None


def _read(data: bytes) -> ObjectFile:
    identity, kind, machine, _, _, _, at, flags, *_, count, names = _HEADER.unpack_from(data)
    if not identity.startswith(_IDENTITY) or kind != _RELOCATABLE:
        raise ValueError(identity)
    rows = [_SECTION.unpack_from(data, at + number * _SECTION.size) for number in range(count)]
    sections = {}
    for number, row in enumerate(rows):
        section = _read_section(data, row, _text(data, rows[names][4] + row[0]))
        if section is not None:
            sections[number] = section
    (table,) = (row for row in rows if row[1] == SYMTAB)
    symbols = _read_symbols(_bytes(data, table), _bytes(data, rows[table[6]]), sections)
    for row in rows:
        if row[1] == RELA and row[7] in sections:
            sections[row[7]].relocations = [
                Relocation(offset, info & 0xFFFFFFFF, symbols[info >> 32], addend)
                for offset, info, addend in _RELOCATION.iter_unpack(_bytes(data, row))
            ]
    kept = _used(symbols.values(), list(sections.values()))
    return ObjectFile(machine, flags, list(sections.values()), kept)


def _read_section(data: bytes, row: Sequence[int], name: str) -> Section | None:
    _, type, flags, _, _, size, _, _, alignment, entry_size = row
    loaded = flags & ALLOCATE and size and not name.startswith((".note", ".comment"))
    if not loaded and not (type >= PROCESSOR_SPECIFIC and type < PROCESSOR_SPECIFIC + 0x10000000):
        return None
    contents = b"" if type == NOBITS else _bytes(data, row)
    room = size if type == NOBITS else 0
    return Section(name, type, flags & ~IN_GROUP, contents, max(alignment, 1), entry_size, room)


def _read_symbols(table: bytes, names: bytes, sections: dict[int, Section]) -> dict[int, Symbol]:
    """By number, without those of sections that are not kept."""
    symbols = {}
    for number, (name, info, other, section, value, size) in enumerate(_SYMBOL.iter_unpack(table)):
        type, binding = info & 15, info >> 4
        if section in sections or (section == 0 and number):
            place = sections.get(section)
            symbols[number] = Symbol(_text(names, name), place, value, size, type, binding, other & 3)
        elif section >= _SPECIAL and type != FILE:
            raise ValueError(f"symbol {_text(names, name)} is nowhere")
    return symbols


def _used(symbols: Iterable[Symbol], sections: Sequence[Section]) -> list[Symbol]:
    named = {id(each.symbol) for section in sections for each in section.relocations}
    return [each for each in symbols if each.section is not None or id(each) in named]


def _bytes(data: bytes, row: Sequence[int]) -> bytes:
    return data[row[4] : row[4] + row[5]]


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
