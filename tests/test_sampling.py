"""Sampling: what tells the field of an immediate, and of which kind it is; and placements compiled without floats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from cnp.build.compile import strategies
from cnp.build.elf import Function, Reference
from cnp.build.functions import Immediate
from cnp.build.immediates import LITERAL
from cnp.build.sample import merge_samples, read_sample
from cnp.stencil.library import Library
from cnp.stencil.model import NO_RESULT, Shape
from cnp.stencil.naming import form_size
from cnp.stencil.sources import library_path
from cnp.stencil.words import Form
from cnp.target import TARGETS
from cnp.target.immediate import ImmediateClass, logical_immediate
from cnp.target.patch import NEGATE, KindFlag, PatchKind, Segment
from cnp.target.record import Instruction, Target
from cnp.target.x86_64 import TARGET as X86_64
from cnp.types import Type

KINDS = {each.name: each for each in X86_64.kinds}
IMM8 = KINDS["imm8"]


def function(code: str) -> Function:
    return Function("it", bytes.fromhex(code), ())


def immediate(name: str, *literals: int, may_shift: bool = False) -> Immediate:
    return Immediate("B", "IMMEDIATE_B", name, 0, literals, may_shift)


def test_sampled_field_becomes_a_hole() -> None:
    samples = [function("4983c66b"), function("4983c693")]  # add r14, 107 and -109
    merged = merge_samples(samples, [immediate("I8", 107, -109)], X86_64)
    assert merged is not None and merged.code == bytes.fromhex("4983c600")
    assert merged.references == (Reference(3, LITERAL, "IMMEDIATE_B", 0, IMM8),)


@pytest.mark.parametrize(
    "samples",
    [
        ("4983fe6c7c00", "4983fe947c00"),  # cmp r14, literal + 1
        ("4983c66b", "4981c693ffffff"),  # another length
        ("4983c66b", "4883c693"),  # another register
        ("6b6b", "9393"),  # the literal twice
    ],
)
def test_other_differences_are_not_a_hole(samples: tuple[str, str]) -> None:
    assert merge_samples([function(each) for each in samples], [immediate("I8", 107, -109)], X86_64) is None


def test_literal_that_the_op_ignores_leaves_no_hole() -> None:
    """Where it can be a relocation, that tells whether it is ignored: (a | b) & 1 is 1 for both of these literals."""
    samples, each = [function("90"), function("90")], [immediate("I8", 107, -109)]
    assert merge_samples(samples, each, X86_64) is None
    merged = merge_samples(samples, each, replace(X86_64, sample_kinds=None))
    assert merged is not None and merged.references == ()


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda each: each.name)
def test_literals_differ_in_every_bit_but_the_sign(target: Target) -> None:
    found = 0
    for each in target.classes:
        is_count = each.name.startswith("COUNT")
        for position in ("A", "B", "C", "SHIFT") if not each.pattern else ():
            literals = target.samples(each.name, position)
            if literals:
                found += 1
                first, second = literals
                whole = 31 if is_count or position == "SHIFT" else max(~each.low, each.high) // each.scale
                mask = (1 << whole.bit_length()) - 1
                assert (first ^ second) // each.scale & mask == mask, (each.name, position)
    assert found > 5


# Where an instruction is a word, a field is told from the kinds that could have made the difference.

IMM12 = PatchKind("imm12", (Segment(0, 12, 10),), 0, 4095)
SCALED = PatchKind("imm12x8", (Segment(3, 12, 10),), 0, 4095 * 8, 8)
MINUS12 = PatchKind("minus12", (Segment(0, 12, 10, NEGATE),), -4095, 0)
LOGICAL = PatchKind("logical", (Segment(0, 13, 10),), 0, 0x1FFF)
LOW16, HIGH16 = (PatchKind(f"bits{start}", (Segment(start, 16, 5),)) for start in (0, 16))
BRANCH = PatchKind("b19", (Segment(2, 19, 5),), -(1 << 20), (1 << 20) - 4, 4, flags=KindFlag.PC_RELATIVE)
ROTATION_32, ROTATION_64 = (
    PatchKind(f"rol{bits}", (Segment(0, n, 10, NEGATE),), 0, bits - 1) for n, bits in ((5, 32), (6, 64))
)
WORDS = replace(
    X86_64,
    sample_kinds=None,
    kinds=(IMM12, SCALED, MINUS12, LOGICAL, LOW16, HIGH16, BRANCH, ROTATION_32, ROTATION_64),
    classes=(
        ImmediateClass("C12", 1, 4094),
        ImmediateClass("U12", 0, 4095),
        ImmediateClass("N12", -4095, -1),
        ImmediateClass("U12X8", 0, 4095 * 8, 8),
        ImmediateClass("COUNT", 0, 63),
        ImmediateClass("LOG64", 0, 0, pattern=64),
        ImmediateClass("U32", 0, (1 << 32) - 1),
    ),
    decode=lambda code: [Instruction(offset, 4) for offset in range(0, len(code), 4)],
)
ADD, SUB, AND, MOV, MOVK, COMPARE = 0x91000000, 0xD1000000, 0x92000000, 0xD2800000, 0xF2A00000, 0xF1000000


def code_of_words(*words: int) -> Function:
    return Function("it", b"".join(word.to_bytes(4, "little") for word in words), ())


def merged_words(
    make: Callable[[int], Sequence[int]], each: Immediate
) -> tuple[bytes, list[tuple[int, PatchKind | None, int]]] | None:
    """The common code and (offset, kind, addend) of what was found; None if the samples are refused."""
    found = merge_samples([code_of_words(*make(literal)) for literal in each.literals], [each], WORDS)
    return found and (found.code, [(row.offset, row.kind, row.addend) for row in found.references])


def word_bytes(*words: int) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


def test_a_field_of_a_word_is_a_hole_of_the_kind_that_explains_it() -> None:
    each = immediate("U12", 1447, 2649)
    assert merged_words(lambda n: [ADD | n << 10, 0xD503201F], each) == (word_bytes(ADD, 0xD503201F), [(0, IMM12, 0)])
    each = immediate("N12", -1447, -2649)
    assert merged_words(lambda n: [0xD503201F, SUB | -n << 10], each) == (
        word_bytes(0xD503201F, SUB),
        [(4, MINUS12, 0)],
    )
    each = immediate("U12X8", 8 * 1447, 8 * 2649)
    assert merged_words(lambda n: [ADD | n // 8 << 10], each) == (word_bytes(ADD), [(0, SCALED, 0)])


def test_a_value_may_be_in_several_words() -> None:
    each = immediate("U32", 0x5B7D3F17, 0x9A6C57B1)
    found = merged_words(lambda n: [MOV | (n & 0xFFFF) << 5, MOVK | n >> 16 << 5], each)
    assert found == (word_bytes(MOV, MOVK), [(0, LOW16, 0), (4, HIGH16, 0)])


def test_a_pattern_is_a_hole_for_its_encoding() -> None:
    literals = (0x00FFFFFFF0000000, 0x3F3F3F3F3F3F3F3F)
    each = Immediate("B", "IMMEDIATE_B", "LOG64", 64, literals, False)

    def make(value: int) -> list[int]:
        encoded = logical_immediate(value, 64)
        assert encoded is not None
        return [AND | encoded << 10]

    assert merged_words(make, each) == (word_bytes(AND), [(0, LOGICAL, 0)])
    assert merged_words(lambda n: [AND | (n & 0x1FFF) << 10], each) is None, "the value itself is no encoding"


def test_a_kind_that_does_not_take_the_whole_class_is_not_taken_for_one_that_does() -> None:
    """Bits that the samples have in common say nothing: here the highest of six, and the 13th of a pattern's."""
    count = immediate("COUNT", 13, 22)
    assert merged_words(lambda n: [0x93C00000 | (64 - n) << 10], count) == (
        word_bytes(0x93C00000),
        [(0, ROTATION_64, 0)],
    )
    assert merged_words(lambda n: [0x13800000 | (32 - n) << 10], count) == (
        word_bytes(0x13800000),
        [(0, ROTATION_32, 0)],
    )
    each = Immediate("B", "IMMEDIATE_B", "LOG64", 64, (0x0F0F0F0F0F0F0F0F, 0x3F3F3F3F3F3F3F3F), False)
    found = merged_words(lambda n: [AND | (logical_immediate(n, 64) or 0) << 10], each)
    assert found == (word_bytes(AND), [(0, LOGICAL, 0)])


