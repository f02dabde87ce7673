"""The example of a language: what ends a program in its middle, and what the machine is good for afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from lang_support import compile_eagerly, compiled_versions, ran
from stops import alone

import cnp
from examples.lang import JotError, Machine, suite
from examples.lang.values import Array, Builtin

# What a program does until it is stopped, with what is to be seen of it from outside: everything is written twice.
COUNTING = """
let seen = [0, 0]
let count = 0
fn next() {
  count += 1
  return count
}
fn turn(n) {
  let before = next()
  seen[0] = before
  %s
  seen[1] = before
  return n
}
keep(seen)
keep(next)
keep(turn)
for n in 0..%d { turn(n) }
"""
AGAIN = """
let next = kept(1)
let turn = kept(2)
for n in 0..20 { turn(n) }
print(next(), kept(0))
"""


class Kept:
    """A machine whose programs keep values for those that come after them."""

    def __init__(self, **builtins: Builtin) -> None:
        self.values: list[Any] = []
        self.lines: list[str] = []
        self.machine = Machine(self.lines.append)
        for each in (Builtin("keep", 1, self.values.append), Builtin("kept", 1, self.values.__getitem__)):
            self.machine.builtins[each.name] = each
        self.machine.builtins.update(builtins)

    def seen(self) -> list[int]:
        return list(self.values[0].items)

    def is_as_new(self, count: int) -> bool:
        """Whether nothing is left of what was stopped, and the program's functions go on from a count."""
        tier = self.machine.tier
        assert (tier.nesting, tier.entered, tier.translation.kept) == (0, None, [])
        assert compiled_versions(self.machine)
        self.lines.clear()
        self.machine.run(AGAIN)
        return self.lines == [f"{count + 21} [{count + 20}, {count + 20}]\n"]


@contextlib.contextmanager
def interrupted() -> Iterator[None]:
    """A SIGINT of another process comes soon."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sender = subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -INT {os.getpid()}"])
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        sender.wait()
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("text", [
    "let n = 0\nwhile true { n = (n + 1) % 1000 }",
    "fn f(n) { if n < 2 { return n }\nreturn f(n - 1) + f(n - 2) }\nf(80)",
    "fn f(n) { while true { n = (n + 1) % 7 } }\nfn g(n) { f(n) }\nfor i in 0..10 { g(i) }",
])  # fmt: skip
def test_ctrl_c(text: str, eager: None) -> None:
    machine = Machine()
    machine.tier.flow(machine.load(""))  # so that everything is imported
    with interrupted():
        machine.run(text)
    assert compiled_versions(machine)
    assert ran("print(1)")[0] == ["1"]


def test_ctrl_c_leaves_what_was_stored(eager: None) -> None:
    kept = Kept()
    kept.machine.tier.flow(kept.machine.load(""))
    with interrupted():
        kept.machine.run(COUNTING % ("", 1 << 62))
    first, second = kept.seen()
    assert first > 1000 and first - second in (0, 1)
    kept.machine.run("keep(kept(1)())")
    count = kept.values[-1]
    assert count - first in (1, 2) and kept.is_as_new(count)


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (RuntimeError, RuntimeError, "^no$"),  # the host's own
        (KeyError, JotError, r"^line 11: ask does not take \(int\)$"),
        (KeyboardInterrupt, KeyboardInterrupt, "^no$"),
    ],
)
@pytest.mark.parametrize("limit", [7, 300])
def test_a_function_of_python_that_raises(
    error: type[BaseException], raised: type[BaseException], message: str, limit: int, eager: None
) -> None:
    """Called where compiled code has left, with compiled code around it; nothing behind it is done."""

    def ask(n: int) -> None:
        calls.append(n)
        if n == limit and len(calls) <= limit + 1:
            raise error("no")

    calls: list[int] = []
    kept = Kept(ask=Builtin("ask", 1, ask))
    with pytest.raises(raised, match=message):
        kept.machine.run(COUNTING % ("ask(n)", 400))
    assert calls == list(range(limit + 1)) and kept.seen() == [limit + 1, limit]
    assert kept.is_as_new(limit + 1)


def test_a_callback_of_compiled_code_that_raises(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appending is the one that compiled code calls by itself."""
    push = Array.push

    def fails(self: Array, value: Any) -> None:
        if len(self.items) == 200:
            raise RuntimeError("no")
        push(self, value)

    monkeypatch.setattr(Array, "push", fails)
    kept = Kept()
    with pytest.raises(RuntimeError, match=r"^no$"):
        kept.machine.run("let a = [0]\n" + COUNTING % ("if n < 1000 { push(a, n) }", 400))
    assert kept.seen() == [200, 199]
    monkeypatch.setattr(Array, "push", push)
    assert kept.is_as_new(200)


FAULTING = """
let addresses = array(400, good())
addresses[%d] = 24
fn size(n) { return length(addresses[n]) }
"""


def fault(before: str) -> None:
    """A program calls strlen where there is nothing to read, once. Handlers of faults are there to stay."""
    compile_eagerly(pytest.MonkeyPatch())
    cnp.catch_faults()
    native = ctypes.CDLL(None)["strlen"]
    native.argtypes, native.restype = [ctypes.c_int64], ctypes.c_int64
    text = ctypes.create_string_buffer(b"four")
    for place in (30, 300):
        kept = Kept(
            length=Builtin("length", 1, native, native),
            good=Builtin("good", 0, lambda: ctypes.addressof(text)),
            ask=Builtin("ask", 0, lambda: None),
        )
        with pytest.raises(cnp.Trap, match="SIGSEGV at address 0x18") as caught:
            kept.machine.run(FAULTING % place + COUNTING % (f"{before} size(n)", 400))
        assert caught.value.kind == cnp.TrapKind.MEMORY_FAULT
        assert kept.seen() == [place + 1, place]
        assert kept.is_as_new(place + 1)


@pytest.mark.parametrize("before", ["", "ask();"], ids=["from compiled code", "with the interpreter between"])
def test_a_fault_in_c_that_compiled_code_calls(before: str) -> None:
    alone(fault, before)


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
