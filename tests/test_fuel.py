"""Fuel: how many ticks code may take, on every machine, and what is left of them; what it leaves in memory."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from machines import Machine
from sample_functions import recursion, trap_of

import cnp
from cnp import Function, Trap, TrapKind, UserError, i64


def rounds() -> Function:
    """Two numbers in memory count the rounds of a loop, one after the other; it ends at n. At most n - 1 are equal."""
    f = Function("rounds", [cnp.writable_ptr, i64])
    memory, n = f.params
    count, again = f.reg(i64), f.label()
    f.i64_const(count, 0)
    f.place(again)
    f.i64_add(count, count, 1)
    f.i64_store(count, memory)
    f.i64_store(count, memory, 8)
    f.branch_i64_lt_s(count, n, again)
    f.ret()
    return f


def tree() -> Function:
    """A call for each node of a binary tree of that depth; each but the leaves takes a tick."""
    f = Function("tree", [i64], i64)
    (n,) = f.params
    d, e, more = f.reg(i64), f.reg(i64), f.label()
    f.branch_i64_nez(n, more)
    f.ret(1)
    f.place(more)
    f.i64_sub(n, n, 1)
    f.call(d, f, n)
    f.call(e, f, n)
    f.i64_add(d, d, e)
    f.i64_add(d, d, 1)
    f.ret(d)
    return f


@contextmanager
def budget(machine: Machine, ticks: int) -> Iterator[Callable[[], int]]:
    """That many ticks for the thread that runs the machine's code. Gives what says how many are left."""
    before = machine.fuel(ticks)
    yield machine.fuel
    machine.fuel(before)


