"""Reads a stencil library: maps the file, proves that it is whole and meant for this cnp, and hands out its rows."""

from __future__ import annotations

import mmap
import os
from functools import cached_property

from cnp.errors import LibraryError
from cnp.stencil.layout import (
    CHUNK,
    CLASS,
    FAMILY,
    FAMILY_STENCILS,
    FIELD,
    HEADER,
    HEADER_SIZE,
    HOLE,
    KIND,
    KIND_SIZE,
    MAGIC,
    OP,
    RUN,
    SECTION_ENTRY,
    SEGMENT,
    STENCIL,
    SYMBOL,
    SectionName,
    SymbolKind,
    library_checksum,
    library_digest,
    unpack_stencil,
)
from cnp.stencil.model import FORMAT_VERSION

TYPE_CHECKING = False  # the `typing` module is slow to import; so are json, pathlib and dataclasses
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from cnp.stencil.records import Chunk, Hole, Stencil
    from cnp.stencil.words import Form

REBUILD = "rebuild it with `python build_stencils.py`"


class OpRow:
    """One row of a library's op table. Strings are read when asked for."""

    __slots__ = ("_fields", "_library", "code", "method")

    def __init__(self, library: Library, code: int, fields: tuple[int, ...]) -> None:
        self._library = library
        self._fields = fields
        self.code = code
        """The op's index in the table."""
        self.method = library.string(fields[0])
        """`i64_add`"""

    @property
    def name(self) -> str:
        """The public name: `i64.add`."""
        return self.method.replace("_", ".", 1)

    @property
    def shape(self) -> int:
        """A Shape."""
        return self._fields[1]

    @property
    def result_type(self) -> int:
        """A Type, or NO_RESULT."""
        return self._fields[2]

    @property
    def operand_types(self) -> tuple[int, ...]:
        """Types of a, b and c. A load has its base, a store its value and its base; an offset is not counted."""
        return self._fields[4 : 4 + self._fields[3]]

    @property
    def flags(self) -> int:
        """OpFlags."""
        return self._fields[7]

    @property
    def forms(self) -> int:
        """Bit per Form."""
        return self._fields[8]

    @property
    def swapped(self) -> int:
        """Code of the op that gives the same with a and b exchanged, or NO_OP."""
        return self._fields[9]

    @property
    def inverse(self) -> int:
        """Code of the op with the opposite outcome, or NO_OP."""
        return self._fields[10]

    @property
    def branch(self) -> int:
        """Code of a comparison's fused branch, or NO_OP."""
        return self._fields[11]

    @property
    def alternatives(self) -> tuple[int, ...]:
        """How many alternatives d, a, b and c have; 1 where there is no such operand."""
        return self._fields[13:17]

    @property
    def classes(self) -> tuple[int, ...]:
        """Masks of immediate classes of a, b and c."""
        return self._fields[19:22]

    @property
    def reversed_class(self) -> int:
        """The same, of a in form REVERSED."""
        return self._fields[22]

    @property
    def reversed_alternatives(self) -> int:
        """How many alternatives a has in form REVERSED."""
        return self._fields[17]

    @property
    def patterns(self) -> int:
        """4 where stencils depend on whether d is a or b, else 1."""
        return self._fields[18]

    @property
    def bases(self) -> tuple[int, ...]:
        """Index of each form's first placement."""
        return self._fields[23:29]

    @property
    def doc(self) -> str:
        """The body, as C on one line."""
        return self._library.string(self._fields[29])

    @property
    def source_line(self) -> str:
        """`integer.c:12`"""
        return self._library.string(self._fields[30])

    @property
    def families(self) -> range:
        """Indices of its families: by scale one an offset, then that of the immediate value."""
        first, scales, offsets, values = self._fields[31:35]
        return range(first, first + scales.bit_count() * (offsets + values - 1))

    @property
    def scales(self) -> list[int]:
        """Shifts of the index that families are for."""
        return [scale for scale in range(8) if self._fields[32] >> scale & 1]

    def __repr__(self) -> str:
        return f"<op {self.name}>"


