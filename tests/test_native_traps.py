"""Traps, stack overflow, signals and Ctrl-C in native code: what is raised, where, and that nothing is left behind."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnp
from cnp import Function, Trap, TrapKind, f64, i32, i64

ROOT = Path(__file__).parent.parent


def trapping(kind: TrapKind) -> Function:
    """A function whose op 1 traps with that kind."""
    f = Function(f"traps_{kind.name.lower()}", [], i64)
    a, d = f.reg(i64), f.reg(i64)
    f.i64_const(a, -(2**63))
    if kind == TrapKind.UNREACHABLE:
        f.unreachable()
        return f
    if kind == TrapKind.INTEGER_DIVIDE_BY_ZERO:
        f.i64_rem_u(d, a, 0)
    elif kind == TrapKind.INTEGER_OVERFLOW:
        f.i64_div_s(d, a, -1)
    else:
        f.i64_trunc_f64_s(d, float("nan"))
    f.ret(d)
    return f


OP_NAMES = {
    TrapKind.UNREACHABLE: "unreachable",
    TrapKind.INTEGER_DIVIDE_BY_ZERO: "i64.rem_u",
    TrapKind.INTEGER_OVERFLOW: "i64.div_s",
    TrapKind.INVALID_CONVERSION_TO_INTEGER: "i64.trunc_f64_s",
}


def recursion() -> Function:
    """f(n) = n + f(n - 1), f(0) = 0."""
    f = Function("recursion", [i64], i64)
    n, d, more = f.params[0], f.reg(i64), f.label()
    f.branch_i64_nez(n, more)
    f.ret(0)
    f.place(more)
    f.i64_sub(d, n, 1)
    f.call(d, f, d)
    f.i64_add(d, d, n)
    f.ret(d)
    return f


def caught(call: Callable[[], Any]) -> Trap:
    with pytest.raises(Trap) as found:
        call()
    return found.value


@pytest.mark.parametrize("kind", OP_NAMES, ids=lambda kind: kind.name)
class TestKinds:
    def test_where_and_why(self, kind: TrapKind) -> None:
        trap = caught(trapping(kind).compile())
        name = f"traps_{kind.name.lower()}"
        assert (trap.kind, trap.function, trap.op) == (kind, name, 1)
        assert kind.name.lower().replace("_", " ") in str(trap)
        assert name in str(trap)
        assert OP_NAMES[kind] in str(trap)

    def test_as_the_reference_says(self, kind: TrapKind) -> None:
        assert str(caught(trapping(kind).compile())) == str(caught(trapping(kind).compile(backend="reference")))

    @pytest.mark.parametrize("precompiled", [False, True])
    def test_in_nested_calls(self, kind: TrapKind, precompiled: bool) -> None:
        callee: Any = trapping(kind)
        for depth in range(5):
            f = Function(f"level_{depth}", [], i64)
            d = f.reg(i64)
            f.call(d, callee.compile() if precompiled else callee)
            f.ret(d)
            callee = f
        trap = caught(callee.compile())
        assert (trap.kind, trap.function, trap.op) == (kind, f"traps_{kind.name.lower()}", 1)

    def test_after_a_trap_all_goes_on(self, kind: TrapKind) -> None:
        g, ordinary = trapping(kind).compile(), recursion().compile()
        for _ in range(100):
            assert caught(g).kind == kind
            assert ordinary(100) == 5050


def test_op_numbers_are_large() -> None:
    f = Function("long", [i64], i64)
    for _ in range(100_000):
        f.i64_add(f.params[0], f.params[0], 1)
    f.unreachable()
    trap = caught(lambda: f.compile()(0))
    assert (trap.function, trap.op) == ("long", 100_000)


BOUNCE = """
    import ctypes, sys, threading
    import cnp
    from cnp import i64

    sys.setrecursionlimit(10**6)
    ends, depth = [], 0

    def again(n):
        global depth
        depth += 1
        try:
            return g(n)
        except cnp.Trap as trap:
            ends.append(trap.kind)
            return -1

    callback = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(again)
    f = cnp.Function("bounce", [i64], i64)
    d = f.reg(i64)
    f.call(d, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value, [i64], i64), f.params[0])
    f.ret(d)
    g = f.compile()
    r = cnp.Function("recursion", [i64], i64)
    more, e = r.label(), r.reg(i64)
    r.branch_i64_nez(r.params[0], more)
    r.ret(0)
    r.place(more)
    r.i64_sub(e, r.params[0], 1)
    r.call(e, r, e)
    r.i64_add(e, e, r.params[0])
    r.ret(e)
    small = r.compile()

    def run():
        result = g(7)
        assert g(7) == result
        names = sorted({{each.name.lower().replace("_", " ") for each in ends}})
        print(*names, depth > 10, result, small(1000))

    threading.stack_size({size})
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
"""


class TestStackOverflow:
    def check(self, trap: Trap) -> None:
        assert (trap.kind, trap.function) == (TrapKind.STACK_OVERFLOW, "recursion")
        assert "stack overflow" in str(trap)

    def test_deep_recursion(self) -> None:
        g = recursion().compile()
        assert g(5000) == 5000 * 5001 // 2
        for _ in range(20):
            self.check(caught(lambda: g(10**9)))
        assert g(5000) == 5000 * 5001 // 2

    @pytest.mark.parametrize("values", [1, 100, 1000, 20_000])
    def test_large_frames(self, values: int) -> None:
        """A frame of many values, all alive across the call."""
        f = Function("recursion", [i64], i64)
        registers = [f.reg(i64) for _ in range(values)]
        d = f.reg(i64)
        for number, each in enumerate(registers):
            f.i64_add(each, f.params[0], number)
        f.i64_sub(d, f.params[0], 1)
        f.call(d, f, d)
        for each in registers:
            f.i64_xor(d, d, each)
        f.ret(d)
        self.check(caught(lambda: f.compile()(10**9)))

    def test_between_two_functions(self) -> None:
        f, g = Function("ping", [i64], i64), Function("pong", [i64], i64)
        f.call(f.params[0], g, f.params[0])
        f.ret(f.params[0])
        g.call(g.params[0], f, g.params[0])
        g.ret(g.params[0])
        trap = caught(lambda: f.compile()(1))
        assert trap.kind == TrapKind.STACK_OVERFLOW
        assert trap.function in ("ping", "pong")

    @pytest.mark.parametrize("kibibytes", [64, 128, 192, 256, 512, 1024, 8192])
    def test_in_threads_of_any_size(self, kibibytes: int) -> None:
        g = recursion().compile()
        found: list[Any] = []

        def run() -> None:
            for _ in range(3):
                try:
                    g(10**9)
                except Trap as trap:
                    found.append(trap)
            try:  # a small one may have no room for any depth
                found.append(g(10) == 55)
            except Trap:
                found.append(True)

        before = threading.stack_size(kibibytes << 10)
        try:
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        finally:
            threading.stack_size(before)
        assert [isinstance(each, Trap) for each in found] == [True, True, True, False]
        for each in found[:3]:
            self.check(each)
        assert found[3] is True

    def in_thread(self, kibibytes: int, run: Callable[[], Any]) -> Any:
        """What run() gives in a thread with a stack of that size."""
        found: list[Any] = []
        before = threading.stack_size(kibibytes << 10)
        try:
            thread = threading.Thread(target=lambda: found.append(run()))
            thread.start()
            thread.join()
        finally:
            threading.stack_size(before)
        return found[0]

    @pytest.mark.parametrize("kibibytes", [64, 256, 8192])
    def test_without_frames(self, kibibytes: int) -> None:
        """Only return addresses are left, on the native stack."""
        f = Function("recursion", [i64], i64)
        d = f.reg(i64)
        f.call(d, f, f.params[0])
        f.ret(d)
        g = f.compile()
        assert g.frame_size == 0
        self.check(self.in_thread(kibibytes, lambda: caught(lambda: g(1))))

    @pytest.mark.parametrize("kibibytes", [64, 256, 8192])
    @pytest.mark.parametrize("sizes", [(0, 1), (15, 16), (1, 300, 0), (200,), (40, 3, 9000)])
    def test_frames_of_all_sizes(self, kibibytes: int, sizes: tuple[int, ...]) -> None:
        """Functions with frames of so many values call one another in turn; each loops, and calls a function that uses
        its frame without asking, which is when ticks are few. What is in the frames is still there behind the calls."""
        leaf = Function("leaf", [i64], i64)
        values = [leaf.reg(i64) for _ in range(250)]
        rounds, again = leaf.reg(i64), leaf.label()
        for number, each in enumerate(values):
            leaf.i64_add(each, leaf.params[0], number)
        leaf.i64_const(rounds, 3)
        leaf.place(again)
        leaf.i64_sub(rounds, rounds, 1)
        leaf.branch_i64_nez(rounds, again)
        for each in values:
            leaf.i64_xor(rounds, rounds, each)
        leaf.ret(rounds)
        ring = [Function("recursion", [i64], i64) for _ in sizes]
        for number, (f, size) in enumerate(zip(ring, sizes)):
            n, d, more, again = f.params[0], f.reg(i64), f.label(), f.label()
            kept = [f.reg(i64) for _ in range(size)]
            for each in kept:
                f.i64_mul(each, n, len(kept))
            f.branch_i64_gt_s(n, 0, more)
            f.ret(0)
            f.place(more)
            f.i64_const(d, 5)
            f.place(again)
            f.i64_sub(d, d, 1)
            f.branch_i64_nez(d, again)
            f.i64_sub(d, n, 1)
            f.call(d, ring[(number + 1) % len(ring)], d)
            for each in kept:
                f.i64_sub(d, d, each)
            if kept:
                f.call(None, leaf, n)
            f.ret(d)
        g = ring[0].compile()

        def run() -> tuple[Trap, int, Trap]:
            return caught(lambda: g(10**9)), g(5), caught(lambda: g(10**9))

        def expected(n: int) -> int:
            return 0 if n <= 0 else expected(n - 1) - n * sizes[(5 - n) % len(sizes)] ** 2

        first, shallow, second = self.in_thread(kibibytes, run)
        self.check(first)
        self.check(second)
        assert shallow == expected(5)

    @pytest.mark.parametrize("kibibytes", [512, 1024, 0])
    def test_through_python_and_back(self, kibibytes: int) -> None:
        """Compiled code calls Python, which calls compiled code, until the stack ends. Python's own limit is off."""
        script = textwrap.dedent(BOUNCE).format(size=kibibytes << 10)
        found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert found.stdout == "stack overflow True -1 500500\n", found.stderr
        assert found.returncode == 0

    def test_recursion_after_python(self) -> None:
        """What a callback's compiled code may use is what is left."""
        deep, found = recursion().compile(), []

        def inside(n: int) -> int:
            found.append(caught(lambda: deep(10**9)).kind)
            return int(deep(n))

        callback = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(inside)
        f = Function("f", [i64], i64)
        d, e = f.reg(i64), f.reg(i64)
        f.i64_mul(e, f.params[0], 1000)
        f.call(d, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, [i64], i64), f.params[0])
        f.i64_add(d, d, e)
        f.ret(d)
        assert f.compile()(10) == 55 + 10_000
        assert found == [TrapKind.STACK_OVERFLOW]


