"""Native functions in threads, and how long they live."""

from __future__ import annotations

import copy
import ctypes
import gc
import inspect
import pickle
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_arguments import identity

import cnp
from cnp import Function, f32, f64, i32, i64, ptr
from cnp.runtime import reservation
from cnp.runtime.callable import NativeFunction


class TestThreads:
    def spin(self, **options: Any) -> Any:
        """Waits until the i64 in memory is not 0; returns it."""
        f = Function("spin", [i64], i64)
        value, again = f.reg(i64), f.label()
        f.place(again)
        f.i64_load(value, f.params[0])
        f.branch_i64_eqz(value, again)
        f.ret(value)
        return f.compile(**options)

    def test_nogil_lets_other_threads_go_on(self) -> None:
        flag = np.zeros(1, np.int64)
        started = threading.Event()

        def release() -> None:
            started.wait()
            flag[0] = 7

        thread = threading.Thread(target=release)
        thread.start()
        started.set()
        assert self.spin(nogil=True)(flag.ctypes.data) == 7
        thread.join()

    def test_two_run_at_once(self) -> None:
        """Each waits for the other, which needs both to run."""
        f = Function("meet", [i64, i64], i64)
        value, again = f.reg(i64), f.label()
        f.i64_store(1, f.params[0])
        f.place(again)
        f.i64_load(value, f.params[1])
        f.branch_i64_eqz(value, again)
        f.ret(value)
        g, flags, results = f.compile(nogil=True), np.zeros(2, np.int64), []
        a, b = flags.ctypes.data, flags.ctypes.data + 8
        threads = [threading.Thread(target=lambda x=x, y=y: results.append(g(x, y))) for x, y in ((a, b), (b, a))]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert results == [1, 1]

    def test_nogil_arguments_errors_and_results(self) -> None:
        f = Function("half", [f32, i64, ptr], f64)
        d = f.reg(f64)
        f.f64_load(d, f.params[2])
        f.ret(d)
        g = f.compile(nogil=True)
        assert g(0.5, 1, np.array([2.5])) == 2.5
        with pytest.raises(OverflowError):
            g(1e39, 1, b"")
        with pytest.raises(TypeError):
            g(1, 2)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class TestLifetime:
    def test_calls_leave_nothing_behind(self) -> None:
        f = Function("f", [i64, f64, ptr], i64)
        f.ret(f.params[0])
        g, data, number, real = f.compile(), bytearray(8), 12345678901, 1.25
        objects = (data, number, real, g, None)
        wrong: list[tuple[Any, ...]] = [(number,), (number, real, "x"), (2**70, real, data), (number, "x", data)]

        def rounds(count: int) -> None:
            for _ in range(count):
                assert g(number, real, data) == number
                for each in wrong:
                    try:
                        g(*each)
                    except (TypeError, OverflowError):
                        pass

        rounds(2000)
        gc.collect()
        before, memory = [sys.getrefcount(each) for each in objects[:-1]], resident()
        rounds(20_000)
        gc.collect()
        assert [sys.getrefcount(each) for each in objects[:-1]] == before
        assert resident() - memory < 2 << 20

    def test_results_are_new_objects_that_die(self) -> None:
        g = identity(i64)
        memory = resident()
        for _ in range(100_000):
            g(2**60)
        assert resident() - memory < 1 << 20

    def test_a_caller_keeps_its_callee(self) -> None:
        f = Function("inner", [i64], i64)
        f.i64_mul(f.params[0], f.params[0], 3)
        f.ret(f.params[0])
        inner = f.compile()
        alive = weakref.ref(inner)
        h = Function("outer", [i64], i64)
        h.call(h.params[0], inner, h.params[0])
        h.ret(h.params[0])
        outer = h.compile()
        del inner, f
        h._callees.clear()
        gc.collect()
        assert alive() is not None
        for _ in range(200):
            identity(i64)
        assert outer(14) == 42
        del outer, h
        gc.collect()
        assert alive() is None

    def test_a_function_dies_with_its_last_reference(self) -> None:
        g = identity(i64)
        alive = weakref.ref(g)
        pointer = g.ctypes
        del g
        assert alive() is not None
        del pointer
        gc.collect()
        assert alive() is None

    def test_recursive_functions_die(self) -> None:
        f = Function("f", [i64], i64)
        f.call(f.params[0], f, f.params[0])
        f.ret(f.params[0])
        g = f.compile()
        alive = weakref.ref(g), weakref.ref(f)
        del f, g
        gc.collect()
        assert [each() for each in alive] == [None, None]

    def test_deleted_while_it_runs(self) -> None:
        held: list[Any] = []

        def drop() -> None:
            held.clear()
            gc.collect()
            for _ in range(50):
                identity(i64)

        callback = ctypes.CFUNCTYPE(None)(drop)
        f = Function("f", [i64], i64)
        f.call(None, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, []))
        f.ret(f.params[0])
        held.append(f.compile())
        del f
        assert held[0](5) == 5

    def test_what_is_refused(self) -> None:
        g = identity(i64)
        with pytest.raises(TypeError, match="machine code cannot be pickled; pickle its text form"):
            pickle.dumps(g)
        with pytest.raises(TypeError, match="cannot be pickled"):
            copy.copy(g)
        kinds: list[Any] = [NativeFunction, type(g)]
        for kind in kinds:
            with pytest.raises(TypeError):
                kind()
            with pytest.raises(TypeError):
                kind.__new__(kind)
            with pytest.raises(TypeError):
                type("Sub", (kind,), {})
        with pytest.raises(AttributeError):
            g.anything = 1

    def test_object_new_makes_no_instance_that_crashes(self) -> None:
        kind: Any = type(identity(i64))
        for each in (kind, NativeFunction):
            try:
                made = object.__new__(each)
            except TypeError:
                continue
            with pytest.raises((TypeError, AttributeError)):
                made(1)

    def test_the_text_form_can_be_pickled(self) -> None:
        from cnp.ir.text import parse, print_function

        g = identity(i64)
        text = pickle.loads(pickle.dumps(str(print_function(g.function))))
        assert parse(text, "text")["identity"].compile()(9) == 9


