"""Calls that are too deep, in native code and in what it calls."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sized_threads import in_thread
from trap_programs import caught, recursion, trapping

import cnp
from cnp import Function, Trap, TrapKind, f64, i64

ROOT = Path(__file__).parent.parent


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

        def run() -> tuple[list[Trap], bool]:
            traps = [caught(lambda: g(10**9)) for _ in range(3)]
            try:  # a small one may have no room for any depth
                return traps, g(10) == 55
            except Trap:
                return traps, True

        traps, is_fine = in_thread(kibibytes, run)
        for each in traps:
            self.check(each)
        assert is_fine

    @pytest.mark.parametrize("kibibytes", [64, 256, 8192])
    def test_without_frames(self, kibibytes: int) -> None:
        """Only return addresses are left, on the native stack."""
        f = Function("recursion", [i64], i64)
        d = f.reg(i64)
        f.call(d, f, f.params[0])
        f.ret(d)
        g = f.compile()
        assert g.frame_size == 0
        self.check(in_thread(kibibytes, lambda: caught(lambda: g(1))))

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

        first, shallow, second = in_thread(kibibytes, run)
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
