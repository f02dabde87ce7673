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
from cnp.runtime import core, layout
from cnp.runtime.abi import ABI_HASH
from cnp.stencil import layout as file_layout
from cnp.stencil.model import Form, HoleFlag, ImmediateClass, OpFlag, Shape, Value
from cnp.stencil.sources import abi_hash, stencils_directory
from cnp.types import NO_TYPE, Type, ptr, writable_ptr

DOCUMENT = Path(__file__).parent.parent / "docs" / "library-format.md"

MIRRORED: Mapping[str, type[ctypes.Structure]] = {
    "library": layout.Library,
    "host": layout.Host,
    "signature": layout.Signature,
    "callee": layout.Callee,
    "interval": layout.Interval,
    "trace": layout.Trace,
    "request": layout.Request,
}
_HOST = [each[0] for each in layout.Host._fields_]
IN_STRUCT_PYTHON = frozenset(_HOST[: _HOST.index(layout.LIBC_FUNCTIONS[0])])
"""Members of struct host's first member, which Python's Host has as members of its own."""

FILE_ROWS = {
    "op": file_layout.OP,
    "stencil": file_layout.STENCIL,
    "hole": file_layout.HOLE,
    "chunk": file_layout.CHUNK,
    "family": file_layout.FAMILY,
}

ENUMERATIONS: Mapping[str, Mapping[str, int]] = {
    "shape": {each.name: each for each in Shape},
    "op_flag": {each.name: each.value for each in OpFlag if each.name},
    "form": {each.name: each for each in Form},
    "hole_flag": {each.name: each.value for each in HoleFlag if each.name},
    "immediate_class": {f"CLASS_{each.name}": each.value for each in ImmediateClass},
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
    },
    "limits": {
        "MAXIMUM_INTEGER_REGISTERS": layout.REGISTERS,
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
        "branch_table_op": "branch_table", "zero_extend": "i64_extend_i32_u", "return": "ret",
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
    assert at == found[f"sizeof(struct {name})"] == FILE_ROWS[name].size


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
    words = (file_layout.SectionName, file_layout.SymbolKind, Shape, OpFlag, Form, ImmediateClass, Value, HoleFlag)
    for enumeration in words:
        for each in enumeration:
            assert re.search(rf"^\| {each.value} \| `{each.name}` \|", text, re.MULTILINE), repr(each)


def test_the_run_time_expects_libraries_of_these_headers() -> None:
    found = abi_hash(stencils_directory())
    assert found == ABI_HASH, f"the headers changed: look at cnp/runtime/layout.py, then set ABI_HASH = 0x{found:016X}"
