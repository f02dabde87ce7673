"""Varints, tables of targets, alignment: what numbers they are, where the next instruction is, and what is refused."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from guest_varints import VARINT_GUEST, leb, leb_bytes
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cnp
from cnp import BytecodeError, DataCell, Function, UserError, f32, i32, i64
from cnp.bytecode import (
    Align,
    Field,
    Instruction,
    Page,
    Prefix,
    Registers,
    Table,
    Target,
    Targets,
    Variable,
    Varint,
    peek,
    pop,
    push,
)
from cnp.bytecode.instruction import read

ACC, INDEX = Variable(i64, "accumulator", initial=0), Variable(i32, "index")
RETURN = Instruction("return", ("ret", ACC))
PADDED = st.builds(lambda body, last: bytes(0x80 | each for each in body) + bytes([last & 0x7F]),
                   st.binary(max_size=11), st.integers(0, 127))  # fmt: skip


def table(instructions: dict[int, Any], **options: Any) -> Table:
    return Table(Page(Field(0), instructions, length=1), **options)


def refused(made: Table, code: bytes, params: Sequence[Any] = (), **options: Any) -> str:
    """What is wrong with a function `f` of it, without the name."""
    with pytest.raises(BytecodeError) as caught:
        made.function("f", params, i64, code, **options)
    return str(caught.value).removeprefix("function 'f', ")


@cache
def constants(bits: int, signed: bool) -> Table:
    number = Varint(bits, signed=signed)
    return table({1: Instruction("set", ("i64_const", ACC, number), then=[number]), 2: RETURN})


def plain(code: bytes, bits: int, signed: bool) -> int | None:
    """The number in the bytes, which are those of a whole one; None if it is not one of so many bits."""
    number, _ = leb(code, 0, signed)
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    return number if len(code) <= -(-bits // 7) and low <= number < high else None


@settings(derandomize=True, deadline=None, database=None, max_examples=600)
@given(PADDED, st.sampled_from([1, 6, 7, 8, 14, 21, 32, 33, 57, 62, 63, 64]), st.booleans())
@example(b"\xff" * 9 + b"\x01", 64, False)
@example(b"\xff" * 9 + b"\x02", 64, False)
@example(b"\x80" * 9 + b"\x7f", 64, True)
@example(b"\xff" * 9 + b"\x3f", 64, True)
@example(b"\xff" * 4 + b"\x0f", 32, False)
@example(b"\x80" * 4 + b"\x78", 32, True)
@example(b"\x80" * 10 + b"\x00", 64, False)
def test_numbers(code: bytes, bits: int, signed: bool) -> None:
    made, wanted = constants(bits, signed), plain(code, bits, signed)
    whole = b"\x01" + code + b"\x02"
    if wanted is not None:
        f = made.function("f", [], i64, whole)
        assert f.ops[1][2] % 2**64 == wanted % 2**64
        assert f.offset_of(2) == 1 + len(code)
        return
    most = -(-bits // 7)
    text = f"the varint at byte 1 is {code[:most].hex(' ')}...; accepted: {bits} bits, in up to {most} bytes"
    assert refused(made, whole) == f"offset 0 (opcode 0x1 set): {text}"


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10))
def test_all_numbers_can_be_written(number: int, least: int) -> None:
    code = b"\x01" + leb_bytes(number, least) + b"\x02"
    assert constants(64, True).function("f", [], i64, code).compile()() == number


def test_every_truncation_is_an_error() -> None:
    """Of the last instruction that is left, by its offset; where whole ones are left, there may be none."""
    in_the_middle = 0
    for seed in range(60):
        code = VARINT_GUEST.program(random.Random(seed))
        VARINT_GUEST.table.function("f", [], i64, code)
        starts = [each.start for each in read(VARINT_GUEST.table.page, code)]
        for length in range(1, len(code), 1 if seed < 10 else 7):
            try:
                VARINT_GUEST.table.function("f", [], i64, code[:length])
                assert length in starts
            except BytecodeError as error:
                if length not in starts and "jump to" not in str(error):
                    assert error.offset == max(each for each in starts if each < length)
                    assert str(error).endswith(f"the instruction goes on past the last of {length} bytes")
                    in_the_middle += 1
    assert in_the_middle > 300


LOCALS = Registers(i64, 300, "local")
N, M = Varint(), Varint(32)
BY = Target(Varint(signed=True), "end")


def test_wherever_fields_are() -> None:
    """Registers, offsets of loads, callees, cells, bits of floats; some in front of others, some of no use."""
    address, loaded, single = Variable(i64), Variable(i32), Variable(f32)
    square = Function("square", [i64], i64)
    square.i64_mul(square.params[0], square.params[0], square.params[0])
    square.ret(square.params[0])
    bits = Varint(32)
    made = table(
        {
            1: Instruction("load", ("i32_load", loaded, address, M), ("i64_extend_i32_s", ACC, loaded), then=[N, M]),
            2: Instruction("keep", ("move", LOCALS[N], ACC), then=[N]),
            3: Instruction("call", ("call", LOCALS[M], N, LOCALS[M]), then=[N, Varint(), M]),
            4: Instruction("cell", ("load_cell", ACC, N), ("i64_add", LOCALS[M], LOCALS[M], ACC), then=[M, N]),
            5: Instruction("return", ("ret", LOCALS[N]), then=[N]),
            6: Instruction(
                "float",
                ("f32_const", single, bits),
                ("i64_trunc_f32_s", ACC, single),
                ("i64_add", LOCALS[M], LOCALS[M], ACC),
                then=[bits, M],
            ),
        },
        parameters=[address],
    )
    array = (ctypes.c_int32 * 3)(1, 7, 11)
    code = bytes([1, 0x80, 0, 0x84, 0, 2, 0xAB, 2, 3, 0, 9, 0xAB, 2, 4, 0xAB, 0x82, 0, 1, 6])
    code += leb_bytes(struct.unpack("<I", struct.pack("<f", 2.5))[0]) + bytes([0xAB, 2, 5, 0xAB, 2])
    cells = [DataCell(), DataCell(1000)]
    f = made.function("f", [cnp.ptr], i64, code, callees=[square], cells=cells)
    assert f.compile()(array) == 7 * 7 + 1000 + 2
    assert refused(made, bytes([1, 0, 0x80, 0x80, 0x80, 0x80, 8, 5, 0])).endswith(
        "the varint of 32 bits is 2147483648; accepted: an offset in (-2^31, 2^31)"
    )
    assert refused(made, bytes([5, 0xAC, 2])).endswith(
        "the varint of 64 bits is 300; accepted: one of 300 registers, from 0"
    )
    assert refused(made, bytes([3, 1, 0, 0, 5, 0])).endswith(
        "the varint of 64 bits is 1; accepted: one of 0 callees, from 0"
    )
    assert refused(made, bytes([4, 0, 9, 5, 0]), cells=cells).endswith("is 9; accepted: one of 2 cells, from 0")


JUMPS = table(
    {
        1: Instruction("jump", ("jump", BY), then=[BY.field]),
        2: RETURN,
        3: Instruction("add", ("i64_add", ACC, ACC, N), then=[N]),
        4: Prefix(None, 1),
    },
    parameters=[ACC],
)


@pytest.mark.parametrize("place", range(-1, 9))
def test_jumps_go_to_the_beginnings_of_instructions(place: int) -> None:
    code = bytes([1, *leb_bytes(place - 3, 2), 3, 0x81, 0x02, 4, 4, 2])  # at 0, 3 and, with prefixes, 6
    if place in (3, 6):
        assert JUMPS.function("f", [i64], i64, code).compile()(1) == (1 if place == 6 else 258)
    elif place == 0:
        JUMPS.function("f", [i64], i64, code)
    elif place in (-1, 9):
        assert refused(JUMPS, code) == f"offset 0 (opcode 0x1 jump): jump to {place}; accepted: 0 to 8"
    else:
        text = f"jump to {place}, the middle of the instruction at {place // 3 * 3}"
        assert refused(JUMPS, code) == f"offset 0 (opcode 0x1 jump): {text}"


COUNTED = Field(1, 16, signed=True)
SHORT = Targets(Field(0, 8), COUNTED, relative_to="zero")
SWITCH = Instruction(
    "switch",
    ("i32_wrap_i64", INDEX, ACC),
    ("branch_table", INDEX, Target(Field(3), "zero"), SHORT),
    length=4,
    then=[SHORT],
)


def switches() -> Table:
    return table({1: SWITCH, 2: RETURN, 3: Instruction("add", ("i64_add", ACC, ACC, 100))}, parameters=[ACC])


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_tables_of_targets(count: int, backend: str) -> None:
    places = [4 + count + k % 3 for k in range(count)]  # behind no, one or two additions
    code = bytes([1, count, 0, 4 + count, *places, 3, 3, 2])
    f = switches().function("f", [i64], i64, code).compile(backend=backend)
    for index in range(count + 2):
        assert f(index) == index + 100 * (2 - index % 3 if index < count else 2)


def test_tables_that_are_refused() -> None:
    made = switches()
    count = "offset 0 (opcode 0x1 switch): the field of 16 bits at byte 1 is {}; "
    accepted = "accepted: a number that makes it 0 to 32767 targets"
    assert refused(made, b"\x01\xff\xff\x05\x05\x02") == count.format(-1) + accepted
    assert refused(made, b"\x01\x03\x00\x05\x05\x02").endswith("the instruction goes on past the last of 6 bytes")
    assert refused(made, b"\x01\x02\x00\x06\x06\x07\x02").endswith("jump to 7; accepted: 0 to 6")
    assert refused(made, b"\x01\x02\x00\x06\x06\x05\x02").endswith("jump to 5, the middle of the instruction at 0")


def test_a_table_that_is_too_large() -> None:
    many = Field(1, 16)
    places = Targets(Field(0, 8), many, relative_to="zero")
    switch = Instruction("switch", ("branch_table", INDEX, Target(many, "zero"), places), length=3, then=[places])
    made = table({1: switch, 2: RETURN}, parameters=[INDEX])
    text = "the field of 16 bits at byte 1 is 32768; accepted: a number that makes it 0 to 32767 targets"
    assert refused(made, b"\x01\x00\x80" + bytes(32768) + b"\x02").endswith(text)


def test_the_largest_table() -> None:
    near = Targets(Field(0, 8, signed=True), COUNTED, relative_to="end")
    made = table(
        {
            1: Instruction(
                "switch",
                ("i32_wrap_i64", INDEX, ACC),
                ("branch_table", INDEX, BY, near),
                length=3,
                then=[near, BY.field],
            ),
            2: RETURN,
            3: Instruction("add", ("i64_add", ACC, ACC, 100)),
        },
        parameters=[ACC],
    )
    code = b"\x01\xff\x7f" + b"\0" * 32766 + b"\x01" + b"\0\x03\x02"
    g = made.function("f", [i64], i64, code).compile()
    assert (g(5), g(32766), g(32767)) == (105, 32766, 32867)


def test_alignment_is_from_the_first_byte() -> None:
    word = Field(0, 32, order="big")
    made = table(
        {
            1: Instruction("set", ("i64_add", ACC, ACC, word), then=[Align(4), word]),
            2: RETURN,
            3: Prefix(None, 1),
        }
    )
    for prefixes in range(5):
        code = b"\x03" * prefixes + b"\x01"
        code += b"\xaa" * (-len(code) % 4) + (7).to_bytes(4, "big") + b"\x02"
        assert made.function("f", [], i64, code).compile()() == 7
        assert refused(made, code[:-5]).endswith(f"past the last of {len(code) - 5} bytes")
    assert refused(made, b"\x01\xaa").endswith("the instruction goes on past the last of 2 bytes")


def test_depths_of_a_stack_along_a_table() -> None:
    each = Targets(Varint(), N, relative_to="zero")
    made = table(
        {
            1: Instruction("push", ("i64_const", push, M), then=[M]),
            2: Instruction(
                "switch", ("i32_wrap_i64", INDEX, pop), ("branch_table", INDEX, BY, each), then=[N, each, BY.field]
            ),
            3: Instruction("add", ("i64_add", push, pop, pop)),
            4: Instruction("return", ("ret", peek(0))),
        },
        stack=Registers(i64, 4),
    )
    code = bytes([1, 40, 1, 2, 1, 0, 2, 1, 11, 0, 4, 3, 4])  # the switch is at 6, an addition at 11
    assert made.function("f", [], i64, code).compile()() == 42
    shallow = bytes([1, 40, 1, 0, 2, 1, 9, 0, 4, 3, 4])
    assert refused(made, shallow).endswith(
        "offset 9 (opcode 0x3 add): it takes 2 from the operand stack; accepted: up to 1, which it has there"
    )
    text = "it goes to 6 with 2 on the operand stack; accepted: 3, with which others reach it"
    assert refused(made, code.replace(b"\x0b", b"\x06")) == f"offset 6 (opcode 0x2 switch): {text}"


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "not behind": (
        lambda: table({7: Instruction("x", ("i64_const", ACC, N))}),
        r"^instruction 'x' \(opcode 0x7\), op 0 \(i64_const\): the varint of 64 bits is not behind its 1 bytes",
    ),
    "count behind": (
        lambda: table({7: Instruction("x", then=[Targets(M, N), N])}),
        r"^instruction 'x' \(opcode 0x7\), part 0: the varint of 64 bits is behind it",
    ),
    "count missing": (
        lambda: table({7: Instruction("x", then=[Targets(M, N)])}),
        "part 0: .* is not behind its 1 bytes",
    ),
    "count beyond": (
        lambda: table({7: Instruction("x", then=[Targets(M, Field(1))])}),
        "part 0: the field of 8 bits at byte 1 ends at byte 2; the instruction has 1",
    ),
    "not last": (
        lambda: table({1: Instruction("x", ("branch_table", INDEX, SHORT, BY), length=4, then=[SHORT, BY.field])}),
        "operand label: found the targets that the field of 16 bits at byte 1 counts; accepted: as last label",
    ),
    "as default": (
        lambda: table({1: Instruction("x", ("branch_table", INDEX, SHORT), length=4, then=[SHORT])}),
        "accepted: as last label of a branch_table, Targets of its `then`",
    ),
    "of a branch": (
        lambda: table({1: Instruction("x", ("branch_i64_eqz", ACC, SHORT), length=4, then=[SHORT])}),
        "accepted: as last label of a branch_table",
    ),
    "as a number": (
        lambda: table({1: Instruction("x", ("i64_const", ACC, SHORT), length=4, then=[SHORT])}),
        "operand value: found the targets",
    ),
    "elsewhere": (
        lambda: table({1: Instruction("x", ("branch_table", INDEX, BY, SHORT), length=4, then=[BY.field])}),
        "accepted: as last label of a branch_table, Targets of its `then`",
    ),
    "twice": (lambda: Instruction("x", then=[N, N]), "instruction 'x': part 1 is the varint of 64 bits again"),
    "what": (lambda: Instruction("x", then=["N"]), "part 0 is 'N'; accepted: a Field, a Varint, Targets or Align"),  # type: ignore[list-item]
    "many": (lambda: Instruction("x", then=[Varint() for _ in range(17)]), "17 parts; accepted: up to 16"),
    "two tables": (lambda: Instruction("x", then=[SHORT, Targets(N, COUNTED)]), "2 parts; accepted: .* one of Targets"),
    "opcode": (lambda: Page(Varint(8), {}), "the opcode is a varint"),
    "collects": (lambda: Prefix(collects=Varint()), "prefix: it collects the varint"),
    "relative": (lambda: Targets(N, M, relative_to="x"), "targets: relative to 'x'"),  # type: ignore[arg-type]
    "count": (lambda: Targets(N, 5), "targets: found 5; accepted: a Varint, or a Field"),  # type: ignore[arg-type]
    "extended": (lambda: Targets(N, Field(1, extended=True)), "a Field that is not extended"),
    "bits": (lambda: Varint(65), "bits is 65; accepted: 1 to 64"),
    "unit": (lambda: Align(0), "align is 0; accepted: 1 to 255"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables(case: str) -> None:
    make, text = BAD[case]
    with pytest.raises(UserError, match=text):
        make()