class TestCallbacks:
    def test_a_trap_inside_python_inside_native_code(self) -> None:
        """A Python exception in a callback is ctypes' to report; the trap ends the inner call only."""
        inner, kinds = trapping(TrapKind.UNREACHABLE).compile(), []

        def called(n: int) -> int:
            kinds.append(caught(inner).kind)
            return n + 1

        callback = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(called)
        f = Function("outer", [i64], i64)
        registers = [f.reg(i64) for _ in range(20)]
        for number, each in enumerate(registers):
            f.i64_mul(each, f.params[0], number)
        d = f.reg(i64)
        f.call(d, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, [i64], i64), f.params[0])
        for each in registers:
            f.i64_add(d, d, each)
        f.ret(d)
        assert f.compile()(3) == 4 + 3 * sum(range(20))
        assert kinds == [TrapKind.UNREACHABLE]

    def test_floats_survive_what_a_callback_does(self) -> None:
        def called() -> None:
            [x * 1.5 for x in range(100)]
            np.arange(1000.0).sum()

        callback = ctypes.PYFUNCTYPE(None)(called)
        f = Function("f", [f64], f64)
        registers = [f.reg(f64) for _ in range(12)]
        for number, each in enumerate(registers):
            f.f64_mul(each, f.params[0], float(number))
        f.call(None, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, []))
        for each in registers:
            f.f64_add(f.params[0], f.params[0], each)
        f.ret(f.params[0])
        assert f.compile()(0.5) == 0.5 + 0.5 * sum(range(12))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("nogil", [False, True])
