"""The example of a language: what programs mean, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lang_support import EDGES, PROGRAMS, interpreted, ran

from examples.lang import Machine, SyntaxFault, demo, suite


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("print(1 + 2 * 3, 7 / 2, 7 // -2, 7 % -2, -7 // 2)", "7 3.5 -4 -1 -4"),
        ("print(1 << 70, (1 << 70) >> 69, 6 & 3, 6 | 3, 6 ^ 3)", "1180591620717411303424 2 2 7 5"),
        ("print(1 < 2, 2 <= 1, 1 == 1.0, nil == false, 1 != 2, not 0)", "true false true false true true"),
        ("print(1 or 2, 0 or nil, 1 and 2, nil and 3)", "1 nil 2 nil"),
        ('print("ab" + "cd", "abc"[1], "a" < "b", len("four"), str(1.0) + str(nil))', "abcd b true 4 1.0nil"),
        ("let a = [1, 2.5, [nil, true]]\na[0] = a[1]\npush(a, 4)\nprint(a, len(a), pop(a), a[-1])",
         "[2.5, 2.5, [nil, true]] 4 4 [nil, true]"),
        ("let x = 1\n{ let x = 2; print(x) }\nprint(x)", "2\n1"),
        ("let i = 0\nwhile true { i += 1; if i == 2 { continue }\nif i > 3 { break }\nprint(i) }", "1\n3"),
        ("for i in 2..5 { print(i) }\nfor i in 5..2 { print(i) }", "2\n3\n4"),
        ("let fs = []\nfor i in 0..3 { push(fs, fn() { return i }) }\nprint(fs[0](), fs[2]())", "0 2"),
        ("fn make() { let n = 0\nreturn [fn() { n += 1 }, fn() { return n }] }\n"
         "let p = make()\np[0](); p[0]()\nprint(p[1](), make()[1]())", "2 0"),
        ("fn f(a) { a += 1\nlet g = fn() { a *= 2; return a }\ng()\nreturn a }\nprint(f(3))", "8"),
        ("fn f() { }\nprint(f(), f, print)", "nil <fn f> <fn print>"),
        ("fn even(n) { if n == 0 { return true }\nreturn odd(n - 1) }\n"
         "fn odd(n) { if n == 0 { return false }\nreturn even(n - 1) }\nprint(even(7))", "false"),
        ("print(abs(-3), sqrt(2.25), min(1, 2.0), max(1, 2.0), floor(-1.5), int(-1.5), float(2), int(\"12\"))",
         "3 1.5 1 2.0 -2 -1 2.0 12"),
        ("print(sin(0), cos(0), exp(0), log(1), log(0), log(-1), pow(2, 10), exp(1000))",
         "0.0 1.0 1.0 0.0 -inf nan 1024.0 inf"),
        ('print(chr(97), ord("b"), array(2, nil))', "a 98 [nil, nil]"),
        ("print(type(1), type([]), type(print))", "int array function"),
        ('print("a\\tb\\"\\\\")  # a comment', 'a\tb"\\'),
        ("print(-2 * 3, 2 - -3, 1 - 2 - 3, not 1 == 2, 1 + 1 < 3 and 2 > 1)", "-6 5 -4 true true"),
        ("let a = [1]\npush(a, a)\nprint(a)", "[1, [...]]"),
    ],
)  # fmt: skip
def test_what_programs_print(text: str, expected: str) -> None:
    assert "\n".join(interpreted(text)) == expected
    assert "\n".join(ran(text)[0]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nprint(1 + nil)", "line 2: cannot add int and nil"),
        ("print(1\n + [])", "line 2: cannot add int and array"),
        ("print(1 < \"a\")", "line 1: cannot compare int and string"),
        ("if nil < 1 { }", "line 1: cannot compare nil and int"),
        ("print(-\"a\")", "line 1: cannot negate string"),
        ("print(1 // 0)", "line 1: division by zero"),
        ("print(1.5 % 0)", "line 1: division by zero"),
        ('print("%s" % 1)', "line 1: cannot divide string by int"),
        ("print(1 << -1)", "line 1: negative shift"),
        ("print(1.5 & 1)", "line 1: cannot & float and int"),
        ("let a = [1]\na[1] = 2", "line 2: index 1 is out of range for length 1"),
        ("print(\"abc\"[3])", "line 1: index 3 is out of range for length 3"),
        ("print([1][0.5])", "line 1: an index is an int, not float"),
        ("print(1[0])", "line 1: cannot index int"),
        ("let x = \"a\"\nx[0] = 1", "line 2: cannot store into string"),
        ("nil()", "line 1: cannot call nil"),
        ("fn f(a) { }\nf()", "line 2: f takes 1 argument, not 0"),
        ("len(1, 2)", "line 1: len takes 1 argument, not 2"),
        ("len(1)", "line 1: len does not take (int)"),
        ("sin(nil)", "line 1: sin does not take (nil)"),
        ("pow(2, 1 << 2000)", "line 1: pow(int, int): the number is too large"),
        ("sqrt(-1)", "line 1: sqrt of a negative number"),
        ("pop([])", "line 1: pop from an empty array"),
        ("int(\"x\")", "line 1: int: 'x' is no number"),
        ("print((1 << 2000) * 1.0)", "line 1: the number is too large"),
        ("for i in 0..1.5 { }", "line 1: for goes from int to int, not from int to float"),
        ("fn f() {\n return f() }\nf()", "line 2: too many calls within one another"),
        ("fn f() { return g() }\nfn g() { return 1 // 0 }\n\nf()", "line 2: division by zero"),
    ],
)  # fmt: skip
def test_errors_have_their_lines(text: str, message: str) -> None:
    assert interpreted(text) == ran(text)[0] == [f"RuntimeFault: {message}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("let = 1", "line 1: expected name after let, found ="),
        ("\nprint(1", "line 2: expected , or ), found end"),
        ("print(1))", "line 1: expected the end of the statement, found )"),
        ("1 +", "line 1: expected an expression, found end"),
        ("x = 1", "line 1: x is not declared"),
        ("let x = 1\nlet x = 2", "line 2: x is declared already"),
        ("print = 1", "line 1: print is a built-in function"),
        ("1 = 2", "line 1: = cannot assign to this; accepted: a name, with = also array[index]"),
        ("return 1", "line 1: return outside a function"),
        ("break", "line 1: break outside a loop"),
        ("while true { fn f() { continue } }", "line 1: continue outside a loop"),
        ("let x = $", "line 1: unexpected character '$'"),
        ('"\\q"', 'line 1: there is no escape \\q; accepted: \\n \\t \\" \\\\'),
        ("1" * 5000, "line 1: a number of 5000 digits; accepted: up to 4000"),
        ("(" * 200, "line 1: nested too deep; accepted: 100 levels"),
        ("fn f() { let y = 1 }\ny", "line 2: y is not declared"),
    ],
)
def test_text_that_is_no_program(text: str, message: str) -> None:
    with pytest.raises(SyntaxFault) as caught:
        Machine(tiered=False).run(text)
    assert str(caught.value) == message


_OPERATORS = {"+": "+", "-": "-", "*": "*", "/": "/", "//": "//", "%": "%", "&": "&", "|": "|", "^": "^", "<": "<"}


@given(st.recursive(
    st.one_of(st.integers(-5, 5), st.sampled_from(EDGES), st.floats(-1e6, 1e6)).map(repr),
    lambda inner: st.tuples(inner, st.sampled_from(sorted(_OPERATORS)), inner).map(lambda each: f"({' '.join(each)})"),
    max_leaves=12,
))  # fmt: skip
def test_arithmetic_is_pythons(expression: str) -> None:
    try:
        value = eval(expression)
    except (ArithmeticError, TypeError):
        assert interpreted(f"print({expression})")[0].startswith("RuntimeFault")
        return
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    assert interpreted(f"print({expression})") == [shown]


def test_every_program_is_in_the_suite() -> None:
    assert sorted(PROGRAMS) == sorted(each.stem for each in suite.DIRECTORY.glob("*.jot"))


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    program = tmp_path / "program.jot"
    program.write_text("print(6 * 7)\nprint(nil + 1)")
    assert demo.main([str(program), "--show"]) == 2
    shown, error = capsys.readouterr()
    assert "mul" in shown and shown.endswith("42\n")
    assert error == "error: line 2: cannot add nil and int\n"
    assert demo.main([str(tmp_path / "missing.jot")]) == 2
