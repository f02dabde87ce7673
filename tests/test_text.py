"""The text form: what is printed is read back the same, and what cannot be read is said to be so, and where."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from expectations import PROGRAMS
from hypothesis import given, settings
from hypothesis import strategies as st

from cnp.errors import ParseError
from cnp.ir import Function, Label, Register, default_ops, extern
from cnp.ir.optable import Code, Role
from cnp.ir.signature import operands_of
from cnp.ir.text import Module, parse, print_function, print_module
from cnp.ir.text.numbers import parse_number, print_number
from cnp.types import PARAMETER_TYPES, Type, f32, f64, i32, i64, ptr

MALFORMED = sorted((Path(__file__).parent / "corpus" / "text").glob("*.cnp"))


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_malformed(path: Path) -> None:
    text = path.read_text()
    expected = text.splitlines()[0].removeprefix("; error: ")
    with pytest.raises(ParseError) as caught:
        parse(text, path.name)
    assert str(caught.value) == f"{path.name}:{expected}"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_are_printed_as_they_are_written(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith(";")]
    printed = print_module(parse(path.read_text(), path.name))
    assert parse(printed).keys() == parse(path.read_text()).keys()
    if path.stem == "sum_of_squares":
        assert printed.splitlines() == lines
    assert print_module(parse(printed)) == printed


def image(function: Function) -> Any:
    """All of a function that the text form keeps, for comparison."""

    def operand(value: Any, type: Type | None) -> Any:
        if isinstance(value, (Register, Label)):
            assert value.code >> 32 == function._serial
            return (value.__class__.__name__, value.code & 0xFFFFFFFF)
        if isinstance(value, float):
            return struct.pack("<f", value) if type is f32 and math.isnan(value) else struct.pack("<d", value)
        return value

    ops = []
    for op in function.ops:
        expected = operands_of(function, op) or ()
        ops.append((op[0], *[operand(value, each.type) for value, each in zip(op[1:], expected)]))
    names = function._register_names, function._label_names
    callees = [getattr(each, "name", each) for each in function.callees]
    signature = function.name, function.parameter_types, function.result
    return signature, function._types, function._label_count, names, ops, callees


identifiers = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,6}", fullmatch=True).filter(lambda s: s not in ("inf", "nan"))
names = st.one_of(st.none(), identifiers)
any_f64 = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
floats = st.one_of(st.floats(), any_f64)
any_f32 = st.integers(0, 2**32 - 1).map(lambda bits: struct.unpack("<f", struct.pack("<I", bits))[0])


@st.composite
def functions(draw: st.DrawFn) -> Function:
    """Any ops with operands of the right kinds, in any order: it need not be well formed."""
    types = st.sampled_from(list(Type))
    function = Function(
        draw(st.text(st.characters(codec="utf-8"), max_size=8)),
        draw(st.lists(st.sampled_from(list(PARAMETER_TYPES.values())), max_size=4)),
        draw(st.one_of(st.none(), types)),
    )
    registers = list(function.params)
    chosen = draw(st.lists(names, max_size=8, unique_by=lambda name: name or object()))
    registers += [function.reg(draw(types), name) for name in chosen]
    chosen = draw(st.lists(names, min_size=1, max_size=5, unique_by=lambda name: name or object()))
    labels = [function.label(name) for name in chosen]
    codes = [row.code for row in default_ops().by_name.values()]
    codes += [int(code) for code in Code if code is not Code.CALL]
    for _ in range(draw(st.integers(0, 12))):
        op: tuple[Any, ...] = (draw(st.sampled_from(codes)),)
        if op[0] == Code.TABLE:
            more = draw(st.lists(st.sampled_from(labels), max_size=3))
            op = (*op, draw(st.integers(0, 9)), draw(st.sampled_from(labels)), *more)
        while op[0] != Code.TABLE and len(op) <= len(operands_of(function, op) or ()):
            expected = (operands_of(function, op) or ())[len(op) - 1]
            role, type = expected.role, expected.type
            own = [each for each in registers if type is None or function._types[each.code & 0xFFFFFFFF] == type]
            numbers = any_f32 if type is f32 else floats if type is f64 else st.integers(-(2**63), 2**64)
            if role is Role.LABEL:
                op = (*op, draw(st.sampled_from(labels)))
            elif role is Role.OFFSET:
                op = (*op, draw(st.integers(-(2**31), 2**31 - 1)))
            elif own and role is not Role.CONSTANT and (role is Role.DESTINATION or draw(st.booleans())):
                op = (*op, draw(st.sampled_from(own)))
            elif role in (Role.SOURCE, Role.CONSTANT):
                op = (*op, draw(st.one_of(numbers, st.integers(-5, 5))))
            else:
                break
        else:
            function._emit(op)
    return function


@settings(max_examples=150, deadline=None)
@given(functions())
def test_round_trip(function: Function) -> None:
    text = print_function(function)
    (again,) = parse(text, verify=False).values()
    assert print_function(again) == text
    assert image(again) == image(function)


@settings(max_examples=300, deadline=None)
@given(floats)
def test_float_round_trip(value: float) -> None:
    text = print_number(value, f64)
    assert text is not None
    assert struct.pack("<d", parse_number(text, f64)) == struct.pack("<d", value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("1_000_000", 1_000_000),
        ("-0xff", -255),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e3", 1000.0),
        ("0x1.8p+1", 3.0),
        ("-0x1p-1074", -5e-324),
        ("inf", math.inf),
        ("-inf", -math.inf),
    ],
)
def test_numbers(text: str, value: float) -> None:
    module = parse(f"func f() -> f64\n ret {text}\nend")
    found = module["f"].ops[0][1]
    assert (type(found), found) == (type(value), value)


def test_nan_payloads() -> None:
    def bits(text: str, type: Type) -> int:
        code, wide = ("<f", "<I") if type is f32 else ("<d", "<Q")
        return int(struct.unpack(wide, struct.pack(code, parse_number(text, type)))[0])

    assert bits("nan", f64) == 0x7FF8000000000000
    assert bits("-nan", f64) == 0xFFF8000000000000
    assert bits("nan:0x1", f64) == 0x7FF0000000000001
    assert bits("nan", f32) == 0x7FC00000
    assert bits("-nan:0x400001", f32) == 0xFFC00001
    assert print_number(math.nan, f32) == print_number(math.nan, f64) == "nan"


def test_functions_call_in_any_order_and_by_any_name() -> None:
    module = parse(
        'extern "C labs"(i64) -> i64 = 0x1000\n'
        "func first(n: i64) -> i64\n"
        '  call n, "the second"(n)\n'
        '  call n, "C labs"(n)\n'
        '  call "C labs"(1)\n'
        "  ret n\n"
        "end\n"
        'func "the second"(n: i64) -> i64\n'
        "  call n, first(n)\n"
        "  ret n\n"
        "end\n"
    )
    assert isinstance(module, Module)
    assert list(module) == ["first", "the second"]
    first, second = module.values()
    assert first.callees == [second, extern(0x1000, [i64], i64, "C labs")]
    assert second.callees == [first]
    assert module.lines == {"first": [3, 4, 5, 6], "the second": [9, 10]}
    printed = print_module(module)
    assert 'extern "C labs"(i64) -> i64 = 0x1000' in printed
    assert print_module(parse(printed)) == printed


def test_print_module_brings_callees_and_tells_namesakes_apart() -> None:
    f, other, h = Function("f"), Function("f", params=[i32]), Function("h")
    other.call(None, h)
    other.ret()
    h.ret()
    f.call(None, other, 1)
    f.call(None, f)
    f.call(None, extern(0x2000, [f32, ptr], None), 0.5, 7)
    f.ret()
    assert print_module([f]) == (
        "extern extern_2000(f32, i64) = 0x2000\n\n"
        "func f()\n  call f.2(1)\n  call f()\n  call extern_2000(0.5, 7)\n  ret\nend\n\n"
        "func f.2(%0: i32)\n  call h()\n  ret\nend\n\n"
        "func h()\n  ret\nend\n"
    )
    assert list(parse(print_module([f]))) == ["f", "f.2", "h"]


def test_what_is_not_well_formed_is_printed_as_well() -> None:
    f, g = Function("f", params=[i64]), Function("g", params=[i32])
    (n,) = f.params
    f._emit((0xEEEE, n, 1))
    f._emit((int(Code.CALL), None, 9, n))
    f.i64_add(n, g.params[0], "x")
    f.jump(g.label())
    f._emit((int(Code.RET), n))
    f.i64_add(1.5, n, None)
    assert print_function(f).splitlines() == [
        "func f(%0: i64)",
        "  <op code 61166> %0, 1",
        "  call <9>(%0)",
        "  i64.add %0, <register 0>, <'x'>",
        "  jump <label 0>",
        "  ret %0",
        "  i64.add 1.5, %0, <None>",
        "end",
    ]


def test_labels_keep_their_numbers() -> None:
    f = Function("f")
    never, second, first = f.label("never"), f.label("second"), f.label()
    f.place(first)
    f.jump(first)
    f.place(second)
    f.jump(second)
    text = print_function(f)
    assert "  label never, second, @2\n" in text
    assert image(parse(text)["f"]) == image(f)
    assert never


def test_keywords_are_names_where_only_a_name_can_be() -> None:
    text = "func end(reg: i64, label: i64) -> i64\nend:\n  i64.add reg, label, reg\n"
    text += "  branch i64.eq reg, 0, end\n  ret reg\nend\n"
    assert print_module(parse(text)) == text


def test_verification_is_optional() -> None:
    text = "func f() -> i64\n  reg x: i64\n  ret x\nend\n"
    assert print_module(parse(text, verify=False)) == text
    with pytest.raises(ParseError, match=r"^<text>:3:3: function 'f', op 0 \(ret\), operand value: register x"):
        parse(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_is_a_parse_error_or_still_reads(data: st.DataObject) -> None:
    text = PROGRAMS[data.draw(st.integers(0, len(PROGRAMS) - 1))].read_text()
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 12))
    insert = data.draw(st.text(st.sampled_from('abi64. ,:()[]=->%@"\\;\n0x1nf'), max_size=6))
    try:
        parse(text[:start] + insert + text[start + length :])
    except ParseError as error:
        assert str(error).startswith("<text>:")
