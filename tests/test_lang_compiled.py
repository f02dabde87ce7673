"""The example of a language: compiled code and the interpreter agree, and one goes on where the other stops."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lang_support import EDGES, FLOATS, PROGRAMS, agree, compiled_versions, interpreted, ran

from examples.lang import suite
from examples.lang.interpreter import DEPTH

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


@pytest.mark.parametrize("call", [
    "abs(x)", "sqrt(x * x)", "int(x)", "floor(x)", "float(x)", "min(x, y)", "max(x, y)", "sin(x)", "cos(x)", "exp(x)",
    "log(x)", "pow(x, y)", "pow(x, 3)",
])  # fmt: skip
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
