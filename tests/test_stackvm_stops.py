"""The guide's stack machine when it is stopped: faults and traps in C, exceptions of Python's, Ctrl-C, budgets, endless
recursion, threads that run what others replace. The machine can be used again, and so can the code."""

from __future__ import annotations

import ctypes
import random
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import LIBRARY
from stackvm_support import AT, ITEMS, LARGE, NEVER, POWER, Watched, is_at_rest
from stops import alone, interrupted
from test_cells import live

import cnp
from cnp import i64, tiers
from cnp.bytecode import Field, Instruction, Page, Table, peek, pop, push
from examples.stackvm import check
from examples.stackvm import table as tables
from examples.stackvm.__main__ import TEXT
from examples.stackvm.code import INSTRUCTION, Function, GuestError, Op, assemble
from examples.stackvm.machine import Machine
from examples.stackvm.tier import TieredMachine

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

AMID = """
function at index = get index item return
function callee i = get i item return
function sums n a =
  again: get i get n unless_less done
    get sum get i call callee 1 add set sum
    get i push 1 add set i
  loop again
  done: get sum get a get a add add return
function outer n a = get n get a get a add call sums 2 return
"""
CALLEE, SUMS, OUTER = 1, 2, 3
"""`outer` calls `sums` with twice a: if that is large, its code is left, and the interpreter calls that of `sums`."""
WAYS = pytest.mark.parametrize("a", [5, 2**62], ids=["from compiled code", "with the interpreter between"])


def amid(table: Table, kind: type[TieredMachine] = TieredMachine, items: Any = ITEMS) -> tuple[TieredMachine, Any]:
    """A machine with code for everything, and what is to be true of it whenever nothing runs."""
    machine = kind(table, assemble(AMID), items, tiers.Policy(calls=2, loops=10**9, exits=10**9))
    plain = Machine(assemble(AMID), items)
    calls = [(OUTER, [len(items), 5]), (OUTER, [3, -(2**80)]), (SUMS, [2, 1]), (AT, [len(items) - 1])]
    wanted = [plain.call(number, list(arguments)) for number, arguments in calls]

    def is_well() -> bool:
        found = [machine.call(number, list(arguments)) for number, arguments in calls * 3]
        return found == wanted * 3 and is_at_rest(machine)

    assert is_well()
    code = [machine.tiers[each].code for each in machine.functions]

    def is_as_before() -> bool:
        return is_at_rest(machine) and [machine.tiers[each].code for each in machine.functions] == code and is_well()

    return machine, is_as_before


# ---- faults and traps. These functions have a process of their own.


def a_fault_in_an_op(path: str, a: str) -> None:
    """`vm_item` reads where there is nothing."""
    cnp.catch_faults()
    machine, is_as_before = amid(tables.load(path)[1])
    assert all(machine.tiers[each].code for each in machine.functions)
    items = ctypes.c_void_p.from_address(ctypes.addressof(machine.context))  # its first member
    address = items.value
    for _ in range(3):
        items.value = 24
        with pytest.raises(cnp.Trap) as caught:
            machine.call(OUTER, [4, int(a)])
        assert (caught.value.kind, caught.value.detail) == (cnp.TrapKind.MEMORY_FAULT, "SIGSEGV at address 0x18")
        items.value = address
        assert is_as_before()


def extended(path: str) -> Table:
    """The table with two more instructions, as an embedder adds them: the length of C's text, and division."""
    ops = tables.load(path)[0]
    length = cnp.extern(ctypes.cast(ctypes.CDLL(None)["strlen"], ctypes.c_void_p).value or 0, [i64], i64)
    more = {
        12: Instruction(
            "length",
            ("i64_shr_s", peek(0), peek(0), 1),
            ("call", peek(0), length, peek(0)),
            *[("i64_add", peek(0), peek(0), peek(0))],
        ),
        13: Instruction("divide", ("i64_div_s", push, pop, pop), ("i64_add", peek(0), peek(0), peek(0))),
    }
    check.EFFECTS.update({12: (1, 1), 13: (2, 1)})
    page = Page(Field(0), {**tables.INSTRUCTIONS, **more}, length=4)
    return Table(page, parameters=[tables.VM, tables.LOCALS], stack=tables.STACK, functions=ops.Function)


