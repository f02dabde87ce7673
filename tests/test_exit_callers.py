"""Side exits of callees, recursion, threads and C: who leaves, and where what is raised goes."""

from __future__ import annotations

import ctypes
import threading
import traceback
from typing import Any

import pytest
from conftest import LIBRARY
from exit_programs import Log
from exit_ways import callee_with_exit, each_way

import cnp
from cnp import i64

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


def _caller(callee: Any, live: int = 0) -> cnp.Function:
    """10 * callee(n) + n + 0 + 1 + ... + (live - 1)."""
    f = cnp.Function("caller", [i64], i64)
    (n,) = f.params
    values, result = [f.reg(i64) for _ in range(live)], f.reg(i64)
    for number, each in enumerate(values):
        f.i64_const(each, number)
    f.call(result, callee, n)
    f.i64_mul(result, result, 10)
    for each in [n, *values]:
        f.i64_add(result, result, each)
    f.ret(result)
    return f


@each_way
@pytest.mark.parametrize("live", [0, 5, 40])
def test_a_caller_goes_on_with_the_handlers_result(options: dict[str, Any], live: int) -> None:
    log = Log()
    f = _caller(callee_with_exit(lambda point, values: log.answer(1, values, i64) - 7919 - 1 + 50), live)
    g, more = f.compile(**options), sum(range(live))
    assert g(3) == 43 + more
    assert g(7) == 500 + 7 + more + 10 * ((7919 + 1) % 1000 - 7920)


def test_calls_of_calls_and_recursion() -> None:
    depth = cnp.Function("depth", [i64, i64], i64)
    n, limit = depth.params
    result = depth.reg(i64)
    depth.branch_i64_ge_s(n, limit, depth.exit(lambda point, values: sum(values), 1, [n, limit]))
    depth.i64_add(result, n, 1)
    depth.call(result, depth, result, limit)
    depth.i64_add(result, result, n)
    depth.ret(result)
    g = depth.compile()
    for limit_ in (0, 1, 500, 5000):
        assert g(0, limit_) == 2 * limit_ + sum(range(limit_))
    deeper = cnp.Function("deeper", [i64], i64)  # a handler that enters compiled code that is left, and so on
    (n,) = deeper.params
    deeper.branch_i64_le_s(n, 0, deeper.exit(lambda point, values: 0, 1, []))
    deeper.jump(deeper.exit(lambda point, values: 1 + h(values[0] - 1), 2, [n]))
    h = deeper.compile()
    assert h(100) == 100


@each_way
def test_exceptions_end_all_compiled_code_and_keep_their_traceback(options: dict[str, Any]) -> None:
    def fails(point: Any, values: tuple[Any, ...]) -> int:
        raise KeyError(point, values)

    f = _caller(callee_with_exit(fails), 12)
    g = f.compile(**options)
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            g(7)
        assert caught.value.args == ("seven", (7,))
        assert "fails" in [each.name for each in traceback.extract_tb(caught.value.__traceback__)]
        assert g(3) == 43 + sum(range(12))


@each_way
def test_a_trap_inside_a_handler_passes_through(options: dict[str, Any]) -> None:
    traps = cnp.Function("traps", [], None)
    traps.unreachable()
    inner = traps.compile(**options)
    f = _caller(callee_with_exit(lambda point, values: inner() or 5))
    g = f.compile(**options)
    with pytest.raises(cnp.Trap, match="unreachable in function 'traps'"):
        g(7)

    def catches(point: Any, values: tuple[Any, ...]) -> int:
        with pytest.raises(cnp.Trap):
            inner()
        return 5

    assert _caller(callee_with_exit(catches)).compile(**options)(7) == 57


def test_threads() -> None:
    callee = callee_with_exit(lambda point, values: values[0] + threading.get_ident() % 1000)
    g = _caller(callee, 20).compile(nogil=True)
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(200):
            found = g(7)
            if found != 10 * (7 + threading.get_ident() % 1000) + 7 + sum(range(20)) or g(1) != 21 + sum(range(20)):
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_a_call_from_c_raises() -> None:
    def fails(point: Any, values: tuple[Any, ...]) -> int:
        raise KeyError(point)

    g = callee_with_exit(fails).compile()
    assert g.ctypes(3) == 4
    with pytest.raises(KeyError, match="seven"):
        g.ctypes(7)
    without_gil: Any = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(g.address)
    caught: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", caught.append)
        assert without_gil(7) == 0
    assert [each.exc_type for each in caught] == [KeyError]


def test_a_thread_that_python_does_not_know() -> None:
    """Its exceptions are reported where they are raised."""

    def handler(point: Any, values: tuple[Any, ...]) -> int:
        seen.append(values[0])
        if values[0] < 0:
            raise KeyError(values[0])
        return 5

    f = cnp.Function("thread", [i64], i64)
    (n,) = f.params
    f.jump(f.exit(handler, 1, [n]))
    g = f.compile(nogil=True)
    seen: list[int] = []
    caught: list[Any] = []
    libc = ctypes.CDLL(None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", caught.append)
        for argument, wanted in ((3, 5), (-3, 0), (4, 5)):
            thread, result = ctypes.c_ulong(), ctypes.c_int64(-1)
            start = ctypes.c_void_p(g.address)
            assert not libc.pthread_create(ctypes.byref(thread), None, start, ctypes.c_int64(argument))
            assert not libc.pthread_join(thread, ctypes.byref(result))
            assert result.value == wanted
    assert seen == [3, -3, 4] and [each.exc_type for each in caught] == [KeyError]
