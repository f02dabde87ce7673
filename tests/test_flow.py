"""Control flow on every machine: branches that are out of short reach, tables, polls, and options of compile."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from agreement import FRAME, function
from expectations import same
from machines import EmulatedMachine, Machine
from sample_functions import FAR, recursion, trap_of
from trials import EDGES

from cnp.errors import TrapKind
from cnp.ir import Function, Label, Register
from cnp.types import Type

i32, i64, f32, f64 = Type

# -- branches that are out of short reach


def far_branches(size: int, machine: Machine) -> Function:
    """Forwards and backwards over `size` bytes of code that a round runs or leaves out, on conditions of all kinds, and
    by a jump table; with constants that lie in memory on both sides."""
    f = Function("far", [i64, i32, f64], i64)
    n, c, x = f.params
    total, limit, head = f.reg(i64), f.reg(f64), f.label()
    f.move(total, 0)
    f.i64_const(bound := f.reg(i64), 2)
    f.f64_convert_i64_s(limit, bound)
    f.place(head)
    past: list[Label] = []

    def leave(method: str, *operands: Any) -> None:
        past.append(f.label())
        getattr(f, method)(*operands, past[-1])

    leave("branch_i64_eq", n, 1)
    leave("branch_i64_eqz", n)
    leave("branch_i32_nez", c)
    leave("branch_i64_lt_s", n, -5)
    leave("branch_f64_gt", x, limit)
    bit, odd = f.reg(i64), f.reg(i32)
    f.i64_and(bit, n, 64)
    leave("branch_i64_nez", bit)
    f.i64_lt_u(odd, n, 3)
    leave("branch_i32_nez", odd)
    here = f.label()
    f.branch_table(c, [past[0]], here)
    f.place(here)
    f.i64_xor(total, total, WIDE)
    fill(f, total, ops_of(size, machine))
    for number, each in enumerate(past):
        f.place(each)
        f.i64_mul(total, total, 3)
        f.i64_add(total, total, number)
    f.i64_xor(total, total, WIDE)
    f.i64_sub(n, n, 1)
    f.i32_const(c, 0)
    f.branch_i64_gt_s(n, 0, head)
    back, done = f.label(), f.label()
    f.place(back)
    f.i64_eq(odd, total, 0)
    f.branch_i32_nez(odd, done)
    f.branch_i64_ne(n, -100, done)
    f.jump(head)
    f.place(done)
    f.ret(total)
    return f


WIDE = 0x123456789ABCDEF1
"""A constant that most targets load from memory."""
EVERY = 1000


def fill(f: Function, total: Register, count: int) -> None:
    """Of EVERY ops one has a constant of its own."""
    for number in range(count):
        if number % EVERY == 1:
            f.i64_add(total, total, WIDE + number)
        elif number % 2:
            f.i64_mul(total, total, total)
        else:
            f.i64_xor(total, total, f.params[0])


def filled(total: int, n: int, count: int) -> int:
    """What `fill` makes of a number."""
    for number in range(count):
        if number % EVERY == 1:
            total = (total + WIDE + number) % 2**64
        else:
            total = total * total % 2**64 if number % 2 else total ^ n
    return total


def filler(count: int) -> Function:
    f = Function("filler", [i64], i64)
    total = f.reg(i64)
    f.move(total, 3)
    fill(f, total, count)
    f.ret(total)
    return f


def ops_of(size: int, machine: Machine) -> int:
    """So many ops of `fill` make a little more code than that."""
    sizes = [len(machine.callee(filler(count)).code) for count in (1000, 2000)]
    return (size + size // 100 + 64) * 1000 // (sizes[1] - sizes[0]) + 16


def far_result(n: int, c: int, x: float) -> int:
    """What far_branches returns for arguments on which it always leaves early."""
    total = 0
    while True:
        leaves = [n == 1, n == 0, c != 0, n < -5, x > 2, bool(n & 64), n % 2**64 < 3, c == 0]
        first = leaves.index(True)
        for number in range(first % 7, 7):
            total = (total * 3 + number) % 2**64
        total ^= WIDE
        n, c = n - 1, 0
        if n <= 0:
            return total - (2**64 if total >> 63 else 0)


SIZES = [1 << 10, 4 << 10, 32 << 10, 128 << 10, 1 << 20, 5 << 19]
"""Some are more than instructions reach: a branch of any machine, all that riscv64, aarch64 and loongarch64 have."""
for_each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size >> 10}K")


@for_each_size
def test_branches_out_of_reach(machine: Machine, size: int) -> None:
    call = machine.compile(far_branches(size, machine))
    assert len(call.code) > size
    for arguments in ((1, 0, 0.0), (0, 0, 0.0), (5, 7, 0.0), (-9, 0, 0.0), (4, 0, 3.0), (66, 0, 0.0), (2, 0, 0.0)):
        assert call(*arguments) == far_result(*arguments), arguments


@pytest.mark.parametrize("size", SIZES[1::2], ids=lambda size: f"{size >> 10}K")
def test_what_lies_between_far_branches_runs(machine: Machine, size: int) -> None:
    """Nobody leaves it out: forwards branches are not taken, those back are."""
    f = Function("between", [i64], i64)
    n, total, head, past = f.params[0], f.reg(i64), f.label(), f.label()
    f.move(total, 3)
    f.place(head)
    f.branch_i64_eqz(n, past)
    f.branch_i64_lt_s(n, 0, past)
    count = ops_of(size, machine)
    fill(f, total, count)
    f.i64_sub(n, n, 1)
    f.branch_i64_nez(n, head)
    f.place(past)
    f.ret(total)
    call = machine.compile(f)
    assert len(call.code) > size
    expected = filled(filled(3, 2, count), 1, count)
    assert call(2) == expected - (2**64 if expected >> 63 else 0)
    assert call(0) == 3


@pytest.mark.parametrize("labels", [1, 2, 1000])
def test_a_table_of_many_labels(machine: Machine, labels: int) -> None:
    f = Function("table", [i32], i64)
    found = [f.label() for _ in range(labels + 1)]
    f.branch_table(f.params[0], found[:-1], found[-1])
    for number, each in enumerate(found):
        f.place(each)
        f.ret(number * 3)
    for pins in (None, bytes([FRAME])):
        call = machine.compile(f, pins=pins)
        for index in {0, 1, labels // 2, labels - 1, labels, labels + 1, 2**31 - 1, -1, -(2**31)}:
            assert call(index) == 3 * (index if 0 <= index < labels else labels)


# -- polls


def endless(values: int = 0) -> Function:
    f = Function("endless", [i64], i64)
    head = f.label()
    kept = [f.reg(i64) for _ in range(values)]
    for each in kept:
        f.move(each, f.params[0])
    f.place(head)
    f.i64_add(f.params[0], f.params[0], 1)
    f.branch_i64_nez(f.params[0], head)
    for each in kept:
        f.i64_add(f.params[0], f.params[0], each)
    f.ret(f.params[0])
    return f


@pytest.mark.parametrize("values", [0, FAR])
def test_interruption(machine: Machine, values: int) -> None:
    if not isinstance(machine, EmulatedMachine):
        pytest.skip("test_native_traps.py has it")
    emulator = machine.emulator
    calls = recursion(values)
    never = Function("never", [i64], i64)
    head, d = never.label(), never.reg(i64)
    never.place(head)
    never.call(d, calls, 3)
    never.jump(head)
    for f in (endless(values), never):
        call = machine.compile(f)
        timer = threading.Timer(0.05, lambda: setattr(emulator, "interrupt", True))
        start = time.monotonic()
        timer.start()
        try:
            assert trap_of(call, 1).kind == TrapKind.INTERRUPTED
        finally:
            timer.join()
            emulator.interrupt = False
        assert time.monotonic() - start < 5
    assert machine.compile(recursion())(10) == 55


# -- options


@pytest.mark.parametrize("options", [{"landing_pads": True}, {"safepoints": False}, {"trace": True}], ids=str)
def test_options(machine: Machine, options: dict[str, bool]) -> None:
    f = function(
        """
func f(n: i64, k: i32) -> i64
  reg d, t: i64
  label head, a, b, done
  i64.const d, 0
head:
  branch_table k, [a, b], done
a:
  i64.add d, d, n
  i32.const k, 1
b:
  call t, g(n)
  i64.add d, d, t
  i64.sub n, n, 1
  branch i64.gt_s n, 0, head
done:
  ret d
end

func g(n: i64) -> i64
  i64.mul n, n, 3
  ret n
end
"""
    )
    call = machine.compile(f, **options)
    assert call(10, 0) == 10 + 3 * 55
    assert call(10, 1) == 3 * 55
    assert call(10, 7) == 0


def test_results_are_what_python_expects(machine: Machine) -> None:
    for type in Type:
        f = Function("same", [type], type)
        f.ret(f.params[0])
        call = machine.compile(f)
        for value in EDGES[type]:
            assert same(call(value), value)
