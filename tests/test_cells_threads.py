"""Threads that run code through cells while another exchanges, invalidates and frees what is in them."""

from __future__ import annotations

import gc
import os
import random
import threading
from typing import Any

import pytest

import cnp
from cnp import Function, i64
from cnp.backends import native
from cnp.runtime import threads

SITES, KEYS, THREADS = 8, 5, 4
CHANGES = 6_000
ROUNDS = 2_000
"""Of a worker between two visits to Python, each with a call through every site."""


def general() -> Any:
    """What every target of a site computes: x * (2 * key + 1) + key."""
    f = Function("general", [i64, i64], i64)
    key, x = f.params
    d = f.reg(i64)
    f.i64_shl(d, key, 1)
    f.i64_add(d, d, 1)
    f.i64_mul(d, d, x)
    f.i64_add(d, d, key)
    f.ret(d)
    return f.compile()


def special(wanted: int, miss: Any, assumption: cnp.Assumption) -> Any:
    """The same for one key, which it checks, as long as an assumption holds: else it asks the general one.

    Key and what is done for it change together, because both are in the code. It calls that in the middle, too, so that
    there is something to return to.
    """
    f = Function(f"special_{wanted}", [i64, i64], i64)
    (key, x), d, otherwise = f.params, f.reg(i64), f.label()
    again = f.reg(i64)
    f.assume(assumption, otherwise)
    f.branch_i64_ne(key, wanted, otherwise)
    f.i64_mul(d, x, 2 * wanted + 1)
    f.call(again, miss, key, x)
    f.i64_add(d, d, wanted)
    f.i64_add(d, d, again)
    f.i64_shr_s(d, d, 1)
    f.ret(d)
    f.place(otherwise)
    f.call(d, miss, key, x)
    f.ret(d)
    return f.compile()


def worker(sites: list[cnp.Cell], stop: cnp.DataCell) -> Any:
    """Calls every site, round after round, with keys in turn. The number of the first round that went wrong, or -1."""
    f = Function("worker", [i64, i64], i64)
    x, rounds = f.params
    key, found, expected, end = (f.reg(i64) for _ in range(4))
    again, wrong, done = f.label(), f.label(), f.label()
    f.i64_add(end, x, rounds)
    f.place(again)
    for number, site in enumerate(sites):
        f.i64_add(key, x, number)
        f.i64_rem_u(key, key, KEYS)
        f.call(found, site, key, x)
        f.i64_shl(expected, key, 1)
        f.i64_add(expected, expected, 1)
        f.i64_mul(expected, expected, x)
        f.i64_add(expected, expected, key)
        f.branch_i64_ne(found, expected, wrong)
    f.load_cell(found, stop)
    f.branch_i64_nez(found, done)
    f.i64_add(x, x, 1)
    f.branch_i64_lt_s(x, end, again)
    f.place(done)
    f.ret(-1)
    f.place(wrong)
    f.ret(x)
    return f.compile(nogil=True)


def live() -> tuple[int, int]:
    gc.collect()
    statistics = native.core().memory.statistics()
    return statistics.live, statistics.live_blocks


def exchange(sites: list[cnp.Cell], changes: int) -> tuple[int, int]:
    """Gives sites other targets, one after the other, and breaks assumptions: how many, and the most that waited."""
    r = random.Random(7)
    miss = sites[0].fallback
    assumption, broken, most = cnp.Assumption("0"), 0, 0
    targets: list[Any] = []
    for number in range(changes):
        if number % 50 == 0:
            assumption.invalidate()
            broken += 1
            assumption = cnp.Assumption(str(number))
            targets = [special(key, miss, assumption) for key in range(KEYS)]
        if number % 3 == 0:
            assert r.choice(sites).set(special(r.randrange(KEYS), miss, assumption))
        elif number % 7 == 0:
            r.choice(sites).reset()
        else:
            r.choice(sites).set(r.choice(targets))
        most = max(most, threads.waiting())
    assumption.invalidate()
    return broken, most


def test_results_stay_right_and_memory_comes_back() -> None:
    before = live()
    fallback = general()
    sites = [cnp.Cell(f"site_{number}", [i64, i64], i64, fallback) for number in range(SITES)]
    stop = cnp.DataCell(0)
    call = worker(sites, stop)
    found: list[tuple[int, int]] = []

    def run(call: Any, start: int) -> None:
        visits = 0
        while not stop.value:
            wrong = call(start, ROUNDS)
            if wrong >= 0:
                found.append((start, wrong))
                return
            visits += 1
        found.append((-1, visits))

    workers = [threading.Thread(target=run, args=[call, number << 32]) for number in range(THREADS)]
    for each in workers:
        each.start()
    broken, most = exchange(sites, CHANGES)
    stop.value = 1
    for each in workers:
        each.join()
    assert [wrong for wrong, _ in found] == [-1] * THREADS
    assert all(visits > 10 for _, visits in found)
    assert broken > 100
    assert most > 0, "nobody was ever inside what was replaced: this test says nothing"
    assert all(each.target is fallback for each in sites)
    assert threads.waiting() <= 1  # the last to leave may have been on its way
    threads.reclaim()
    assert threads.waiting() == 0
    workers.clear()
    del sites, call, fallback, each, run
    assert live() == before


def test_what_waits_for_a_thread_is_freed_when_that_leaves() -> None:
    """With nobody compiling or setting anything any more; and not while it is inside."""
    fallback = general()
    site, stop, inside = cnp.Cell("site", [i64, i64], i64, fallback), cnp.DataCell(0), cnp.DataCell(0)
    f = Function("spin", [i64, i64], i64)
    flag, again = f.reg(i64), f.label()
    f.i64_store(1, inside.address)
    f.place(again)
    f.load_cell(flag, stop)
    f.branch_i64_eqz(flag, again)
    f.i64_add(f.params[0], f.params[0], f.params[1])
    f.ret(f.params[0])
    site.set(f.compile())
    g = Function("g", [], i64)
    g.call(d := g.reg(i64), site, 30, 12)
    g.ret(d)
    call, found, before = g.compile(nogil=True), [], live()
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    while not inside.value:
        pass
    site.reset()
    del f
    for _ in range(3):  # others come and go
        assert site(1, 1) == 4
        fallback.function.compile()
        assert threads.waiting() == 1
        assert live() == before
    stop.value = 1
    thread.join()
    assert found == [42]
    assert threads.waiting() == 0
    assert live()[1] == before[1] - 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_a_fork_waits_for_nobody() -> None:
    """The thread that was inside is not there."""
    fallback = general()
    site, stop, inside = cnp.Cell("site", [i64, i64], i64, fallback), cnp.DataCell(0), cnp.DataCell(0)
    f = Function("spin", [])
    flag, again = f.reg(i64), f.label()
    f.i64_store(1, inside.address)
    f.place(again)
    f.load_cell(flag, stop)
    f.branch_i64_eqz(flag, again)
    f.ret()
    thread = threading.Thread(target=f.compile(nogil=True), daemon=True)
    thread.start()
    while not inside.value:
        pass
    site.set(general())
    site.reset()
    assert threads.waiting() == 2
    child = os.fork()
    if not child:
        site.set(general())
        site.reset()
        os._exit(threads.waiting())
    stop.value = 1
    thread.join()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert threads.waiting() == 0
