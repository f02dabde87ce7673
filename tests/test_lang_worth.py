"""The example of a language: what is not compiled since it would not pay, and what a process does not import for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lang_support import compile_soon, compiled_versions, interpreted, ran

from examples.lang import Machine, bytecode, heat, suite

ROOT = Path(__file__).parent.parent
NEVER = 10**18
PLACES = (bytecode.ENTER, bytecode.HOT, bytecode.RUN)


def places(text: str) -> tuple[list[int], Machine]:
    """The instructions at the program's places, after it has run."""
    machine = Machine()
    prototype = machine.load(text)
    machine.execute(prototype)
    return [op for op, *_ in prototype.code if op in PLACES], machine


def test_a_loop_that_ends_soon_waits_until_it_is_entered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_soon(monkeypatch, 30)
    monkeypatch.setattr(heat, "COMPILE", NEVER)
    loop = "for i in 0..40 { n += i }"
    found, machine = places(f"let n = 0\n{loop}")
    assert found == [bytecode.ENTER] and machine._tier is None
    found, machine = places(f"let n = 0\nfor k in 0..2 {{ {loop} }}")
    assert found == [bytecode.ENTER, bytecode.RUN] and compiled_versions(machine)


def test_a_loop_that_goes_on_is_compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_soon(monkeypatch, 30)
    monkeypatch.setattr(heat, "COMPILE", 1)
    found, machine = places("let n = 0\nfor i in 0..100 { n += i }")
    assert found == [bytecode.RUN] and compiled_versions(machine)


@pytest.mark.parametrize(
    ("body", "compiles"),
    [
        ("return n * 2", True),
        ("return n * 0.5", True),
        ("if n % 50 == 9 { return str(n) }\nreturn n", True),
        ("return str(n)", False),
        ("return (n + 1) << 70", False),
        ("if n % 4 == 0 { return str(n) }\nreturn n", False),
        ("if n < 1 { return 1 << 60 }\nreturn 10 * f(n - 1)", False),
    ],
)
def test_a_function_is_compiled_for_what_it_returns(body: str, compiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_soon(monkeypatch, 60)
    text = f"fn f(n) {{\n{body}\n}}\nlet n = 0\nwhile n < 200 {{\nprint(f(n % 60))\nn += 1\n}}"
    found, machine = ran(text)
    assert found == interpreted(text) and len(found) == 200
    prototype = machine.load(text)
    machine.execute(prototype)
    assert (prototype.inner[0].code[0][0] == bytecode.RUN) == compiles


@pytest.mark.parametrize("calls", range(48, 64))
def test_errors_in_calls_that_are_watched(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ten calls of sixty are, and what is wrong is in the same line."""
    compile_soon(monkeypatch, 60)
    for wrong in ("1 // (n - LAST)", "g(n - LAST)", "f(0 - n)"):
        text = "fn g(n) {\n  return [1][n + 1]\n}\nfn f(n) {\n  if n < 0 { return f(n) }\n  return WRONG\n}\n"
        text = text.replace("WRONG", wrong).replace("LAST", str(calls)) + f"for i in 0..{calls + 1} {{ f(i) }}"
        expected = interpreted(text)
        assert "RuntimeFault" in expected[-1]
        assert ran(text)[0] == expected


def imported(text: str) -> set[str]:
    """Which of cnp and the compiler a process has imported after a program."""
    code = f"import sys; from examples.lang import Machine; Machine(lambda line: 0).run({text!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {"cnp", "examples.lang.jit.tier", "examples.lang.jit.lower"} & set(done.stdout.split())


def test_what_a_program_needs_is_imported() -> None:
    assert imported(suite.text("short")) == imported(suite.text("factorial")) == set()
    for often in ("true", "n % 3 == 0"):  # always left, or seen to be left in a third of all rounds
        loop = f"let n = 0\nwhile n < 3000 {{\nif {often} {{ print(n) }}\nn += 1\n}}"
        assert imported(loop) == {"examples.lang.jit.tier"}
    assert imported(suite.text("fib", small=True)) == {"cnp", "examples.lang.jit.tier", "examples.lang.jit.lower"}


@pytest.mark.parametrize(
    ("loop", "compiles"),
    [
        ("if n % 3 == 0 { print(n) }", False),
        ("if n % 40 == 0 { print(n) }", True),
        ("if n > 394 { print(n) }", True),  # which nobody can know
        ("let k = 0; while k < 4 { k += 1 }; print(k, n)", False),
        ("n = n + len([1, n]) - 2", False),
        ("if n % 40 == 0 { n = 1.0 * n }", False),  # % of floats is the interpreter's, from round 300 on in each
    ],
)
def test_rounds_are_tried(loop: str, compiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compiled code would leave in every third of 25 rounds is not compiled, nor anything else done otherwise."""
    compile_soon(monkeypatch, 300)
    text = f"fn f(n) {{\nwhile n < 400 {{\n{loop}\nn += 1\n}}\n}}\nf(0)\nprint(1)"
    found, machine = ran(text)
    assert found == interpreted(text) and found[-1] == "1"
    prototype = machine.load(text)
    machine.execute(prototype)
    code = prototype.inner[0].code
    assert (bytecode.RUN in [op for op, *_ in code]) == compiles
    assert bytecode.LEFT not in [op for op, *_ in code]


def test_other_places_are_compiled_while_rounds_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands where compiled code would be left is the interpreter's for them, too."""
    compile_soon(monkeypatch, 36)
    text = """
fn f(a, n) {
  let total = 0
  while n < 150 {
    let k = 0
    while k < n % 20 { k += 1; if k > 17 { push(a, str(k)) } }
    total += k
    if n % 5 == 0 { print(total, len(a)) }
    n += 1
  }
  return total
}
print(f([], 0), f([], 1.0))
"""
    for rounds in (36, 60, 120, 400, 700):
        compile_soon(monkeypatch, rounds)
        expected = interpreted(text)
        assert len(expected) > 50 and ran(text)[0] == expected