def a_fault_or_trap_in_c(path: str) -> None:
    """Of a C function that an instruction calls, and of an op: every second call is good."""
    cnp.catch_faults()
    text = ctypes.create_string_buffer(b"four")
    functions = assemble(
        "function at i = get i item return function f a = get a return function g a = push 12 get a add return"
    )
    first = INSTRUCTION.pack(Op.GET, 0, 0)
    functions[1].code[:] = first + INSTRUCTION.pack(12, 0, 0) + INSTRUCTION.pack(Op.RETURN, 0, 0)
    functions[2].code[8:12] = INSTRUCTION.pack(13, 0, 0)
    machine = TieredMachine(extended(path), functions, (), tiers.Policy(calls=1))
    for _ in range(3):
        assert machine.call(1, [ctypes.addressof(text)]) == 4
        with pytest.raises(cnp.Trap, match=r"memory fault \(SIGSEGV at address 0x18\) in a call of function 'f'"):
            machine.call(1, [24])
        assert machine.call(2, [4]) == 3 and is_at_rest(machine)
        with pytest.raises(cnp.Trap, match="integer divide by zero in function 'g'"):
            machine.call(2, [0])
        assert is_at_rest(machine)


@WAYS
def test_a_fault_in_an_op(stackvm: Path, a: int) -> None:
    alone(a_fault_in_an_op, str(stackvm), str(a))


def test_a_fault_or_trap_in_c(stackvm: Path) -> None:
    alone(a_fault_or_trap_in_c, str(stackvm))


# ---- exceptions of Python's


@WAYS
def test_an_error_of_the_guest_amid_compiled_code(stackvm_table: Table, a: int) -> None:
    """Its handler raises it, with compiled code of three functions around it."""
    machine, is_as_before = amid(stackvm_table, Watched)
    for _ in range(3):
        with pytest.raises(GuestError, match=rf"^callee, offset 4: there is no item {len(ITEMS)}$"):
            machine.call(OUTER, [len(ITEMS) + 1, a])
        assert is_as_before()


class Refused(Exception):
    """What Python raises in these tests."""


class Host(TieredMachine):
    """Its function `callee` is Python's, which raises `error` for the argument `last`."""

    last: int | None = None
    error: type[BaseException] = Refused
    asked: int = 0

    def compile(self, function: Function, point: int | None) -> Any:
        return None if function.name == "callee" else super().compile(function, point)

    def interpret(self, function: Function, at: int, local: list[int], stack: list[int]) -> int:
        if function.name == "callee":
            self.asked += 1
            if local[0] == self.last:
                raise self.error("no")
        return super().interpret(function, at, local, stack)


@WAYS
@pytest.mark.parametrize("error", [Refused, KeyboardInterrupt, MemoryError])
def test_an_exception_in_a_callback(stackvm_table: Table, error: type[BaseException], a: int) -> None:
    machine, is_as_before = amid(stackvm_table, Host)
    assert isinstance(machine, Host)
    machine.error = error
    for last in (0, 1, len(ITEMS) - 1):
        machine.last, machine.asked = last, 0
        with pytest.raises(error, match=r"^no$"):
            machine.call(OUTER, [len(ITEMS), a])
        assert machine.asked == last + 1  # nothing behind it was done
        machine.last = None
        assert is_as_before()


# ---- Ctrl-C

STOPPED = """
function at i = get i item return
function f a n =
  get a push 1 add set a
  again: get i get n unless_less done
    get i push 1 add set i
  loop again
  done: get a get i add return
"""


@pytest.mark.parametrize(
    ("calls", "a"), [(2, 5), (10**9, 5), (2, 2**62)], ids=["called", "entered", "entered by a handler"]
)
def test_interrupt_in_a_compiled_loop(stackvm_table: Table, calls: int, a: int) -> None:
    machine = Watched(stackvm_table, assemble(STOPPED), ITEMS, tiers.Policy(calls=calls, loops=3, exits=99))
    tier = machine.tiers[machine.functions[1]]

    def runs() -> None:
        for _ in range(3):
            assert [machine.call(1, [each, 9]) for each in (a, 1, -(2**80))] == [a + 10, 11, 10 - 2**80]
            assert [machine.call(AT, [index]) for index in range(len(ITEMS))] == list(ITEMS)

    runs()
    code, entries = tier.code, dict(tier.entries)
    assert (code is not None) == (calls == 2) and list(entries) == [16] and entries[16]
    for _ in range(2):
        machine.left.clear()
        with interrupted():
            machine.call(1, [a, 2**61])
        assert machine.left == ([("f", 8, [a, 2**61, 0, a, 1])] if a == 2**62 else [])
        assert is_at_rest(machine) and tuple(machine.words.large) == LARGE
        assert tier.code is code and tier.entries == entries
        runs()


DEEP = """
function at i = get i item return
function calls n = get n push 1 unless_less more get n return
  more: get n push -1 add call calls 1 get n push -1 add call calls 1 add return
function for_ever n = get n push 1 add call for_ever 1 return
"""
CALLS, FOR_EVER = 1, 2


