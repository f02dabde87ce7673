"""Cells: calls through memory on every machine, what a cell takes, what it keeps alive and what it lets go."""

from __future__ import annotations

import ctypes
import gc
import weakref
from typing import Any

import pytest
from machines import Machine
from sample_functions import FAR, summing, trap_of

import cnp
from cnp import Function, TrapKind, Unsupported, UserError, f32, f64, i32, i64
from cnp.backends import native
from cnp.ir.text import print_function
from cnp.runtime import threads
from cnp.types import Type


def adding(n: int) -> Function:
    f = Function(f"adding_{n}", [i64], i64)
    f.i64_add(f.params[0], f.params[0], n)
    f.ret(f.params[0])
    return f


def calling(cell: Any, **options: Any) -> Any:
    f = Function("calling", [i64], i64)
    d = f.reg(i64)
    f.call(d, cell, f.params[0])
    f.ret(d)
    return f.compile(**options)


# -- on every machine


@pytest.mark.parametrize("values", [0, 3, 40, FAR])
def test_frames_of_all_sizes(machine: Machine, values: int) -> None:
    """What lives across a call through a cell is still there behind it, and the call goes where the cell says."""
    targets = [machine.compile(adding(n)) for n in (5, 1_000)]
    cell = machine.cell(targets[0])
    f = Function("f", [i64], i64)
    kept = [f.reg(i64) for _ in range(values)]
    for number, each in enumerate(kept):
        f.i64_mul(each, f.params[0], number)
    d = f.reg(i64)
    f.call(d, cell, f.params[0])
    f.call(d, cell, d)
    for each in kept:
        f.i64_add(d, d, each)
    f.ret(d)
    call = machine.compile(f)
    for target, n in zip(targets, (5, 1_000)):
        machine.point(cell, target)
        assert call(7) == 7 + 2 * n + 7 * sum(range(values))


@pytest.mark.parametrize("result", list(Type), ids=str)
@pytest.mark.parametrize("types", [[i64] * 8, [f64] * 8, [f32, i64, i32, f64] * 2, []], ids=len)
def test_arguments_arrive(machine: Machine, types: list[Type], result: Type) -> None:
    callee = summing(types, result)
    direct = machine.compile(callee)
    f = Function("f", types, result)
    d = f.reg(result)
    f.call(d, machine.cell(direct), *f.params)
    f.ret(d)
    values = [number * 3 + 1 for number in range(len(types))]
    assert machine.compile(f)(*values) == direct(*values)


def test_recursion_and_traps(machine: Machine) -> None:
    f = Function("f", [i64, i64], i64)
    n, by = f.params
    cell, d, more = machine.cell(machine.compile(f_of_two())), f.reg(i64), f.label()
    f.branch_i64_nez(n, more)
    f.i64_div_s(n, 100, by)
    f.ret(n)
    f.place(more)
    f.i64_sub(d, n, 1)
    f.call(d, cell, d, by)
    f.i64_add(d, d, n)
    f.ret(d)
    call = machine.compile(f)
    machine.point(cell, call)
    assert call(100, 4) == 5050 + 25
    trap = trap_of(call, 3, 0)
    assert (trap.kind, trap.function) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, "f")
    assert trap_of(call, -1, 1).kind == TrapKind.STACK_OVERFLOW
    assert call(10, 4) == 55 + 25


def f_of_two() -> Function:
    f = Function("first", [i64, i64], i64)
    f.ret(f.params[0])
    return f


# -- what a cell takes


