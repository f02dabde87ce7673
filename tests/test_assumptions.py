"""Assumptions: guards, what invalidation does to cells, and who hears of it."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from test_cells import adding, calling, live

import cnp
from cnp import Function, UserError, i64


def guarded(assumption: cnp.Assumption, n: int = 1_000) -> Any:
    """x + n as long as that holds, then -x."""
    f = Function("guarded", [i64], i64)
    (x,), otherwise = f.params, f.label()
    f.assume(assumption, otherwise)
    f.i64_add(x, x, n)
    f.ret(x)
    f.place(otherwise)
    f.i64_sub(x, 0, x)
    f.ret(x)
    return f.compile()


def test_a_guard() -> None:
    assumption = cnp.Assumption("len is len")
    g = guarded(assumption)
    assert not assumption.is_broken
    assert g(1) == 1_001
    assumption.invalidate()
    assert assumption.is_broken
    assert g(1) == -1
    assert guarded(assumption)(2) == -2
    assert repr(assumption) == "<assumption len is len, broken>"


def test_a_guard_in_a_loop_is_looked_at_every_round() -> None:
    """It is neither computed once in front of the loop, nor left out of one of two rounds."""
    assumption, seen = cnp.Assumption("a"), cnp.DataCell()
    f = Function("f", [i64], i64)
    n, count, again, done = f.params[0], f.reg(i64), f.label(), f.label()
    f.i64_const(count, 0)
    f.place(again)
    f.branch_i64_ge_s(count, n, done)
    f.i64_add(count, count, 1)
    f.i64_store(count, seen.address)
    f.assume(assumption, done)
    f.jump(again)
    f.place(done)
    f.ret(count)
    g, found = f.compile(nogil=True), []
    assert g(1_001) == 1_001
    thread = threading.Thread(target=lambda: found.append(g(2**62)))
    seen.value = 0
    thread.start()
    while seen.value == 0:
        pass
    assumption.invalidate()
    thread.join()
    assert 0 < found[0] < 2**62
    assert g(1_001) == 1


def test_cells_go_back_to_their_fallbacks() -> None:
    first, second = cnp.Assumption("first"), cnp.Assumption("second")
    fallback = adding(1).compile()
    cells = [cnp.Cell(f"site_{k}", [i64], i64, fallback) for k in range(4)]
    sites = [calling(each) for each in cells]
    for each, target in zip(cells, (guarded(first), guarded(second), adding(5).compile(), guarded(first))):
        assert each.set(target)
    cells[3].set(adding(7).compile())  # depends on it no longer
    assert [g(0) for g in sites] == [1_000, 1_000, 5, 7]
    first.invalidate()
    assert [g(0) for g in sites] == [1, 1_000, 5, 7]
    assert cells[0].target is fallback
    assert not cells[2].set(guarded(first))
    assert cells[2](0) == 5
    second.invalidate()
    assert [g(0) for g in sites] == [1, 1, 5, 7]


def test_what_was_compiled_together_depends_together() -> None:
    assumption = cnp.Assumption("a")
    inner = guarded(assumption).function
    cell = cnp.Cell("site", [i64], i64, adding(1).compile())
    cell.set(calling(inner))
    assert cell(0) == 1_000
    assumption.invalidate()
    assert cell(0) == 1


def test_callbacks() -> None:
    assumption, heard = cnp.Assumption("a"), []
    cell = cnp.Cell("site", [i64], i64, adding(1).compile())
    cell.set(guarded(assumption))

    def fail(_: cnp.Assumption) -> None:
        raise KeyError("mine")

    assumption.on_invalidate(lambda each: heard.append((each is assumption, each.is_broken, cell(0))))
    assumption.on_invalidate(fail)
    assumption.on_invalidate(lambda each: each.invalidate())  # it is already
    assumption.on_invalidate(lambda each: heard.append("last"))
    with pytest.raises(KeyError, match="mine"):
        assumption.invalidate()
    assert heard == [(True, True, 1), "last"]
    assumption.invalidate()
    assert len(heard) == 2
    assumption.on_invalidate(lambda _: heard.append("at once"))
    assert heard[2:] == ["at once"]
    with pytest.raises(UserError, match="cannot be called"):
        assumption.on_invalidate(None)  # type: ignore[arg-type]


def test_only_once_from_many_threads() -> None:
    for _ in range(20):
        assumption, heard = cnp.Assumption("a"), []
        assumption.on_invalidate(heard.append)
        threads = [threading.Thread(target=assumption.invalidate) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert heard == [assumption]


def test_lifetimes() -> None:
    """Code keeps what it depends on; that keeps neither code nor cells."""
    before = live()
    assumption = cnp.Assumption("a")
    alive = weakref.ref(assumption)
    g = guarded(assumption)
    cell = cnp.Cell("site", [i64], i64, adding(1).compile())
    cell.set(g)
    del assumption
    gc.collect()
    assert alive() is not None
    assert g(0) == 1_000
    kept = alive()
    del g, cell
    assert live() == before
    assert kept is not None
    kept.invalidate()
    del kept
    gc.collect()
    assert alive() is None


def test_what_is_no_assumption() -> None:
    f = Function("f", [i64])
    for wrong in (None, cnp.DataCell(1), "a"):
        with pytest.raises(UserError, match="is no assumption"):
            f.assume(wrong, f.label())  # type: ignore[arg-type]