def test_interrupt_in_compiled_calls(stackvm_table: Table) -> None:
    machine = TieredMachine(stackvm_table, assemble(DEEP), ITEMS, tiers.Policy(calls=2))
    for _ in range(3):
        assert machine.call(CALLS, [9]) == 0
        with interrupted():
            machine.call(CALLS, [70])
        assert is_at_rest(machine)
    assert machine.tiers[machine.functions[CALLS]].code


def interrupts_at_any_moment(path: str) -> None:
    """While it interprets, compiles, leaves, gives up and frees. In a process of its own: what comes within a finalizer
    is told and lost, and the next has to do."""
    r = random.Random(3)
    policy = tiers.Policy(calls=3, loops=5, exits=20, attempts=10**9)
    table, plain = tables.load(path)[1], Machine(assemble(TOGETHER), ITEMS)
    calls = [(2, (300, 0)), (2, (9, 2**62 + 5)), (1, (-(3**80), 3))]
    jobs = [(number, each, plain.call(number, list(each))) for number, each in calls]
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for trial in range(300):
        if trial % 10 == 0:
            machine = TieredMachine(table, assemble(TOGETHER), ITEMS, policy)
        try:
            signal.setitimer(signal.ITIMER_REAL, r.uniform(1e-5, 1.5e-3), 0.05)
            while True:
                for number, each, wanted in jobs:
                    assert machine.call(number, list(each)) == wanted
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert machine.words.running == 0 and not machine.lock.locked()
        for number, each, wanted in jobs:
            assert machine.call(number, list(each)) == wanted
        assert is_at_rest(machine)
        for tier in machine.tiers.values():
            assert tier.error is None and tier.state is not tiers.State.COMPILING


def test_interrupts_at_any_moment(stackvm: Path) -> None:
    alone(interrupts_at_any_moment, str(stackvm))


# ---- what does not end


@pytest.mark.parametrize("policy", [tiers.Policy(calls=2), NEVER], ids=["compiled", "interpreted"])
def test_endless_recursion(stackvm_table: Table, policy: tiers.Policy) -> None:
    """By itself, and by a budget in front of that."""
    machine = TieredMachine(stackvm_table, assemble(DEEP), ITEMS, policy)
    for _ in range(3):
        with pytest.raises(RecursionError if policy is NEVER else cnp.Trap) as caught:
            machine.call(FOR_EVER, [0])
        assert policy is NEVER or caught.value.kind is cnp.TrapKind.STACK_OVERFLOW
        with cnp.fuel(200) as fuel, pytest.raises(cnp.Trap) as stopped:
            machine.call(FOR_EVER, [2**62])
        assert stopped.value.kind is cnp.TrapKind.OUT_OF_FUEL and fuel.left == 0
        assert is_at_rest(machine) and machine.call(CALLS, [5]) == 0


def test_exits_within_one_another_leave_room(stackvm_table: Table) -> None:
    """The handler enters the loop again, in the frames of the code that was left: an embedder's own are below those."""
    machine = Watched(stackvm_table, assemble(TEXT))

    def below(frames: int) -> int:
        return below(frames - 1) if frames else machine.call(POWER, [3, 3_000])

    assert below(sys.getrecursionlimit() // 2) == 3**3_000
    assert len(machine.left) > 10 and is_at_rest(machine)


@pytest.mark.parametrize("policy", [tiers.Policy(calls=2, loops=3), NEVER], ids=["compiled", "interpreted"])
@pytest.mark.parametrize(
    "body",
    [
        "again: get a push 1 add set a loop again",
        "push 7 again: get a push 1 add set a loop again",  # with a value on the stack: no loop to be entered
        "again: get a get a add set a loop again",  # most rounds are the interpreter's, within exits
        "again: get a call f 1 set a loop again",
    ],
)
def test_a_budget_ends_what_has_no_end(stackvm_table: Table, policy: tiers.Policy, body: str) -> None:
    text = f"function at i = get i item return function f a = {body} function g a = get a push 1 add return"
    machine = TieredMachine(stackvm_table, assemble(text), ITEMS, policy)
    for _ in range(3):
        with cnp.fuel(300) as fuel, pytest.raises(cnp.Trap) as caught:
            machine.call(1, [1])
        assert caught.value.kind is cnp.TrapKind.OUT_OF_FUEL and fuel.left == 0
        assert is_at_rest(machine) and machine.call(2, [2**62]) == 2**62 + 1


ENDLESS = """
function at index = get index item return
function endless = again: push 0 item set x loop again
"""


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


# ---- threads


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


TOGETHER = """
function at index = get index item return
function f a b = get a get b add return
function g n x =
  again: get i get n unless_less done
    get x push 3 item call f 2 set x
    get i push 1 add set i
  loop again
  done: get x get n call f 2 return
"""
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
