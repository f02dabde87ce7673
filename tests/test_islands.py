"""Code that outgrows what its instructions reach has islands: tried with machines whose instructions reach 2 KiB."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import pytest
from machines import Machine
from random_outcomes import actual, agree, expected, text
from random_programs import Generator
from sample_functions import trap_of

from cnp.errors import TrapKind
from cnp.ir import Function
from cnp.stencil.layout import KIND, KIND_SIZE
from cnp.types import Type

i32, i64, f64 = Type.i32, Type.i64, Type.f64
REACH = 2048


@contextlib.contextmanager
def reaching(machine: Machine, reach: int) -> Iterator[None]:
    """A machine whose fields reach no farther than that, as far as they are why there are islands: what reaches more
    than the machine's own `reach` is left as it is. The core looks at each distance once more in the end."""
    tables = machine.tables
    before = tables.reach, tables.kinds
    kinds = ctypes.create_string_buffer(ctypes.string_at(tables.kinds, KIND_SIZE * len(machine.target.kinds)))
    for number, kind in enumerate(machine.target.kinds):
        if kind.pc_relative and kind.checked and kind.high <= tables.reach:
            *fields, low, high = KIND.unpack_from(kinds, number * KIND_SIZE)
            KIND.pack_into(kinds, number * KIND_SIZE, *fields, max(low, -reach), min(high, reach - 1))
    tables.reach, tables.kinds = reach, ctypes.addressof(kinds)
    try:
        yield
    finally:
        tables.reach, tables.kinds = before


@pytest.fixture
def narrow(machine: Machine) -> Iterator[Machine]:
    with reaching(machine, REACH):
        yield machine


def far_jumps(machine: Machine, f: Function) -> int:
    """Where a jump is far enough these are all jumps."""
    return [stencil for _, stencil in machine.stencils(f)].count(machine.library.control["far_jump"])


def test_random_programs(narrow: Machine) -> None:
    with_islands = 0
    for seed in range(80):
        program = Generator(seed, machine=narrow).program()
        wanted = expected(program)
        if wanted is None:
            continue
        for pins in (None, program.pins):
            found = actual(program, pins)
            assert agree(wanted, found), f"seed {seed}: expected {wanted}, got {found}:\n{text(program)}"
        part = narrow.part(narrow.compile(program.functions[0]))
        with_islands += part.code_size > REACH
    assert with_islands > 3


def everything(count: int, labels: int) -> Function:
    """In every part: a jump table, a constant, a loop that waits, a trap, a way out to the end and one back."""
    f = Function("everything", [i64, i64], i64)
    n, by = f.params
    total, part, which, odd = f.reg(i64), f.reg(i64), f.reg(i32), f.reg(f64)
    head, done = f.label(), f.label()
    f.i64_const(total, 0)
    f.f64_const(odd, 0.1)
    f.place(head)
    for number in range(count):
        f.i32_wrap_i64(which, n)
        rows = [f.label() for _ in range(labels)]
        behind = f.label()
        f.branch_table(which, rows, behind)
        for row, each in enumerate(rows):
            f.place(each)
            f.i64_add(total, total, row * number)
            if row % 2:
                f.jump(behind)
        f.place(behind)
        f.i64_xor(total, total, 0x123456789ABCDEF1 * number % 2**62)
        f.i64_div_s(part, total, by)
        f.i64_add(total, total, part)
        f.f64_mul(odd, odd, 1.0 + number / 7)
        f.branch_i64_eq(part, -12345 - number, done)
        f.branch_i64_eq(part, -54321 - number, head)
        again = f.label()
        f.i64_const(part, 3)
        f.place(again)
        f.i64_sub(part, part, 1)
        f.i64_add(total, total, part)
        f.branch_i64_nez(part, again)
    f.i64_sub(n, n, 1)
    f.branch_i64_gt_s(n, 0, head)
    f.place(done)
    f.i64_reinterpret_f64(part, odd)
    f.i64_add(total, total, part)
    f.ret(total)
    return f


@pytest.mark.parametrize(("count", "labels"), [(30, 5), (3, 900)])
def test_everything_that_is_near_stays_near(machine: Machine, count: int, labels: int) -> None:
    """A table alone may be larger than what is reached."""
    f = everything(count, labels)
    reference, without = f.compile(backend="reference"), far_jumps(machine, f)
    with reaching(machine, REACH):
        call = machine.compile(f)
        assert far_jumps(machine, f) > without + 2
    for arguments in ((1, 7), (2, -3), (4, 1), (7, 1 << 40), (40, 9)):
        assert call(*arguments) == reference(*arguments), arguments
    trap = trap_of(call, 3, 0)
    assert (trap.kind, str(trap)) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, str(trap_of(reference, 3, 0)))


def test_little_code_with_much_behind_it(narrow: Machine) -> None:
    """Jump tables of a few instructions' code are soon more than what is reached: an island is due early."""
    f = Function("tables", [i32], i64)
    f.i64_const(total := f.reg(i64), 0)
    for number in range(20):
        taken, behind = f.label(), f.label()
        f.branch_table(f.params[0], [taken, behind] * 50, behind)
        f.place(taken)
        f.i64_add(total, total, 1 << number)
        f.place(behind)
    f.ret(total)
    call = narrow.compile(f)
    assert [call(k) for k in (0, 1, 98, 99, 100, -1)] == [(1 << 20) - 1, 0, (1 << 20) - 1, 0, 0, 0]


def test_code_that_is_reached_has_none(machine: Machine) -> None:
    f = everything(30, 5)
    size = len(machine.callee(f).code)
    for reach, has_some in ((1 << 30, False), (REACH, True)):
        with reaching(machine, reach):
            assert (len(machine.callee(f).code) != size) == has_some