@pytest.mark.parametrize("delta", [1, -1])
def test_one_more_or_less_is_an_addend_where_the_class_leaves_room(delta: int) -> None:
    def make(value: int) -> list[int]:
        return [COMPARE | value + delta << 10]

    assert merged_words(make, immediate("C12", 1447, 2649, may_shift=True)) == (
        word_bytes(COMPARE),
        [(0, IMM12, delta)],
    )
    assert merged_words(make, immediate("U12", 1447, 2649)) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda n: [ADD | n + 2 << 10],  # two more
        lambda n: [ADD | n << 10 | (n > 2000)],  # another bit as well
        lambda n: [ADD | n << 11],  # elsewhere
        lambda n: [ADD | n << 10] + [0xD503201F] * (n > 2000),  # another length
        lambda n: [BRANCH.mask & 0, 0x58000000 | n << 7],  # a distance is never an immediate
        lambda n: [ADD | n << 10, 0x12345678 + (n > 2000)],  # an instruction beside it differs
    ],
)
def test_other_differences_of_words_are_no_hole(make: Callable[[int], Sequence[int]]) -> None:
    assert merged_words(make, immediate("U12", 1447, 2649, may_shift=True)) is None


def test_words_have_one_strategy() -> None:
    assert [each.modes for each in strategies([immediate("U12", 1, 2)] * 2, WORDS)] == [(0, 0)]


