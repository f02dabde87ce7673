"""The example of a language: what programs mean, and that compiled code and the interpreter agree on it."""

from __future__ import annotations

import gc
import random
import re
import signal
import weakref
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.lang import JotError, Machine, SyntaxFault, bytecode, demo, heat, suite
from examples.lang.interpreter import DEPTH
from examples.lang.jit import site, version

PROGRAMS = (*suite.NUMERIC, *suite.OTHERS)
EDGES = (0, 1, -1, 2, -2, 3, 7, 62, 63, 64, 2**31, 2**32 - 1, 2**53, 2**53 + 1, 2**62, -(2**62), 2**63 - 1, -(2**63))
FLOATS = ("0.0", "-0.0", "0.5", "-1.5", "1e300", "9007199254740993.0", "9.3e18", "inf", "nan")


def ran(text: str, **how: object) -> tuple[list[str], Machine]:
    """What a program prints, and its error in the end; and the machine."""
    lines: list[str] = []
    machine = Machine(lambda line: lines.append(line.rstrip("\n")), **how)  # type: ignore[arg-type]
    try:
        machine.run(text)
    except JotError as error:
        lines.append(f"{type(error).__name__}: {error}")
    return lines, machine


def interpreted(text: str) -> list[str]:
    return ran(text, tiered=False)[0]


def compiled_versions(machine: Machine) -> list[version.Version]:
    """Everything that was compiled for a machine that has compiled something."""
    assert machine._tier is not None
    if machine._tier.unavailable:
        pytest.skip("NOT TESTED: native code cannot run here")
    return machine._tier.compiled


def agree(text: str, *, backend: str = "native", compiles: bool = True) -> list[str]:
    """What a program prints, interpreted and not, which is compared."""
    expected = interpreted(text)
    found, machine = ran(text, backend=backend)
    assert found == expected
    if compiles:
        assert compiled_versions(machine)
    return expected


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile at once, and keep entering compiled code however little it does."""
    monkeypatch.setattr(heat, "ROUNDS", 2)
    monkeypatch.setattr(site, "_SHORT", -1)
    monkeypatch.setattr(version, "_WORTH", -1)


# What programs mean.


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


# Compiled code.


NEVER_COMPILED = {"short", "strings"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_agree(name: str, eager: None) -> None:
    agree(suite.text(name, small=True), compiles=name not in NEVER_COMPILED)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_agree_as_they_are_tiered(name: str) -> None:
    agree(suite.text(name, small=True), compiles=False)


@pytest.mark.parametrize("name", ["fib", "mandelbrot", "counter", "parity", "matrix"])
def test_programs_agree_on_the_reference_back_end(name: str, eager: None) -> None:
    agree(re.sub(r"let size = \d+", "let size = 6", suite.text(name)), backend="reference")


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


_BINARY = ("+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>", "<", "<=", "==", "!=")


@pytest.mark.parametrize("operator", _BINARY)
def test_every_operator_on_edge_values(operator: str, eager: None) -> None:
    """Both as values of one kind that a loop goes through, and as constants. A shift by much is Python's to refuse."""
    edges = [each for each in EDGES if operator not in ("<<", ">>") or each >= 0]
    rights = [each for each in edges if each < 65 or operator not in ("<<", ">>")]
    rights = [each for each in rights if each or operator not in ("/", "//", "%")]
    constants = "\n".join(
        f"fn left{n}(x) {{ return x {operator} {each} }}\nfn right{n}(x) {{ return {each} {operator} x }}"
        for n, each in enumerate(rights)
    )
    calls = "\n".join(f"  print(left{n}(lefts[i]), right{n}(rights[i % {len(rights)}]))" for n in range(len(rights)))
    text = f"""
let lefts = {[*edges, *edges]}
let rights = {[*rights, *rights]}
fn apply(a, b) {{ return a {operator} b }}
for i in 0..len(lefts) {{
  for j in 0..len(rights) {{ print(lefts[i], rights[j], apply(lefts[i], rights[j])) }}
}}
{constants}
for i in 0..len(lefts) {{
{calls}
}}
"""
    agree(text)


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "<", "<=", "==", "!="])
def test_floats_and_ints_on_edge_values(operator: str, eager: None) -> None:
    numbers = [*map(str, EDGES), *FLOATS]
    pairs = "\n".join(
        f"show({a}, {b})"
        for a in numbers
        for b in numbers
        if ("." in a + b or "n" in a + b) and not _refused(operator, b)
    )
    text = f"""
let inf = 1e308 * 10
let nan = inf - inf
fn apply(a, b) {{
  let result = a {operator} b
  if a {operator} b {{ return [result] }}
  return result
}}
fn show(a, b) {{ print(apply(a, b), apply(a, b)) }}
{pairs}
"""
    assert interpreted(text) == ran(text)[0]


