"""A whole library is built, and built again where something changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from compiled_functions import CLASS, IMM8
from stencil_fixtures import OPS, build, sources

from cnp.build.clang import find_clang
from cnp.build.ops import read_sources
from cnp.build.table import build_table
from cnp.errors import BuildError
from cnp.stencil.library import Library
from cnp.stencil.sources import stencils_directory
from cnp.stencil.words import Form, Value
from cnp.target.x86_64 import TARGET as X86_64


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Op sources, and the library built from them."""
    directory = tmp_path_factory.mktemp("small")
    stencils = sources(directory / "stencils")
    build(stencils, directory / "small.cnpl")
    return stencils, directory / "small.cnpl"


def code_of(library: Library, method: str, form: Form, index: int) -> str:
    op = library.op_by_method[method]
    return library.stencil(library.placements[library.form_base(op, form) + index]).code.hex()


def test_equal_operands_are_not_copied(small: tuple[Path, Path]) -> None:
    """clang would pass on a copy of one operand in place of the other where it knows them to be equal."""
    with Library.open(small[1]) as library:
        assert code_of(library, "branch_i64_equal", Form.FREE, 1) == "4d39f40f8400000000"


def test_sampling_and_its_fallback(small: tuple[Path, Path]) -> None:
    with Library.open(small[1]) as library:
        xor = library.op_by_method["i64_xor"]
        n_b = xor.alternatives[2]
        r1_i8, r1_i32 = n_b + 12, n_b + 13
        assert code_of(library, "i64_xor", Form.TIED, r1_i8) == "4983f600"  # xor r14, imm8: sampled
        assert code_of(library, "i64_xor", Form.TIED, r1_i32) == "4981f600000000"
        assert code_of(library, "i64_xor", Form.TIED, n_b + 14).startswith("49ba")  # movabs r10
        imm8 = X86_64.kinds.index(IMM8)
        holes = library.stencil(library.placements[xor.bases[Form.TIED] + r1_i8]).holes
        assert [(hole.value, hole.kind, hole.offset) for hole in holes] == [(Value.IMMEDIATE_B, imm8, 3)]


def test_comparison_has_a_branch_and_its_opposite(small: tuple[Path, Path]) -> None:
    with Library.open(small[1]) as library:
        row = {op.method: op for op in library.ops}
        less, branch, opposite = row["i64_lt_u"], row["branch_i64_lt_u"], row["branch_not_i64_lt_u"]
        assert less.branch == branch.code
        assert (branch.inverse, opposite.inverse) == (opposite.code, branch.code)
        assert branch.swapped == row["branch_i64_gt_u"].code
        assert code_of(library, "branch_i64_lt_u", Form.FREE, 1) == "4d39f40f8200000000"  # cmp r12, r14; jb
        assert code_of(library, "branch_not_i64_lt_u", Form.FREE, 1) == "4d39f40f8300000000"


def test_build_does_not_depend_on_jobs_or_place(small: tuple[Path, Path], tmp_path: Path) -> None:
    stencils = sources(tmp_path / "elsewhere")
    build(stencils, tmp_path / "again.cnpl", jobs=2)
    assert (tmp_path / "again.cnpl").read_bytes() == small[1].read_bytes()


def test_unchanged_build_does_nothing(small: tuple[Path, Path], tmp_path: Path) -> None:
    library = tmp_path / "small.cnpl"
    library.write_bytes(small[1].read_bytes())
    before = library.stat().st_mtime_ns
    assert build(small[0], library).up_to_date
    assert library.stat().st_mtime_ns == before


def test_changed_source_damaged_library_and_force_build_again(small: tuple[Path, Path], tmp_path: Path) -> None:
    stencils = sources(tmp_path / "s", '#include "cnp.h"\nOP(i64_popcnt, PLAIN, i64, i64 a) { return 1; }\n')
    library = tmp_path / "x.cnpl"
    assert not build(stencils, library).up_to_date
    assert build(stencils, library).up_to_date
    assert not build(stencils, library, force=True).up_to_date
    library.write_bytes(library.read_bytes()[:-1])
    assert not build(stencils, library).up_to_date
    (stencils / "ops.c").write_text('#include "cnp.h"\nOP(i64_popcnt, PLAIN, i64, i64 a) { return 2; }\n')
    assert not build(stencils, library).up_to_date
    assert [each.name for each in tmp_path.glob(".*")] == [".x.stencils"]  # nothing half-written is left


