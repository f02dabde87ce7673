"""Links the core's one object file, and the stencils' constants, into the position-independent blob of a library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnp.build.compile import Compiler
from cnp.build.elf import Constant, ObjectFile, read_object, whole
from cnp.errors import BuildError
from cnp.target.patch import PAGE, KindFlag, RelocationKind
from cnp.target.record import arguments

CORE_SOURCE = "core/core.c"
_EXPORT_PREFIX = "cnp_"


@dataclass(frozen=True, slots=True)
class Blob:
    """Code and read-only data that run wherever they are copied; offsets of what others may reach."""

    data: bytes
    exports: Mapping[str, int]
    constants: Mapping[Constant, int]


EMPTY = Blob(b"", {}, {})


def compile_core(compiler: Compiler) -> Blob:
    """Compile core/core.c and link it. BuildError at anything that would need a linker or a loader."""
    path = compiler.objects / "core.o"
    compiler.run([*arguments(compiler.target.core_flags), "-c", CORE_SOURCE, "-o", str(path)])
    return link(read_object(path, compiler.target.elf_machine), compiler)


def link(file: ObjectFile, compiler: Compiler, exported: str = _EXPORT_PREFIX) -> Blob:
    """Lay out the sections, code first, and apply the relocations among them. `exported` begins the names of
    exports.
    """
    starts: dict[int, int] = {}
    data = bytearray()
    for index, section in sorted(file.sections.items(), key=lambda each: (not each[1].code, each[0])):
        data += bytes(-len(data) % max(section.alignment, 1))
        starts[index] = len(data)
        data += section.data
    for index, rows in file.relocations.items():
        for each in rows:
            row = whole(each, rows, compiler.target)
            place = f"{CORE_SOURCE}: {file.sections[index].name} offset {row.offset}"
            kind = compiler.target.relocations.get(row.type)
            if kind is None or not kind.fields[0][1].flags:
                name = kind.name if kind else f"type {row.type}"
                raise BuildError(f"{place}: relocation {name} against {_name(row.symbol.name)} is not PC-relative")
            if row.symbol.section not in starts:
                raise BuildError(
                    f"{place}: undefined symbol {_name(row.symbol.name)}: the core links against nothing, "
                    "not even memcpy"
                )
            _apply(data, starts[index] + row.offset, starts[row.symbol.section] + row.symbol.value + row.addend, kind)
    exports = {
        symbol.name: starts[symbol.section] + symbol.value
        for symbol in file.symbols
        if symbol.exported and symbol.section in starts and symbol.name.startswith(exported)
    }
    return Blob(bytes(data), dict(sorted(exports.items())), {})


def _apply(data: bytearray, at: int, value: int, relocation: RelocationKind) -> None:
    """Fill in what a relocation says; the blob starts at a page."""
    for offset, kind in relocation.fields:
        place = at + offset
        distance = (value + kind.bias & -PAGE) - (at & -PAGE) if kind.flags & KindFlag.PAGES else value - at
        end = place + kind.width
        word = int.from_bytes(data[end - 4 : end], "little")
        field = kind.encode(distance if kind.pc_relative else value)
        data[end - 4 : end] = (word & ~kind.mask | field).to_bytes(4, "little")


def _name(symbol: str) -> str:
    return symbol or "a section"


def add_constants(blob: Blob, constants: Iterable[Constant]) -> Blob:
    """Append constants, each once and aligned; the order depends on nothing but their bytes."""
    data = bytearray(blob.data)
    offsets: dict[Constant, int] = {}
    for constant in sorted(set(constants), key=lambda each: (-each.alignment, each.data)):
        data += bytes(-len(data) % max(constant.alignment, len(constant.data)))
        offsets[constant] = len(data)
        data += constant.data
    return Blob(bytes(data), blob.exports, offsets)
