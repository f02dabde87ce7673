"""The native back end where Python, C and threads cross its path."""

from __future__ import annotations

import ctypes
import os
import threading

import pytest
from sized_threads import in_thread

import cnp
from cnp import Function, Trap, TrapKind, i32, i64


def counting(limit: int) -> Function:
    """Counts to `limit`, with a safepoint of its own in the loop."""
    f = Function("count", [], i64)
    i, again = f.reg(i64), f.label()
    f.i64_const(i, 0)
    f.place(again)
    f.safepoint()
    f.i64_add(i, i, 1)
    f.branch_i64_lt_s(i, limit, again)
    f.ret(i)
    return f


def test_a_safepoint_of_the_users_own_is_kept_without_the_others() -> None:
    def stencils(safepoints: bool) -> int:
        made = counting(10).compile(trace=True, safepoints=safepoints)
        count = made._code.core.library.control["count"]
        return sum(stencil == count for _, stencil, _ in made._code.parts[0].traces)

    assert (stencils(True), stencils(False)) == (2, 1)
    assert counting(100_000).compile(safepoints=False)() == 100_000


def test_a_constant_may_go_on_with_the_function_while_it_is_compiled() -> None:
    f = Function("f", [i64], i64)

    class Growing:
        def __index__(self) -> int:
            for _ in range(10_000):
                f.reg(i64)
            f._ops.clear()
            return 5

    f.i64_add(f.params[0], f.params[0], Growing())
    f.ret(f.params[0])
    assert f.compile()(2) == 7


@pytest.mark.parametrize("error", [RecursionError, KeyboardInterrupt, MemoryError])
def test_what_a_constant_raises_reaches_the_caller(error: type[BaseException]) -> None:
    class Raising:
        def __index__(self) -> int:
            raise error("from __index__")

    f = Function("f", [i64], i64)
    f.i64_add(f.params[0], f.params[0], Raising())
    f.ret(f.params[0])
    with pytest.raises(error, match="from __index__"):
        f.compile()


def test_a_trap_of_an_inner_call_through_c_is_not_lost() -> None:
    inner = Function("inner", [i64], i64)
    inner.i64_div_s(inner.params[0], 1, inner.params[0])
    inner.ret(inner.params[0])
    compiled = inner.compile()
    outer = Function("outer", [i64], i64)
    result = outer.reg(i64)
    outer.call(result, cnp.extern(compiled.address, [i64], i64), outer.params[0])
    outer.ret(result)
    made = outer.compile()
    assert made(1) == 1
    with pytest.raises(Trap) as caught:
        made(0)
    assert (caught.value.kind, caught.value.function) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, "inner")


def test_calls_on_a_thread_with_a_small_stack() -> None:
    f = Function("absolute", [i64], i64)
    d = f.reg(i64)
    libc = ctypes.CDLL(None)
    f.call(d, cnp.extern(ctypes.cast(libc.labs, ctypes.c_void_p).value or 0, [i64], i64), f.params[0])
    f.ret(d)
    made = f.compile()
    assert in_thread(128, lambda: made(-5)) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_compiles_although_another_thread_was_compiling() -> None:
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            counting(3).compile()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(counting(7).compile()())
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        done.set()
        thread.join()


def test_what_lies_between_code_and_its_tables_is_the_same_wherever_it_is() -> None:
    for adds in range(8):  # so that some gap is there
        f = Function("choose", [i32, i64], i64)
        index, value = f.params
        labels = [f.label() for _ in range(3)]
        f.branch_table(index, labels, labels[0])
        for number, each in enumerate(labels):
            f.place(each)
            for _ in range(adds):
                f.i64_xor(value, value, number + 1)
            f.ret(value)
        kept = [f.compile() for _ in range(3)]
        codes = {each.code for each in kept}
        del kept[:]  # what is compiled next comes where something else was
        codes |= {f.compile().code for _ in range(3)}
        assert len(codes) == 1