def test_traps_leave_nothing_behind(nogil: bool) -> None:
    """Neither memory nor references, and the GIL where it was."""
    f = Function("f", [i64, cnp.ptr], i64)
    f.call(f.params[0], trapping(TrapKind.INTEGER_OVERFLOW))
    f.ret(f.params[0])
    g, data, number = f.compile(nogil=nogil), bytearray(8), 2**40
    deep = recursion().compile(nogil=nogil)

    def rounds(count: int) -> None:
        for _ in range(count):
            try:
                g(number, data)
            except Trap:
                pass

    rounds(5000)
    gc.collect()
    before, memory = (sys.getrefcount(number), sys.getrefcount(data), sys.getrefcount(g)), resident()
    rounds(100_000)
    for _ in range(100):
        caught(lambda: deep(10**9))
    gc.collect()
    assert (sys.getrefcount(number), sys.getrefcount(data), sys.getrefcount(g)) == before
    assert resident() - memory < 2 << 20
    assert ctypes.pythonapi.PyGILState_Check() == 1
    data.append(0)


def endless(**options: Any) -> Any:
    """Counts rounds in memory until something stops it."""
    f = Function("endless", [i64])
    count, again = f.reg(i64), f.label()
    f.i64_const(count, 0)
    f.place(again)
    f.i64_add(count, count, 1)
    f.i64_store(count, f.params[0])
    f.jump(again)
    return f.compile(**options)


