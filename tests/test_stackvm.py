"""The machine of the guide to embedding: interpreted, compiled where it is hot, and run by the reference."""

from __future__ import annotations

import ctypes
import gc
import random
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from conftest import LIBRARY
from stackvm_support import AT, COUNT, DIRECTORY, EAGER, FIB, ITEMS, LARGE, POWER, TOTAL, Watched, is_at_rest, result
from stops import ROOT
from test_cells import live

import cnp
from cnp import tiers
from cnp.bytecode import Table
from examples.stackvm.code import GuestError, assemble
from examples.stackvm.machine import Machine
from examples.stackvm.table import Context, load
from examples.stackvm.tier import TieredMachine

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


def as_reference(machine: TieredMachine, number: int, arguments: list[int]) -> int | str:
    """The same of the function that the table makes, run by the reference interpreter."""
    f = machine.translate(machine.functions[number])
    words = [machine.words.word(argument) for argument in arguments]
    try:
        return machine.run(f.compile(backend="reference"), machine.context, *words)
    except GuestError as error:
        return str(error)


@pytest.mark.parametrize("name", ["vm.length", "vm.item", "vm.either_large", "vm.sum_large", "vm.product_large"])
def test_the_ops_are_what_they_mean(stackvm: Path, name: str) -> None:
    words = (5, -6, 2**62, -(2**62) - 1, 2**63 - 2, -(2**63))
    items = (ctypes.c_int64 * len(words))(*words)
    context = bytes(Context(items, len(words)))
    samples: Any = {"vm.length": [(context,)], "vm.item": [(context, index) for index in range(len(words))]}
    assert load(str(stackvm))[0].check(name, samples.get(name))


@pytest.mark.parametrize(
    "called",
    [
        (TOTAL, 8),
        (TOTAL, 12),
        (TOTAL, 13),
        (FIB, 11),
        (COUNT, 50),
        (COUNT, -(2**70)),
        (POWER, 3, 60),
        (POWER, -(2**80), 3),
    ],
)
def test_programs(stackvm_table: Table, called: tuple[int, ...]) -> None:
    number, arguments = called[0], list(called[1:])
    functions = (DIRECTORY / "program.txt").read_text(encoding="utf-8")
    wanted = result(Machine(assemble(functions), ITEMS), number, arguments)
    machine = TieredMachine(stackvm_table, assemble(functions), ITEMS, EAGER)
    assert [result(machine, number, arguments) for _ in range(9)] == [wanted] * 9
    assert as_reference(machine, number, arguments) == wanted
    assert all(tier.error is None for tier in machine.tiers.values())
    assert tuple(machine.words.large) == LARGE


# ---- random programs


