"""Turns an ELF object that clang -target bpf compiled into one program, its functions by name, and its maps.

Code sections follow one another in the program; calls between them and references to maps and data are relocated
here. Maps are variables of section "maps", each a struct of the 32-bit numbers type, key_size, value_size,
max_entries (and flags, 0). Data sections become arrays of one entry, .rodata one that cannot be written; where data
points at data, the address is put in when the maps are made."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from .instruction import LOCAL, MAP, MAP_VALUE, SLOT, EbpfError, Instruction, decode, is_wide
from .maps import ARRAY, MapSpec, Pointer

R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_32 = 1, 2, 10
_EM_BPF = 247
_DATA = (".rodata", ".data", ".bss")
_DEFINITION = struct.Struct("<IIII")
_MAXIMUM_DATA = 1 << 24  # bytes of one data section


@dataclass(frozen=True)
class Object:
    """`functions`: the first slot of each function by name. `maps`: in the order by which the program numbers them."""

    program: list[Instruction]
    functions: dict[str, int]
    maps: list[MapSpec] = field(default_factory=list)


def read(path: str | os.PathLike[str]) -> Object:
    """The program in an object file. Raises OSError, and EbpfError with the file's name for what is in it."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return parse(data)
    except EbpfError as error:
        raise EbpfError(f"{os.fspath(path)}: {error}") from None


def parse(data: bytes) -> Object:
    """The program in the bytes of an object file. Raises EbpfError if it is none, or one that cannot be loaded."""
    try:
        from elftools.common.exceptions import ELFError
        from elftools.construct import ConstructError
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise EbpfError("object files are read with pyelftools: pip install 'cnp[build]'") from None
    try:
        return _Reader(ELFFile(io.BytesIO(data))).read()
    except EbpfError:
        raise
    # pyelftools meets damage in many ways; whatever it raises, the file is not what it should be.
    except (
        ELFError, ConstructError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError,
        AssertionError, zlib.error, UnicodeError, struct.error, MemoryError, RecursionError,
    ) as error:  # fmt: skip
        raise EbpfError(f"not a well-formed ELF object ({type(error).__name__}: {error})") from None


