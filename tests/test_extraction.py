"""What is extracted of what clang has compiled, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiled_functions import (
    ABSOLUTE_16,
    ABSOLUTE_32,
    ABSOLUTE_32S,
    ABSOLUTE_64,
    IMM8,
    KINDS,
    PLT32,
    REL8,
    REL32,
    function,
    jump,
    refusal,
)
from stencil_fixtures import build, compile_stencil, sources

from cnp.build.assemble import StencilTable
from cnp.build.core import EMPTY
from cnp.build.elf import Function
from cnp.build.extract import CodeHole, Rules, extract
from cnp.errors import BuildError, TrapKind
from cnp.stencil.words import Value
from cnp.target.x86_64 import TARGET as X86_64
from cnp.target.x86_64_decode import decode

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
    with pytest.raises(
        BuildError, match=r"section \.bss \(count\) is writable: neither stencils nor the core may have variab"
    ):
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


# ---- what becomes of it in the table


@pytest.mark.parametrize(
    "before, long, short",
    [
        ("4d89fe", ["4d89fee900000000"], ["4d89feeb00"]),
        ("4d89fe" * 4 + "90", ["4d89", "fe" + "4d89fe" * 3 + "90e900000000"], ["4d89", "fe" + "4d89fe" * 3 + "90eb00"]),
        ("90" * 17, ["90" * 6, "90" * 11 + "e900000000"], ["90" * 6, "90" * 11 + "eb00"]),
    ],
)
def test_a_short_form_is_kept_if_all_but_its_last_chunk_is_the_same(
    before: str, long: list[str], short: list[str]
) -> None:
    code = extract(function(before + "e900000000", jump(len(before) // 2 + 1, "TARGET")), X86_64, Rules())
    assert code.short is not None
    table = StencilTable(EMPTY, X86_64.kinds, X86_64.limits)
    index = table.add(code)
    assert [chunk.code.hex() for chunk in table.stencils[index].chunks] == long
    assert table.stencils[index].short_form == (index + 1 if short else 0)
    assert [chunk.code.hex() for each in table.stencils[index + 1 :] for chunk in each.chunks] == short