class Random:
    """Text of functions that end: loops are short, and a function calls only those before it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.labels = 0

    def value(self, number: int, depth: int = 0) -> str:
        """Instructions that push a value."""
        r = self.random
        choice = r.randrange(9 if depth < 3 else 3)
        if choice < 3:
            return f"get {r.choice('abxy')} " if choice else f"push {r.choice((0, 1, 2, -1, 7, 32767, -32768))} "
        if choice < 6:
            return self.value(number, depth + 1) + self.value(number, depth + 1) + "add "
        if choice == 6:
            return self.value(number, depth + 1) + f"push {r.choice((3, -2, 32767, 12345))} mul "
        if choice == 7:
            index = self.value(number, depth + 1) if r.random() < 0.1 else f"push {r.randrange(len(ITEMS))} "
            return index + "item "
        callee = r.randrange(number) if number else 0
        if callee == AT:
            return f"push {r.randrange(len(ITEMS))} " + ("item " if number < 2 else "call f0 1 ")
        return self.value(number, depth + 1) + self.value(number, depth + 1) + f"call f{callee} 2 "

    def statement(self, number: int, depth: int = 0) -> str:
        choice = self.random.randrange(4 if depth < 2 else 2)
        if choice < 2:
            return self.value(number) + f"set {self.random.choice('abxy')}\n"
        self.labels += 1
        here, counter = self.labels, f"i{depth}"
        body = "".join(self.statement(number, depth + 1) for _ in range(self.random.randrange(1, 3)))
        if choice == 2:
            test = self.value(number) + self.value(number) + f"unless_less else{here}\n"
            return test + body + f"jump end{here} else{here}: {self.statement(number, 2)} end{here}:\n"
        rounds = self.random.randrange(1, 6)
        head = f"push 0 set {counter} head{here}: get {counter} push {rounds} unless_less end{here}\n"
        return head + body + f"get {counter} push 1 add set {counter} loop head{here} end{here}:\n"

    def function(self, number: int, name: str) -> str:
        if number == AT:
            return f"function {name} index = get index item push {self.random.choice((0, 1, 5))} add return\n"
        body = "".join(self.statement(number) for _ in range(self.random.randrange(1, 5)))
        return f"function {name} a b =\nget x set x get y set y {body}{self.value(number)}return\n"


def test_random_programs(stackvm_table: Table) -> None:
    left, compiled, entered, errors = set(), 0, 0, 0
    for seed in range(80):
        made = Random(seed)
        text = "function f0 index = get index item return\n" + "".join(made.function(n, f"f{n}") for n in range(1, 4))
        plain, machine = Machine(assemble(text), ITEMS), Watched(stackvm_table, assemble(text), ITEMS, EAGER)
        for step in range(14):
            if step in (5, 10):  # one of the functions becomes another one
                number = made.random.randrange(4)
                former = machine.tiers[machine.functions[number]]
                compiled, entered = compiled + (former.code is not None), entered + len(former.entries)
                other = text + made.function(number, "other")
                plain.define(number, assemble(other)[-1])
                machine.define(number, assemble(other)[-1])
            number = made.random.choice((3, 3, 2, 1))
            arguments = [made.random.choice((0, 1, -1, 5, 2**61, -(2**62), 2**62, 3**99)) for _ in range(2)]
            wanted = result(plain, number, arguments)
            assert result(machine, number, arguments) == wanted, f"seed {seed}, step {step}: {text}"
            if step % 5 == 4:
                assert as_reference(machine, number, arguments) == wanted, f"seed {seed}, step {step}: {text}"
            errors += isinstance(wanted, str)
        assert all(tier.error is None for tier in machine.tiers.values()), machine.tiers
        compiled += sum(tier.code is not None for tier in machine.tiers.values())
        entered += sum(len(tier.entries) for tier in machine.tiers.values())
        left |= {(seed, name, at) for name, at, _ in machine.left}
    assert len(left) > 300 and compiled > 200 and entered > 50 and errors > 100


# ---- where and with what the interpreter goes on

ADDS = "function at i = get i item return\nfunction f a b = push 7 get a get b add add return"


def compiled(table: Table, text: str, items: Any = (), number: int = 1, arguments: Any = (1, 2)) -> Watched:
    """A machine whose function `number` is compiled by now."""
    machine = Watched(table, assemble(text), items, tiers.Policy(calls=2, loops=3, exits=2, attempts=2))
    for _ in range(3):
        machine.call(number, list(arguments))
    assert machine.tiers[machine.functions[number]].code and not machine.left
    return machine


@pytest.mark.parametrize("op", ["add", "mul"])
@pytest.mark.parametrize(("a", "b"), [(2**62 - 1, 2**61), (-(2**62), -3), (2**62, 1), (1, -(2**90)), (2**31, 2**31)])
def test_large_numbers_are_for_the_interpreter(stackvm_table: Table, op: str, a: int, b: int) -> None:
    machine = compiled(stackvm_table, ADDS.replace("b add", f"b {op}"))
    wanted = 7 + (a + b if op == "add" else a * b)
    assert machine.call(1, [a, b]) == wanted
    is_large = not all(-(2**62) <= each < 2**62 for each in (a, b, wanted - 7))
    first = [("f", 12, [a, b, 7, a, b])]  # offset, locals, the stack in front of the instruction
    assert machine.left == (first if is_large else [])


@pytest.mark.parametrize("item", [5, 2**62 - 1, -(2**62), *LARGE, -(2**63), -(2**99)])
def test_items_are_of_any_size(stackvm_table: Table, item: int) -> None:
    text = ADDS + "\nfunction twice i = get i item get i item add return"
    machine = compiled(stackvm_table, text, [1, item], AT, [0])
    for _ in range(3):  # the word of an item outlasts the run
        assert machine.call(AT, [1]) == item and not machine.left
    for _ in range(3):
        machine.call(2, [0])
    assert machine.tiers[machine.functions[2]].code
    assert machine.call(2, [1]) == 2 * item
    assert machine.left == ([] if item == 5 else [("twice", 16, [1, item, item])])


def test_an_item_that_there_is_not_is_told_by_the_interpreter(stackvm_table: Table) -> None:
    machine = compiled(stackvm_table, ADDS, [5, 6], AT, [1])
    for index in (2, -1, 2**62 - 1, -(2**62), 2**64):
        with pytest.raises(GuestError, match=rf"^at, offset 4: there is no item {index}$"):
            machine.call(AT, [index])
    assert machine.left[0] == ("at", 4, [2, 2])
    assert is_at_rest(machine)


def test_code_that_is_left_too_often_is_given_up(stackvm_table: Table) -> None:
    machine = compiled(stackvm_table, ADDS)
    tier = machine.tiers[machine.functions[1]]
    assert [machine.call(1, [2**62, n]) for n in range(2)] == [2**62 + 7, 2**62 + 8]
    assert tier.state is tiers.State.COLD and machine.cells[1].target is machine.cells[1].fallback
    assert [machine.call(1, [2**62, n]) for n in range(9)] == [2**62 + 7 + n for n in range(9)]
    assert tier.state is tiers.State.REFUSED and tier.given_up == 2


def test_a_hot_loop_is_entered_and_left_where_it_is(stackvm_table: Table) -> None:
    text = (DIRECTORY / "program.txt").read_text(encoding="utf-8")
    machine = Watched(stackvm_table, assemble(text), (), tiers.Policy(calls=99, loops=10, exits=99))
    assert machine.call(POWER, [2, 70]) == 2**70
    tier = machine.tiers[machine.functions[POWER]]
    assert list(tier.entries) == [8] and tier.calls == 1
    name, at, live = machine.left[0]
    assert (name, at, live) == ("power", 28, [2, 70, 2**61, 61, 2**61, 2])  # 2^62 is the first large number


def test_functions_may_be_redefined(stackvm_table: Table) -> None:
    text = ADDS + "\nfunction g a = get a push 1 call f 2 return\nfunction h a = get a item get a call at 1 add return"
    machine = compiled(stackvm_table, text, [10, 20], 2, [5])
    assert machine.call(2, [5]) == 13
    for _ in range(3):
        assert machine.call(3, [1]) == 40
    g, h = machine.tiers[machine.functions[2]].code, machine.tiers[machine.functions[3]].code
    machine.define(1, assemble("function f a b = get a return")[0])
    assert machine.call(2, [5]) == 5 and not machine.left
    assert machine.tiers[machine.functions[2]].code is g  # its call goes through a cell
    machine.define(0, assemble("function at i = get i item push 3 mul return")[0])
    assert machine.call(3, [1]) == 120 and machine.left == [("h", 4, [1, 1])]  # an assumption is broken
    assert [machine.call(3, [0]) for _ in range(9)] == [60] * 9
    assert machine.tiers[machine.functions[3]].code not in (h, None) and len(machine.left) == 2


def test_what_is_redefined_again_and_again_is_freed(stackvm_table: Table) -> None:
    machine = compiled(stackvm_table, ADDS)
    for n in range(50):
        machine.define(1, assemble(f"function f a b = push {n} get a add return")[0])
        assert [machine.call(1, [5, 6]) for _ in range(4)] == [5 + n] * 4
        assert machine.tiers[machine.functions[1]].code
        if n == 0:
            one = live()
    assert live() == one


# ---- budgets, lifetimes, the command


@pytest.mark.parametrize("calls", [2, 10**9], ids=["compiled", "interpreted"])
def test_a_budget_is_for_both(stackvm_table: Table, calls: int) -> None:
    text = "function at i = get i item return\nfunction f a = again: get a push 1 add set a loop again"
    machine = TieredMachine(stackvm_table, assemble(text), (), tiers.Policy(calls=calls, loops=calls))
    for _ in range(2):
        with cnp.fuel(1_000) as fuel, pytest.raises(cnp.Trap) as caught:
            machine.call(1, [0])
        assert caught.value.kind is cnp.TrapKind.OUT_OF_FUEL and fuel.left == 0
    text = (DIRECTORY / "program.txt").read_text(encoding="utf-8")
    machine = TieredMachine(stackvm_table, assemble(text), (), tiers.Policy(calls=calls, loops=calls))
    with cnp.fuel(1_000) as fuel:
        assert machine.call(COUNT, [500]) == 500
        assert 240 <= fuel.used <= 501


def test_a_machine_and_its_code_are_freed(stackvm_table: Table) -> None:
    machine = compiled(stackvm_table, ADDS)
    machine.call(1, [2**80, 1])
    gone, code = weakref.ref(machine), weakref.ref(machine.cells[1].target)
    gc.disable()
    try:
        del machine
        assert gone() is None
    finally:
        gc.enable()
    gc.collect()
    assert code() is None


def test_the_command(stackvm: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.stackvm", stackvm], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["total", "fib", "count", "power"]


def test_the_command_says_what_is_wrong_with_its_library(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.stackvm", str(tmp_path / "none.cnpl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: cannot read the stencil library ")