@pytest.mark.parametrize("bits", [0, 1 << 40, 0xFFFF << 33])
def test_the_upper_half_of_an_i32_from_c_is_dropped(bits: int) -> None:
    """C may leave anything there, and ops on 64 bits would see it."""
    labs = ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value or 0
    f = Function("f", [i64], f64)
    low, real, third = f.reg(i32), f.reg(f64), f.reg(i32)
    f.call(low, cnp.extern(labs, [i64], i32), f.params[0])
    f.f64_convert_i32_u(real, low)
    f.i32_div_u(third, low, 3)
    f.f64_convert_i32_u(x := f.reg(f64), third)
    f.f64_mul(x, x, 1000.0)
    f.f64_add(real, real, x)
    f.ret(real)
    assert f.compile()(bits + 21) == 7021.0


@pytest.mark.parametrize("moment", ["_type()", "_reserved[address]", "reservation.address"])
def test_an_interrupt_while_code_gets_its_memory(moment: str) -> None:
    """An exception of a signal handler may come behind any of these lines."""
    f = Function("same", [i64], i64)
    f.ret(f.params[0])
    f.compile()
    lines, first = inspect.getsourcelines(reservation.reserve)
    number = first + next(k for k, line in enumerate(lines) if moment in line)
    raised = 0

    def watch(frame: Any, event: str, _: Any) -> Any:
        nonlocal raised
        if event == "call":
            return watch if frame.f_code is reservation.reserve.__code__ else None
        if frame.f_lineno > number and not raised:
            raised += 1
            raise KeyboardInterrupt
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        with pytest.raises(KeyboardInterrupt):
            f.compile()
    finally:
        sys.settrace(before)
    assert raised and f.compile()(7) == 7


def test_what_a_function_takes_and_gives_cannot_be_changed() -> None:
    f = Function("same", [i64], i64)
    for name, value in (("parameter_types", (i64,) * 300), ("result", "i64")):
        with pytest.raises(AttributeError):
            setattr(f, name, value)
    with pytest.raises(AttributeError, match=r"^i64\.bits is as it is$"):
        i64.bits = 5
