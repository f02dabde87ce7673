"""The build: what the extractor makes of compiled C, what it refuses and with which words, and that builds repeat."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from stencil_fixtures import OPS, build, compile_stencil, sources

from cnp.build import clang as clang_module
from cnp.build import command
from cnp.build.check import check_convention
from cnp.build.clang import Clang, find_clang
from cnp.build.compile import Compiler
from cnp.build.elf import Function, Reference
from cnp.build.extract import CodeHole, Rules, extract
from cnp.build.ops import read_sources
from cnp.build.table import build_table
from cnp.errors import BuildError, TrapKind
from cnp.stencil.library import Library
from cnp.stencil.model import Form, Value
from cnp.stencil.sources import stencils_directory
from cnp.target.x86_64 import TARGET as X86_64
from cnp.target.x86_64 import missing_features
from cnp.target.x86_64_decode import decode

KINDS = {each.name: each for each in X86_64.kinds}
REL8, REL32, IMM8 = KINDS["rel8"], KINDS["rel32"], KINDS["imm8"]
CLASS = {each.name: 1 << number for number, each in enumerate(X86_64.classes)}
PLT32, ABSOLUTE_32S, ABSOLUTE_32, ABSOLUTE_64, ABSOLUTE_16 = 4, 11, 10, 1, 12


def function(code: str, *references: tuple[int, int, str, int]) -> Function:
    """A function of these bytes, with references (offset, type, symbol, addend)."""
    return Function("it", bytes.fromhex(code), tuple(Reference(*each) for each in references))


def jump(offset: int, symbol: str) -> tuple[int, int, str, int]:
    return (offset, PLT32, symbol, -4)


def refusal(it: Function, rules: Rules | None = None) -> str:
    with pytest.raises(BuildError) as caught:
        extract(it, X86_64, rules or Rules())
    return str(caught.value)


# ---- what is extracted


def test_final_jump_to_next_is_dropped() -> None:
    code = extract(function("4d89fe e900000000", jump(4, "NEXT")), X86_64, Rules())
    assert code.data == bytes.fromhex("4d89fe")
    assert code.holes == () and code.short is None


def test_final_jump_to_target_stays_and_has_a_short_form() -> None:
    code = extract(function("4d89fe e900000000", jump(4, "TARGET")), X86_64, Rules())
    assert code.data == bytes.fromhex("4d89fe e900000000")
    assert code.holes == (CodeHole(4, Value.TARGET, REL32, -4, 0),)
    assert code.short is not None and code.short.data == bytes.fromhex("4d89fe eb00")
    assert code.short.holes == (CodeHole(4, Value.TARGET, REL8, -1, 0),)


def test_conditional_jump_to_next_is_inverted() -> None:
    # cmp; jge NEXT; jmp TARGET
    it = function("4839f7 0f8d00000000 e900000000", jump(5, "NEXT"), jump(10, "TARGET"))
    code = extract(it, X86_64, Rules())
    assert code.data == bytes.fromhex("4839f7 0f8c00000000")  # jl
    assert code.short is not None and code.short.data == bytes.fromhex("4839f7 7c00")


def test_not_inverted_where_something_jumps_to_the_second_jump() -> None:
    # jne .T; jnp NEXT; .T: jmp TARGET, as clang has a float's "not equal"
    it = function("7506 0f8b00000000 e900000000", jump(4, "NEXT"), jump(9, "TARGET"))
    code = extract(it, X86_64, Rules())
    assert code.data == bytes.fromhex("7502 7b05 e900000000")
    assert code.short is not None and code.short.data == bytes.fromhex("7502 7b02 eb00")  # the inner jump is nearer


def test_jump_to_next_in_the_middle_goes_to_the_end() -> None:
    # test; je NEXT; mov; jmp NEXT
    it = function("4885f6 0f8400000000 4d89fe e900000000", jump(5, "NEXT"), jump(13, "NEXT"))
    assert extract(it, X86_64, Rules()).data == bytes.fromhex("4885f6 7403 4d89fe")


def test_exit_behind_the_final_jump_is_reached_directly() -> None:
    # je .X; mov; jmp NEXT; .X: jmp EXIT
    it = function("7408 4d89fe e900000000 e900000000", jump(6, "NEXT"), jump(11, "EXIT_INTEGER_OVERFLOW"))
    code = extract(it, X86_64, Rules())
    assert code.data == bytes.fromhex("0f8400000000 4d89fe")
    assert code.holes == (CodeHole(2, Value.EXIT, REL32, -4, TrapKind.INTEGER_OVERFLOW),)


def test_wide_value_is_two_holes() -> None:
    it = function("49bf0000000000000000 e900000000", (2, ABSOLUTE_64, "IMMEDIATE_B", 0), jump(11, "NEXT"))
    low, high = extract(it, X86_64, Rules()).holes
    assert low == CodeHole(2, Value.IMMEDIATE_B, KINDS["low32"], 0, 0)
    assert high == CodeHole(6, Value.IMMEDIATE_B, KINDS["high32"], 0, 0)
    value = 0xFEDCBA9876543210
    assert (low.kind.encode(value), high.kind.encode(value)) == (0x76543210, 0xFEDCBA98)


def test_balanced_frame_is_allowed_where_registers_may_run_short() -> None:
    it = function("55 5d e900000000", jump(3, "NEXT"))
    assert extract(it, X86_64, Rules(frame=True)).data == bytes.fromhex("555d")
    assert "a stack frame at offset 0 (55)" in refusal(it)


@pytest.mark.parametrize("padding", range(16))
def test_padding_decodes_to_one_instruction(padding: int) -> None:
    code = X86_64.padding[padding]
    assert len(code) == padding
    assert len(decode(code)) == (1 if padding else 0)


# ---- what is refused


@pytest.mark.parametrize(
    ("it", "words"),
    [
        (
            function("66b80000 e900000000", (2, ABSOLUTE_16, "IMMEDIATE_B", 0), jump(5, "NEXT")),
            "it: offset 2: relocation type 12 against IMMEDIATE_B is unknown: accepted are R_X86_64_64, R_X86_64_PC32",
        ),
        (
            function("b800000000 e900000000", (1, ABSOLUTE_32, "IMMEDIATE_B", 0), jump(6, "NEXT")),
            "it: offset 1: R_X86_64_32 against IMMEDIATE_B is not sign-extended",
        ),
        (
            function("e900000000", jump(1, "memcpy")),
            "it: offset 1 refers to the unexpected symbol memcpy",
        ),
        (
            function("e900000000", jump(1, "EXIT_NOTHING")),
            "it: offset 1 refers to the unexpected symbol EXIT_NOTHING",
        ),
        (
            function("e900000000", jump(1, "IMMEDIATE_A")),
            "it: offset 1: IMMEDIATE_A is referred to in a way it cannot be",
        ),
        (
            function("48c7c000000000 e900000000", (3, ABSOLUTE_32S, "TARGET", 0), jump(8, "NEXT")),
            "it: offset 3: TARGET is referred to in a way it cannot be",
        ),
        (function("4d89fe"), "it: ends in 4d 89 fe at offset 0, not in a jump to NEXT or TARGET"),
        (function("c3"), "it: a return at offset 0 (c3), where none is accepted"),
        (function("e800000000 e900000000", jump(1, "CALLEE"), jump(6, "NEXT")), "it: a call at offset 0"),
        (function("41ffe2"), "it: an indirect jump at offset 0 (41 ff e2)"),
        (function("4883ec08 e900000000", jump(5, "NEXT")), "it: a stack frame at offset 0 (48 83 ec 08)"),
        (function("0f0f00 e900000000", jump(4, "NEXT")), "it: unknown instruction 0f 0f 00"),
        (function("4d89"), "it: the instruction at offset 0 is cut off"),
        (function("eb10 e900000000", jump(3, "NEXT")), "it: the jump at offset 0 goes to 18, outside"),
        (function("e900000000", (1, PLT32, "NEXT", 0)), "it: the jump at offset 0 to NEXT does not have one field"),
    ],
)
def test_refused(it: Function, words: str) -> None:
    assert words in refusal(it)


def test_unbalanced_frame_is_refused_wherever_it_is_allowed() -> None:
    it = function("55 e900000000", jump(2, "NEXT"))
    assert refusal(it, Rules(frame=True)) == "it: 8 bytes are on the stack at the jump at offset 1"
    it = function("7401 55 5d e900000000", jump(5, "NEXT"))
    assert "the stack differs on two ways" in refusal(it, Rules(frame=True))


def test_writable_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"section \.bss is writable: neither stencils nor the core may have variab"):
        compile_stencil(tmp_path, "count += r1; CNP_GO(NEXT);", before="i64 count;")


def test_table_of_constants_is_refused(tmp_path: Path) -> None:
    table = "static const i64 table[5] = {1, 5, 7, 2, 9};"
    with pytest.raises(BuildError, match=r"refers to section \.rodata.*only holes, core routines and mergeable"):
        compile_stencil(tmp_path, "r1 = table[r1 % 5]; CNP_GO(NEXT);", before=table)


def test_undefined_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"a call at offset|a stack frame at offset"):
        compile_stencil(tmp_path, "r1 = other(r1); CNP_GO(NEXT);", before="i64 other(i64);")


def test_constant_is_taken_along(tmp_path: Path) -> None:
    (hole,) = compile_stencil(tmp_path, "f1 = -f1; CNP_GO(NEXT);").holes
    assert hole.value == Value.LIBRARY and hole.kind == REL32
    assert not isinstance(hole.extra, (int, str))
    assert hole.extra.data[:8] == (1 << 63).to_bytes(8, "little") and hole.extra.alignment == 16


def test_stencil_short_of_registers_names_the_op_and_the_placement(tmp_path: Path) -> None:
    body = (
        '{ i64 x, y, z, w; __asm__ volatile("" : "=&r"(x), "=&r"(y), "=&r"(z), "=&r"(w)); return a ^ x ^ y ^ z ^ w; }'
    )
    stencils = sources(tmp_path / "s", f'#include "cnp.h"\nOP(i64_hungry, PLAIN, i64, i64 a) {body}\n')
    with pytest.raises(BuildError, match=r"op i64_hungry, form FREE \(d=r\d+, a=r\d+\), ops\.c:2: .*a stack frame"):
        build(stencils, tmp_path / "x.cnpl")


@pytest.mark.parametrize(
    ("op", "words"),
    [
        ("OP(i64_x, PLAIN, i64, i64 a) { return (ptr)a; }", r"ops\.c:2:\d+: error: .*"),
        ("OP(i64_x, PLAIN, i64, i64 a) { return a }", r"ops\.c:2:\d+: error: expected ';'"),
        ("OP(i64_x, ODD, i64, i64 a) { return a; }", r"ops\.c:2: op i64_x: unknown attribute 'ODD': accepted are"),
        ("OP(i64_x, PLAIN, u64, i64 a) { return a; }", r"ops\.c:2: op i64_x: type 'u64' is not one of i32, i64, f32"),
        ("OP(i64_x, PLAIN, i64, int a) { return a; }", r"ops\.c:2: op i64_x: type 'int' is not one of"),
        ("OP(i64_x, PLAIN, i64, i64 a, i64 b, i64 c, i64 d) { return a; }", r"op i64_x: 4 operands; at most 3"),
        ("OP(i64_x, COMPARISON(i64_y, NONE), i32, i64 a) { return 1; }", r"op i64_x names i64_y, which is not an op"),
        ("OP(i64_x, COMPARISON(NONE), i32, i64 a) { return 1; }", r"COMPARISON takes two names, swapped and inverse"),
        ("OP(i64_x, PLAIN, i64, i64 a) { return TRAP(FIRE); }", r"ops\.c:2: op i64_x: unknown trap FIRE: known are UN"),
        (
            "OP(i64_x, PLAIN, i64, i64 a) { return a; }\nOP(i64_x, PLAIN, i64, i64 a) { return a; }",
            r"ops\.c:3: op i64_x is already defined at ops\.c:2",
        ),
    ],
)
def test_malformed_op_is_refused_with_file_and_line(tmp_path: Path, op: str, words: str) -> None:
    stencils = sources(tmp_path / "s", f'#include "cnp.h"\n{op}\n')
    with pytest.raises(BuildError, match=words):
        build(stencils, tmp_path / "x.cnpl")


# ---- immediates that clang takes into a register

KEPT = frozenset(X86_64.register_numbers.values())


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("4983fc", None),
        ("4981fc00000000", "4983fc00"),  # cmp r12
        ("483d00000000", "4883f800"),  # cmp rax
        ("2500000000", "83e000"),  # and eax
        ("4d69f700000000", "4d6bf700"),  # imul r14, r15
        ("49c7c600000000", None),  # mov has no such form
    ],
)
def test_narrow_immediate(wide: str, narrow: str | None) -> None:
    code = bytes.fromhex(wide)
    found = X86_64.narrow_immediate(code, len(code) - 4)
    assert found == (bytes.fromhex(narrow) if narrow else None)


@pytest.mark.parametrize(
    ("load", "operation", "folded"),
    [
        ("49c7c200000000", "4d21d4", "4981e400000000"),  # and r12, r10
        ("49c7c200000000", "4421d0", "81e000000000"),  # and eax, r10d
        ("41ba00000000", "4421d0", "81e000000000"),
        ("41ba00000000", "4c21d0", None),  # the upper half would be zero, not the sign
        ("49c7c600000000", "4d21f4", None),  # r14 is a guest register
        ("49c7c200000000", "4d21e2", None),  # the other way round
        ("49c7c200000000", "4d85d4", None),  # test has another form
    ],
)
def test_fold_immediate(load: str, operation: str, folded: str | None) -> None:
    found = X86_64.fold_immediate(bytes.fromhex(load), bytes.fromhex(operation), KEPT)
    assert found == ((bytes.fromhex(folded), len(bytes.fromhex(folded)) - 4) if folded else None)


def test_immediate_that_fits_8_bits_is_folded_and_narrowed() -> None:
    it = function("49c7c200000000 4d21d4 e900000000", (3, ABSOLUTE_32S, "IMMEDIATE_B", 0), jump(11, "NEXT"))
    assert extract(it, X86_64, Rules()).data == bytes.fromhex("4981e400000000")
    code = extract(it, X86_64, Rules(narrow=frozenset(("IMMEDIATE_B",))))
    assert code.data == bytes.fromhex("4983e400")
    assert code.holes == (CodeHole(3, Value.IMMEDIATE_B, IMM8, 0, 0),)


def test_equal_operands_are_not_copied(small: tuple[Path, Path]) -> None:
    """clang would pass on a copy of one operand in place of the other where it knows them to be equal."""
    with Library.open(small[1]) as library:
        assert code_of(library, "branch_i64_equal", Form.FREE, 1) == "4d39f40f8400000000"


# ---- a whole library


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


# ---- the compiler


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_old_clang_is_refused(tmp_path: Path) -> None:
    old = script(tmp_path / "clang", "echo clang version 18.1.3")
    with pytest.raises(BuildError, match=r"is clang 18, which is older than 19; install clang 19 or later, or `pip in"):
        find_clang(old)


def test_other_compiler_is_refused(tmp_path: Path) -> None:
    other = script(tmp_path / "cc", "echo gcc 14.2.0")
    with pytest.raises(BuildError, match=r"cc is not clang: --version says 'gcc 14\.2\.0'; install clang"):
        find_clang(other)


def test_missing_compiler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot run .*/nowhere: No such file or directory; install clang"):
        find_clang(str(tmp_path / "nowhere"))


def test_no_compiler_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "clang", "echo clang version 15.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CNP_CLANG", raising=False)
    monkeypatch.setattr(clang_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match=r"(?s)no usable clang\n.*is clang 15, .*pip install cnp\[build\]"):
        find_clang()


def test_environment_names_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNP_CLANG", script(tmp_path / "mine", "echo Mine clang version 20.1.0"))
    assert find_clang() == Clang((str(tmp_path / "mine"),), "Mine clang version 20.1.0", zig=False)


def test_other_argument_order_is_refused(tmp_path: Path) -> None:
    other = replace(X86_64, convention_order=("rdi", *X86_64.convention_order[1:]))
    compiler = Compiler(find_clang(), other, stencils_directory(), frozenset(), tmp_path)
    with pytest.raises(
        BuildError, match=r"passes preserve_none arguments in r12 r13 .* relies on rdi r13 .*cannot build"
    ):
        check_convention(compiler)


# ---- the command, and the processor


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    for option in ("--target", "--output", "--jobs", "--clang", "--force", "--verbose", "--keep"):
        assert option in text


def test_command_reports_errors_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--target", "x86_64", "--clang", str(tmp_path / "nowhere"), "--output", str(tmp_path / "x")]
    assert command.main(words) == 1
    assert capsys.readouterr().err.startswith("error: cannot run ")
    assert not (tmp_path / "x").exists()


def test_one_file_is_for_one_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["--target", "all", "--output", str(tmp_path / "x")])
    assert caught.value.code == 2
    assert "--output names one file: choose one --target" in capsys.readouterr().err


def test_missing_processor_features(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor: 0\nflags\t\t: fpu cx16 lahf_lm popcnt sse4_1 ssse3\n")
    assert missing_features(str(cpuinfo)) == ("sse4_2",)
    assert missing_features(str(tmp_path / "nowhere")) == ()
