"""The example of a language: what is compiled when, what is not worth it, and what is not any more."""

from __future__ import annotations

import pytest
from lang_support import agree, compile_soon, compiled_versions, interpreted, ran

from examples.lang import Machine, bytecode
from examples.lang.jit import version


def test_what_always_leaves_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_soon(monkeypatch, 2)
    machine = Machine(lambda line: None)
    prototype = machine.load("for i in 0..100 { print(i) }")
    machine.execute(prototype)
    assert machine._tier is not None and not machine._tier.compiled
    assert not any(op in (bytecode.HOT, bytecode.RUN, bytecode.ENTER) for op, *_ in prototype.code[3:])


def test_what_leaves_too_often_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_soon(monkeypatch, 2)
    monkeypatch.setattr(version, "_WORTH", 10**12)
    text = "let n = 0\nfor i in 0..500 { n += i\nif i % 2 == 0 { print(n) } }\nprint(n)"
    _, machine = ran(text)
    assert interpreted(text) == ran(text)[0]
    assert [(each.dead, each.exits) for each in compiled_versions(machine)] == [(True, version._EXITS)]


def test_a_for_loop_counts_no_rounds_until_they_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of all entries are summed; then some are counted one by one, and what is left runs compiled."""
    compile_soon(monkeypatch, 30)
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
    compile_soon(monkeypatch, 2)
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
