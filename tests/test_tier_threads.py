"""Threads in code with side exits, entries to its loop and guards of a table, while another exchanges and breaks it.

The guest's only function is `n times: a = 3 * a + b`, in six bytes; compiled by a table, and the same by hand."""

from __future__ import annotations

import ctypes
import random
import threading
from contextlib import suppress
from typing import Any

from guest_machines import signed
from test_cells import live

import cnp
from cnp import Function, i64
from cnp.bytecode import Exit, Field, Instruction, Page, Registers, Table, Target, Variable
from cnp.runtime import threads

THREADS = 4
ROUNDS = 40
"""All wait for one another between them, so that none is done long before the others."""
VISITS = 3
"""Of a thread, in a round: it calls compiled code for every job, then interprets one until it may enter the loop."""
CHANGES = 12
"""In a round, of the thread that makes them."""
PATIENCE = 8
"""Rounds that the interpreter makes before it enters compiled code."""
MOST = 400
"""Rounds of the guest's loop."""
PARAMETERS = [i64, i64, i64]  # n, a, b

STEP, AGAIN = 0, 2  # offsets
CODE = bytes([1, 0, 2, 1, STEP, 3])
R, HELD, NEXT = Registers(i64, 3), Variable(i64), Variable(i64)
LEAVE = Exit(R)
TABLE = Table(
    Page(
        Field(0),
        {
            1: Instruction(
                "step",
                ("load_cell", HELD, Field(1)),
                ("i64_mul", NEXT, R[1], 3),
                ("i64_add", NEXT, NEXT, R[2]),
                ("branch_i64_gt_s", NEXT, HELD, LEAVE),
                ("move", R[1], NEXT),
                length=2,
            ),
            2: Instruction(
                "again",
                ("assume", Field(1), LEAVE),
                ("i64_sub", R[0], R[0], 1),
                ("branch_i64_nez", R[0], Target(Field(2), "zero")),
                length=3,
            ),
            3: Instruction("return", ("ret", R[1]), length=1),
        },
    ),
    parameters=[R],
)


def meaning(n: int, a: int, b: int) -> int:
    """The reference."""
    for _ in range(n):
        a = signed(3 * a + b)
    return a


class Guest:
    """The function, how it is interpreted, and what there is of it in machine code at the moment."""

    def __init__(self, *, by_table: bool) -> None:
        self.translate = self.by_table if by_table else self.by_hand
        self.limit = cnp.DataCell(2**63 - 1)
        self.assumption = cnp.Assumption("first")
        self.left: list[int] = []  # where exits were taken, by all threads
        self.entered: list[int] = []
        self.enter: Any = None
        f = Function("interpreted", PARAMETERS, i64)
        f.call(f.params[1], cnp.callback(lambda *values: self.interpret(STEP, *values), PARAMETERS, i64), *f.params)
        f.ret(f.params[1])
        self.code = cnp.Cell("guest", PARAMETERS, i64, f.compile())

    def interpret(self, at: int, n: int, a: int, b: int) -> int:
        """Go on at an offset: the result."""
        rounds = 0
        assert 0 < n <= MOST, "not what was passed on: it may take forever"
        while True:
            if at == STEP:
                a = signed(3 * a + b)
            n, rounds, at = n - 1, rounds + 1, STEP
            if not n:
                return a
            enter = self.enter if rounds % PATIENCE == 0 else None
            if enter is not None:
                self.entered.append(n)
                return enter(n, a, b)  # type: ignore[no-any-return]

    def leave(self, at: int, values: tuple[int, ...]) -> int:
        self.left.append(at)
        return self.interpret(at, *values)

    def by_table(self) -> tuple[Function, Any, Any]:
        cells = [self.limit, self.assumption]
        f = TABLE.function("guest", PARAMETERS, i64, CODE, cells=cells, handler=self.leave)
        return f, f.label_at(STEP), f.registers(R)

    def by_hand(self) -> tuple[Function, Any, Any]:
        f = Function("guest", PARAMETERS, i64)
        (n, a, b), limit, head, following = f.params, f.reg(i64), f.label(), f.reg(i64)
        large, broken = (f.exit(self.leave, at, f.params) for at in (STEP, AGAIN))
        f.place(head)
        f.load_cell(limit, self.limit)
        f.i64_mul(following, a, 3)
        f.i64_add(following, following, b)
        f.branch_i64_gt_s(following, limit, large)
        f.move(a, following)
        f.assume(self.assumption, broken)
        f.i64_sub(n, n, 1)
        f.branch_i64_nez(n, head)
        f.ret(a)
        return f, head, f.params

    def compile(self) -> None:
        """Code and entry anew, under the present assumption."""
        f, head, registers = self.translate()
        self.code.set(f.compile(nogil=True))
        entry = f.entered_at(head, registers)
        code = entry.compile(nogil=True)
        self.enter = lambda *values: code(entry.pack(values))

    def change(self, r: random.Random, number: int) -> None:
        """One of what an interpreter and its debugger may do at any time."""
        action = r.randrange(8)
        if action == 0:
            self.assumption.invalidate()
        elif action == 1:
            self.code.reset()
        elif action == 2:
            self.enter = None
        elif action == 3:
            self.limit.value = 2**63 - r.choice((1, 1, 2**55, 2**58))
        else:
            if self.assumption.is_broken:
                self.assumption = cnp.Assumption(str(number))
            self.compile()