def test_a_change_of_the_core_alone_takes_the_stencils_that_were_kept(tmp_path: Path) -> None:
    stencils = sources(tmp_path / "s")
    library = tmp_path / "x.cnpl"
    first = build(stencils, library)
    kept = (tmp_path / ".x.stencils").stat().st_mtime_ns
    (stencils / "core").mkdir()
    (stencils / "core" / "unused.h").write_text("/* not a stencil's */\n")
    before = library.read_bytes()
    again = build(stencils, library)
    assert not again.up_to_date and again.functions == first.functions
    assert (tmp_path / ".x.stencils").stat().st_mtime_ns == kept
    with Library.open(library) as read:
        assert read.meta["inputs"] not in before.decode("latin-1")
    (tmp_path / ".x.stencils").write_bytes(b"damaged")
    assert build(stencils, library, force=False).up_to_date
    library.unlink()
    assert not build(stencils, library).up_to_date


def test_loads_and_stores_with_names_of_their_own_and_more_than_fields(tmp_path: Path) -> None:
    """A body may take more than one instruction: such an op is built all the same, and its addresses are sums."""
    ops = """#include "cnp.h"
OP(peek, LOAD, i64, ptr address) { return *(u64 *)address; }
OP(peek_reversed, LOAD, i64, ptr address) { return __builtin_bswap64(*(u64 *)address); }
OP(peek_checked, LOAD, i32, ptr address) { if (!address) return TRAP(UNREACHABLE); return *(u32 *)address; }
OP(poke7, STORE, void, ptr address, i32 value) { *(u32 *)address = value; }
"""
    library = tmp_path / "x.cnpl"
    build(sources(tmp_path / "s", ops), library)
    with Library.open(library) as read:
        scales = {op.method: op.scales for op in read.ops}
        assert scales == {"peek": [0, 3], "peek_reversed": [], "peek_checked": [], "poke7": [0, 2]}
        assert [len(op.families) for op in read.ops] == [4, 0, 0, 4]


def test_failed_build_leaves_the_old_library(small: tuple[Path, Path], tmp_path: Path) -> None:
    library = tmp_path / "x.cnpl"
    library.write_bytes(small[1].read_bytes())
    with pytest.raises(BuildError):
        build(sources(tmp_path / "s", OPS + "OP("), library)
    assert library.read_bytes() == small[1].read_bytes()


# ---- the op table


def test_table_of_the_real_sources() -> None:
    files = sorted(path.name for path in stencils_directory().glob("*.c") if path.name != "control.c")
    read = read_sources(find_clang(), X86_64, stencils_directory(), files)
    table = {op.row.method: op.row for op in build_table(read.ops, X86_64)}
    add, sub, load, store = table["i64_add"], table["i64_sub"], table["i64_load"], table["i32_store8"]
    assert (add.forms, add.alternatives) == (1 << Form.FREE, (12, 12, 15, 1))
    assert sub.forms == 1 << Form.TIED | 1 << Form.REVERSED and sub.reversed_alternatives == 13
    assert load.alternatives == (12, 13, 2, 1) and store.alternatives == (1, 13, 13, 2)
    assert table["i64_mul"].forms == 1 << Form.TIED | 1 << Form.FREE_IMMEDIATE
    assert table["f64_lt"].forms == 1 << Form.SLOT_RESULT
    assert table["i32_shl"].classes[1] == CLASS["I8"]
    assert add.doc == "return a + b;" and re.fullmatch(r"integer\.c:\d+", add.source_line)
    assert [row.code for row in table.values()] == list(range(len(table)))
