"""The guide's stack machine when it is stopped: faults and traps in C, exceptions of Python's, Ctrl-C, budgets,
endless recursion. The machine can be used again, and so can the code."""

from __future__ import annotations

import ctypes
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import LIBRARY
from stackvm_support import AT, ITEMS, LARGE, NEVER, POWER, TOGETHER, Watched, is_at_rest
from stops import alone, interrupted

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