class TestSignals:
    @pytest.fixture
    def handler(self) -> Iterator[Callable[[Any], Any]]:
        """Sets the handler of SIGUSR1 for the test."""
        before = signal.getsignal(signal.SIGUSR1)
        yield lambda handle: signal.signal(signal.SIGUSR1, handle)
        signal.signal(signal.SIGUSR1, before)

    def send(self, times: int = 1) -> threading.Thread:
        """Sends the signal to this process from another one, which needs no GIL of ours, while the loop runs."""
        script = "import os, signal, sys, time\nfor _ in range(int(sys.argv[2])): "
        script += "time.sleep(0.1); os.kill(int(sys.argv[1]), signal.SIGUSR1)"
        sender = subprocess.Popen([sys.executable, "-c", script, str(os.getpid()), str(times)])
        thread = threading.Thread(target=sender.wait)
        thread.start()
        return thread

    @pytest.mark.parametrize("nogil", [False, True])
    def test_a_handler_that_raises_ends_the_loop(self, handler: Any, nogil: bool) -> None:
        class Stop(Exception):
            pass

        def stop(*_: Any) -> None:
            raise Stop

        handler(stop)
        memory = np.zeros(1, np.int64)
        g = endless(nogil=nogil)
        sender = self.send()
        with pytest.raises(Stop):
            g(memory.ctypes.data)
        assert memory[0] > 0
        sender.join()
        assert recursion().compile()(10) == 55

    @pytest.mark.parametrize("nogil", [False, True])
    def test_a_handler_that_does_not_raise(self, handler: Any, nogil: bool) -> None:
        """The loop goes on; the handler may call compiled functions, this one's own among them, and traps there."""
        memory = np.zeros(2, np.int64)
        f = Function("until", [i64, f64], f64)
        flag, total, again = f.reg(i64), f.reg(f64), f.label()
        f.f64_const(total, 0.0)
        f.place(again)
        f.f64_max(total, total, f.params[1])
        f.i64_load(flag, f.params[0])
        f.branch_i64_lt_s(flag, 3, again)
        f.ret(total)
        g = f.compile(nogil=nogil)
        deep, trap = recursion().compile(), trapping(TrapKind.INTEGER_DIVIDE_BY_ZERO).compile()
        done = np.full(1, 3, np.int64)
        results: list[Any] = []

        def handle(*_: Any) -> None:
            results.append((deep(1000), g(done.ctypes.data, 9.5), caught(trap).kind, caught(lambda: deep(10**9)).kind))
            memory[0] += 1

        handler(handle)
        sender = self.send(3)
        assert g(memory.ctypes.data, 2.5) == 2.5
        sender.join()
        assert results == [(500500, 9.5, TrapKind.INTEGER_DIVIDE_BY_ZERO, TrapKind.STACK_OVERFLOW)] * 3

    def test_a_signal_of_this_thread(self, handler: Any) -> None:
        seen: list[int] = []
        handler(lambda *_: seen.append(1))

        def send() -> int:
            signal.raise_signal(signal.SIGUSR1)
            return 0

        callback = ctypes.PYFUNCTYPE(ctypes.c_int)(send)
        f = Function("f", [], i32)
        d = f.reg(i32)
        f.call(d, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, [], i32))
        f.ret(d)
        assert f.compile()() == 0
        assert seen == [1]

    def test_safepoint_op_without_a_loop(self, handler: Any) -> None:
        f = Function("f", [], i32)
        f.safepoint()
        f.ret(5)
        g = f.compile()
        assert [g() for _ in range(20_000)] == [5] * 20_000


