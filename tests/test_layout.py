"""The structures that C and Python share have the same size and the same fields at the same places in both.

A C compiler is asked: `sizeof`, `offsetof` and the values of enumerations, from the core's own headers.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

from cnp.build.clang import find_clang
from cnp.errors import BuildError, TrapKind
from cnp.ir.verify_code import VerifyCode
from cnp.runtime import core, guest_layout, layout
from cnp.runtime.abi import ABI_HASH
from cnp.runtime.packing import BYTES_HEAD, packer
from cnp.stencil import layout as file_layout
from cnp.stencil.model import FORMAT_VERSION, MOST_GROUPS, MOST_REGISTERS, OpFlag, Shape
from cnp.stencil.sources import abi_hash, stencils_directory
from cnp.stencil.words import Form, Value
from cnp.target import TARGETS, patch
from cnp.target.record import LIMITS
from cnp.types import NO_TYPE, Type, ptr, writable_ptr

DOCUMENT = Path(__file__).parent.parent / "docs" / "library-format.md"

MIRRORED: Mapping[str, type[ctypes.Structure]] = {
    "library": layout.Library,
    "host": layout.Host,
    "threads": layout.Threads,
    "old_action": layout.OldAction,
    "signature": layout.Signature,
    "callee": layout.Callee,
    "interval": layout.Interval,
    "trace": layout.Trace,
    "request": layout.Request,
    "guest_field": guest_layout.GuestField,
    "guest_page": guest_layout.GuestPage,
    "guest_entry": guest_layout.GuestEntry,
    "guest_target": guest_layout.GuestTarget,
    "guest_part": guest_layout.GuestPart,
    "guest_instruction": guest_layout.GuestInstruction,
    "guest_operand": guest_layout.GuestOperand,
    "guest_bank": guest_layout.GuestBank,
    "guest_table": guest_layout.GuestTable,
    "guest_span": guest_layout.GuestSpan,
    "guest_exit": guest_layout.GuestExit,
    "guest_exits": layout.GuestExits,
    "walk": guest_layout.Walk,
    "entered": guest_layout.Entered,
    "callback": layout.Callback,
    "side_exit": layout.SideExit,
    "side_exit_value": layout.SideExitValue,
}
_HOST = [each[0] for each in layout.Host._fields_]
IN_STRUCT_PYTHON = frozenset(_HOST[: _HOST.index("poll")])
"""Members of struct host's first member, which Python's Host has as members of its own."""

FILE_ROWS = {
    "op": file_layout.OP.size,
    "stencil": file_layout.STENCIL.size,
    "hole": file_layout.HOLE.size,
    "patch_kind": file_layout.KIND_SIZE,
    "segment": file_layout.SEGMENT.size,
    "immediate_class": file_layout.CLASS.size,
    "field": file_layout.FIELD.size,
    "chunk": file_layout.CHUNK.size,
    "family": file_layout.FAMILY.size,
}
PACKED = {
    "patch_kind": file_layout.KIND,
    "segment": file_layout.SEGMENT,
    "immediate_class": file_layout.CLASS,
    "hole": file_layout.HOLE,
}
"""Rows whose formats say field by field what their structures have."""
SEGMENT_FLAGS = {"NEGATE": patch.NEGATE, "INVERT": patch.INVERT}

ENUMERATIONS: Mapping[str, Mapping[str, int]] = {
    "shape": {each.name: each for each in Shape},
    "op_flag": {each.name: each.value for each in OpFlag if each.name},
    "form": {each.name: each for each in Form},
    "kind_flag": {each.name: each.value for each in patch.KindFlag if each.name},
    "segment_flag": SEGMENT_FLAGS,
    "trap": {each.name: each for each in TrapKind},
    "type": {
        **{f"TYPE_{each.name.upper()}": each.code for each in Type},
        "TYPE_POINTER": ptr.code,
        "TYPE_WRITABLE_POINTER": writable_ptr.code,
        "NO_TYPE": NO_TYPE,
    },
    "hole_value": {each.name if each <= Value.SLOT_C else f"{each.name}_VALUE": each for each in Value},
    "verify_code": {
        **{each.name: each for each in VerifyCode},
        "NEED_SCRATCH": core.NEED_SCRATCH,
        "MISSING_STENCIL": core.MISSING_STENCIL,
    },
    "callee_kind": {
        "CALLEE_CODE": layout.CALLEE_CODE,
        "CALLEE_C": layout.CALLEE_C,
        "CALLEE_MEMBER": layout.CALLEE_MEMBER,
        "CALLEE_SYMBOL": layout.CALLEE_SYMBOL,
        "CALLEE_CELL": layout.CALLEE_CELL,
    },
    "guest_field_flag": {f"GUEST_{each.name}": each.value for each in guest_layout.FieldFlag},
    "guest_entry_kind": {f"GUEST_{each.name}": each for each in guest_layout.EntryKind},
    "guest_relation": {f"FROM_{each.name}": each for each in guest_layout.Relation},
    "guest_part_kind": {f"GUEST_{each.name}": each for each in guest_layout.PartKind},
    "guest_operand_kind": {f"GUEST_{each.name}": each for each in guest_layout.OperandKind},
    "walk_error": {
        each.name if each is guest_layout.WalkError.WALKED else f"GUEST_{each.name}": each
        for each in guest_layout.WalkError
    },
    "limits": {
        "MAXIMUM_INTEGER_REGISTERS": layout.REGISTERS,
        "MAXIMUM_FLOAT_REGISTERS": layout.REGISTERS,
        "MOST_REGISTERS": MOST_REGISTERS,
        "MOST_GROUPS": MOST_GROUPS,
        "MOST_SEGMENTS": file_layout.MOST_SEGMENTS,
        "ARGUMENTS": layout.ARGUMENTS,
        "KNOWN_OPS": len(layout.KNOWN_OPS),
        "KNOWN_CONTROLS": len(layout.KNOWN_CONTROLS),
        "HOLE_VALUES": len(Value),
    },
}


def compilers() -> list[list[str]]:
    """Commands that may compile and link C for this machine, the build's own compiler first."""
    found = []
    try:
        found.append(list(find_clang().command))
    except BuildError:
        pass
    return found + [[path] for path in map(shutil.which, ("cc", "gcc", "clang")) if path]