def test_strategies_begin_with_literals_and_end_with_what_always_works() -> None:
    two = [immediate("I8", 1, 2)] * 2
    modes = [each.modes for each in strategies(two, X86_64)]
    assert modes[0] == (0, 0) and modes[-1] == (2, 2) and len(modes) == 9
    assert [each.modes for each in strategies([], X86_64)] == [()]


# ---- one sample where another placement shows the field


def test_one_sample_is_read_where_another_placement_has_its_field() -> None:
    each = immediate("I8", 107, -109)
    like = merge_samples([function("4983c66b"), function("4983c693")], [each], X86_64)
    assert like is not None
    found = read_sample(function("4883c26b"), like, [each], X86_64)  # add rdx, 107
    assert found is not None and found.code == bytes.fromhex("4883c200")
    assert found.references == (Reference(3, LITERAL, "IMMEDIATE_B", 0, IMM8),)
    longer = read_sample(function("904883c26b"), like, [each], X86_64)
    assert longer is not None and longer.references[0].offset == 4, "counted from the end"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("4883c26c", "another number"),
        ("486bc26b", "the literal twice"),
        ("4883c26b90", "not at the end"),
        ("", "nothing"),
    ],
)
def test_one_sample_that_leaves_a_doubt_is_not_read(code: str, why: str) -> None:
    each = immediate("I8", 107, -109)
    like = merge_samples([function("4983c66b"), function("4983c693")], [each], X86_64)
    assert like is not None
    assert read_sample(function(code), like, [each], X86_64) is None, why


def test_one_sample_of_words_is_read_instruction_by_instruction() -> None:
    each = immediate("C12", 1447, 2649, may_shift=True)
    like = merge_samples([code_of_words(COMPARE | n + 1 << 10) for n in each.literals], [each], WORDS)
    assert like is not None
    found = read_sample(code_of_words(COMPARE | 1448 << 10 | 5), like, [each], WORDS)
    assert found is not None and found.code == word_bytes(COMPARE | 5)
    assert [(row.offset, row.kind, row.addend) for row in found.references] == [(0, IMM12, 1)]
    assert read_sample(code_of_words(COMPARE | 1447 << 10), like, [each], WORDS) is None


# ---- placements without floats

FLOAT_REGISTERS = {"x86_64": r"\b[xy]mm\d|\bst\(", "aarch64": r"\b[vqdshb]\d+\b", "riscv64": r"\bf[ast]\d+\b"}
"""As capstone writes them."""


@pytest.mark.parametrize("name", FLOAT_REGISTERS)
def test_stencils_of_ops_without_floats_touch_no_float_register(name: str) -> None:
    """clang was not told of the registers that hold floats then: it may have no use for them."""
    capstone, target = pytest.importorskip("capstone"), TARGETS[name]
    if not library_path(name).exists():
        pytest.skip(f"NOT TESTED: no library for {name} is built")
    modes = {"x86_64": capstone.CS_MODE_64, "aarch64": 0, "riscv64": capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCVC}
    machine = capstone.Cs(getattr(capstone, target.capstone.split()[0]), modes[name])
    is_float = re.compile(FLOAT_REGISTERS[name])

    def touches(code: bytes) -> bool:
        return any(is_float.search(operands) for *_, operands in machine.disasm_lite(code, 0))

    codes: dict[bool, dict[bytes, str]] = {False: {}, True: {}}
    with Library.open(library_path(name)) as library:
        for op in library.ops:
            types = [Type(each) for each in (op.result_type, *op.operand_types) if each != NO_RESULT]
            may = any(each.is_float for each in types) or op.method in target.float_users or op.shape == Shape.TABLE
            for form in Form:
                for index in range(form_size(library, op, form)) if op.forms >> form & 1 else ():
                    stencil = library.placements[op.bases[form] + index]
                    if stencil:
                        codes[may][library.stencil(stencil).code] = op.method
    assert {op for code, op in codes[False].items() if touches(code)} == set()
    assert len(codes[False]) > 500
    assert sum(map(touches, codes[True])) > 100, "the pattern finds float registers where there are some"