def caller(guests: list[Guest], jobs: Any) -> Any:
    """Calls every guest's code for every job; the number of the first result that is wrong, or -1."""
    f = Function("caller", [], i64)
    number, at, found, expected = (f.reg(i64) for _ in range(4))
    values, again, wrong = [f.reg(i64) for _ in PARAMETERS], f.label(), f.label()
    f.i64_const(number, 0)
    f.i64_const(at, ctypes.addressof(jobs))
    f.place(again)
    f.i64_load(expected, at, 24)
    for each in guests:
        for index, value in enumerate(values):
            f.i64_load(value, at, 8 * index)
        f.call(found, each.code, *values)
        f.branch_i64_ne(found, expected, wrong)
    f.i64_add(at, at, 32)
    f.i64_add(number, number, 1)
    f.branch_i64_lt_s(number, len(jobs) // 4, again)
    f.ret(-1)
    f.place(wrong)
    f.ret(number)
    return f.compile(nogil=True)


def test_an_interpreter_goes_in_and_out_while_code_changes(restless: None) -> None:
    before = live()
    r = random.Random(11)
    jobs = [(r.randrange(1, MOST), r.randrange(-9, 9), r.randrange(-(2**40), 2**40)) for _ in range(8)]
    expected = [meaning(*each) for each in jobs]
    rows = [value for job, result in zip(jobs, expected) for value in (*job, result)]
    guests = [Guest(by_table=True), Guest(by_table=False)]
    call = caller(guests, memory := (ctypes.c_int64 * len(rows))(*rows))
    for each in guests:
        each.compile()
    wrong: list[Any] = []
    together = threading.Barrier(THREADS + 1)

    def run(number: int, call: Any, guests: list[Guest]) -> None:
        try:
            for visit in range(ROUNDS * VISITS):
                if visit % VISITS == 0:
                    together.wait()
                first = call()
                index = (number + visit) % len(jobs)
                found = [each.interpret(STEP, *jobs[index]) for each in guests]
                if first >= 0 or found != [expected[index]] * len(guests):
                    wrong.append((first, index, found))
        except BaseException as error:
            wrong.append(error)
            together.abort()

    workers = [threading.Thread(target=run, args=[number, call, guests]) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    most = 0
    with suppress(threading.BrokenBarrierError):  # `wrong` says why
        for number in range(ROUNDS * CHANGES):
            if number % CHANGES == 0:
                together.wait()
            guests[number % len(guests)].change(r, number)
            most = max(most, threads.waiting())
    for worker in workers:
        worker.join()
    assert not wrong
    for each in guests:
        assert {STEP, AGAIN} == set(each.left) and each.entered, "not all of it has happened: this test says nothing"
    assert most > 0, "nobody was ever inside what was replaced: this test says nothing"
    assert len(memory) == 4 * len(jobs)
    threads.reclaim()
    assert threads.waiting() == 0
    workers.clear()
    del guests, call, each, run, worker
    assert live() == before
