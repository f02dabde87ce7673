"""The example of a language: what ends a program in its middle, and what the machine is good for afterwards."""

from __future__ import annotations

import gc
import signal
import weakref

import pytest
from lang_support import compiled_versions, ran

from examples.lang import JotError, Machine, suite


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