class _Reader:
    """The state of one reading. Sections are known by their numbers."""

    def __init__(self, elf: Any) -> None:
        self.elf = elf
        self.program: list[Instruction] = []
        self.starts: dict[int, int] = {}  # of code sections: their first slot
        self.functions: dict[str, int] = {}
        self.maps: list[MapSpec] = []
        self.map_at: dict[tuple[int, int], int] = {}  # section and offset of each map
        self.data: dict[int, int] = {}  # of data sections: the number of their map

    def read(self) -> Object:
        header = self.elf.header
        if header["e_machine"] not in ("EM_BPF", _EM_BPF) or not self.elf.little_endian or header["e_type"] != "ET_REL":
            what = f"{header['e_machine']}, {header['e_type']}"
            raise EbpfError(f"not a little-endian eBPF object but {what}; `clang -target bpf -c` makes them")
        self.symbols = self._symbol_table()
        for number, section in enumerate(self.elf.iter_sections()):
            self._section(number, section)
        if not self.program:
            raise EbpfError("there is no code: no section of the object is executable")
        for symbol in self.symbols:
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] in self.starts:
                self.functions[symbol.name] = self.starts[symbol["st_shndx"]] + self._slot(symbol["st_value"])
        for section in self.elf.iter_sections():
            if section["sh_type"] == "SHT_REL":
                self._relocate_section(section["sh_info"], section.iter_relocations())
        return Object(self.program, self.functions, self.maps)

    def _symbol_table(self) -> list[Any]:
        section = self.elf.get_section_by_name(".symtab")
        if section is None or not hasattr(section, "iter_symbols"):
            raise EbpfError("there is no symbol table; objects that were not stripped are accepted")
        return list(section.iter_symbols())

    def _section(self, number: int, section: Any) -> None:
        allocated = section["sh_flags"] & 2
        if section["sh_flags"] & 4 and section["sh_size"]:
            self.starts[number] = len(self.program)
            self.program += decode(section.data())
        elif section.name == "maps":
            self._map_definitions(number, section.data())
        elif section.name == ".maps":
            raise EbpfError('maps described by types (section ".maps"); accepted is section "maps" with the struct')
        elif allocated and section["sh_size"] and section.name.startswith(_DATA):
            if section["sh_size"] > _MAXIMUM_DATA:
                size = section["sh_size"]
                raise EbpfError(f"section {section.name!r}: {size} bytes; at most {_MAXIMUM_DATA} are accepted")
            initial = b"" if section["sh_type"] == "SHT_NOBITS" else section.data()
            self.data[number] = len(self.maps)
            writable = bool(section["sh_flags"] & 1)
            self.maps.append(MapSpec(section.name, ARRAY, 4, section["sh_size"], 1, initial, writable))

    def _map_definitions(self, number: int, data: bytes) -> None:
        for symbol in self.symbols:
            if symbol["st_shndx"] != number or not symbol.name:
                continue
            offset, size = symbol["st_value"], symbol["st_size"]
            if size < _DEFINITION.size or offset + size > len(data):
                why = f"its definition has {size} bytes at offset {offset} of {len(data)}"
                raise EbpfError(f"map {symbol.name!r}: {why}; at least {_DEFINITION.size} are needed")
            spec = MapSpec(symbol.name, *_DEFINITION.unpack_from(data, offset))
            if any(data[offset + _DEFINITION.size : offset + size]):
                raise EbpfError(f"map {symbol.name!r}: has flags; 0 is accepted")
            spec.check()
            self.map_at[number, offset] = len(self.maps)
            self.maps.append(spec)

    def _slot(self, offset: int) -> int:
        if offset % SLOT:
            raise EbpfError(f"offset {offset} is inside an instruction; multiples of {SLOT} are accepted")
        return int(offset) // SLOT

    def _relocate_section(self, section: int, relocations: Iterable[Any]) -> None:
        """Relocations of code, data or maps; what describes the program, such as for debuggers, is not read."""
        if section in self.starts:
            for relocation in relocations:
                self._relocate(self.starts[section], relocation)
        elif section in self.data:
            spec = self.maps[self.data[section]]
            pointers = tuple(self._pointer(spec, relocation) for relocation in relocations)
            self.maps[self.data[section]] = replace(spec, pointers=pointers)
        elif any(section == each for each, _ in self.map_at) and any(True for _ in relocations):
            raise EbpfError('a map of section "maps" refers to something; numbers alone are accepted there')

    def _symbol(self, relocation: Any) -> tuple[Any, str]:
        """The symbol that a relocation is by, and what to call it."""
        index = relocation["r_info_sym"]
        if index >= len(self.symbols):
            raise EbpfError(f"a relocation by symbol {index}; there are {len(self.symbols)}")
        symbol = self.symbols[index]
        return symbol, symbol.name or f"section {symbol['st_shndx']}"

    def _pointer(self, spec: MapSpec, relocation: Any) -> Pointer:
        """What a data section has a pointer to; the word itself says how far behind the symbol."""
        offset, kind = relocation["r_offset"], relocation["r_info_type"]
        symbol, name = self._symbol(relocation)
        where = f"section {spec.name!r}, offset {offset}"
        if kind != R_BPF_64_ABS64 or not 0 <= offset <= spec.value_size - 8:
            accepted = f"{R_BPF_64_ABS64} (R_BPF_64_ABS64) of 8 bytes inside it is accepted"
            raise EbpfError(f"{where}: a relocation of type {kind}; {accepted}")
        if symbol["st_shndx"] not in self.data:
            raise EbpfError(f"{where}: a pointer to {name!r}; pointers to data of the object are accepted in data")
        behind = int.from_bytes(spec.initial[offset : offset + 8], "little")
        return Pointer(offset, self.data[symbol["st_shndx"]], symbol["st_value"] + behind)

    def _relocate(self, start: int, relocation: Any) -> None:
        number, kind = start + self._slot(relocation["r_offset"]), relocation["r_info_type"]
        symbol, name = self._symbol(relocation)
        if number >= len(self.program):
            raise EbpfError(f"a relocation of slot {number}; the program has {len(self.program)}")
        instruction = self.program[number]
        if kind == R_BPF_64_32:
            if symbol["st_shndx"] not in self.starts:
                raise EbpfError(f"slot {number} calls {name!r}, which is not defined; functions of the object are")
            target = self.starts[symbol["st_shndx"]] + self._slot(symbol["st_value"]) + instruction.imm + 1
            self.program[number] = instruction._replace(src=LOCAL, imm=target - number - 1)
        elif kind == R_BPF_64_64 and is_wide(instruction) and number + 1 < len(self.program):
            self._refer(number, instruction, symbol, name)
        else:
            accepted = f"{R_BPF_64_64} (R_BPF_64_64) of lddw and {R_BPF_64_32} (R_BPF_64_32) are accepted"
            raise EbpfError(f"slot {number}: a relocation of type {kind}; {accepted}")

    def _refer(self, number: int, instruction: Instruction, symbol: Any, name: str) -> None:
        """An LD_IMM64 of a map, or of data at an offset."""
        section = symbol["st_shndx"]
        if section in self.data:
            offset = symbol["st_value"] + instruction.imm
            self.program[number] = instruction._replace(src=MAP_VALUE, imm=self.data[section])
            self.program[number + 1] = self.program[number + 1]._replace(imm=offset)
        elif (section, symbol["st_value"] + instruction.imm) in self.map_at:
            which = self.map_at[section, symbol["st_value"] + instruction.imm]
            self.program[number] = instruction._replace(src=MAP, imm=which)
        else:
            raise EbpfError(f"slot {number} refers to {name!r}, which is not a map or data of the object")
