"""Register fields of words: which registers placements are compiled with, and what the build learns from the codes."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cnp.build.extract import Code, CodeHole
from cnp.build.fields import REGISTER_FIELDS, FieldTable, Learner
from cnp.build.rows import Registers, other_operands, register_rows
from cnp.errors import BuildError
from cnp.stencil.model import MOST_REGISTERS, OpFlag, Shape
from cnp.stencil.words import Form, Value
from cnp.target.patch import PatchKind, Segment
from cnp.target.record import Instruction, Target
from cnp.target.x86_64 import TARGET as X86_64
from cnp.types import Type

INTEGERS, FLOATS = 24, 16
NAMED = (18, 12)
_choose = random.Random(7)
NUMBERS = {f"x{n}": number for n, number in enumerate(_choose.sample(range(32), INTEGERS))}
NUMBERS |= {f"v{n}": number for n, number in enumerate(_choose.sample(range(32), FLOATS))}
IMMEDIATE = PatchKind("imm", (Segment(0, 7, 25),), 0, 127)


def words(code: bytes) -> list[Instruction]:
    """Instructions of four bytes, and of two where the lowest bits of the first are not set."""
    found, at = [], 0
    while at < len(code):
        found.append(Instruction(at, 4 if code[at] & 3 == 3 else 2))
        at += found[-1].size
    return found


def target(
    integer: Sequence[Sequence[int]] = (range(INTEGERS),), float_: Sequence[Sequence[int]] = (range(FLOATS),)
) -> Target:
    """A target of words whose registers fall into these groups."""
    return replace(
        X86_64,
        integer_registers=tuple(f"x{n}" for n in range(INTEGERS)),
        float_registers=tuple(f"v{n}" for n in range(FLOATS)),
        register_numbers=NUMBERS,
        groups=(tuple(map(tuple, integer)), tuple(map(tuple, float_))),
        named=NAMED,
        decode=words,
    )


def op(result: Type | None, *operands: Type, shape: Shape = Shape.VALUE) -> Any:
    """As much of an op as rows are made of."""
    return SimpleNamespace(
        row=SimpleNamespace(shape=shape, operand_types=operands, flags=OpFlag(0), classes=(0, 0, 0)),
        source=SimpleNamespace(result=result),
    )


def number(register: int, is_float: bool = False) -> int:
    return NUMBERS[f"{'v' if is_float else 'x'}{register}"]


ADD = op(Type.i64, Type.i64, Type.i64)
SMALL = (range(8), range(8, INTEGERS))
ALL_BITS = (31, 31)
SLOT = 1  # an alternative, where there is one group


# ---- rows


def test_without_groups_an_alternative_is_a_register() -> None:
    assert register_rows(ADD, Form.FREE, (3, 5, 7, 0), 0, X86_64) == [(3, 5, 7, -1)]
    assert register_rows(ADD, Form.TIED, (0, 5, 11, 0), 0, X86_64) == [(-1, 5, -1, -1)]  # b in a slot
    assert register_rows(ADD, Form.FREE, (11, 12, 2, 0), 0, X86_64) == [(-1, -1, 2, -1)]
    branch = op(Type.i32, Type.f64, Type.f64, shape=Shape.BRANCH)
    assert register_rows(branch, Form.FREE, (0, 7, 8, 0), 0, X86_64) == [(-1, 7, -1, -1)]
    magic = op(Type.i64, Type.i64, Type.i64, shape=Shape.MAGIC)
    assert register_rows(magic, Form.SCRATCH, (0, 2, 0, 0), 0, X86_64) == [(-1, 2, -1, -1)]
    assert register_rows(ADD, Form.FREE_IMMEDIATE, (1, 2, 0, 0), 0, X86_64) == [(1, 2, -1, -1)]


SHAPES = [
    (ADD, Form.FREE, (0, 0, 0, 0), "dab"),
    (ADD, Form.TIED, (0, 0, 0, 0), "ab"),
    (ADD, Form.REVERSED, (0, 0, 0, 0), "ab"),
    (ADD, Form.FREE_IMMEDIATE, (0, 0, 0, 0), "da"),
    (op(Type.f64, Type.i64), Form.FREE, (0, 0, 0, 0), "da"),
    (op(None, Type.f64, Type.i64, shape=Shape.STORE), Form.FREE, (0, 0, 0, 0), "ab"),
    (op(Type.i64, Type.i64, shape=Shape.LOAD), Form.FREE, (0, 0, 1, 0), "da"),
    (op(Type.i32, Type.i64, Type.i64, shape=Shape.BRANCH), Form.FREE, (0, 0, 0, 0), "ab"),
    (op(Type.i64, Type.i32, Type.i64, Type.i64), Form.FREE, (0, 0, 0, 0), "dabc"),
    (op(Type.i64, Type.i32, Type.i64, Type.i64), Form.TIED, (0, 0, 0, 0), "abc"),
]
WITH_SLOTS = [
    (ADD, Form.FREE, (SLOT, 0, 0, 0), "ab"),
    (ADD, Form.FREE, (0, SLOT, 0, 0), "db"),
    (ADD, Form.FREE, (0, 0, SLOT, 0), "da"),
    (ADD, Form.FREE, (SLOT, 0, SLOT, 0), "a"),
    (op(Type.i64, Type.i32, Type.i64, Type.i64), Form.TIED, (0, 0, SLOT, 0), "ac"),
]


def files(it: Any) -> tuple[bool, bool, bool, bool]:
    types = [it.source.result, *it.row.operand_types, None, None, None][:4]
    d, a, b, c = (type is not None and type.is_float for type in types)
    return d, a, b, c


def positions(letters: str) -> list[int]:
    return ["dabc".index(each) for each in letters]


@pytest.mark.parametrize(("it", "form", "alternatives", "letters"), SHAPES + WITH_SLOTS)
def test_rows_let_every_register_change_alone_and_all_change_once(
    it: Any, form: Form, alternatives: Registers, letters: str
) -> None:
    rows = register_rows(it, form, alternatives, 0, target())
    first, places = rows[0], positions(letters)
    assert len(set(rows)) == len(rows)
    for row in rows:
        assert [position for position in range(4) if row[position] >= 0] == places
        held = [(files(it)[position], row[position]) for position in places]
        assert len(set(held)) == len(held), "registers of one row differ: a pattern says where they do not"
        assert all(register < NAMED[is_float] for is_float, register in held), "C has no name for it"
    for position in places:
        alone = [row for row in rows if [at for at in range(4) if row[at] != first[at]] == [position]]
        assert alone, f"position {position} never changes alone"
    assert any(all(row[position] != first[position] for position in places) for row in rows)


@pytest.mark.parametrize(("it", "form", "alternatives", "letters"), SHAPES)
def test_where_all_is_in_registers_every_position_takes_nearly_every_register(
    it: Any, form: Form, alternatives: Registers, letters: str
) -> None:
    """Those that other positions have in both of the rows that others are made from are left out."""
    rows = register_rows(it, form, alternatives, 0, target())
    for position in positions(letters):
        missing = set(range(NAMED[files(it)[position]])) - {row[position] for row in rows}
        assert len(missing) <= max(len(letters) - 2, 0), (position, missing)


@pytest.mark.parametrize(("it", "form", "alternatives", "letters"), WITH_SLOTS)
def test_where_something_is_in_a_slot_two_registers_do(
    it: Any, form: Form, alternatives: Registers, letters: str
) -> None:
    rows = register_rows(it, form, alternatives, 0, target())
    assert 1 + len(letters) <= len(rows) <= 2 + len(letters)


def test_rows_keep_to_their_groups_but_the_last_takes_all() -> None:
    it = target(SMALL)
    narrow = register_rows(ADD, Form.FREE, (0, 0, 0, 0), 0, it)
    assert {register for row in narrow for register in row} == {*range(8), -1}
    mixed = register_rows(ADD, Form.FREE, (1, 0, 0, 0), 0, it)
    assert {row[0] for row in mixed} == set(range(NAMED[0]))
    assert {row[1] for row in mixed} == set(range(8))


def test_a_pattern_says_which_registers_are_the_same() -> None:
    assert [other_operands(form) for form in Form] == [(1, 2), (2, 3), (1, 3), (1, 2), (2, 3), (2, 3)]
    for pattern, same in ((1, [(0, 1)]), (2, [(0, 2)]), (3, [(0, 1), (0, 2)])):
        for row in register_rows(ADD, Form.FREE, (0, 0, 0, 0), pattern, target()):
            for x, y in ((0, 1), (0, 2)):
                assert (row[x] == row[y]) == ((x, y) in same), (pattern, row)
    three = op(Type.i64, Type.i32, Type.i64, Type.i64)
    for row in register_rows(three, Form.TIED, (0, 0, 0, 0), 2, target()):
        assert row[0] == -1 and row[1] == row[3] != row[2]
    for row in register_rows(ADD, Form.REVERSED, (0, 0, 0, 0), 1, target()):
        assert row[1] == row[2]


@pytest.mark.parametrize(
    ("it", "form", "alternatives", "pattern", "groups"),
    [
        (ADD, Form.FREE, (SLOT, 0, 0, 0), 1, [range(INTEGERS)]),  # the destination is in a slot
        (ADD, Form.FREE, (0, SLOT, 0, 0), 1, [range(INTEGERS)]),  # the operand is
        (ADD, Form.FREE, (0, 1, 0, 0), 1, SMALL),  # they are of different groups
        (op(Type.f64, Type.i64), Form.FREE, (0, 0, 0, 0), 1, [range(INTEGERS)]),  # of different files
        (op(Type.i64, Type.i64), Form.FREE, (0, 0, 0, 0), 2, [range(INTEGERS)]),  # there is no second one
        (op(Type.i32, Type.i64, Type.i64, shape=Shape.BRANCH), Form.FREE, (0, 0, 0, 0), 1, [range(INTEGERS)]),
        (op(None, Type.i64, Type.i64, shape=Shape.STORE), Form.FREE, (0, 0, 0, 0), 2, [range(INTEGERS)]),
    ],
)
def test_patterns_that_cannot_be_have_no_rows(
    it: Any, form: Form, alternatives: Registers, pattern: int, groups: Sequence[Sequence[int]]
) -> None:
    assert register_rows(it, form, alternatives, pattern, target(groups)) == []


# ---- learning

Encoder = Callable[[Registers], Code]


def word(instruction: int, *fields: tuple[int, int]) -> bytes:
    """An instruction with hardware numbers at bits."""
    for register, shift in fields:
        instruction |= register << shift
    return (instruction & 0xFFFFFFFF).to_bytes(4, "little")


def add(registers: Registers) -> Code:
    d, a, b, _ = (number(each) if each >= 0 else 0 for each in registers)
    return Code(word(0x00000033, (d, 7), (a, 15), (b, 20)), ())


def mixed(registers: Registers) -> Code:
    """Four instructions, one of two bytes: d and a are floats, b an integer; a hole beside fields; b twice in one."""
    d, a, b = number(registers[0], True), number(registers[1], True), number(registers[2])
    hole = CodeHole(4, Value.OFFSET, IMMEDIATE, 0, 0)
    rotated, loaded = word(0x00000053, (b, 7), (b, 20)), word(0x00000013, (b, 15))
    return Code(
        rotated + loaded + (0x8002 | b << 2 | a << 8).to_bytes(2, "little") + word(0x7F) + word(0x53, (d, 7), (a, 15)),
        (hole,),
    )


def filled(code: Code, table: FieldTable, registers: Registers) -> bytes:
    """What the core makes of a stencil and registers."""
    data = bytearray(code.data)
    for hole in code.holes:
        if hole.value == Value.REGISTERS:
            assert isinstance(hole.extra, int) and hole.kind == REGISTER_FIELDS[hole.kind.width] and hole.addend == 0
            end = hole.offset + hole.kind.width
            bits = 0
            for position in range(4):
                row = table.rows[hole.extra >> 8 * position & 255]
                bits ^= row[registers[position]] if row else 0
            for at, byte in zip(range(end - hole.kind.width, end), bits.to_bytes(4, "little")[4 - hole.kind.width :]):
                data[at] ^= byte
    return bytes(data)


def learn(
    encoder: Encoder, it: Any, form: Form = Form.FREE, alternatives: Registers = (0, 0, 0, 0), pattern: int = 0
) -> tuple[Code, FieldTable]:
    table = FieldTable(target())
    rows = register_rows(it, form, alternatives, pattern, target())
    learner = Learner(target(), table, files(it), ALL_BITS, "op it")
    return learner.learn({row: encoder(row) for row in rows}), table


def refusal(codes: dict[Registers, Code]) -> str:
    with pytest.raises(BuildError) as caught:
        Learner(target(), FieldTable(target()), files(ADD), ALL_BITS, "op it").learn(codes)
    return str(caught.value)


def combinations(it: Any, letters: str, count: int = 400) -> list[Registers]:
    """Registers that no row had among them, those without a name in C."""
    sizes = [(FLOATS if is_float else INTEGERS) for is_float in files(it)]
    choose, found = random.Random(1), []
    for _ in range(count):
        d, a, b, c = (choose.randrange(sizes[n]) if "dabc"[n] in letters else -1 for n in range(4))
        found.append((d, a, b, c))
    return found


def test_what_is_learned_makes_every_combination_of_registers() -> None:
    code, table = learn(add, ADD)
    assert code.data == word(0x00000033)
    (hole,) = code.holes
    assert (hole.offset, hole.value, hole.kind) == (0, Value.REGISTERS, REGISTER_FIELDS[4])
    for registers in combinations(ADD, "dab"):
        assert filled(code, table, registers) == add(registers).data


MIXED = op(Type.f64, Type.f64, Type.i64)


def test_fields_of_several_instructions_and_files() -> None:
    code, table = learn(mixed, MIXED)
    assert [each for each in code.holes if each.value == Value.OFFSET] == [CodeHole(4, Value.OFFSET, IMMEDIATE, 0, 0)]
    assert [each.offset for each in code.holes] == sorted(each.offset for each in code.holes)
    held = [each for each in code.holes if each.value == Value.REGISTERS]
    assert [(each.offset, each.kind.width) for each in held] == [(0, 4), (0, 4), (4, 4), (8, 2), (14, 4)], "b twice"
    for registers in combinations(MIXED, "dab"):
        assert filled(code, table, registers) == mixed(registers).data


def test_registers_that_are_always_the_same_are_one_field() -> None:
    for pattern in (1, 2, 3):
        code, table = learn(add, ADD, pattern=pattern)
        for registers in combinations(ADD, "dab", 100):
            d, a, b, _ = registers
            same = (d, d if pattern & 1 else a, d if pattern & 2 else b, -1)
            assert filled(code, table, same) == add(same).data
        rows = [hole.extra for hole in code.holes if isinstance(hole.extra, int)]
        named = {position for extra in rows for position in range(4) if extra >> 8 * position & 255}
        assert named == {0} | ({1} if not pattern & 1 else set()) | ({2} if not pattern & 2 else set())


def test_a_tied_register_is_that_of_the_operand() -> None:
    def tied(registers: Registers) -> Code:
        _, a, b, _ = registers
        return add((a, a, b, -1))

    code, table = learn(tied, ADD, Form.TIED)
    assert len(code.holes) == 2, "the same register at two places of an instruction"
    for registers in combinations(ADD, "ab", 100):
        assert filled(code, table, registers) == tied(registers).data


def test_what_a_slot_needs_beside_registers_stays() -> None:
    """Two registers a position are enough where an operand is in a slot."""

    def loaded(registers: Registers) -> Code:
        d, a, *_ = (number(each) if each >= 0 else 0 for each in registers)
        holes = (CodeHole(0, Value.SLOT_B, IMMEDIATE, 0, 0),)
        return Code(word(0x01F10003, (31, 7)) + word(0x00000033, (d, 7), (a, 15), (31, 20)), holes)

    code, table = learn(loaded, ADD, alternatives=(0, 0, SLOT, 0))
    assert code.holes[0] == CodeHole(0, Value.SLOT_B, IMMEDIATE, 0, 0) and len(code.holes) == 2
    for registers in combinations(ADD, "da", 100):
        assert filled(code, table, registers) == loaded(registers).data


def test_a_short_form_is_learned_too() -> None:
    def branch(registers: Registers) -> Code:
        _, a, b, _ = registers
        compared = word(0x00000063, (number(a), 15), (number(b), 20))
        return Code(compared + word(0x6F), (), short=Code(compared, ()))

    code, table = learn(branch, op(Type.i32, Type.i64, Type.i64, shape=Shape.BRANCH))
    assert code.short is not None and code.short.holes == code.holes
    for registers in combinations(ADD, "ab", 100):
        expected = branch(registers)
        assert expected.short is not None
        assert filled(code, table, registers) == expected.data
        assert filled(code.short, table, registers) == expected.short.data


def test_code_that_names_no_register_has_no_holes() -> None:
    code, table = learn(lambda registers: Code(word(0x13) + word(0x73), ()), ADD)
    assert code == Code(word(0x13) + word(0x73), ()) and table.rows == [()]


def test_rows_of_fields_are_kept_once() -> None:
    table = FieldTable(target())
    rows = [table.row(False, 7, 31), table.row(False, 15, 31), table.row(False, 7, 31), table.row(True, 7, 31)]
    assert rows == [1, 2, 1, 3] and table.row(False, 7, 7) == 4
    assert table.rows[0] == () and table.rows[1] == tuple(NUMBERS[f"x{n}"] << 7 for n in range(INTEGERS))
    assert table.rows[3] == tuple(NUMBERS[f"v{n}"] << 7 for n in range(FLOATS))
    assert max(map(len, table.rows)) <= MOST_REGISTERS
    assert table.rows[4] == tuple((NUMBERS[f"x{n}"] & 7) << 7 for n in range(INTEGERS))
    assert table.number(False, 3) == NUMBERS["x3"] and table.number(True, 3) == NUMBERS["v3"]


def test_short_fields_have_the_bits_in_which_registers_differ() -> None:
    """Beside one another, with something else above them, and the number's upper bits nowhere."""
    numbers = {f"x{n}": n + 8 if n < 8 else n + 16 if n < 16 else n - 16 for n in range(INTEGERS)}
    numbers |= {f"v{n}": n for n in range(FLOATS)}
    it = replace(target(SMALL), register_numbers=numbers)
    table = FieldTable(it)
    mask = table.mask(False, range(8))
    assert mask == 7 and table.mask(False, range(INTEGERS)) == 31 and table.mask(True, [5]) == 0

    def subtract(registers: Registers) -> Code:
        d, a, b, _ = (numbers[f"x{each}"] & 7 if each >= 0 else 0 for each in registers)
        return Code((0x8C00 | d << 7 | a << 4 | b << 12).to_bytes(2, "little"), ())

    rows = register_rows(ADD, Form.FREE, (0, 0, 0, 0), 0, it)
    code = Learner(it, table, files(ADD), (mask, 0), "op it").learn({row: subtract(row) for row in rows})
    (hole,) = code.holes
    assert code.data == b"\x00\x8c" and hole.kind == REGISTER_FIELDS[2]
    for registers in itertools.product(range(8), repeat=3):
        assert filled(code, table, (*registers, -1)) == subtract((*registers, -1)).data