class Library:
    """An open stencil library. Use as a context manager, or keep it for as long as the process lives."""

    def __init__(self, path: str, view: memoryview, map: mmap.mmap) -> None:
        self.path = path
        self._view = view
        self._map = map
        fields = HEADER.unpack_from(view)
        self.target: str = fields[3].rstrip(b"\0").decode("ascii", "replace")
        self.abi_hash: int = fields[4]
        self.digest: bytes = fields[5]
        self.integer_registers: int = fields[8]
        self.float_registers: int = fields[9]
        self._sections = [SECTION_ENTRY.unpack_from(view, HEADER.size + 8 * name) for name in SectionName]

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        target: str | None = None,
        abi_hash: int | None = None,
        verify_digest: bool = False,
    ) -> Library:
        """Map a library file, read-only.

        target: the target it must be for; None accepts any. abi_hash: what its headers must hash to (see
        `cnp.stencil.sources.abi_hash`); None accepts any. Opening checks a CRC-32 over the whole file, which finds
        every accident; verify_digest checks the SHA-256 besides, which costs milliseconds.

        LibraryError says whether the file is missing, foreign, truncated, altered, too new, too old, or made for
        another target or other headers, and what is accepted.
        """
        path = os.fspath(path)
        library = cls(path, *_map_file(path))
        try:
            library._check_sections()
            if verify_digest and library_digest(library._view) != library.digest:
                raise LibraryError(f"{path} was altered: its SHA-256 is not the one it names; {REBUILD}")
            if target is not None and library.target != target:
                raise LibraryError(f"{path} is a stencil library for target {library.target}; {target} is accepted")
            if abi_hash is not None and library.abi_hash != abi_hash:
                raise LibraryError(
                    f"{path} was built against other headers: its ABI hash is {library.abi_hash:016x}, "
                    f"{abi_hash:016x} is accepted; {REBUILD}"
                )
        except BaseException:
            library.close()
            raise
        return library

    def _check_sections(self) -> None:
        row_sizes = {
            SectionName.OPS: OP.size, SectionName.PLACEMENTS: 4, SectionName.STENCILS: STENCIL.size,
            SectionName.HOLES: HOLE.size, SectionName.CHUNKS: CHUNK.size, SectionName.RUNS: RUN.size,
            SectionName.SYMBOLS: SYMBOL.size, SectionName.FAMILIES: FAMILY.size, SectionName.KINDS: KIND_SIZE,
            SectionName.CLASSES: CLASS.size, SectionName.FIELDS: FIELD.size,
        }  # fmt: skip
        for name, (offset, size) in zip(SectionName, self._sections):
            if offset < HEADER_SIZE or offset + size > len(self._view) or size % row_sizes.get(name, 1):
                raise LibraryError(f"{self.path} was altered: section {name.name} does not lie in the file; {REBUILD}")

    def section(self, name: SectionName) -> memoryview:
        """The bytes of a section, in the mapped file."""
        offset, size = self._sections[name]
        return self._view[offset : offset + size]

    def section_range(self, name: SectionName) -> tuple[int, int]:
        """Offset in the file, and size, of a section."""
        return self._sections[name]

    def string(self, offset: int) -> str:
        """The string at an offset of section NAMES."""
        start = self._sections[SectionName.NAMES][0] + offset
        return self._map[start : self._map.find(b"\0", start)].decode()

    @cached_property
    def symbols(self) -> dict[SymbolKind, list[tuple[str, int]]]:
        """What the run time looks up when it starts: (name, value) of each kind, in order."""
        found: dict[SymbolKind, list[tuple[str, int]]] = {kind: [] for kind in SymbolKind}
        for kind, name, value in SYMBOL.iter_unpack(self.section(SectionName.SYMBOLS)):
            found[kind].append((self.string(name), value))
        return found

    @cached_property
    def exports(self) -> dict[str, int]:
        """Offsets in the blob of the core's routines."""
        return dict(self.symbols[SymbolKind.EXPORT])

    @cached_property
    def control(self) -> dict[str, int]:
        """Indices of the control stencils."""
        return dict(self.symbols[SymbolKind.CONTROL])

    @cached_property
    def padding(self) -> list[int]:
        """Indices of the stencils of 0, 1, 2, ... bytes that do nothing."""
        return [index for _, index in self.symbols[SymbolKind.PADDING]]

    @cached_property
    def register_alternatives(self) -> tuple[list[int], list[int]]:
        """By file, the alternative of each register at an operand position."""
        kinds = (SymbolKind.INTEGER_REGISTER, SymbolKind.FLOAT_REGISTER)
        integer, float_ = ([alternative for _, alternative in self.symbols[kind]] for kind in kinds)
        return integer, float_

    @cached_property
    def register_names(self) -> tuple[list[str], list[str]]:
        """By file, the hardware name of each register."""
        kinds = (SymbolKind.INTEGER_REGISTER, SymbolKind.FLOAT_REGISTER)
        integer, float_ = ([name for name, _ in self.symbols[kind]] for kind in kinds)
        return integer, float_

    @cached_property
    def limits(self) -> dict[str, int]:
        """What the core wants to know of the target: cnp.target.record.LIMITS."""
        return dict(self.symbols[SymbolKind.LIMIT])

    @cached_property
    def classes(self) -> list[tuple[str, int, int, int, int]]:
        """Immediate classes: name, low, high, scale, pattern."""
        return [
            (name.rstrip(b"\0").decode(), low, high, scale, pattern)
            for name, low, high, scale, pattern, _ in CLASS.iter_unpack(self.section(SectionName.CLASSES))
        ]

    @cached_property
    def kinds(self) -> list[tuple[int, ...]]:
        """Patch kinds: flags, width, bias, scale, low, high, then start, bits, to and flags of each segment."""
        section, rows = self.section(SectionName.KINDS), []
        for start in range(0, len(section), KIND_SIZE):
            flags, width, n, _, bias, scale, _, low, high = KIND.unpack_from(section, start)
            segments = [SEGMENT.unpack_from(section, start + KIND.size + k * SEGMENT.size) for k in range(n)]
            rows.append((flags, width, bias, scale, low, high, *(each for segment in segments for each in segment)))
        return rows

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What the library says of its making."""
        import json

        result: dict[str, Any] = json.loads(bytes(self.section(SectionName.META)))
        return result

    @property
    def imports(self) -> Mapping[str, Sequence[int]]:
        """Of an extension library: where in the blob the addresses of functions elsewhere go, by their names."""
        found: Mapping[str, Sequence[int]] = self.meta.get("extension", {}).get("imports", {})
        return found

    @property
    def calls(self) -> Mapping[str, Mapping[str, Any]]:
        """Of an extension library: its ops that are called, by method, as `cnp.build.routines.described` has them."""
        found: Mapping[str, Mapping[str, Any]] = self.meta.get("extension", {}).get("calls", {})
        return found

    @cached_property
    def ops(self) -> Sequence[OpRow]:
        """The op table."""
        rows = OP.iter_unpack(self.section(SectionName.OPS))
        return [OpRow(self, code, fields) for code, fields in enumerate(rows)]

    @cached_property
    def op_by_method(self) -> dict[str, OpRow]:
        """Rows by method name, `i64_add`."""
        return {op.method: op for op in self.ops}

    @cached_property
    def placements(self) -> memoryview:
        """Stencil index of every placement."""
        return self.section(SectionName.PLACEMENTS).cast("I")

    def __len__(self) -> int:
        """How many stencils there are, the absent one included."""
        size: int = self._sections[SectionName.STENCILS][1]
        return size // STENCIL.size

    def stencil(self, index: int) -> Stencil:
        """One stencil. IndexError if there is none of that index."""
        from cnp.stencil.records import Stencil

        if not 0 <= index < len(self):
            raise IndexError(f"stencil {index} of {len(self)}")
        row = unpack_stencil(self.section(SectionName.STENCILS), index * STENCIL.size)
        chunk, chunks, hole, _, holes, has_short = row
        return Stencil(
            tuple(self._chunk(each) for each in ((chunk,) if chunks == 1 else self._run(chunk, chunks))),
            tuple(self._hole(hole + number) for number in range(holes)),
            index + 1 if has_short else 0,
        )

    def stencils(self) -> Iterator[Stencil]:
        """All stencils, by index."""
        return (self.stencil(index) for index in range(len(self)))

    def _run(self, start: int, length: int) -> Iterator[int]:
        section = self.section(SectionName.RUNS)
        return (RUN.unpack_from(section, (start + number) * RUN.size)[0] for number in range(length))

    def _chunk(self, index: int) -> Chunk:
        from cnp.stencil.records import Chunk

        code, minus_size = CHUNK.unpack_from(self.section(SectionName.CHUNKS), index * CHUNK.size)
        return Chunk(code[len(code) + minus_size :])

    def _hole(self, index: int) -> Hole:
        from cnp.stencil.records import Hole
        from cnp.stencil.words import Value

        chunk, value, kind, addend, extra, offset = HOLE.unpack_from(self.section(SectionName.HOLES), index * HOLE.size)
        return Hole(chunk, Value(value), kind, addend, extra, offset)

    def placement_name(self, stencil: int) -> str:
        """What a stencil is, for listings: `i64.add d=r1 a=r2 b=I8`, the first placement of those that share it.

        A control stencil gives its name, a short form that of its long one, an unknown index `stencil N`.
        """
        return self._placement_names.get(stencil) or f"stencil {stencil}"

    @cached_property
    def _placement_names(self) -> dict[int, str]:
        from cnp.stencil.naming import placement_names

        return placement_names(self)

    def form_base(self, op: OpRow, form: Form) -> int:
        """Index in `placements` of an op's first placement in a form. LibraryError if the op does not have the form."""
        if not op.forms >> form & 1:
            raise LibraryError(f"op {op.name} has no form {form.name}")
        return op.bases[form]

    def family(self, index: int) -> tuple[int, ...]:
        """The stencils of a family by the groups of its registers, row-major; 0 where there is none."""
        fields = FAMILY.unpack_from(self.section(SectionName.FAMILIES), index * FAMILY.size)
        return fields[FAMILY_STENCILS]

    def close(self) -> None:
        """Unmap the file. Rows and views of it must not be used any more."""
        for name in ("placements", "ops", "op_by_method"):
            cached = self.__dict__.pop(name, None)
            if isinstance(cached, memoryview):
                cached.release()
        self._view.release()
        self._map.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<stencil library {self.path} for {self.target}: {len(self.ops)} ops, {len(self)} stencils>"