def documented_rows() -> dict[str, list[tuple[int, int, str]]]:
    """(offset, size, field) of the rows of every table of the document that has these columns, by the heading above."""
    tables: dict[str, list[tuple[int, int, str]]] = {}
    heading = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        heading = line.lstrip("# ") if line.startswith("#") else heading
        row = re.match(r"\| (\d+) \| (\d+) \| `(\w+)` \|", line)
        if row:
            tables.setdefault(heading, []).append((int(row[1]), int(row[2]), row[3]))
    return tables


def asked() -> list[str]:
    """C expressions whose values are compared."""
    expressions = []
    for name, structure in MIRRORED.items():
        expressions.append(f"sizeof(struct {name})")
        expressions += [f"offsetof(struct {name}, {_member(name, each[0])})" for each in structure._fields_]
    for name, rows in documented_rows().items():
        if name.startswith("struct "):
            expressions.append(f"sizeof({name})")
            for _, _, field in rows:
                expressions += [f"offsetof({name}, {field})", f"sizeof((({name} *)0)->{field})"]
    return expressions + [name for names in ENUMERATIONS.values() for name in names]


def _member(structure: str, name: str) -> str:
    return f"python.{name}" if structure == "host" and name in IN_STRUCT_PYTHON else name


@cache
def answers() -> Mapping[str, int]:
    """The values of `asked`, from a program that one of the compilers makes. Skips where there is none."""
    expressions = asked()
    prints = "".join(f'    printf("%lld\\n", (long long)({each}));\n' for each in expressions)
    text = (
        '#include "core/layout.h"\n#include "core/compile.h"\n'
        "#undef offsetof\n#define offsetof(type, member) __builtin_offsetof(type, member)\n"
        f"int printf(const char *, ...);\nint main(void) {{\n{prints}    return 0;\n}}\n"
    )
    refusals = []
    for command in compilers():
        with tempfile.TemporaryDirectory() as directory:
            source, program = Path(directory, "ask.c"), Path(directory, "ask")
            source.write_text(text)
            flags = ["-std=gnu2x", "-w", "-fno-builtin", '-DCNP_TARGET_HEADER="targets/x86_64.h"']
            flags += ["-I", str(stencils_directory()), str(source), "-o", str(program)]
            made = subprocess.run([*command, *flags], capture_output=True, text=True)
            if made.returncode:
                refusals.append(f"{' '.join(command)}: {made.stderr.strip()[:500]}")
                continue
            printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
            return dict(zip(expressions, map(int, printed.split()), strict=True))
    reason = "\n".join(refusals) or "none found"
    if refusals:
        pytest.fail(f"no C compiler made the program:\n{reason}")
    pytest.skip("NOT TESTED: the layouts that C and Python share, because there is no C compiler at all")