class TestOnEveryMachine:
    def test_a_loop(self, machine: Machine) -> None:
        call, memory = machine.compile(rounds()), machine.array(16)
        counts = memory.view("int64")
        for ticks in (0, 1, 2, 99, 100, 8_191, 8_192, 8_193, 20_000):
            with budget(machine, ticks) as left:
                trap = trap_of(call, memory.ctypes.data, 2**40)
                assert (trap.kind, trap.function) == (TrapKind.OUT_OF_FUEL, "rounds")
                assert list(counts) == [ticks + 1] * 2  # the first round needs none to begin
                assert left() == 0
        with budget(machine, 20_000) as left:
            for n in (1, 100, 9_000, 9_899):
                call(memory.ctypes.data, n)
                assert list(counts) == [n] * 2
            assert left() == 20_000 - 1 - 100 - 9_000 - 9_899
        call(memory.ctypes.data, 30_000)  # as many as it likes again

    def test_calls(self, machine: Machine) -> None:
        call = machine.compile(tree())
        with budget(machine, 10_000) as left:
            assert call(10) == 2**11 - 1
            assert left() == 10_000 - (2**10 - 1)
            assert trap_of(call, 40).kind == TrapKind.OUT_OF_FUEL
            assert left() == 0
            assert call(0) == 1  # takes none

    @pytest.mark.parametrize("values", [0, 40])
    def test_frames(self, machine: Machine, values: int) -> None:
        """A large one takes a tick for each 128 bytes; what is left of one that stopped is nothing."""
        call = machine.compile(recursion(values))
        size = machine.part(call).frame_size
        each = 1 if size <= 120 else -(-size // 128)
        assert (each > 1) == (values > 0)
        with budget(machine, 100 * each + each - 1) as left:
            assert call(100) == 5050
            assert left() == each - 1
        with budget(machine, 100 * each + each - 1) as left:
            assert trap_of(call, 101).kind == TrapKind.OUT_OF_FUEL
            assert left() == 0

    def test_traps_give_back_what_was_handed_out(self, machine: Machine) -> None:
        f = Function("f", [i64, i64], i64)
        (n, by), d, again = f.params, f.reg(i64), f.label()
        f.place(again)
        f.i64_sub(n, n, 1)
        f.branch_i64_gt_s(n, 0, again)
        f.i64_div_s(d, n, by)
        f.ret(d)
        outer = Function("outer", [i64, i64], i64)
        outer.call(d := outer.reg(i64), f, *outer.params)
        outer.ret(d)
        call = machine.compile(outer)
        with budget(machine, 1_000) as left:
            assert trap_of(call, 50, 0).kind == TrapKind.INTEGER_DIVIDE_BY_ZERO
            assert left() == 1_000 - 51
            call(50, 1)
            assert left() == 1_000 - 102

    def test_a_deep_stack(self, machine: Machine) -> None:
        """Where ticks are few because the stack has little room left, the budget is the same."""
        call = machine.compile(recursion())
        with budget(machine, 10**6) as left:
            assert trap_of(call, -1).kind == TrapKind.STACK_OVERFLOW
            depth = 10**6 - left()
            assert call(depth - 1) == depth * (depth - 1) // 2
            assert left() == 10**6 - 2 * depth + 1


def taking(ticks: int, **options: Any) -> Callable[[], None]:
    """A function that takes so many, if there are any."""
    f = Function("taking", [])
    count, again = f.reg(i64), f.label()
    f.i64_const(count, ticks)
    f.place(again)
    f.i64_sub(count, count, 1)
    f.branch_i64_gt_s(count, 0, again)
    f.ret()
    compiled: Callable[[], None] = f.compile(**options)
    return compiled


class TestFuel:
    @pytest.mark.parametrize("nogil", [False, True])
    def test_used_and_left(self, nogil: bool) -> None:
        call = taking(70, nogil=nogil)
        with cnp.fuel(200) as fuel:
            assert (fuel.limit, fuel.left, fuel.used) == (200, 200, 0)
            call()
            assert (fuel.left, fuel.used) == (130, 70)
            call()
            trap = trap_of(call)
            assert (trap.kind, trap.function, fuel.left, fuel.used) == (TrapKind.OUT_OF_FUEL, "taking", 0, 200)
            assert str(trap) == "out of fuel in a call of function 'taking'"
            assert trap_of(call).kind == TrapKind.OUT_OF_FUEL
        assert (fuel.left, fuel.used) == (0, 200)
        taking(10**5)()
        with fuel:  # once more
            assert fuel.left == 200

    def test_blocks_in_blocks(self) -> None:
        call = taking(10)
        with cnp.fuel(100) as outer:
            call()
            with cnp.fuel(50) as inner:
                call()
                assert (inner.left, outer.left, outer.used) == (40, 80, 20)
                with cnp.fuel(10**9) as innermost:
                    assert innermost.left == 40  # what it is in has no more
                    with pytest.raises(Trap):
                        taking(41)()
                    assert (innermost.left, inner.left, outer.left) == (0, 0, 40)
                assert trap_of(call).kind == TrapKind.OUT_OF_FUEL
            assert (inner.used, outer.left) == (50, 40)
            call()
        assert (outer.left, outer.used, inner.used, innermost.used) == (30, 70, 50, 40)

    def test_a_callback_takes_from_what_is_left(self) -> None:
        inner, seen = taking(1_000), []

        def back(n: int) -> int:
            with cnp.fuel(5_000) as fuel:
                inner()
                seen.append(fuel.used)
                return n

        callback = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(back)
        f = Function("f", [i64], i64)
        (n,), d, again = f.params, f.reg(i64), f.label()
        f.place(again)
        f.call(d, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, [i64], i64), n)
        f.i64_sub(n, n, 1)
        f.branch_i64_gt_s(n, 0, again)
        f.ret(d)
        call = f.compile()
        with cnp.fuel(100_000) as fuel:
            call(7)
            assert (seen, fuel.used) == ([1_000] * 7, 7 * 1_000 + 7)

    def test_other_threads_have_their_own(self) -> None:
        call, found = taking(500, nogil=True), []

        def run(ticks: int) -> None:
            with cnp.fuel(ticks) as fuel:
                try:
                    call()
                    found.append((ticks, fuel.left))
                except Trap as trap:
                    found.append((ticks, trap.kind))

        with cnp.fuel(10):
            threads = [threading.Thread(target=run, args=[ticks]) for ticks in (499, 500, 600)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            assert trap_of(call).kind == TrapKind.OUT_OF_FUEL
        assert sorted(found) == [(499, TrapKind.OUT_OF_FUEL), (500, 0), (600, 100)]

    def test_loops_without_safepoints_are_not_counted(self) -> None:
        with cnp.fuel(3) as fuel:
            taking(1_000, safepoints=False)()
            assert fuel.used == 0

    def test_the_code_is_the_same(self) -> None:
        """At the same address, so that what leads to the core is, too."""
        f = rounds()
        plain = f.compile()
        found = plain.entry, plain.code
        del plain
        with cnp.fuel(5):
            limited = f.compile()
            assert (limited.entry, limited.code) == found

    @pytest.mark.parametrize("wrong", [-1, 2**62, 1.5, "many", None])
    def test_what_is_no_number_of_ticks(self, wrong: Any) -> None:
        with pytest.raises(UserError, match="accepted: an integer from 0"):
            cnp.fuel(wrong)

    def test_blocks_that_overlap(self) -> None:
        fuel, other = cnp.fuel(10), cnp.fuel(20)
        with fuel:
            with pytest.raises(UserError, match="in use"):
                fuel.__enter__()
            other.__enter__()
            with pytest.raises(UserError, match="in the order"):
                fuel.__exit__()
            other.__exit__()
