"""Tables of guest instructions: fields, lengths, prefixes, targets, the operand stack, and what messages say."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any

import pytest
from guest_machines import BYTES, WORDS

import cnp
from cnp import BytecodeError, Function, TrapKind, UserError, VerifyError, f32, f64, i32, i64
from cnp.bytecode import Field, Instruction, Page, Prefix, Registers, Table, Target, Variable, peek, pop, push
from cnp.ir.text import parse, print_function

ACC = Variable(i64, "accumulator", initial=0)
RETURN = Instruction("return", ("ret", ACC), length=1)


def table(instructions: dict[int, Any], **options: Any) -> Table:
    return Table(Page(Field(0), instructions, length=1), **options)


def result(made: Table, code: bytes, *arguments: int) -> Any:
    """What the code returns, native; the reference interpreter returns the same."""
    f = made.function("f", [i64] * len(arguments), i64, code)
    found = f.compile()(*arguments)
    assert f.compile(backend="reference")(*arguments) == found
    return found


FIELDS: list[tuple[Field, bytes, int]] = [
    (Field(1), b"\x80", 128),
    (Field(1, signed=True), b"\x80", -128),
    (Field(1, 16), b"\x01\xff", 0xFF01),
    (Field(1, 16, order="big"), b"\x01\xff", 0x01FF),
    (Field(1, 16, order="big", signed=True), b"\xff\xfe", -2),
    (Field(1, 24, order="big"), b"\x01\x02\x03", 0x010203),
    (Field(1, 4, shift=4), b"\xa5", 10),
    (Field(1, 12, shift=20), struct.pack("<I", 0xABC12345), 0xABC),
    (Field(1, 12, shift=4, size=4, order="big"), struct.pack(">I", 0x0001ABC5), 0xABC),
    (Field(1, 5, shift=2, signed=True), bytes([0b0100_0000]), -16),
    (Field(1, 8, signed=True, scale=-4, bias=3), b"\xff", 7),
    (Field(1, 64), b"\xff" * 8, -1),
    (Field(1, 64, order="big"), b"\x7f" + b"\xff" * 7, 2**63 - 1),
    (Field(1, 64, bias=1), b"\xff" * 7 + b"\x7f", -(2**63)),
    (Field(1, 63), b"\xff" * 8, 2**63 - 1),
]


@pytest.mark.parametrize(("field", "data", "value"), FIELDS)
def test_fields(field: Field, data: bytes, value: int) -> None:
    made = table({1: Instruction("set", ("i64_const", ACC, field), length=9), 2: RETURN})
    assert result(made, b"\x01" + data.ljust(8, b"\xee") + b"\x02") == value


def test_float_fields_are_bits() -> None:
    x, y, z = Variable(f64), Variable(f32), Variable(f64)
    made = table(
        {
            1: Instruction("f64", ("f64_const", x, Field(1, 64)), length=9),
            2: Instruction("f32", ("f32_const", y, Field(1, 32, order="big")), length=5),
            3: Instruction("add", ("f64_promote_f32", z, y), ("f64_add", x, x, z)),
            4: Instruction("return", ("ret", x)),
        }
    )
    code = b"\x01" + struct.pack("<d", 1.25) + b"\x02" + struct.pack(">f", -0.5) + b"\x03\x04"
    assert made.function("f", [], f64, code).compile()() == 0.75


def test_opcodes_of_several_fields_and_words() -> None:
    """Sixteen bits with the opcode in the upper six, a second one in the lowest two."""
    inner = Page(Field(0, 2), {0: Instruction("inc", ("i64_add", ACC, ACC, 1)), 3: Instruction("ret", ("ret", ACC))}, 2)
    made = Table(
        Page(
            Field(0, 6, shift=10),
            {63: Prefix(inner, 0), 1: Instruction("add", ("i64_add", ACC, ACC, Field(0, 10, signed=True)))},
            length=2,
        )
    )
    words = [1 << 10 | 300, 63 << 10, 63 << 10 | 0x100, 1 << 10 | 0x3FF, 63 << 10 | 3]
    assert result(made, struct.pack("<5H", *words)) == 301
    with pytest.raises(
        BytecodeError, match=r"^function 'f', offset 2 \(opcode 0x2\): there is no instruction of opcode 0x2$"
    ):
        made.function("f", [], i64, struct.pack("<2H", 1 << 10, 63 << 10 | 2))


def test_prefixes_collect_bits() -> None:
    wide = Field(1, extended=True)
    narrow = Field(1)
    made = table(
        {
            0: Prefix(None, 2, collects=Field(1)),
            1: Instruction("set", ("i64_const", ACC, wide), length=2),
            2: Instruction("add", ("i64_add", ACC, ACC, narrow), length=2),
            3: RETURN,
        }
    )
    assert result(made, bytes([0, 1, 0, 2, 1, 3, 3])) == 0x010203
    assert result(made, bytes([1, 3, 0, 9, 2, 4, 3])) == 7
    assert result(made, bytes([0, 1] * 4 + [1, 0, 3])) == 0x0101010100
    with pytest.raises(BytecodeError, match="its prefixes have more than 32 bits together"):
        made.function("f", [], i64, bytes([0, 1] * 5 + [1, 0, 3]))


RELATIONS = [("start", 4), ("end", 1), ("zero", 5)]


@pytest.mark.parametrize(("relative_to", "value"), RELATIONS)
def test_targets(relative_to: Any, value: int) -> None:
    made = table(
        {
            1: Instruction("inc", ("i64_add", ACC, ACC, 1)),
            2: Instruction("jump", ("jump", Target(Field(1, signed=True), relative_to)), length=3),
            3: RETURN,
        }
    )
    code = bytes([1, 2, value, 0, 1, 3])
    assert result(made, code) == 1
    inside = bytes([1, 2, value - 2 & 0xFF, 0, 1, 3])
    text = "function 'f', offset 1 (opcode 0x2 jump): jump to 3, the middle of the instruction at 1"
    with pytest.raises(BytecodeError) as caught:
        made.function("f", [], i64, inside)
    assert str(caught.value) == text and caught.value.offset == 1


def test_a_jump_to_an_instruction_behind_its_prefix_is_in_its_middle() -> None:
    with pytest.raises(BytecodeError, match=r"offset 0 .*jump to 5, the middle of the instruction at 3"):
        BYTES.function("f", [], i64, b"\x30\0\x05" + b"\xe0\0\x01\x01\x33")


STACK_ERRORS = {
    "010133": "",
    "01011033": "offset 2 (opcode 0x10 add): it takes 2 from the operand stack; accepted: up to 1, which it has there",
    "33": "offset 0 (opcode 0x33 return): it takes 1 from the operand stack; accepted: up to 0, which it has there",
    "0101" * 9 + "33": "offset 16 (opcode 0x1 push): the operand stack grows to 9; accepted: up to 8",
    "e10033": "offset 0 (opcode 0x0 dup): it takes 1 from the operand stack; accepted: up to 0, which it has there",
    "0101": "offset 0 (opcode 0x1 push): control goes on past it, the last; accepted there: one that ends in a jump, a "
    "return or a trap",
    "010101013100083333": "",
    "0200310007010133": "offset 5 (opcode 0x1 push): it goes to 7 with 1 on the operand stack; accepted: 0, "
    "with which others reach it",
    "3000040101300003": "jump to 4, the middle of the instruction at 3",
    "010130000433": "jump to 4, the middle of the instruction at 2",
    "0101300000": "offset 2 (opcode 0x30 jump): it goes to 0 with 1 on the operand stack; accepted: 0, "
    "with which others reach it",
    "0210010133": "the field of 8 bits at byte 1 is 16; accepted: one of 16 registers, from 0",
    "300100": "jump to 256; accepted: 0 to 2",
    "3000": "the instruction goes on past the last of 2 bytes",
    "e1": "the instruction goes on past the last of 1 bytes",
    "e109": "there is no instruction of opcode 0x9",
    "": "there is no bytecode; accepted: at least one instruction",
}


@pytest.mark.parametrize("code", STACK_ERRORS)
def test_errors_of_a_stack_machine(code: str) -> None:
    wanted = STACK_ERRORS[code]
    try:
        BYTES.function("f", [], i64, bytes.fromhex(code))
        assert not wanted
    except BytecodeError as error:
        assert wanted and str(error).endswith(wanted)


def test_code_that_nothing_reaches_is_left_out() -> None:
    dead = BYTES.function("f", [], i64, bytes.fromhex("3000061010330101" + "33"))
    assert "i64_add" not in str(print_function(dead)).replace(".", "_")
    assert dead.compile()() == 1


def test_calls() -> None:
    square = Function("square", [i64], i64)
    square.i64_mul(square.params[0], square.params[0], square.params[0])
    square.ret(square.params[0])
    absolute = cnp.extern(ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value or 0, [i64], i64, name="labs")
    made = table(
        {
            1: Instruction("abs", ("call", ACC, absolute, ACC)),
            2: Instruction("call", ("call", ACC, Field(1), ACC), length=2),
            3: RETURN,
        },
        parameters=[ACC],
    )
    f = made.function("f", [i64], i64, bytes([2, 0, 1, 2, 1, 3]), callees=[square, absolute])
    assert f.compile()(-3) == 9
    with pytest.raises(BytecodeError, match=r"the field of 8 bits at byte 1 is 2; accepted: one of 2 callees, from 0"):
        made.function("f", [i64], i64, bytes([2, 2, 3]), callees=[square, square])
    two = Function("two", [i64, i64], i64)
    with pytest.raises(VerifyError, match=r"function 'f', offset 0, op 0 \(call\): 3 operands; accepted: 4"):
        made.function("f", [i64], i64, bytes([2, 0, 3]), callees=[two]).compile()


def test_memory_and_a_context_pointer() -> None:
    context, value = Variable(i64), Variable(i32)
    locals_ = Registers(i64, 4)
    made = table(
        {
            1: Instruction("load", ("i32_load", value, context, Field(1, 16, signed=True)), length=3),
            2: Instruction("extend", ("i64_extend_i32_s", ACC, value), ("i64_add", ACC, ACC, locals_[0])),
            3: RETURN,
            4: Instruction("far", ("i32_load", value, context, Field(1, 32)), length=5),
        },
        parameters=[context, locals_],
    )
    numbers = (ctypes.c_int32 * 3)(5, 6, -7)
    f = made.function("f", [cnp.ptr, i64], i64, bytes([1, 4, 0, 2, 3]))
    assert f.compile()(numbers, 100) == 106
    with pytest.raises(BytecodeError, match=r"is 2147483648; accepted: an offset in \(-2\^31, 2\^31\)"):
        made.function("f", [cnp.ptr, i64], i64, b"\x04\0\0\0\x80\x03")
    with pytest.raises(UserError, match=r"parameters \(i64, f64\); accepted in this order, up to: 1 i64, 4 i64"):
        made.function("f", [i64, f64], i64, b"\x03")
    with pytest.raises(UserError, match="parameters"):
        made.function("f", [i64] * 4, i64, b"\x03", sizes={locals_: 2})


def test_constants_out_of_range() -> None:
    narrow = Variable(i32)
    made = table({1: Instruction("set", ("i32_const", narrow, Field(1, 64)), length=9), 2: RETURN})
    made.function("f", [], i64, b"\x01" + struct.pack("<q", -(2**31)) + b"\x02")
    made.function("f", [], i64, b"\x01" + struct.pack("<q", 2**32 - 1) + b"\x02")
    for value in (2**32, -(2**31) - 1):
        with pytest.raises(BytecodeError, match=rf"is {value}; accepted: a number in \[-2\^31, 2\^32\)"):
            made.function("f", [], i64, b"\x01" + struct.pack("<q", value) + b"\x02")


def test_a_message_is_of_the_file_that_is_too_small() -> None:
    number, large, small = Field(1), Registers(i64, 100, initial=7), Registers(i64, 10)
    made = table(
        {
            1: Instruction("spill", ("move", small[number], large[number]), length=2),
            2: Instruction("fill", ("move", large[number], small[number]), length=2),
            3: Instruction("return", ("ret", large[0])),
        },
        parameters=[large],
    )
    for opcode in (1, 2):
        for value, count in ((10, 10), (200, (10, 100)[opcode - 1])):
            with pytest.raises(BytecodeError, match=f"is {value}; accepted: one of {count} registers, from 0"):
                made.function("f", [], i64, bytes([opcode, value, 3]))


def test_sizes() -> None:
    file = Registers(i64, 100, initial=7)
    made = table({1: Instruction("get", ("ret", file[Field(1)]), length=2)}, parameters=[file])
    assert made.function("f", [i64], i64, b"\x01\x63").compile()(0) == 7
    assert len(made.function("f", [i64], i64, b"\x01\0", sizes={file: 1}).ops) == 1
    with pytest.raises(BytecodeError, match="is 3; accepted: one of 3 registers, from 0"):
        made.function("f", [], i64, b"\x01\x03", sizes={file: 3})
    with pytest.raises(UserError, match="is 101; accepted: 0 to 100"):
        made.function("f", [], i64, b"\x01\x03", sizes={file: 101})
    with pytest.raises(UserError, match="the table does not have"):
        made.function("f", [], i64, b"\x01\x03", sizes={Registers(i64, 3): 3})


def test_traps_and_verify_errors_tell_offsets() -> None:
    file = Registers(i64, 4)
    made = table(
        {
            1: Instruction("div", ("i64_div_s", file[0], file[0], file[Field(1)]), length=2),
            2: Instruction("ret", ("ret", file[0])),
        },
        parameters=[file],
    )
    f = made.function("f", [i64, i64], i64, bytes([1, 0, 1, 1, 2]))
    with pytest.raises(cnp.Trap) as caught:
        f.compile()(6, 0)
    assert caught.value.kind == TrapKind.INTEGER_DIVIDE_BY_ZERO
    assert f.offset_of(caught.value.op) == 2
    assert f.offset_of(99) is None and f.offset_of(-1) is None
    g = made.function("g", [i64], i64, bytes([1, 0, 1, 3, 2]))
    text = r"^function 'g', offset 2, op 1 \(i64.div_s\), operand b: register %3 of type i64 is read where"
    with pytest.raises(VerifyError, match=text):
        g.compile()
    with pytest.raises(VerifyError, match=text):
        g.compile(backend="reference")


def test_a_guest_function_has_a_text_form_and_can_go_on() -> None:
    f = WORDS.function("f", [i64], i64, bytes([0x02, 1, 0, 0, 0x20, 1, 0, 0]))
    again = parse(str(print_function(f)))["f"]
    assert again.compile()(21) == f.compile()(21) == 42
    assert f.offset_of(0) is None and f.offset_of(7) == 0 and f.offset_of(8) == 4
    f.unreachable()
    assert f.offset_of(9) is None and f.compile()(21) == 42


def test_recursion_through_a_callee() -> None:
    file = Registers(i64, 3)
    page = Page(
        Field(0),
        {
            1: Instruction("below", ("branch_i64_lt_s", file[0], 2, Target(Field(1), "zero")), length=2),
            2: Instruction("sub", ("i64_sub", file[Field(1)], file[0], Field(2)), length=3),
            3: Instruction("call", ("call", file[Field(1)], Field(2), file[Field(1)]), length=3),
            4: Instruction("add", ("i64_add", file[0], file[1], file[2])),
            5: Instruction("ret", ("ret", file[0])),
        },
        length=1,
    )
    made = Table(page, parameters=[file])
    fibonacci = Function("outer", [i64], i64)
    code = bytes([1, 15, 2, 1, 1, 3, 1, 0, 2, 2, 2, 3, 2, 0, 4, 5])
    f = made.function("fibonacci", [i64], i64, code, callees=[fibonacci])
    fibonacci.call(fibonacci.params[0], f, fibonacci.params[0])
    fibonacci.ret(fibonacci.params[0])
    assert f.compile()(15) == 610


FILE = Registers(i64, 4)
BAD_TABLES: dict[str, tuple[Callable[[], object], str]] = {
    "no such op": (
        lambda: table({7: Instruction("x", ("i64_ad", ACC, ACC, ACC))}),
        r"^instruction 'x' \(opcode 0x7\), op 0 \(i64_ad\): there is no such op",
    ),
    "operands": (lambda: table({7: Instruction("x", ("i64_add", ACC, ACC))}), r"2 operands; accepted: 3 \(d, a, b\)"),
    "type": (
        lambda: table({7: Instruction("x", ("i32_add", Variable(i32), ACC, 1))}),
        "operand a: found a register of type i64; accepted: one of type i32",
    ),
    "constant": (
        lambda: table({7: Instruction("x", ("i64_add", ACC, ACC, 2**64))}),
        "operand b: found 18446744073709551616",
    ),
    "destination": (
        lambda: table({7: Instruction("x", ("i64_add", 3, ACC, ACC))}),
        "operand d: found 3; accepted: a register",
    ),
    "pop as destination": (
        lambda: table({7: Instruction("x", ("i64_add", pop, pop, pop))}, stack=Registers(i64, 4)),
        "operand d: found pop; accepted: push or peek",
    ),
    "push as source": (
        lambda: table({7: Instruction("x", ("i64_add", push, push, pop))}, stack=Registers(i64, 4)),
        "operand a: found push",
    ),
    "no stack": (lambda: table({7: Instruction("x", ("ret", pop))}), "the table has no operand stack"),
    "peek without stack": (lambda: table({7: Instruction("x", ("ret", peek(0)))}), "the table has no operand stack"),
    "field beyond": (
        lambda: table({7: Instruction("x", ("i64_const", ACC, Field(1)))}),
        "the field of 8 bits at byte 1 ends at byte 2; the instruction has 1",
    ),
    "label": (lambda: table({7: Instruction("x", ("jump", "a"))}), "label 'a' is not placed once"),
    "label twice": (
        lambda: table({7: Instruction("x", ("jump", "a"), ("place", "a"), ("place", "a"))}),
        "label 'a' is not placed once",
    ),
    "no length": (lambda: Table(Page(Field(0), {7: Instruction("x")})), "it has no length"),
    "length": (lambda: Table(Page(Field(0, 16), {7: Instruction("x")}, 1)), "length 1; accepted: at least 2"),
    "opcode": (lambda: Page(Field(0), {256: Instruction("x")}), "page: opcode is 256; accepted: 0 to 255"),
    "circle": (lambda: table({7: Prefix(None, 0)}), "prefixes of length 0 lead back to it"),
    "callee": (lambda: table({7: Instruction("x", ("call", ACC, 5))}), "5 cannot be called"),
    "parameters": (
        lambda: table({7: RETURN}, parameters=[FILE, ACC]),
        "parameter 0 is .*; accepted: Variables, and a file",
    ),
    "bits": (lambda: Field(0, 65), "field: bits is 65; accepted: 1 to 64"),
    "extended": (lambda: Field(0, 33, extended=True), "field: bits of an extended one is 33; accepted: 1 to 32"),
    "size": (lambda: Field(0, 63, shift=2), "field: size in bytes is 9"),
    "initial": (lambda: table({7: Instruction("x", ("ret", Variable(i32, initial=0.5)))}), "initial value 0.5"),
    "stack as file": (
        lambda: table({7: Instruction("x", ("ret", FILE[0]))}, stack=FILE),
        "the operand stack is used as a file too",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables(case: str) -> None:
    make, text = BAD_TABLES[case]
    with pytest.raises(UserError, match=text):
        make()


def test_a_loop_of_bytecode_is_entered_by_its_offset() -> None:
    """What its ops are called stays: messages and traps of the entry are in terms of the bytecode."""
    files = Registers(i64, 3)
    first = files[Field(1)]
    made = table(
        {
            1: Instruction("add", ("i64_add", first, first, Field(2, signed=True)), length=3),
            2: Instruction("loop", ("branch_i64_nez", first, Target(Field(2, signed=True))), length=3),
            3: Instruction("divide", ("i64_div_s", first, files[Field(2)], files[Field(3)]), length=4),
            4: Instruction("return", ("ret", first), length=2),
        },
        parameters=[files],
    )
    code = bytes([1, 2, 0, 1, 1, 5, 1, 0, 0xFF, 2, 0, 0x100 - 6, 3, 1, 1, 2, 4, 1])
    f = made.function("f", [i64] * 3, i64, code)
    assert f.compile()(3, 0, 5) == 3
    entry = f.entered_at(f.label_at(3), list(f.params))
    for backend in ("native", "reference"):
        assert entry.compile(backend=backend)(entry.pack([3, 85, 10])) == 10
        with pytest.raises(cnp.Trap) as caught:
            entry.compile(backend=backend)(entry.pack([1, 0, 0]))
        assert entry.offset_of(caught.value.op) == 12  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"function 'f': no jump leads to offset 4; accepted: 3$"):
        f.label_at(4)
    with pytest.raises(VerifyError, match=r"offset 12, op \d+ .*is read where some path has not"):
        f.entered_at(f.label_at(3), list(f.params[:2])).compile()