@pytest.mark.parametrize("name", MIRRORED)
def test_a_structure_of_the_core_is_what_ctypes_takes_it_for(name: str) -> None:
    structure, found = MIRRORED[name], answers()
    for field, *_ in structure._fields_:
        in_c = found[f"offsetof(struct {name}, {_member(name, field)})"]
        assert getattr(structure, field).offset == in_c, f"struct {name}, member {field}"
    assert ctypes.sizeof(structure) == found[f"sizeof(struct {name})"], f"size of struct {name}"


@pytest.mark.parametrize("name", MIRRORED)
def test_no_member_of_the_core_is_missing_in_python(name: str) -> None:
    """Members in the header's order; `struct python` counts as the beginning of `struct host`."""
    header = "compile.h" if name == "interval" else "layout.h"
    text = (stencils_directory() / "core" / header).read_text()
    declared = list(_members(text, name))
    if name == "host":
        declared[0:1] = _members(text, "python")
    assert [field for field, *_ in MIRRORED[name]._fields_] == declared


def _members(text: str, name: str) -> Iterable[str]:
    body = re.search(rf"^struct {name} {{\n(.*?)^}};", text, re.DOTALL | re.MULTILINE)
    assert body is not None, name
    plain = re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL)
    for declaration in filter(None, (each.strip() for each in plain.split(";"))):
        pointer = re.search(r"\(\*(\w+)\)", declaration)  # to a function
        if pointer:
            yield pointer[1]
            continue
        for part in declaration.split(","):
            yield re.sub(r"\[.*\]", "", part).split()[-1].lstrip("*")


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_enumerations_have_the_same_values(name: str) -> None:
    found = answers()
    assert {each: found[each] for each in ENUMERATIONS[name]} == {k: int(v) for k, v in ENUMERATIONS[name].items()}


def test_lists_that_follow_an_enumeration_are_in_its_order() -> None:
    text = (stencils_directory() / "core" / "layout.h").read_text()

    def names(enumeration: str) -> list[str]:
        body = re.search(rf"enum {enumeration} {{(.*?)}}", text, re.DOTALL)
        assert body is not None
        return [each.strip().lower() for each in body[1].split(",") if each.strip()]

    renamed = {
        "integer_move": "i64_move", "float_move": "f64_move", "integer_select": "i64_select",
        "float_select": "f64_select",
        "branch_table_op": "branch_table", "wrap": "i32_wrap_i64", "return": "ret",
    }  # fmt: skip
    ops = [renamed.get(each, each) for each in names("known_op")]
    assert ops == [*layout.KNOWN_OPS, "known_ops"]
    controls = [each.removesuffix("_stencil") for each in names("known_control")]
    assert [renamed.get(each, each) for each in controls] == [*layout.KNOWN_CONTROLS, "known_controls"]


@pytest.mark.parametrize("name", FILE_ROWS)
def test_the_document_gives_the_rows_of_the_file_as_c_has_them(name: str) -> None:
    rows, found = documented_rows()[f"struct {name}"], answers()
    at = 0
    for offset, size, field in rows:
        assert (offset, size) == (at, found[f"sizeof(((struct {name} *)0)->{field})"]), field
        assert offset == found[f"offsetof(struct {name}, {field})"], field
        at += size
    assert at == found[f"sizeof(struct {name})"] == FILE_ROWS[name]


