"""Functions -> an object file that a linker takes, for this machine or another: what `cnp emit` writes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from cnp.backends import foreign, native
from cnp.errors import LibraryError, Unsupported, UserError
from cnp.ir.function import Extern, Function
from cnp.runtime.code import Part
from cnp.runtime.default import beside, library_for
from cnp.stencil.library import Library
from cnp.stencil.patching import patch
from cnp.stencil.sources import support_path
from cnp.stencil.words import Value
from cnp.target import TARGETS, target_named
from cnp.tools.objectfile import (
    ALLOCATE,
    EXECUTE,
    FUNCTION,
    GLOBAL,
    HIDDEN,
    LOCAL,
    NOTE,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
    read,
    write,
)
from cnp.types import Type

DESCRIPTION = struct.Struct("<iiIBB2x")
"""`struct exported` of stencils/ahead/support.c: distances to code and to names, number, uses_floats, narrow."""
_DISTANCE = struct.Struct("<i")
_SUFFIX = ".cnp_support"  # of its sections' names, which linkers put where the names in front of it go
_ALIGNMENT = 16  # of ways in, and of the support's code
_PROPERTY = struct.Struct("<III4sIII4x")  # Elf64_Nhdr, name, and one property of four bytes
_GNU_PROPERTIES = 5  # NT_GNU_PROPERTY_TYPE_0


def object_file(functions: Sequence[Function], target: str | None = None, *, landing_pads: bool = False) -> bytes:
    """An ELF file in which `functions` are global symbols with the platform's C convention.

    What they call is in it as well; externs are left to the linker. It needs a C library with POSIX threads.
    `landing_pads` marks wherever indirect jumps and calls may arrive, and says so to linkers, for processors that check
    it. UserError for names that cannot be symbols, LibraryError if there is no library for the target, Unsupported if
    its object files cannot have landing pads, VerifyError and Unsupported as for Function.compile.
    """
    core = native.core_of(functions[0]) if functions else native.core()
    name = target or core.library.target
    libraries = [foreign.library_of_target(each, name) for each in functions]
    library = libraries[0] if libraries else library_for(name)
    if any(each is not library for each in libraries):
        raise Unsupported("functions with ops of several libraries; accepted in one object file: of one")
    if landing_pads and target_named(name).landing_pads is None:
        able = ", ".join(sorted(each.name for each in TARGETS.values() if each.landing_pads))
        raise Unsupported(f"object files for {name} cannot have landing pads; accepted: {able}")
    support = _read_support(beside(library))
    _check_names(functions, support)
    reached = native.reached(functions)
    image, parts, calls = foreign.compile_for_linker(core, reached, library, landing_pads=landing_pads)
    text = _Text(library, support, image, parts, landing_pads)
    for each in calls:
        text.call(each)
    text.add_entries({id(each) for each in functions})
    return write(text.finish())


def _read_support(library: Library) -> ObjectFile:
    path = support_path(library.path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LibraryError(
            f"cannot read {path}, which every object file carries: {error.strerror}; "
            "rebuild it with `python build_stencils.py`"
        ) from None
    return read(str(path), data)


def _check_names(functions: Sequence[Function], support: ObjectFile) -> None:
    if not functions:
        raise UserError("an object file of no functions")
    taken = {each.name for each in support.symbols if each.section is not None and each.binding == GLOBAL}
    seen = set()
    for function in functions:
        if not function.name or "\0" in function.name:
            raise UserError(f"function {function.name!r}: its name cannot be a symbol")
        if function.name in taken:
            raise UserError(f"function {function.name!r} has a name that every object file of cnp defines itself")
        if function.name in seen:
            raise UserError(f"two functions are called {function.name!r}, and both would be symbols")
        seen.add(function.name)


class _Text:
    """The section of the functions, and the file it is in."""

    def __init__(
        self, library: Library, support: ObjectFile, image: bytes, parts: Sequence[Part], landing_pads: bool
    ) -> None:
        self._library = library
        self._landing_pads = landing_pads
        self._target = target_named(library.target)
        self._support = support
        self._data = bytearray(image)
        self._parts = parts
        alignment = max(_ALIGNMENT, *(part.alignment for part in parts))
        self._section = Section(".text", flags=ALLOCATE | EXECUTE, alignment=alignment)
        self._own: list[Symbol] = []
        self._by_name = {each.name: each for each in support.symbols if each.binding != LOCAL}

    def call(self, row: foreign.Relocation) -> None:
        """What the code of the functions refers to outside of it."""
        name = row.symbol.name if isinstance(row.symbol, Extern) else row.symbol
        self._relocate(row.offset, row.kind, name, row.addend)

    def _relocate(self, offset: int, kind: int, name: str, addend: int) -> None:
        patch(self._data, offset, self._library.kinds[kind], 0)
        found = self._target.call_relocation(self._target.kinds[kind].name)
        if found is not None:  # else the relocation of another field stands for both
            type, start = found
            self._section.relocations.append(Relocation(offset - start, type, self._symbol(name), addend))

    def _symbol(self, name: str) -> Symbol:
        """The global symbol of a name; undefined, if nothing defines it yet."""
        return self._by_name.setdefault(name, Symbol(name))

    def add_entries(self, exported: set[int]) -> None:
        """Ways in from C for the functions whose id() are given, what describes them, and names of all for traps."""
        entries = []
        for part in self._parts:
            if id(part.function) in exported:
                entries.append((part, *self._add_entry(part)))
            name = f"{part.function.name}.code" if id(part.function) in exported else part.function.name
            self._own.append(Symbol(name, self._section, part.offset, part.code_size, FUNCTION, LOCAL))
        names = len(self._data)
        at, text = _DISTANCE.size * (1 + len(self._parts)), bytearray()
        self._data += _DISTANCE.pack(0)  # functions are numbered from 1 on
        for part in self._parts:
            self._data += _DISTANCE.pack(at + len(text))
            text += part.function.name.encode() + b"\0"
        self._data += text
        for part, start, description in entries:
            _describe(part, description, names, self._data)
            symbol = self._symbol(part.function.name)
            symbol.section, symbol.value, symbol.type = self._section, start, FUNCTION
            symbol.size = description + DESCRIPTION.size - start

    def _add_entry(self, part: Part) -> tuple[int, int]:
        """Offsets of a function's way in, and of what describes it."""
        result = part.function.result
        control = "symbol_entry_float" if result is not None and result.is_float else "symbol_entry_integer"
        stencil = self._library.stencil(self._library.control[control])
        self._data += bytes(-len(self._data) % _ALIGNMENT)
        entry = len(self._data)
        if self._landing_pads:
            self._data += self._library.stencil(self._library.control["landing_pad"]).code
        start = len(self._data)
        self._data += stencil.code
        self._data += bytes(-len(self._data) % _DISTANCE.size)
        description = len(self._data)
        self._data += bytes(DESCRIPTION.size)
        routines = {offset: name for name, offset in self._library.exports.items()}
        for hole in stencil.holes:
            at = start + hole.offset
            if hole.value == Value.TABLE:
                patch(self._data, at, self._library.kinds[hole.kind], description + hole.addend - at)
            else:
                self._relocate(at, hole.kind, routines[hole.extra], hole.addend)
        return entry, description

    def finish(self) -> ObjectFile:
        """The whole file: the functions, and the support in a group of its own."""
        self._section.data = bytes(self._data)
        group = Symbol(f"cnp_support_{self._library.abi_hash:016x}", self._support.sections[0], binding=LOCAL)
        for section in self._support.sections:
            section.in_group = bool(section.flags & ALLOCATE)
            section.name += _SUFFIX * section.in_group
            if section.flags & EXECUTE:
                section.alignment = max(section.alignment, _ALIGNMENT)
        for symbol in self._support.symbols:
            if symbol.section is not None and symbol.binding != LOCAL:
                symbol.visibility = HIDDEN
        own = [each for each in self._support.symbols if each.binding == LOCAL]
        sections = [self._section, *self._support.sections, Section(".note.GNU-stack")]
        if self._landing_pads:
            sections.append(self._property())
        symbols = [*self._own, *own, group, *self._by_name.values()]
        return ObjectFile(self._support.machine, self._support.flags, sections, symbols, group)

    def _property(self) -> Section:
        """Without it in every file, linkers let the program run with no check."""
        pads = self._target.landing_pads
        assert pads is not None
        data = _PROPERTY.pack(4, 16, _GNU_PROPERTIES, b"GNU", pads.property, 4, pads.bits)
        return Section(".note.gnu.property", NOTE, ALLOCATE, data, alignment=8)


def _describe(part: Part, at: int, names: int, data: bytearray) -> None:
    types = [each.register_type for each in part.function.parameter_types]
    integers = [each for each in types if each.is_integer]
    narrow = sum(1 << index for index, each in enumerate(integers) if each == Type.i32)
    uses_floats = len(integers) < len(types)
    DESCRIPTION.pack_into(data, at, part.offset - at, names - at, part.number, uses_floats, narrow)


def save(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. UserError, with the path and the reason, if that cannot be done."""
    from cnp.stencil.writer import write_file

    try:
        if path.exists() and not path.is_file():  # a device, or a directory, which refuses
            path.write_bytes(data)
        elif not path.parent.is_dir():
            raise UserError(f"{path}: there is no directory {path.parent}")
        else:
            write_file(path, data)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
