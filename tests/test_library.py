"""Stencil libraries: what is written is read back, and every kind of damage is refused in words that say what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cnp.errors import LibraryError
from cnp.stencil.layout import (
    CHUNK,
    CLASS,
    FAMILY,
    FIELD,
    HEADER,
    HEADER_SIZE,
    HOLE,
    KIND,
    KIND_SIZE,
    MOST_SEGMENTS,
    OP,
    RUN,
    SEGMENT,
    STENCIL,
    SYMBOL,
    SectionName,
    SymbolKind,
    library_checksum,
    library_digest,
    unpack_stencil,
)
from cnp.stencil.library import Library
from cnp.stencil.model import (
    MOST_GROUPS,
    MOST_REGISTERS,
    NO_OP,
    NO_RESULT,
    OpFlag,
    Shape,
    alternative_of_class,
)
from cnp.stencil.records import Chunk, Family, Hole, Indexed, Op, Stencil
from cnp.stencil.sources import abi_hash, library_path, stencils_directory
from cnp.stencil.words import Form, Value
from cnp.stencil.writer import Contents, library_bytes, write_file
from cnp.target.immediate import ImmediateClass
from cnp.target.patch import INVERT, NEGATE, KindFlag, PatchKind, Segment
from cnp.target.x86_64 import TARGET as X86_64
from cnp.types import Type

ABI = 0x1122334455667788
MOST = (1 << 63) - 1
"""In place of anything above it: values are signed."""
HEADER_FIELDS = {
    "magic": 0, "version": 8, "header size": 12, "target": 16, "ABI hash": 32, "digest": 40, "file size": 72,
    "sections": 80, "integer registers": 84, "float registers": 88, "checksum": 92, "section table": 96,
}  # fmt: skip


RELATIVE = KindFlag.PC_RELATIVE
KINDS = (
    PatchKind("rel32", (Segment(0, 32, 0),), -(1 << 31), (1 << 31) - 1, flags=RELATIVE),
    PatchKind("rel8", (Segment(0, 8, 24),), -128, 127, width=1, flags=RELATIVE),
    PatchKind(
        "odd", (Segment(3, 2, 5, NEGATE), Segment(12, 20, 0), Segment(0, 1, 31, INVERT), Segment(5, 6, 24)),
        scale=4, width=2, bias=-2048, flags=RELATIVE | KindFlag.PAGES,
    ),
)  # fmt: skip
CLASSES = (
    ImmediateClass("I8", -128, 127),
    ImmediateClass("SCALED", 0, 4095 * 8, 8),
    ImmediateClass("MASK", 0, 0, pattern=32),
    ImmediateClass("I64", -(1 << 63), (1 << 64) - 1),
)
FIELDS = ((), (0, 5 << 16), tuple(number << 27 & 0xFFFFFFFF for number in range(32)))


def contents() -> Contents:
    """A library of one op in three placements."""
    hole = Hole(1, Value.TARGET, 0, -4, 0, 17)
    stencils = [
        Stencil((Chunk(b""),), ()),
        Stencil((Chunk(bytes(range(1, 17))), Chunk(b"\xe9\0\0\0\0")), (hole,), short_form=2),
        Stencil((Chunk(b"\xeb\0"),), (Hole(0, Value.TARGET, 1, -1, 0, 1),)),
        Stencil((Chunk(b"\xe9\0\0\0\0"),), (Hole(0, Value.EXIT, 0, -4, 2, 1),)),
        Stencil((Chunk(b"\0\0\0\0"),), (Hole(0, Value.REGISTERS, 2, 0, 0x02010002, 0),)),
    ]
    op = Op(
        "i64_neg", Shape.VALUE, Type.i64, (Type.i64,), OpFlag.MAY_TRAP, 1, NO_OP, NO_OP, NO_OP, (3, 5, 1, 1),
        (0b1010, 0, 0), 1 << 31, 7, 4, (1, 0, 0, 0, 0, 0), "return -a;", "ops.c:7", Indexed(0b1001, 2, 1, 3),
    )  # fmt: skip
    placements = [0, *[1, 3, 1, 4, 0] * 3 * 4]
    families = [
        Family(((0, 1), (2, 0), (0,) * 32), ((0, 8), (16, 32), tuple(range(32))), {(0, 2, 0): number % 2, (1, 0, 1): 3})
        for number in range(4)
    ]
    symbols = [(SymbolKind.EXPORT, "cnp_x", 3), (SymbolKind.CONTROL, "jump", 3), (SymbolKind.ARGUMENT, "", 1)]
    symbols += [(SymbolKind.INTEGER_REGISTER, "x9", 0), (SymbolKind.INTEGER_REGISTER, "x10", 1)]
    symbols += [
        (SymbolKind.FLOAT_REGISTER, "v0", 0),
        (SymbolKind.LIMIT, "slot_reach", 32760),
        (SymbolKind.LIMIT, "pools", 1),
    ]
    return Contents(
        target="x86_64", abi_hash=ABI, integer_registers=2, float_registers=1, ops=[op], placements=placements,
        families=families, kinds=KINDS, classes=CLASSES, fields=FIELDS, stencils=stencils, blob=b"blob",
        symbols=symbols, meta={"clang": "some"},
    )  # fmt: skip


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "small.cnpl"
    write_file(path, library_bytes(contents()))
    return path


def test_what_is_written_is_read_back(library: Path) -> None:
    written = contents()
    with Library.open(library, target="x86_64", abi_hash=ABI, verify_digest=True) as read:
        (op,) = read.ops
        assert (op.name, op.method, op.code, op.doc, op.source_line) == (
            "i64.neg",
            "i64_neg",
            0,
            "return -a;",
            "ops.c:7",
        )
        assert (op.shape, op.result_type, op.operand_types, op.flags) == (Shape.VALUE, Type.i64, (Type.i64,), 4)
        assert (op.forms, op.bases, op.alternatives) == (1, (1, 0, 0, 0, 0, 0), (3, 5, 1, 1))
        assert (op.classes, op.reversed_class) == ((0b1010, 0, 0), 1 << 31)
        assert (op.reversed_alternatives, op.patterns) == (7, 4)
        assert (op.swapped, op.inverse, op.branch) == (NO_OP, NO_OP, NO_OP)
        assert list(read.stencils()) == list(written.stencils)
        assert list(read.placements) == list(written.placements)
        assert (op.scales, op.families) == ([0, 3], range(4))
        assert [read.family(number)[2 * 3] for number in op.families] == [0, 1, 0, 1]
        assert read.family(2)[9 + 1] == 3
        assert read.kinds == [
            (1, 4, 0, 1, -(1 << 31), (1 << 31) - 1, 0, 32, 0, 0),
            (1, 1, 0, 1, -128, 127, 0, 8, 24, 0),
            (3, 2, -2048, 4, -(1 << 63), MOST, 3, 2, 5, 1, 12, 20, 0, 0, 0, 1, 31, 2, 5, 6, 24, 0),
        ]
        assert read.classes == [
            (each.name, each.low, min(each.high, MOST), each.scale, each.pattern) for each in CLASSES
        ]
        assert read.register_alternatives == ([0, 1], [0])
        assert read.register_names == (["x9", "x10"], ["v0"])
        assert read.limits == {"slot_reach": 32760, "pools": 1}
        assert bytes(read.section(SectionName.BLOB)) == b"blob"
        assert read.meta == written.meta
        assert (read.integer_registers, read.float_registers) == (2, 1)
        assert read.op_by_method["i64_neg"] is op
        with pytest.raises(IndexError, match="stencil 5 of 5"):
            read.stencil(5)
        with pytest.raises(LibraryError, match=r"op i64\.neg has no form TIED"):
            read.form_base(op, Form.TIED)


def test_rows_of_registers_are_filled_up(library: Path) -> None:
    with Library.open(library) as read:
        rows = list(FIELD.iter_unpack(read.section(SectionName.FIELDS)))
        families = list(FAMILY.iter_unpack(read.section(SectionName.FAMILIES)))
    assert [len(row) for row in rows] == [MOST_REGISTERS] * 3
    assert rows[0] == (0,) * 32 and rows[1] == (0, 5 << 16, *(0,) * 30) and rows[2][31] == 31 << 27
    fields, stencils, groups = families[1][:96], families[1][96:123], families[1][123:]
    assert fields == (0, 8, *(0,) * 30, 16, 32, *(0,) * 30, *range(32))
    assert [(index, each) for index, each in enumerate(stencils) if each] == [(2 * MOST_GROUPS, 1), (9 + 1, 3)]
    assert groups == (0, 1, *(0,) * 30, 2, 0, *(0,) * 30, *(0,) * 32)


def test_rows_have_the_sizes_of_the_format() -> None:
    assert HEADER.size + 8 * len(SectionName) <= HEADER_SIZE
    assert (OP.size, STENCIL.size, HOLE.size, CHUNK.size, RUN.size, SYMBOL.size) == (88, 8, 16, 24, 4, 12)
    assert (KIND.size, SEGMENT.size, KIND_SIZE) == (32, 4, 32 + 4 * MOST_SEGMENTS)
    assert (CLASS.size, FIELD.size, FAMILY.size) == (32, 128, 592)


def test_equal_chunks_and_holes_are_stored_once(library: Path) -> None:
    with Library.open(library) as read:
        assert read.section_range(SectionName.CHUNKS)[1] == 5 * CHUNK.size  # the jump's is shared
        stencils, runs = bytes(read.section(SectionName.STENCILS)), bytes(read.section(SectionName.RUNS))
        rows = [unpack_stencil(stencils, STENCIL.size * index) for index in range(5)]
        run = [chunk for (chunk,) in RUN.iter_unpack(runs)]
    assert [(row[1], *row[3:]) for row in rows] == [
        (1, 0, 0, 0),
        (2, 21, 1, 1),
        (1, 2, 1, 0),
        (1, 5, 1, 0),
        (1, 4, 1, 0),
    ]
    assert len(run) == 2 and rows[1][0] == 0 and run[1] == rows[3][0]  # only a stencil of several chunks has a run


def test_sections_are_aligned(library: Path) -> None:
    with Library.open(library) as read:
        assert all(read.section_range(name)[0] % 64 == 0 for name in SectionName)


def test_names_of_stencils(library: Path) -> None:
    with Library.open(library) as read:
        assert read.placement_name(1) == "i64.neg d=r0 a=r0"
        assert read.placement_name(2) == "i64.neg d=r0 a=r0 (short)"
        assert read.placement_name(4) == "i64.neg d=r0 a=SCALED"
        assert read.placement_name(3) == "jump"
        assert read.placement_name(99) == "stencil 99"


def test_number_of_an_immediate_alternative() -> None:
    assert [alternative_of_class(11, 2 | 8 | 16, each) for each in (1, 3, 4)] == [12, 13, 14]
    assert alternative_of_class(2, 1 << 31 | 1 << 30 | 1, 31) == 5
    assert NO_RESULT == 255


def refusal(path: Path, **wanted: object) -> str:
    with pytest.raises(LibraryError) as caught:
        Library.open(path, **wanted)  # type: ignore[arg-type]
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("length", [1, 7, 8, 39, 159, 160, 161, 500, -1])
def test_truncated(library: Path, length: int) -> None:
    data = library.read_bytes()
    library.write_bytes(data[:length])
    kept = len(data[:length])
    assert f"is truncated: it has {kept} " in refusal(library)


@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_altered_header(library: Path, field: str) -> None:
    data = bytearray(library.read_bytes())
    data[HEADER_FIELDS[field]] ^= 0x40
    library.write_bytes(data)
    words = {
        "magic": "is not a stencil library: it starts with b'\\x03NPL",
        "version": "has format version 67, newer than this cnp, which accepts 3: upgrade cnp",
        "file size": "was altered: it has 896 bytes, ",
    }
    found = refusal(library, verify_digest=True)
    if field == "file size":
        assert "was altered: it has" in found or "is truncated: it has" in found
    elif field in ("header size", "sections"):
        assert "was altered, or made by an unreleased cnp: a header of " in found
    else:
        assert words.get(field, "was altered: its checksum is ") in found


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.999])
def test_flipped_byte(library: Path, where: float) -> None:
    data = bytearray(library.read_bytes())
    data[160 + int(where * (len(data) - 160))] ^= 1
    library.write_bytes(data)
    assert "was altered: its checksum is " in refusal(library)


def sealed(change: Callable[[bytearray], None], path: Path) -> None:
    """Change a library and make its sums right again, as a build of another cnp would."""
    data = bytearray(path.read_bytes())
    change(data)
    data[40:72] = bytes(32)
    data[40:72] = library_digest(data)
    data[92:96] = library_checksum(data).to_bytes(4, "little")
    path.write_bytes(data)


def test_the_digest_is_checked_if_asked_for(library: Path) -> None:
    data = bytearray(library.read_bytes())
    data[40] ^= 1
    data[92:96] = library_checksum(data).to_bytes(4, "little")
    library.write_bytes(data)
    Library.open(library).close()
    assert "was altered: its SHA-256 is not the one it names" in refusal(library, verify_digest=True)


def test_foreign_target(library: Path) -> None:
    assert "is a stencil library for target x86_64; aarch64 is accepted" in refusal(library, target="aarch64")


def test_other_headers(library: Path) -> None:
    words = "was built against other headers: its ABI hash is 1122334455667788, 0000000000000005 is accepted; rebuild"
    assert words in refusal(library, abi_hash=5)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (4, "4, newer than this cnp, which accepts 3: upgrade cnp"),
        (2, "2, older than this cnp, which accepts 3: rebuild"),
    ],
)
def test_other_version(library: Path, version: int, words: str) -> None:
    def change(data: bytearray) -> None:
        data[8] = version

    sealed(change, library)
    assert words in refusal(library)


def test_section_outside_the_file(library: Path) -> None:
    def change(data: bytearray) -> None:
        data[99] = 0x7F  # OPS begins beyond the end

    sealed(change, library)
    assert "was altered: section OPS does not lie in the file" in refusal(library)


def test_appended_bytes(library: Path) -> None:
    size = len(library.read_bytes())
    library.write_bytes(library.read_bytes() + b"x")
    assert f"was altered: it has {size + 1} bytes, {size} are accepted" in refusal(library)


def test_text_mode_damage(library: Path) -> None:
    library.write_bytes(library.read_bytes().replace(b"\r\n", b"\n"))
    assert "is not a stencil library: it starts with" in refusal(library)


def test_not_a_library(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x7fELF" + bytes(1000))
    assert "is not a stencil library: it starts with b'\\x7fELF" in refusal(path)


def test_empty_missing_and_directory(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert "is empty: not a stencil library" in refusal(tmp_path / "empty")
    assert "No such file or directory; rebuild it with `python build_stencils.py`" in refusal(tmp_path / "none")
    assert "Is a directory" in refusal(tmp_path)


def test_writing_replaces_the_file_whole(library: Path) -> None:
    before = library.read_bytes()
    with pytest.raises(TypeError):
        write_file(library, None)  # type: ignore[arg-type]
    assert library.read_bytes() == before
    assert [each.name for each in library.parent.iterdir()] == ["small.cnpl"]


real = pytest.mark.skipif(not library_path("x86_64").exists(), reason="NOT TESTED: no stencil library is built")


@real
def test_the_real_library_is_sound() -> None:
    with Library.open(library_path("x86_64"), abi_hash=abi_hash(stencils_directory()), verify_digest=True) as library:
        assert library.op_by_method["i64_add"].name == "i64.add"
        assert library.register_names == (list(X86_64.integer_registers), list(X86_64.float_registers))
        assert library.classes == [
            (each.name, each.low, min(each.high, MOST), each.scale, each.pattern) for each in X86_64.classes
        ]
        for kind, row in zip(X86_64.kinds, library.kinds):
            segments = [
                each for segment in kind.segments for each in (segment.start, segment.bits, segment.to, segment.flags)
            ]
            assert row == (kind.flags, kind.width, kind.bias, kind.scale, kind.low, min(kind.high, MOST), *segments)
        assert library.limits == dict(X86_64.limits)
        for stencil in library.stencils():
            ends = [sum(len(chunk.code) for chunk in stencil.chunks[: n + 1]) for n in range(len(stencil.chunks))]
            for hole in stencil.holes:
                width = library.kinds[hole.kind][1]
                assert stencil.code[hole.offset : hole.offset + width].strip(b"\0") == b""
                assert hole.offset + width == ends[hole.chunk], "a hole ends its chunk"


@real
def test_instruction_lengths_agree_with_capstone() -> None:
    capstone = pytest.importorskip("capstone")
    from cnp.target.x86_64_decode import decode

    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    with Library.open(library_path("x86_64")) as library:
        for index in range(0, len(library), 7):
            code = library.stencil(index).code
            expected = [size for _, size, _, _ in disassembler.disasm_lite(code, 0)]
            assert [each.size for each in decode(code)] == expected, library.placement_name(index)