def test_targets_come_and_go() -> None:
    cell = cnp.Cell("site", [i64], i64)
    g = calling(cell)
    trap = trap_of(g, 1)
    assert (trap.kind, trap.function) == (TrapKind.UNREACHABLE, "site")
    for n in (1, 2, 3):
        target = adding(n).compile()
        assert cell.set(target)
        assert cell.target is target
        assert g(10) == cell(10) == 10 + n
    assert cell.set(target, fallback=True)
    assert cell.set(adding(9).compile())
    assert g(10) == 19
    cell.reset()
    assert cell.target is cell.fallback is target
    assert g(10) == 13
    first = adding(5).compile()
    assert calling(cnp.Cell("site", [i64], i64, first))(1) == 6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "is no native code; accepted: a compiled function (i64) -> i64"),
        (adding(1), "is no native code"),
        (adding(1).compile(backend="reference"), "is no native code"),
        (f_of_two().compile(), "'first' is (i64, i64) -> i64; accepted: (i64) -> i64"),
        (summing([f64], i64).compile(), "'summing' is (f64) -> i64; accepted: (i64) -> i64"),
        (summing([i64], f64).compile(), "'summing' is (i64) -> f64; accepted: (i64) -> i64"),
    ],
    ids=["None", "Function", "reference", "parameters", "type", "result"],
)
def test_what_a_cell_refuses(wrong: Any, message: str) -> None:
    cell = cnp.Cell("site", [i64], i64)
    before = cell.target
    with pytest.raises(UserError) as caught:
        cell.set(wrong)
    assert message in str(caught.value)
    assert str(caught.value).startswith("cell 'site': ")
    assert cell.target is before
    if wrong is not None:
        with pytest.raises(UserError):
            cnp.Cell("site", [i64], i64, wrong)


def test_a_pointer_is_an_i64() -> None:
    f = Function("f", [cnp.ptr], i64)
    d = f.reg(i64)
    f.i64_load(d, f.params[0])
    f.ret(d)
    cell = cnp.Cell("site", [i64], i64, f.compile())
    data = (5).to_bytes(8, "little")
    assert cell(data) == 5


def test_calls_are_checked() -> None:
    cell, f = cnp.Cell("site", [i64]), Function("f", [i64])
    with pytest.raises(UserError, match="'site' takes 1 arguments, not 2"):
        f.call(None, cell, 1, 2)
    with pytest.raises(UserError, match="'site' has no result"):
        f.call(f.params[0], cell, 1)
    f.call(None, cell, 1.5)
    f.ret()
    with pytest.raises(cnp.VerifyError, match="argument 0"):
        f.compile()


def test_where_cells_mean_nothing() -> None:
    from cnp.backends.foreign import compile_for_linker

    f, word = Function("f", [i64], i64), cnp.DataCell(3)
    f.load_cell(f.params[0], word)
    f.ret(f.params[0])
    for each in (f, calling(cnp.Cell("site", [i64], i64)).function):
        with pytest.raises(Unsupported, match="means nothing in an object file"):
            compile_for_linker(native.core(), [each], native.core().library, landing_pads=False)
    with pytest.raises(UserError, match="no cell"):
        f.load_cell(f.params[0], 5)  # type: ignore[arg-type]


def test_the_reference_interpreter_and_the_text_form() -> None:
    cell = cnp.Cell("site", [i64], i64, adding(1).compile())
    g = calling(cell, backend="reference")
    assert g(5) == 6
    cell.set(adding(2).compile())
    assert g(5) == 7
    assert "call %1, site(%0)" in print_function(g.function)


# -- data cells


def test_data_cells() -> None:
    word = cnp.DataCell(7)
    f = Function("f", [], i64)
    d, e = f.reg(i64), f.reg(i64)
    f.load_cell(d, word)
    f.i64_load(e, word.address)
    f.i64_sub(e, e, d)
    f.i64_add(d, d, e)
    f.ret(d)
    g = f.compile()
    assert word.address % 8 == 0
    for value in (7, -1, 2**63 - 1, -(2**63)):
        word.value = value
        assert g() == word.value == value
    word.value = 2**64 - 1
    assert word.value == -1
    for wrong in (2**64, -(2**63) - 1, 1.5, None, "x"):
        with pytest.raises(UserError, match="accepted: an integer"):
            word.value = wrong  # type: ignore[assignment]
        with pytest.raises(UserError, match="accepted: an integer"):
            cnp.DataCell(wrong)  # type: ignore[arg-type]
    alive = weakref.ref(word)
    del word, f
    gc.collect()
    assert alive() is not None  # by the code
    assert g() == -1
    del g
    gc.collect()
    assert alive() is None