def _refused(operator: str, b: str) -> bool:
    return operator == "/" and float(b) == 0


@pytest.mark.parametrize("call", ["abs(x)", "sqrt(x * x)", "int(x)", "floor(x)", "float(x)", "min(x, y)", "max(x, y)"])
@pytest.mark.parametrize("numbers", ["[3, -3, 0, 9223372036854775807, -9223372036854775807 - 1, 5]",
                                     "[0.5, -0.5, 0.0, -0.0, 1e18, -2.5e15, 3.7, -3.2]"])  # fmt: skip
def test_builtin_functions(call: str, numbers: str, eager: None) -> None:
    agree(f"""
let numbers = {numbers}
let results = []
for i in 0..len(numbers) {{
  for j in 0..len(numbers) {{
    let x = numbers[i]
    let y = numbers[j]
    push(results, {call})
  }}
}}
print(results)
""")


def sections(text: str) -> dict[str, str]:
    """The programs of a file, by name."""
    found = [each.partition("\n") for each in text.split("\n### ")[1:]]
    return {name: program for name, _, program in found}


LEAVING = sections((Path(__file__).parent / "lang" / "leaving.jot").read_text())


@pytest.mark.parametrize("name", LEAVING)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_compiled_code_is_left_with_the_exact_state(name: str, backend: str, eager: None) -> None:
    agree(LEAVING[name], backend=backend, compiles=False)


def test_the_leaving_programs_are_compiled_and_left(eager: None) -> None:
    """Of most of them, that is: which are not is known."""
    never = set()
    for name, text in LEAVING.items():
        _, machine = ran(text)
        if not any(each.exits for each in compiled_versions(machine)):
            never.add(name)
    assert never == {
        "functions as values", "a function that is assigned again", "strings that are carried", "many parameters",
        "closures within compiled loops",
    }  # fmt: skip


def test_calls_within_one_another_end_at_the_same_depth(eager: None) -> None:
    text = """
fn deep(n, limit) {
  if n == limit { return 0 }
  return 1 + deep(n + 1, limit)
}
for i in 0..30 { deep(0, 20) }
print(deep(1, %d))
"""
    assert agree(text % DEPTH) == [str(DEPTH - 1)]
    assert agree(text % (DEPTH + 1)) == ["RuntimeFault: line 4: too many calls within one another"]


@pytest.mark.parametrize("count", [18, 40])
def test_large_frames_fit_the_stack(count: int, eager: None) -> None:
    """A call that keeps many values over it, as deep as can be."""
    names = [f"v{n}" for n in range(count)]
    lets = "\n".join(f"let {each} = x + {n}" for n, each in enumerate(names))
    agree(
        f"""
fn deep(n, x) {{
  if n == 0 {{ return x }}
  {lets}
  let below = deep(n - 1, x + 1)
  return (below + {" + ".join(names)}) % 1000007
}}
for i in 0..30 {{ deep(3, i) }}
print(deep({DEPTH - 1}, 1), deep({DEPTH - 1}, 0.5))
print(deep({DEPTH}, 1))
""",
        compiles=count < 20,
    )


def test_ways_out_at_every_level_of_a_recursion(eager: None) -> None:
    """Compiled code and interpreter within one another: up to a limit, then the interpreter alone."""
    agree(
        f"""
fn deep(n) {{
  if n == 0 {{ return 0 }}
  let text = str(n)
  return len(text) + deep(n - 1)
}}
fn odd(n) {{
  if n == 0 {{ return 1 << 70 }}
  return odd(n - 1) + 1
}}
for i in 0..30 {{ deep(3) }}
for i in 0..30 {{ odd(3) }}
print(deep({DEPTH - 10}), odd({DEPTH - 10}))
""",
        compiles=False,
    )


