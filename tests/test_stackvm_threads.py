"""The guide's stack machine among threads: what one redefines while others run or compile it, guests without an end."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from conftest import LIBRARY
from stackvm_support import AT, ENDLESS, ITEMS, TOGETHER, Watched, is_at_rest
from test_cells import live

import cnp
from cnp import tiers
from cnp.bytecode import Table
from examples.stackvm.code import Function, assemble
from examples.stackvm.machine import Machine
from examples.stackvm.tier import TieredMachine

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


def test_a_guest_that_never_ends_leaves_other_threads_alone(stackvm_table: Table) -> None:
    """One of them replaces what it does. Its budget is what ends it if nobody else can."""
    machine = Watched(stackvm_table, assemble(ENDLESS), ITEMS)
    ended: list[BaseException] = []
    entered = threading.Event()
    compile = machine.compile

    def compiled(function: Function, point: int | None) -> Any:
        entered.set()
        return compile(function, point)

    def run() -> None:
        try:
            with cnp.fuel(3 * 10**9):
                machine.call(1, [])
        except BaseException as error:
            ended.append(error)

    machine.compile = compiled  # type: ignore[method-assign]
    thread = threading.Thread(target=run)
    thread.start()
    entered.wait()
    threading.Event().wait(0.05)  # it is in its loop by now
    machine.define(AT, assemble("function at index = push -1 item return")[0])
    thread.join()
    assert [str(each) for each in ended] == ["at, offset 4: there is no item -1"]
    assert [at for _, at, _ in machine.left if at == 4] and is_at_rest(machine)


@pytest.mark.parametrize("number", [AT, 1])
def test_what_is_redefined_while_it_is_compiled(stackvm_table: Table, number: int) -> None:
    """As by another thread: neither old code nor an old assumption is in force afterwards."""
    text = "function at i = get i item return function f i = get i item return function g i = get i call f 1 return"
    machine = TieredMachine(stackvm_table, assemble(text), ITEMS, tiers.Policy(calls=2))
    other = assemble("function other i = get i item push 100 add return")[0]
    translate, former = machine.translate, machine.functions[1]

    def meanwhile(function: Function) -> Any:
        made = translate(function)
        if function is former:
            machine.define(number, other)
        return made

    machine.translate = meanwhile  # type: ignore[method-assign]
    assert [machine.call(2, [0]) for _ in range(2)] == [3, 3 if number == 1 else 103]
    assert [machine.call(2, [0]) for _ in range(6)] == [103] * 6
    assert machine.tiers[machine.functions[2]].code and is_at_rest(machine)


G = TOGETHER[TOGETHER.index("function g") :]
NAMES = "function at i = get i item return function f a b = get a return "
SAME = {
    AT: ("function at i = get i push 0 add item return", "function at index = get index item return"),
    1: ("function f a b = get b get a add return", "function f a b = push 0 get a add get b add return"),
    2: (NAMES + G.replace("get x get n", "get n get x"), NAMES + G),
}
"""By number, functions that give the same."""
THREADS, MACHINES, ROUNDS, CHANGES, LONG = 4, 6, 8, 8, 50_000
FIRST = 3
"""The round in which function 0 is redefined first: code with `item` has run until then."""


def changes(machine: TieredMachine, round: int) -> None:
    """One function after the other becomes another that gives the same."""
    for change in range(CHANGES):
        number = (AT, 1, 2)[(round + change) % 3]
        if number != AT or round >= FIRST:
            machine.define(number, assemble(SAME[number][change % 2])[-1])


def run_together(machine: TieredMachine, jobs: list[tuple[int, tuple[int, ...], int]]) -> list[Any]:
    """Threads do the jobs, all of them in each round, in which another changes the machine. What went wrong."""
    wrong: list[Any] = []
    together = threading.Barrier(THREADS + 1)

    def run() -> None:
        try:
            for _ in range(ROUNDS):
                together.wait()
                for number, arguments, wanted in jobs:
                    found = machine.call(number, list(arguments))
                    wrong.extend([] if found == wanted else [(number, arguments, found)])
            assert is_at_rest(machine)
        except BaseException as error:
            wrong.append(error)
            together.abort()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    with suppress(threading.BrokenBarrierError):  # `wrong` says why
        for round in range(ROUNDS):
            together.wait()
            changes(machine, round)
    for thread in threads:
        thread.join()
    return wrong


def test_threads_run_what_others_replace(stackvm_table: Table, restless: None) -> None:
    """Large numbers are each thread's own; code is given up, compiled again, redefined, and freed with its machine."""
    before = live()
    numbers = (1, -7, 2**61, 2**62 + 5, -(3**80))
    calls = [(2, (LONG, 0)), (2, (LONG, -(2**61)))]
    calls += [(2, (n, x)) for n in (0, 9) for x in numbers] + [(1, (x, -x)) for x in numbers]
    plain = Machine(assemble(TOGETHER), ITEMS)
    jobs = [(number, each, plain.call(number, list(each))) for number, each in calls]
    policy = tiers.Policy(calls=3, loops=5, exits=20, attempts=10**9)
    left, given_up = set(), 0
    for _ in range(MACHINES):
        machine = Watched(stackvm_table, assemble(TOGETHER), ITEMS, policy)
        assert run_together(machine, jobs) == []
        left |= {(name, at) for name, at, _ in machine.left}
        given_up += sum(tier.given_up for tier in machine.tiers.values())
    item, add = ("g", 4 * 5), ("f", 8)
    assert {item, add} <= left and given_up > 10, "not all of it has happened: this test says nothing"
    del machine
    assert live() == before