# ---- what is outvoted, and what is refused


def all_codes(
    encoder: Encoder = add, alternatives: Registers = (0, 0, 0, 0), pattern: int = 0
) -> dict[Registers, Code]:
    rows = register_rows(ADD, Form.FREE, alternatives, pattern, target())
    return {row: encoder(row) for row in rows}


def learned(codes: dict[Registers, Code]) -> tuple[Code, FieldTable]:
    table = FieldTable(target())
    return Learner(target(), table, files(ADD), ALL_BITS, "op it").learn(codes), table


@pytest.mark.parametrize(
    ("alternatives", "pattern"),
    [((0, 0, 0, 0), 0), ((0, 0, 0, 0), 1), ((0, 0, SLOT, 0), 0), ((0, 0, SLOT, 0), 1), ((SLOT, 0, 0, 0), 0)],
)
def test_a_single_bit_that_differs_in_a_single_code_is_not_believed(alternatives: Registers, pattern: int) -> None:
    codes = all_codes(alternatives=alternatives, pattern=pattern)
    honest, table = learned(codes)
    for registers, bit in itertools.product(list(codes)[:: max(len(codes) // 12, 1)], range(2, 32)):
        changed = int.from_bytes(codes[registers].data, "little") ^ 1 << bit
        try:
            found, found_table = learned({**codes, registers: Code(changed.to_bytes(4, "little"), ())})
        except BuildError:
            continue
        for row in codes:
            assert filled(found, found_table, row) == filled(honest, table, row) == codes[row].data, (registers, bit)


def test_a_code_of_another_length_or_with_other_holes_is_outvoted() -> None:
    codes = all_codes()
    honest, _ = learned(codes)
    odd = list(codes)[7]
    assert learned({**codes, odd: Code(codes[odd].data + word(0x13), ())})[0] == honest
    assert learned({**codes, odd: Code(codes[odd].data, (CodeHole(0, Value.OFFSET, IMMEDIATE, 0, 0),))})[0] == honest
    first = next(iter(codes))
    assert learned({**codes, first: Code(codes[first].data + word(0x13), ())})[0] == honest


@pytest.mark.parametrize(
    "encoder",
    [
        lambda r: Code(word(0x33, (number(r[0]), 7), (int(r[0] == 5), 31)), ()),  # a register is special
        lambda r: add((r[0], min(r[1], r[2]), max(r[1], r[2]), -1)),  # operands change places
        lambda r: add(r) if r[0] != 5 else Code(word(0x73) + add(r).data, ()),  # one needs more
    ],
)
def test_the_code_that_most_agree_on_is_taken_whole(encoder: Encoder) -> None:
    codes = all_codes(encoder)
    code, table = learned(codes)
    agreeing = [row for row in codes if filled(code, table, row) == codes[row].data]
    assert len(agreeing) * 2 > len(codes)


def test_half_of_the_codes_are_not_enough() -> None:
    codes = all_codes()
    for odd in list(codes)[::2]:
        codes[odd] = Code(codes[odd].data + word(0x13 | hash(odd) % 7 << 8), ())
    evens = sum(len(each.data) == 4 for each in codes.values())
    assert evens * 2 <= len(codes)
    assert "op it: " in refusal(codes)


@pytest.mark.parametrize(
    ("encoder", "why"),
    [
        (lambda r: Code(word(0x33, (number(r[0]) * 5 % 32, 7)), ()), "something made of it"),
        (lambda r: Code(word(0x33, (number(r[0]) & number(r[1]), 7)), ()), "which depends on another"),
        (lambda r: Code(word(0x33, *((number(r[0]), at) for at in (7, 12, 17, 22))), ()), "four times"),
    ],
)
def test_what_is_no_field_is_refused(encoder: Encoder, why: str) -> None:
    message = refusal(all_codes(encoder))
    assert re.match(r"op it: (no other code has the fields|the code) of registers \(0, 1, 17, -1\)", message), why


def test_registers_that_never_change_alone_are_refused() -> None:
    codes = {(n, n + 1, 17, -1): add((n, n + 1, 17, -1)) for n in range(8)}
    assert refusal(codes) == "op it: no other code has the fields of registers (0, 1, 17, -1) at position 0"
