"""Traps that leave nothing behind, and signals that end native code."""

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
from trap_programs import caught, recursion, trapping

import cnp
from cnp import Function, Trap, TrapKind, f64, i32, i64

ROOT = Path(__file__).parent.parent


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

    def send(self, times: int = 1, written: str = "") -> threading.Thread:
        """Sends the signal to this process from another one, which needs no GIL of ours, while the loop runs.

        If a file is named: once the loop has `written` something to it.
        """
        script = "import os, signal, sys, time\n"
        script += "while sys.argv[3] and not any(open(sys.argv[3], 'rb').read()): time.sleep(0.01)\n"
        script += "for _ in range(int(sys.argv[2])): time.sleep(0.1); os.kill(int(sys.argv[1]), signal.SIGUSR1)"
        sender = subprocess.Popen([sys.executable, "-c", script, str(os.getpid()), str(times), written])
        thread = threading.Thread(target=sender.wait)
        thread.start()
        return thread

    @pytest.mark.parametrize("nogil", [False, True])
    def test_a_handler_that_raises_ends_the_loop(self, handler: Any, nogil: bool, tmp_path: Path) -> None:
        class Stop(Exception):
            pass

        def stop(*_: Any) -> None:
            raise Stop

        handler(stop)
        memory = np.memmap(tmp_path / "written", np.int64, "w+", shape=1)
        g = endless(nogil=nogil)
        sender = self.send(written=str(tmp_path / "written"))
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
