"""Links the core's one object file, and the stencils' constants, into the position-independent blob of a library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cnp.build.compile import Compiler
from cnp.build.elf import Constant, ObjectFile, read_object, whole
from cnp.errors import BuildError
from cnp.target.patch import PAGE, KindFlag, RelocationKind
from cnp.target.record import Target, arguments

CORE_SOURCE = "core/core.c"
_EXPORT_PREFIX = "cnp_"
_IMPORT_PREFIX = ".rodata.import."


@dataclass(frozen=True, slots=True)
class Blob:
    """Code and read-only data that run wherever they are copied; offsets of what others may reach."""

    data: bytes
    exports: Mapping[str, int]
    constants: Mapping[Constant, int]
    imports: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Where the addresses of functions elsewhere go, by their names."""


EMPTY = Blob(b"", {}, {})


@dataclass(frozen=True, slots=True)
class Part:
    """One object file of a blob."""

    source: str  # what it was compiled from, for messages
    file: ObjectFile
    line_of: Callable[[str], str | None] = lambda symbol: None  # file and line that first refers to a symbol, if known


def compile_core(compiler: Compiler, routines: Iterable[Part] = ()) -> Blob:
    """Compile core/core.c and link it with other parts. BuildError at anything that would need a linker or a loader."""
    path = compiler.objects / "core.o"
    compiler.run([*arguments(compiler.target.core_flags), "-c", CORE_SOURCE, "-o", str(path)])
    return link([Part(CORE_SOURCE, read_object(path, compiler.target.elf_machine)), *routines], compiler.target)


def link(parts: Sequence[Part], target: Target, exported: str = _EXPORT_PREFIX) -> Blob:
    """Lay out the sections, code first, and apply the relocations among them. `exported` begins the names of
    exports.
    """
    starts: dict[tuple[int, int], int] = {}
    data = bytearray()
    sections = [((n, index), each) for n, part in enumerate(parts) for index, each in part.file.sections.items()]
    for key, section in sorted(sections, key=lambda each: (not each[1].code, each[0])):
        data += bytes(-len(data) % max(section.alignment, 1))
        starts[key] = len(data)
        data += section.data
    exports = {
        symbol.name: starts[n, symbol.section] + symbol.value
        for n, part in enumerate(parts)
        for symbol in part.file.symbols
        if symbol.exported and (n, symbol.section) in starts
    }
    for n, part in enumerate(parts):
        for index, rows in part.file.relocations.items():
            for each in rows:
                row = whole(each, rows, target)
                place = f"{part.source}: {part.file.sections[index].name} offset {row.offset}"
                kind = target.relocations.get(row.type)
                name, home = row.symbol.name, (n, row.symbol.section)
                if home in starts:
                    value = starts[home] + row.symbol.value
                elif name in exports:
                    value = exports[name]
                else:
                    raise BuildError(
                        f"{part.line_of(name) or place}: undefined symbol {_name(name)}: the core and what is beside "
                        "it link against nothing, not even libc; accepted in ops that are called: what IMPORT names"
                    )
                if kind is None or not kind.fields[0][1].flags:
                    kind_name = kind.name if kind else f"type {row.type}"
                    raise BuildError(f"{place}: relocation {kind_name} against {_name(name)} is not PC-relative")
                _apply(data, starts[n, index] + row.offset, value + row.addend, kind)
    exports = {name: offset for name, offset in exports.items() if name.startswith(exported)}
    imports: dict[str, list[int]] = {}
    for key, section in sections:
        if section.name.startswith(_IMPORT_PREFIX):
            imports.setdefault(section.name[len(_IMPORT_PREFIX) :], []).append(starts[key])
    return Blob(bytes(data), dict(sorted(exports.items())), {}, imports)


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
    return replace(blob, data=bytes(data), constants=offsets)
