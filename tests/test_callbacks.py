"""Callbacks: compiled code calls Python with values of its own, and ends with the exceptions that Python raises."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from conftest import LIBRARY

import cnp
from cnp import f32, f64, i32, i64
from cnp.ir.text import parse, print_module
from cnp.types import Type

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

WAYS: list[dict[str, Any]] = [{"backend": "reference"}, {}, {"nogil": True}]
each_way = pytest.mark.parametrize("options", WAYS, ids=["reference", "native", "nogil"])


def calling(callee: cnp.Callback, *arguments: Any, extra: int = 0) -> cnp.Function:
    """A function of an i64 that calls with it, or with the given arguments, keeping `extra` values across the call."""
    f = cnp.Function("calling", [i64], callee.result)
    (n,) = f.params
    kept = [f.reg(i64) for _ in range(extra)]
    for number, each in enumerate(kept):
        f.i64_add(each, n, number)
    d = None if callee.result is None else f.reg(callee.result)
    f.call(d, callee, *(arguments or [n]))
    if callee.result is i64 and d is not None:
        for each in kept:
            f.i64_add(d, d, each)
    f.ret(d)
    return f


@each_way
def test_arguments_of_all_types_and_as_many_as_there_may_be(options: dict[str, Any]) -> None:
    seen: list[Any] = []
    types = [i32, f32, i64, f64] * 4
    values = [-number if kind.is_integer else number + 0.5 for number, kind in enumerate(types)]
    callee = cnp.callback(lambda *given: seen.append(given) or 1, types, i64)
    assert calling(callee, *values).compile(**options)(0) == 1
    assert seen == [tuple(values)]
    assert [each.__class__ for each in seen[0]] == [int, float] * 8


@each_way
@pytest.mark.parametrize(
    "result, given, wanted",
    [(i32, -(2**31), -(2**31)), (i64, -1, -1), (i64, True, 1), (f32, 1.1, 1.100000023841858), (f64, 7, 7.0),
     (None, None, None)],
)  # fmt: skip
def test_results(options: dict[str, Any], result: Any, given: Any, wanted: Any) -> None:
    found = calling(cnp.callback(lambda n: given, [i64], result)).compile(**options)(5)
    assert found == wanted and found.__class__ is wanted.__class__


@each_way
@pytest.mark.parametrize(
    "result, given, error, accepted",
    [(i32, 2**31, OverflowError, r"i32 \(-2"), (i64, -(2**63) - 1, OverflowError, "i64"), (i64, 1.0, TypeError, "i64"),
     (f32, 1e39, OverflowError, "f32"), (f64, "1", TypeError, "f64"), (None, 0, TypeError, "None")],
)  # fmt: skip
def test_a_wrong_result_is_named(options: dict[str, Any], result: Any, given: Any, error: Any, accepted: str) -> None:
    callee = cnp.callback(lambda n: given, [i64], result, name="it")
    with pytest.raises(error, match=f"callback 'it' gave .*; accepted: {accepted}"):
        calling(callee).compile(**options)(5)


@each_way
def test_an_exception_passes_through_and_leaves_everything_in_order(options: dict[str, Any]) -> None:
    def fails(n: int) -> int:
        if n == 3:
            raise LookupError("three")
        return n

    f = calling(cnp.callback(fails, [i64], i64), extra=30)
    outer = cnp.Function("outer", [i64], i64)
    result = outer.reg(i64)
    outer.call(result, f, outer.params[0])
    outer.i64_add(result, result, outer.params[0])
    outer.ret(result)
    g = outer.compile(**options)
    for _ in range(3):
        with pytest.raises(LookupError, match="three") as caught:
            g(3)
        assert [each.name for each in caught.traceback][-1] == "fails"
        assert g(4) == 4 + 4 * 31 + sum(range(30))


@each_way
def test_python_and_compiled_code_in_turns(options: dict[str, Any]) -> None:
    """Each round enters compiled code again; what the innermost raises passes through all of them, or is caught."""
    limits = {"reference": 20}  # of Python's own stack

    def down(n: int) -> int:
        if n == 0:
            return inner() or 1
        try:
            return 1 + g(n - 1)
        except cnp.Trap:
            if n == catcher:
                return 1000
            raise

    traps = cnp.Function("traps", [], None)
    traps.unreachable()
    inner = traps.compile(**options)
    g = calling(cnp.callback(down, [i64], i64), extra=3).compile(**options)
    n = limits.get(options.get("backend", ""), 60)
    catcher = 10
    assert g(n) == 1000 + (n - 10) + sum(3 * each + 3 for each in range(10, n + 1))
    catcher = -1
    with pytest.raises(cnp.Trap, match="unreachable in function 'traps'"):
        g(n)
    catcher = 10
    assert g(10) == 1000 + 33


def test_endless_recursion_through_python_ends() -> None:
    """By whose limit depends on the version of Python."""
    g: Any = None
    callee = cnp.callback(lambda n: g(n + 1), [i64], i64)
    g = calling(callee, extra=20).compile()
    for _ in range(2):
        with pytest.raises((RecursionError, cnp.Trap)):
            g(0)


def test_other_threads_run_meanwhile() -> None:
    """Code that released the GIL gets it back for the callback, and gives it up again."""
    started = threading.Event()
    callee = cnp.callback(lambda n: started.set() or n, [i64], i64)
    f = cnp.Function("spin", [cnp.writable_ptr], i64)
    (flag,) = f.params
    value, again = f.reg(i64), f.label()
    f.call(value, callee, 1)
    f.place(again)
    f.i64_load(value, flag, 0)
    f.branch_i64_eqz(value, again)
    f.call(value, callee, value)
    f.ret(value)
    g, memory = f.compile(nogil=True), bytearray(8)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(g(memory)))
    thread.start()
    assert started.wait(20)
    time.sleep(0.01)
    assert not found
    memory[0] = 9
    thread.join(20)
    assert found == [9]


def test_what_a_callback_needs_lives_as_long_as_code_that_calls_it() -> None:
    class Callable:
        def __call__(self, n: int) -> int:
            return n * 2

    function = Callable()
    gone = weakref.ref(function)
    g = calling(cnp.callback(function, [i64], i64)).compile()
    g.function = None  # else it keeps the callback itself
    del function
    gc.collect()
    assert g(4) == 8 and gone() is not None
    del g
    gc.collect()
    assert gone() is None


def test_no_reference_is_lost_or_kept() -> None:
    value, marker = 2**40, object()
    g = calling(cnp.callback(lambda n: value, [i64], i64)).compile()
    f = cnp.Function("leaves", [i64], i64)
    f.jump(f.exit(lambda point, values: value, marker, [f.params[0], value]))
    h = f.compile()
    g(1), h(1)
    before = sys.getrefcount(value), sys.getrefcount(marker)
    for _ in range(100):
        assert g(1) == h(1) == value
    assert (sys.getrefcount(value), sys.getrefcount(marker)) == before


def test_one_callback_in_several_functions_has_one_way_in() -> None:
    callee = cnp.callback(abs, [i64], i64)
    one, two = calling(callee).compile(), calling(callee).compile()
    assert one(-3) == two(-3) == 3 and repr(callee) == "<callback abs>"
    assert len(callee.native) == 1


def test_what_cannot_be_a_callback() -> None:
    with pytest.raises(cnp.UserError, match="callback: 5 cannot be called; accepted: any callable"):
        cnp.callback(5, [])  # type: ignore[arg-type]
    with pytest.raises(cnp.UserError, match="callback: 'i64' is no parameter type"):
        cnp.callback(abs, ["i64"])  # type: ignore[list-item]
    with pytest.raises(cnp.UserError, match="callback: <class 'int'> is no result type"):
        cnp.callback(abs, [i64], int)  # type: ignore[arg-type]
    with pytest.raises(cnp.UserError, match="callback: more than 8 integer or 8 float parameters"):
        cnp.callback(abs, [i64] * 9)
    f = cnp.Function("f", [], i64)
    with pytest.raises(cnp.UserError, match="'abs' takes 1 arguments, not 0"):
        f.call(f.reg(i64), cnp.callback(abs, [i64], i64))
    assert list(Type) == [i32, i64, f32, f64]


def test_text_names_no_callback() -> None:
    text = print_module([calling(cnp.callback(abs, [i64, f32], i64), 1, 2.0)])
    assert text.startswith("callback abs(i64, f32) -> i64\n")
    with pytest.raises(cnp.ParseError, match="a callback is a Python object, which a text cannot name"):
        parse(text)