CTRL_C = """
    import os, signal, subprocess, sys, threading
    import cnp
    from cnp import i64

    {program}

    sender = subprocess.Popen([sys.executable, "-c", "import os, signal, time; time.sleep(0.3); "
        f"os.kill({{os.getpid()}}, signal.SIGINT)"])
    try:
        run()
    except KeyboardInterrupt:
        sender.wait()
        try:
            again = small()
        except BaseException as error:
            again = error
        print("interrupted", again)
"""
LOOP = """
    f = cnp.Function("f", [i64], i64)
    again = f.label()
    f.place(again)
    f.i64_add(f.params[0], f.params[0], 1)
    {middle}
    f.jump(again)
    g = f.compile(nogil={nogil})
    s = cnp.Function("s", [], i64)
    s.ret(42)
    small = s.compile()
    run = lambda: g(0)
"""
RECURSION = """
    f = cnp.Function("f", [i64, i64], i64)  # a tree of calls that takes for ever, but is not deep
    d, e = f.reg(i64), f.reg(i64)
    done = f.label()
    f.branch_i64_eqz(f.params[0], done)
    f.i64_sub(d, f.params[0], 1)
    f.call(e, f, d, f.params[1])
    f.call(e, f, d, e)
    f.ret(e)
    f.place(done)
    f.ret(f.params[1])
    g = f.compile(nogil={nogil})
    small = lambda: g(2, 42)
    run = lambda: g(60, 0)
"""
CALLS = """
    inner = cnp.Function("inner", [i64], i64)
    inner.i64_add(inner.params[0], inner.params[0], 1)
    inner.ret(inner.params[0])
    """ + LOOP.format(middle="f.call(f.params[0], inner, f.params[0])", nogil="{nogil}").lstrip()


@pytest.mark.parametrize("nogil", [False, True])
@pytest.mark.parametrize(
    "program", [LOOP.replace("{middle}", "pass"), RECURSION, CALLS], ids=["loop", "recursion", "loop-of-calls"]
)
def test_ctrl_c(program: str, nogil: bool) -> None:
    script = textwrap.dedent(CTRL_C).format(program=textwrap.dedent(program).format(nogil=nogil))
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout == "interrupted 42\n", found.stderr
    assert found.returncode == 0


def test_without_safepoints_a_short_loop_still_ends() -> None:
    f = Function("count", [i64], i64)
    again = f.label()
    f.place(again)
    f.i64_sub(f.params[0], f.params[0], 1)
    f.branch_i64_gt_s(f.params[0], 0, again)
    f.ret(f.params[0])
    assert f.compile(safepoints=False)(100_000) == 0