def _map_file(path: str) -> tuple[memoryview, mmap.mmap]:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise LibraryError(f"{path} is empty: not a stencil library; {REBUILD}")
            map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise LibraryError(f"cannot read the stencil library {path}: {error.strerror}; {REBUILD}") from None
    view = memoryview(map)
    try:
        _check_header(path, view)
    except BaseException:
        view.release()
        map.close()
        raise
    return view, map


def _check_header(path: str, view: memoryview) -> None:
    start = bytes(view[: len(MAGIC)])
    if start != MAGIC:
        if MAGIC.startswith(start):
            raise LibraryError(f"{path} is truncated: it has {len(view)} bytes, not even a header; {REBUILD}")
        raise LibraryError(f"{path} is not a stencil library: it starts with {start!r}, not {MAGIC!r}")
    if len(view) < HEADER_SIZE:
        raise LibraryError(f"{path} is truncated: it has {len(view)} bytes, its header {HEADER_SIZE}; {REBUILD}")
    _, version, header_size, _, _, _, size, sections, _, _, checksum = HEADER.unpack_from(view)
    if version != FORMAT_VERSION:
        age, remedy = ("newer", "upgrade cnp") if version > FORMAT_VERSION else ("older", REBUILD)
        raise LibraryError(
            f"{path} has format version {version}, {age} than this cnp, which accepts {FORMAT_VERSION}: {remedy}"
        )
    if len(view) < size:
        raise LibraryError(f"{path} is truncated: it has {len(view)} of {size} bytes; {REBUILD}")
    if len(view) > size:
        raise LibraryError(f"{path} was altered: it has {len(view)} bytes, {size} are accepted; {REBUILD}")
    if header_size != HEADER_SIZE or sections != len(SectionName):
        raise LibraryError(
            f"{path} was altered, or made by an unreleased cnp: a header of {header_size} bytes and {sections} "
            f"sections, {HEADER_SIZE} and {len(SectionName)} are accepted; {REBUILD}"
        )
    found = library_checksum(view)
    if found != checksum:
        raise LibraryError(
            f"{path} was altered: its checksum is {found:08x}, its header names {checksum:08x}; {REBUILD}"
        )
