"""The example of a language: programs that are stopped by a budget, wherever they are just then."""

from __future__ import annotations

from typing import Any

import pytest
from lang_support import PROGRAMS, compiled_versions

from examples.lang import JotError, Machine, OutOfBudget, bytecode, demo, suite
from examples.lang.values import Builtin

# Loops that end and one that does not, calls, and what is seen from outside of how far they came.
COUNTING = """
let seen = [0, 0, 0]
keep(seen)
fn fib(n) {
  if n < 2 { return n }
  return fib(n - 1) + fib(n - 2)
}
fn count(to) {
  let n = 0
  while n < to {
    n += 1
    seen[0] = n
  }
  return n
}
for i in 0..20 { seen[1] = i }
print(fib(6), count(30), seen)
for i in 0..4 {
  let text = ""
  for k in 0..3 { text = text + "x" }
  print(text, count(i))
}
while true { seen[2] = seen[2] + fib(2) }
"""


def stopped(text: str, budget: int, *, tiered: bool) -> tuple[list[str], list[Any], Machine]:
    """What a program printed, its error in the end, and what is in the arrays that it had kept; and the machine."""
    lines: list[str] = []
    kept: list[Any] = []
    machine = Machine(lines.append, tiered=tiered, budget=budget)
    machine.builtins["keep"] = Builtin("keep", 1, kept.append)
    try:
        machine.run(text)
    except JotError as error:
        lines.append(f"{type(error).__name__}: {error}")
    return lines, [list(each.items) for each in kept], machine


def used(text: str) -> int:
    """The steps of a program that ends."""
    machine = stopped(text, 1 << 62, tiered=False)[2]
    assert machine.steps is not None
    return machine.steps[1] - machine.steps[0]


def test_each_step_of_a_program(eager: None) -> None:
    """Interpreted and compiled, it is stopped in the same line, with the same done."""
    outcomes = set()
    for budget in range(200):
        expected = stopped(COUNTING, budget, tiered=False)
        found = stopped(COUNTING, budget, tiered=True)
        assert found[:2] == expected[:2], budget
        outcomes.add(expected[0][-1].split(":")[1])
    compiled_versions(found[2])
    assert outcomes == {f" line {line}" for line in (4, 8, 10, 16, 18, 20, 23)}


def test_known_answers() -> None:
    text = (
        "fn f() { return 1 }\nlet n = 0\nwhile n < 3 {\n  n += f()\n}\nfor i in 0..2 {\n print(n) }\nfor i in 0..0 { }"
    )
    expected = {0: "line 3", 1: "line 1", 2: "line 3", 6: "line 6", 7: "line 6"}
    for budget, line in expected.items():
        for tiered in (False, True):
            printed = ["3\n"] * max(0, budget - 6)
            error = f"OutOfBudget: {line}: the budget of {budget} steps is spent"
            assert stopped(text, budget, tiered=tiered)[0] == [*printed, error]
    assert used(text) == 8
    assert stopped(text, 8, tiered=True)[0] == ["3\n", "3\n"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_end_with_what_they_need_and_not_with_less(name: str, eager: None) -> None:
    text = suite.text(name, small=True)
    steps = used(text)
    assert steps > 0
    for budget in {steps, steps - 1, steps // 2, steps // 7}:
        expected, found = stopped(text, budget, tiered=False)[0], stopped(text, budget, tiered=True)[0]
        assert found == expected
        assert expected[-1].endswith(f": the budget of {budget} steps is spent") == (budget < steps)


def test_where_a_machine_goes_on(eager: None) -> None:
    """Each program has the whole budget, and what was compiled for one that was stopped is as good as before."""
    kept: list[Any] = []
    lines: list[str] = []
    machine = Machine(lines.append, budget=1000)
    machine.builtins["keep"] = Builtin("keep", 1, kept.append)
    machine.builtins["kept"] = Builtin("kept", 0, lambda: kept[0])
    for _ in range(3):
        with pytest.raises(OutOfBudget) as raised:
            machine.run("fn spin(n) { while n != 0 { n += 1 }\nreturn n }\nkeep(spin)\nfor i in 0..3 { spin(1 - i) }")
        assert (raised.value.line, raised.value.budget) == (1, 1000)
        assert (machine.tier.nesting, machine.tier.entered, machine.tier.translation.kept) == (0, None, [])
        machine.run("print(kept()(-500))")
    assert compiled_versions(machine)
    assert lines == ["0\n"] * 3


def test_without_a_budget_nothing_counts() -> None:
    ops = {op for op, *_ in Machine().load(COUNTING.replace("keep(seen)", "")).code}
    assert bytecode.STEP not in ops and bytecode.ENTER in ops


@pytest.mark.parametrize("budget", [-1, 1 << 63])
def test_what_is_no_budget(budget: int) -> None:
    with pytest.raises(ValueError, match=rf"a budget of {budget} steps; 0 to 9223372036854775807 are accepted"):
        Machine(budget=budget)


@pytest.mark.parametrize("how", [[], ["--interpret"]], ids=["compiled", "interpreted"])
def test_the_command(how: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    program = tmp_path / "forever.jot"
    program.write_text("let n = 0\nprint(n)\nwhile true {\n  n += 1 }")
    assert demo.main([str(program), "--budget", "100000", *how]) == 2
    assert capsys.readouterr() == ("0\n", "error: line 3: the budget of 100000 steps is spent\n")
    with pytest.raises(SystemExit):
        demo.main([str(program), "--budget", "-1", *how])
    assert "error: a budget of -1 steps; 0 to" in capsys.readouterr().err