# -- what is kept, and what is let go


def live() -> tuple[int, int]:
    gc.collect()
    statistics = native.core().memory.statistics()
    return statistics.live, statistics.live_blocks


@pytest.mark.parametrize("where", ["_write", "retire"])
def test_an_interrupt_amid_an_exchange_frees_nothing_too_early(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the store, and before the former target is known to be waiting."""
    from cnp.backends import cell as cells

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    first, second = adding(1).compile(), adding(2).compile()
    cell = cnp.Cell("site", [i64], i64)
    g = calling(cell)
    cell.set(first)
    gone = [weakref.ref(first), weakref.ref(second)]
    with monkeypatch.context() as patch:
        patch.setattr(*((cells.Word, "_write") if where == "_write" else (cells, "retire")), interrupted)
        with pytest.raises(KeyboardInterrupt):
            cell.set(second)
    del first, second
    gc.collect()
    assert all(each() for each in gone)
    assert g(10) == (11 if where == "_write" else 12)
    cell.set(adding(3).compile())
    gc.collect()
    assert g(10) == 13 and not any(each() for each in gone)


def test_targets_are_kept_alive_and_let_go() -> None:
    cell = cnp.Cell("site", [i64], i64)
    g = calling(cell)
    before = live()
    for n in range(10_000):
        cell.set(adding(n).compile())
        if n % 1_000 == 0:
            assert g(1) == n + 1
    cell.reset()
    assert live() == before
    assert threads.waiting() == 0


def test_cells_in_cycles_are_collected() -> None:
    before = live()
    for _ in range(3):
        cell = cnp.Cell("again", [i64], i64)
        g = calling(cell)
        cell.set(g)
        assumption = cnp.Assumption("a")
        assumption.on_invalidate(lambda _, cell=cell: cell.reset())
    del cell, g, assumption
    assert live() == before


def test_a_function_that_replaces_itself() -> None:
    """It runs on; its code is freed when the thread has left it, and not before."""
    cell = cnp.Cell("site", [i64], i64)
    gone: list[Any] = []

    def replace(n: int) -> int:
        cell.set(adding(n).compile())
        gc.collect()
        assert old() is not None
        gone.append(threads.waiting())
        return 7

    callback = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(replace)
    f = Function("f", [i64], i64)
    d, kept = f.reg(i64), f.reg(i64)
    f.i64_mul(kept, f.params[0], 3)
    f.call(d, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, [i64], i64), f.params[0])
    f.i64_add(d, d, kept)
    f.ret(d)
    g = calling(cell)
    inner: list[int] = []

    def call_and_look(n: int) -> int:
        inner.append(g(n))
        return threads.waiting()

    for nested in (False, True):  # inside another entry: then that one has to end
        target = f.compile()
        cell.set(target)
        old = weakref.ref(target)
        del target
        if nested:
            through = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(call_and_look)
            outer = calling(cnp.extern(ctypes.cast(through, ctypes.c_void_p).value or 0, [i64], i64))
            assert outer(100) == 1  # what waited when g had returned
            assert inner == [307]
        else:
            assert g(100) == 307
        assert threads.waiting() == 0
        gc.collect()
        assert old() is None
        assert g(1) == 101
    assert gone == [1, 1]


def test_what_traps_leaves_too() -> None:
    """An entry that ends early has ended."""
    cell = cnp.Cell("site", [i64], i64)

    def replace(n: int) -> int:
        cell.reset()
        return 0

    callback = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(replace)
    f = Function("f", [i64], i64)
    d = f.reg(i64)
    f.call(d, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, [i64], i64), f.params[0])
    f.i64_div_s(d, 1, d)
    f.ret(d)
    g, before = calling(cell), live()
    cell.set(f.compile())
    trap = trap_of(g, 5)
    assert (trap.kind, trap.op) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, 1)
    assert threads.waiting() == 0
    del trap
    assert live() == before