@pytest.mark.parametrize("text", [
    "let n = 0\nwhile true { n = (n + 1) % 1000 }",
    "fn f(n) { if n < 2 { return n }\nreturn f(n - 1) + f(n - 2) }\nf(80)",
    "fn f(n) { while true { n = (n + 1) % 7 } }\nfn g(n) { f(n) }\nfor i in 0..10 { g(i) }",
])  # fmt: skip
def test_keyboard_interrupt(text: str, eager: None) -> None:
    machine = Machine()
    machine.tier.flow(machine.load(""))  # so that everything is imported
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            machine.run(text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert compiled_versions(machine)
    assert ran("print(1)")[0] == ["1"]


def test_a_machine_goes_on_after_errors(eager: None) -> None:
    lines: list[str] = []
    machine = Machine(lines.append)
    text = "fn f(a, b) { return a // b }\nlet n = 0\nfor i in 0..50 { n += f(i, 40 - i) }"
    for _ in range(3):
        with pytest.raises(JotError, match="line 1: division by zero"):
            machine.run(text)
    machine.run("fn f(n) { return n * 2 }\nlet s = 0\nfor i in 0..50 { s += f(i) }\nprint(s)")
    assert lines == ["2450\n"]
    tier = machine._tier
    assert tier is not None and (tier.nesting, tier.translation.kept, tier.entered) == (0, [], None)


def test_machines_are_collected_with_their_code(eager: None) -> None:
    tiers = []
    for name in ("fib", "sort", "counter"):
        machine = Machine(lambda line: None)
        machine.run(suite.text(name, small=True))
        assert compiled_versions(machine)
        tiers.append(weakref.ref(machine.tier))
    del machine
    gc.collect()
    assert [each() for each in tiers] == [None] * 3


# What is not worth compiling, or not any more.


def test_what_always_leaves_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat, "ROUNDS", 2)
    machine = Machine(lambda line: None)
    prototype = machine.load("for i in 0..100 { print(i) }")
    machine.execute(prototype)
    assert machine._tier is not None and not machine._tier.compiled
    assert not any(op in (bytecode.HOT, bytecode.RUN, bytecode.ENTER) for op, *_ in prototype.code[3:])


def test_what_leaves_too_often_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat, "ROUNDS", 2)
    monkeypatch.setattr(version, "_WORTH", 10**12)
    text = "let n = 0\nfor i in 0..500 { n += i\nif i % 2 == 0 { print(n) } }\nprint(n)"
    _, machine = ran(text)
    assert interpreted(text) == ran(text)[0]
    assert [(each.dead, each.exits) for each in compiled_versions(machine)] == [(True, version._EXITS)]


def test_a_for_loop_counts_no_rounds_until_they_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of all entries are summed; then some are counted one by one, and what is left runs compiled."""
    monkeypatch.setattr(heat, "ROUNDS", 30)
    for text, places in (
        ("let n = 0\nfor i in 0..29 { n += i }", (bytecode.ENTER,)),
        ("let n = 0\nfor i in 0..30 { if i > 8 { break } }", (bytecode.HOT,)),
        ("let n = 0\nfor i in 0..30 { n += i }", (bytecode.RUN,)),
        ("let n = 0\nfor k in 0..9 { for i in 0..3 { n += i } }", (bytecode.ENTER, bytecode.ENTER)),
        ("let n = 0\nfor k in 0..12 { for i in 0..3 { n += i } }", (bytecode.ENTER, bytecode.HOT)),
        ("let n = 0\nfor k in 0..14 { for i in 0..3 { n += i } }", (bytecode.ENTER, bytecode.RUN)),
    ):
        machine = Machine()
        prototype = machine.load(text)
        machine.execute(prototype)
        assert machine._tier is None or compiled_versions(machine)
        kinds = (bytecode.ENTER, bytecode.HOT, bytecode.RUN)
        assert tuple(op for op, *_ in prototype.code if op in kinds) == places, text


def test_the_dead_are_left_by_all_their_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that never ends by itself gets out of code whose callee leaves each time."""
    monkeypatch.setattr(heat, "ROUNDS", 2)
    monkeypatch.setattr(version, "_WORTH", 10**12)
    text = ("fn f(i) { if i > 10 { print(i) }\nreturn i }\nfn g(i) { return f(i) + 1 }\n"
            "let n = 0\nfor i in 0..300 { n += g(i) }\nprint(n)")  # fmt: skip
    found, machine = ran(text)
    assert interpreted(text) == found
    assert all(each.exits < 100 for each in compiled_versions(machine))


