"""Reads what the extractor needs out of an object file, through pyelftools: functions, their relocations, constants."""

from __future__ import annotations

import bisect
import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnp.errors import BuildError, MissingExtra
from cnp.target.patch import PatchKind
from cnp.target.record import Target

try:
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile
except ImportError as error:
    raise MissingExtra("building a stencil library needs pyelftools: `pip install cnp[build]`") from error

_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_RELOCATION = struct.Struct("<QQq")  # Elf64_Rela
_NOTES = (".note", ".comment")
_UNDEFINED = 0
_FUNCTION, _SECTION_SYMBOL = 2, 3
_GLOBAL = 1
_NONE = 0
"""The relocation that does nothing, on every target: it marks a field of the patch kind that its addend numbers."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Read-only data that code refers to: its bytes, which are also its identity, and how it must be aligned."""

    data: bytes
    alignment: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A row of the symbol table."""

    name: str
    section: int  # 0 is undefined
    value: int
    size: int
    function: bool
    exported: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A section that is loaded."""

    name: str
    code: bool
    data: bytes
    alignment: int
    entry_size: int  # of constants that the linker may merge; else 0


@dataclass(frozen=True, slots=True)
class Relocation:
    """One relocation, with its symbol looked up."""

    offset: int  # in its section
    type: int
    symbol: Symbol
    addend: int


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """The loaded sections of an object file by index, their relocations in offset order, and all symbols."""

    sections: Mapping[int, Section]
    relocations: Mapping[int, tuple[Relocation, ...]]
    symbols: tuple[Symbol, ...]


class HasVariables(BuildError):
    """A section of an object file would have to be written to: by its code, or for the addresses in it."""

    def __init__(self, section: str, symbols: Sequence[str]) -> None:
        named = f" ({', '.join(symbols)})" if symbols else ""
        if section.startswith(".data.rel.ro"):
            what = f"section {section}{named} has addresses, which are known only where the code runs"
            super().__init__(f"{what}; accepted: tables of numbers")
        else:
            super().__init__(f"section {section}{named} is writable: neither stencils nor the core may have variables")
        self.symbols = symbols


def read_object(path: Path, machine: str) -> ObjectFile:
    """Read a 64-bit little-endian relocatable file. BuildError at a section that compiled code cannot have,
    HasVariables at one of variables."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        if elf["e_machine"] != machine or elf.elfclass != 64 or not elf.little_endian:
            raise BuildError(f"{path.name}: made for {elf['e_machine']}, not for {machine}")
        sections: dict[int, Section] = {}
        relocation_sections = []
        symbols: tuple[Symbol, ...] = ()
        written: list[tuple[int, str]] = []
        for index in range(elf.num_sections()):
            section = elf.get_section(index)
            kind, flags = section["sh_type"], section["sh_flags"]
            if kind == "SHT_RELA":
                relocation_sections.append((section["sh_info"], section.data()))
            elif kind == "SHT_SYMTAB":
                strings = elf.get_section(section["sh_link"]).data()
                symbols = _symbols(section.data(), strings)
            elif flags & SH_FLAGS.SHF_ALLOC and section["sh_size"] and not section.name.startswith(_NOTES):
                if flags & SH_FLAGS.SHF_WRITE:
                    written.append((index, section.name))
                else:
                    sections[index] = _section(section, flags)
    for index, name in written:
        raise HasVariables(name, [each.name for each in symbols if each.section == index and each.name])
    relocations = {target: _relocations(data, symbols) for target, data in relocation_sections if target in sections}
    return ObjectFile(sections, relocations, symbols)


def _section(section: object, flags: int) -> Section:
    name: str = section.name  # type: ignore[attr-defined]
    header = section.header  # type: ignore[attr-defined]
    executable = bool(flags & SH_FLAGS.SHF_EXECINSTR)
    if not executable and not name.startswith(".rodata"):
        raise BuildError(f"unexpected section {name}: only .text and .rodata are accepted")
    entry_size = header["sh_entsize"] if flags & SH_FLAGS.SHF_MERGE else 0
    data: bytes = section.data()  # type: ignore[attr-defined]
    return Section(name, executable, data, header["sh_addralign"], entry_size)


def _symbols(data: bytes, strings: bytes) -> tuple[Symbol, ...]:
    result = []
    for name, info, _, section, value, size in _SYMBOL.iter_unpack(data):
        text = strings[name : strings.index(b"\0", name)].decode()
        result.append(Symbol(text, section, value, size, info & 15 == _FUNCTION, info >> 4 == _GLOBAL))
    return tuple(result)


def _relocations(data: bytes, symbols: tuple[Symbol, ...]) -> tuple[Relocation, ...]:
    rows = [
        Relocation(offset, info & 0xFFFFFFFF, symbols[info >> 32], addend)
        for offset, info, addend in _RELOCATION.iter_unpack(data)
    ]
    return tuple(sorted(rows, key=lambda row: row.offset))


@dataclass(frozen=True, slots=True)
class Reference:
    """A relocation of a function: what it refers to is an outside symbol's name, or a constant."""

    offset: int  # in the function
    type: int
    symbol: str | Constant
    addend: int
    kind: PatchKind | None = None  # of a field that no ELF relocation stands for