@pytest.mark.parametrize("name", PACKED)
def test_formats_have_the_fields_where_c_has_them(name: str) -> None:
    """What is not padding, in order, as far as the format goes: segments follow a kind's."""
    rows = [row for row in documented_rows()[f"struct {name}"] if not row[2].startswith("zero")]
    at, packed = 0, []
    for count, code in re.findall(r"(\d*)([a-zA-Z])", PACKED[name].format.lstrip("<")):
        size = struct.calcsize(f"<{count}{code}")
        if code != "x":
            packed += (
                [(at, size)]
                if code == "s"
                else [(at + n * (size // int(count or 1)), size // int(count or 1)) for n in range(int(count or 1))]
            )
        at += size
    assert packed == [(offset, size) for offset, size, _ in rows][: len(packed)]
    assert len(rows) - len(packed) == (name == "patch_kind") and at == PACKED[name].size


def test_limits_are_members_that_the_core_has() -> None:
    """`pools` apart, which the core knows by the constants it is given."""
    members = {name for name, *_ in layout.Library._fields_}
    assert set(LIMITS) - {"pools"} <= members
    for target in TARGETS.values():
        assert set(target.limits) == set(LIMITS), target.name


def test_targets_keep_to_the_limits_of_the_rows() -> None:
    for target in TARGETS.values():
        assert len(target.classes) <= 32 and len({each.name for each in target.classes}) == len(target.classes)
        assert all(len(each.name.encode()) <= 8 for each in target.classes)
        assert len({each.name for each in target.kinds}) == len(target.kinds) <= 256
        for kind in target.kinds:
            assert 0 < len(kind.segments) <= file_layout.MOST_SEGMENTS and kind.width in (1, 2, 4), kind.name
            assert kind.scale & (kind.scale - 1) == 0, kind.name
            assert kind.mask < 1 << 32 and kind.mask & ((1 << 32 - 8 * kind.width) - 1) == 0, kind.name
            assert kind.mask.bit_count() == sum(each.bits for each in kind.segments), f"{kind.name}: segments overlap"
        for names in (target.integer_registers, target.float_registers):
            assert len(names) <= MOST_REGISTERS


def test_the_document_gives_the_header_as_python_packs_it() -> None:
    rows = documented_rows()["Header"]
    packed = [rows[0][0]]
    for part in re.findall(r"\d*[a-zA-Z]", file_layout.HEADER.format.lstrip("<")):
        packed.append(packed[-1] + struct.calcsize("<" + part))
    *fields, table, zero = rows
    assert [offset for offset, _, _ in fields] == packed[:-1]
    assert [offset + size for offset, size, _ in fields] == packed[1:]
    assert (table[0], table[1]) == (file_layout.HEADER.size, 8 * len(file_layout.SectionName))
    assert table[0] + table[1] == zero[0] and zero[0] + zero[1] == file_layout.HEADER_SIZE
    named = {field: (offset, size) for offset, size, field in rows}
    assert named["digest"] == (file_layout.DIGEST_OFFSET, file_layout.DIGEST_SIZE)
    assert named["checksum"] == (file_layout.CHECKSUM_OFFSET, file_layout.CHECKSUM_SIZE)


def test_the_document_gives_symbols_as_python_packs_them() -> None:
    rows = documented_rows()["Symbols"]
    assert [row[:2] for row in rows] == [(0, 4), (4, 4), (8, 4)]
    assert file_layout.SYMBOL.size == 12 and file_layout.SYMBOL.format.lstrip("<") == "III"


def test_the_document_names_every_section_value_and_flag() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    words = (file_layout.SectionName, file_layout.SymbolKind, Shape, OpFlag, Form, Value, patch.KindFlag)
    for enumeration in words:
        for each in enumeration:
            assert re.search(rf"^\| {each.value} \| `{each.name}` \|", text, re.MULTILINE), repr(each)
    for name, value in SEGMENT_FLAGS.items():
        assert re.search(rf"^\| {value} \| `{name}` \|", text, re.MULTILINE), name
    for name in LIMITS:
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), name


def test_the_document_gives_the_kinds_and_classes_of_x86_64() -> None:
    text, target = DOCUMENT.read_text(encoding="utf-8"), TARGETS["x86_64"]
    for number, each in enumerate(target.classes):
        assert re.search(rf"^\| {number} \| `{each.name}` \|", text, re.MULTILINE), each.name
    for number, kind in enumerate(target.kinds):
        assert re.search(rf"^\| {number} \| `{kind.name}` \| {kind.width} \|", text, re.MULTILINE), kind.name


def documented_bytes(*words: str) -> bytes:
    """The bytes of the document's example in lines that begin with these words, and in those that go on without any."""
    example = DOCUMENT.read_text(encoding="utf-8").partition("## An example")[2]
    found, inside = "", False
    for line in example.splitlines():
        word = line.partition(" ")[0]
        inside = word in words or (inside and not word)
        if inside:
            columns = re.match(r"\S* +((?:(?:[0-9a-f]{2}){1,2}(?: {1,2}|$))+)", line)
            found += columns[1] if columns else ""
    return bytes.fromhex(found)


def test_the_header_of_the_example_is_one() -> None:
    data = documented_bytes(*(f"{start:08x}:" for start in range(0, 208, 16)))
    assert len(data) == file_layout.HEADER.size + 8 * len(file_layout.SectionName) == 208
    magic, version, size, target, _, _, total, sections, *registers, _ = file_layout.HEADER.unpack_from(data)
    assert (magic, version, size) == (file_layout.MAGIC, FORMAT_VERSION, file_layout.HEADER_SIZE)
    assert (target.rstrip(b"\0"), sections) == (b"x86_64", len(file_layout.SectionName))
    x86_64 = TARGETS["x86_64"]
    assert registers == [len(x86_64.integer_registers), len(x86_64.float_registers)]
    end = size
    for offset, length in file_layout.SECTION_ENTRY.iter_unpack(data[file_layout.HEADER.size :]):
        assert offset == -(-end // file_layout.SECTION_ALIGNMENT) * file_layout.SECTION_ALIGNMENT
        end = offset + length
    assert end == total


def test_the_rows_of_the_example_say_what_it_says() -> None:
    chunk, chunks, hole, size, holes, short = file_layout.unpack_stencil(documented_bytes("stencil"), 0)
    said = re.search(r" (0x\w+) and (0x\w+): chunk (0x\w+) .*?;\nhole (0x\w+) ", DOCUMENT.read_text(encoding="utf-8"))
    assert said
    first, second, *numbers = (int(each, 16) for each in said.groups())
    assert documented_bytes("stencil") == struct.pack("<II", first, second)
    assert (chunk, chunks, hole, size, holes, short) == (numbers[0], 1, numbers[1], 4, 1, 0)
    code, minus_size = file_layout.CHUNK.unpack(documented_bytes("chunk"))
    assert (code[minus_size:].hex(), minus_size) == ("4d8d7700", -4)
    kinds, classes = TARGETS["x86_64"].kinds, TARGETS["x86_64"].classes
    number = [each.name for each in kinds].index("imm8")
    assert file_layout.HOLE.unpack(documented_bytes("hole")) == (0, Value.IMMEDIATE_B, number, 0, 0, 3)
    row = documented_bytes("kind")
    assert file_layout.KIND.unpack_from(row) == (0, 1, 1, 1, 0, 1, 0xFF000000, kinds[number].low, kinds[number].high)
    assert file_layout.SEGMENT.unpack_from(row, file_layout.KIND.size) == (0, 8, 24, 0)
    name, *rest = file_layout.CLASS.unpack(documented_bytes("class"))
    assert (name.rstrip(b"\0").decode(), *rest) == classes[1]


def test_the_run_time_expects_libraries_of_these_headers() -> None:
    found = abi_hash(stencils_directory())
    assert found == ABI_HASH, f"the headers changed: look at cnp/runtime/layout.py, then set ABI_HASH = 0x{found:016X}"


@pytest.mark.parametrize("structure", [layout.Signature, layout.Request, guest_layout.Walk])
def test_a_packer_puts_fields_where_ctypes_has_them(structure: type[ctypes.Structure]) -> None:
    names = [name for name, *_ in structure._fields_ if name != "zero"]
    for first, last in ((names[0], names[-1]), (names[2], names[6])):
        packed = names[names.index(first) : names.index(last) + 1]
        kinds = {name: kind for name, kind, *_ in structure._fields_}
        values: list[int | bytes] = [
            bytes(range(ctypes.sizeof(kinds[name]))) if issubclass(kinds[name], ctypes.Array) else number
            for number, name in enumerate(packed, 1)
        ]
        made, start = structure(), getattr(structure, first).offset
        packer(structure, first, last).pack_into(made, start, *values)
        for name, value in zip(packed, values):
            place = getattr(structure, name)
            found = bytes(made)[place.offset : place.offset + place.size]
            assert found == (value if isinstance(value, bytes) else value.to_bytes(place.size, "little")), name


def test_where_bytes_are() -> None:
    for each in (b"", b"some", bytes(100)):
        assert ctypes.string_at(id(each) + BYTES_HEAD, len(each) + 1) == each + b"\0"