def test_other_kinds_again_and_again_end_the_attempts(eager: None) -> None:
    text = "fn f(a, b) { let n = 0\nfor i in 0..3 { n += 1 }\nreturn n }\n" + "\n".join(
        f"for i in 0..6 {{ f({a}, {b}) }}"
        for a in ("1", "1.5", "nil", "true", '"s"')
        for b in ("1", "2.5", "nil", "false")
    )
    agree(text + "\nprint(f(1, 2))")


# Random programs.


class Writer:
    """Writes programs that end, of every kind of value, and with errors in some."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loops = 0
        self.callees = ["max"]

    def number(self) -> str:
        pick = self.random.random()
        if pick < 0.6:
            return str(self.random.randint(-3, 9))
        if pick < 0.75:
            return self.random.choice(["0.5", "2.0", "-1.25"])
        if pick < 0.9:
            return str(self.random.choice(EDGES))
        return self.random.choice(["true", "false", "a[i0 % 3]" if self.loops else "a[1]"])

    def expression(self, names: list[str], depth: int = 2) -> str:
        pick = self.random.random()
        if depth == 0 or pick < 0.25:
            return self.random.choice(names) if self.random.random() < 0.7 else self.number()
        left, right = self.expression(names, depth - 1), self.expression(names, depth - 1)
        if pick < 0.75:
            return f"({left} {self.random.choice('+-*+-*&|^')} {right})"
        if pick < 0.85:
            return f"({left} {self.random.choice(['//', '%', '/'])} {self.random.choice(['3', '8', '(-7)', right])})"
        if pick < 0.9:
            return f"({left} {self.random.choice(['<', '<=', '==', '!=', '>'])} {right})"
        if pick < 0.95:
            return f"{self.random.choice(self.callees)}({left}, {right})"
        return f"({left} {self.random.choice(['and', 'or'])} {right})"

    def statement(self, names: list[str], depth: int) -> str:
        pick = self.random.random()
        if pick < 0.5 or depth == 0:
            return f"{self.random.choice(names)} = {self.expression(names)}"
        if pick < 0.6:
            return f"a[{self.expression(names, 1)} % 3] = {self.expression(names, 1)}"
        if pick < 0.8:
            return (f"if {self.expression(names, 1)} {{ {self.block(names, depth - 1)} }} "
                    f"else {{ {self.block(names, depth - 1)} }}")  # fmt: skip
        if pick < 0.95:
            counter = f"i{self.loops}"
            self.loops += 1
            body = self.block([*names, counter], depth - 1)
            self.loops -= 1
            return f"for {counter} in 0..{self.random.choice([3, 7])} {{ {body} }}"
        return f"print({self.random.choice(names)})"

    def block(self, names: list[str], depth: int) -> str:
        return "\n".join(self.statement(names, depth) for _ in range(self.random.randint(1, 3)))

    def program(self) -> str:
        bodies = []
        for name in ("f0", "f1"):
            bodies.append(self.expression(["p", "q", "c"]))
            self.callees.append(name)
        return f"""
let a = [1, 2, 3]
let c = 1
fn f0(p, q) {{ return {bodies[0]} }}
fn f1(p, q) {{ if p == 3 {{ c = q }}
return {bodies[1]} }}
let x = 1
let y = 2
let z = 0.5
fn step(x, y, z) {{
{self.block(["x", "y", "z"], 3)}
return x }}
for i0 in 0..12 {{
{self.block(["x", "y", "z"], 3)}
let s = step(x, y, i0)
if s == s {{ x = s }}
if x == 0 {{ x = i0 }}
if abs(x) > 100000000000000000000 {{ x = 5 }}
if abs(y) > 1000000000000000000000000000000 {{ y = 2 }}
}}
print(x, y, z, a, c)
"""


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_random_programs_agree(seed: int) -> None:
    text = Writer(seed).program()
    rounds, short, worth = heat.ROUNDS, site._SHORT, version._WORTH
    heat.ROUNDS, site._SHORT, version._WORTH = 2, -1, -1
    try:
        expected = interpreted(text)
        found = ran(text)[0]
    finally:
        heat.ROUNDS, site._SHORT, version._WORTH = rounds, short, worth
    assert found == expected, text