@dataclass(frozen=True, slots=True)
class Function:
    """The machine code of one C function."""

    name: str
    code: bytes
    references: tuple[Reference, ...]


def functions_of(file: ObjectFile, target: Target) -> list[Function]:
    """The functions of an object file. BuildError at a reference to anything but outside symbols and constants."""
    by_section: dict[int, list[Symbol]] = {}
    for symbol in file.symbols:
        if symbol.function and symbol.section != _UNDEFINED:
            by_section.setdefault(symbol.section, []).append(symbol)
    result = []
    for index, symbols in by_section.items():
        relocations = file.relocations.get(index, ())
        at = 0
        for symbol in sorted(symbols, key=lambda each: each.value):
            end = symbol.value + symbol.size
            references = []
            while at < len(relocations) and relocations[at].offset < end:
                references.append(_reference(file, symbol, whole(relocations[at], relocations, target), target))
                at += 1
            code = file.sections[index].data[symbol.value : end]
            result.append(Function(symbol.name, code, tuple(references)))
    return result


def whole(row: Relocation, rows: Sequence[Relocation], target: Target) -> Relocation:
    """A relocation with the symbol of what it refers to: some name the place of the half that came before.

    `rows` are all of the section, in offset order.
    """
    kind = target.relocations.get(row.type)
    if kind is None or not kind.of_label:
        return row
    first = bisect.bisect_left(rows, row.symbol.value, key=lambda each: each.offset)
    for other in itertools.takewhile(lambda each: each.offset == row.symbol.value, rows[first:]):
        found = target.relocations.get(other.type)
        if found is not None and not found.of_label:
            return replace(row, symbol=other.symbol, addend=other.addend + row.offset - other.offset)
    raise BuildError(f"offset {row.offset}: {kind.name} names a place where no other half is")


def _reference(file: ObjectFile, function: Symbol, row: Relocation, target: Target) -> Reference:
    offset = row.offset - function.value
    if row.type == _NONE and row.symbol.section == _UNDEFINED and row.addend < len(target.kinds):
        return Reference(offset, row.type, row.symbol.name, 0, target.kinds[row.addend])
    if row.symbol.section == _UNDEFINED:
        return Reference(offset, row.type, row.symbol.name, row.addend)
    section = file.sections.get(row.symbol.section)
    if section is None or section.code or not section.entry_size:
        what = f"section {section.name}" if section else f"symbol {row.symbol.name}"
        raise BuildError(
            f"{function.name}: offset {offset} refers to {what}: only holes, core routines and mergeable constants "
            "are accepted"
        )
    # On x86-64 an addend counts from the field's start: the constant is at least 4 bytes on. A section's symbol says
    # only where the section is; a constant's own says all.
    start = row.symbol.value + row.addend
    ahead = -target.jump_addend
    position = (
        -(-(start + ahead) // section.entry_size) * section.entry_size if not row.symbol.name else row.symbol.value
    )
    data = section.data[position : position + section.entry_size]
    return Reference(offset, row.type, Constant(data, section.alignment), start - position)
