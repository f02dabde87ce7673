"""Compiled code in another process: natively, and under an emulator of this machine's own architecture."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from guest_support import TARGET, GuestCore, compile_for, need_emulator, open_library

import cnp
from cnp import f32, f64, i32, i64
from cnp.errors import Crash, LibraryError, TrapKind, Unsupported, UserError
from cnp.ir import Function
from cnp.stencil.library import Library
from cnp.tools import guest
from cnp.tools.emulator import Emulator

DEADLINE = 60.0  # seconds


@pytest.fixture(scope="module", params=["native", "emulated"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    if request.param == "emulated":
        need_emulator()
    with Emulator(open_library(), native=request.param == "native") as opened:
        yield opened


@pytest.fixture(params=["native", "emulated"])
def small(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """One of its own for a test, with little room."""
    if request.param == "emulated":
        need_emulator()
    with Emulator(open_library(), 4 << 20, code_size=1 << 16, native=request.param == "native") as opened:
        yield opened


def run(emulator: Emulator, function: Function, *arguments: float) -> tuple[int, int, int]:
    """Compiles, sorts the arguments into registers, runs; a trap word comes without its function's number."""
    part = compile_for(emulator, function)
    integers = [int(each) for each, type in zip(arguments, function.parameter_types) if type.is_integer]
    floats = [bits(each, type) for each, type in zip(arguments, function.parameter_types) if not type.is_integer]
    trap, integer, real = emulator.run(part.offset, integers, floats, number=part.number, timeout=DEADLINE)
    assert trap == 0 or trap >> 32 in (0, part.number)
    return trap & 0xFFFFFFFF, integer, real


def bits(value: float, type: object = f64) -> int:
    return int.from_bytes(struct.pack("<f" if type is f32 else "<d", value), "little")


def number(word: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", word))[0])


def kind(trap: int) -> TrapKind:
    return TrapKind(trap & 15)


def adder(constant: int) -> Function:
    f = Function("adder", [i64], i64)
    d = f.reg(i64)
    f.i64_add(d, f.params[0], constant)
    f.ret(d)
    return f


def counter() -> Function:
    """Adds up the numbers below its argument."""
    f = Function("counter", [i64], i64)
    (n,) = f.params
    i, total = f.reg(i64), f.reg(i64)
    head, done = f.label(), f.label()
    f.i64_const(i, 0)
    f.i64_const(total, 0)
    f.place(head)
    f.branch_i64_ge_s(i, n, done)
    f.i64_add(total, total, i)
    f.i64_add(i, i, 1)
    f.jump(head)
    f.place(done)
    f.ret(total)
    return f


def test_integers(emulator: Emulator) -> None:
    f = Function("f", [i64] * 8, i64)
    total = f.reg(i64)
    f.i64_const(total, 0)
    for weight, each in enumerate(f.params, 1):
        product = f.reg(i64)
        f.i64_mul(product, each, weight)
        f.i64_add(total, total, product)
    f.ret(total)
    assert run(emulator, f, *range(10, 18))[:2] == (0, sum(k * (9 + k) for k in range(1, 9)))
    assert run(emulator, adder(1), -1)[:2] == (0, 0)
    assert run(emulator, adder(1 << 40), -(1 << 41))[:2] == (0, 2**64 - (1 << 40))


def test_floats(emulator: Emulator) -> None:
    f = Function("f", [f64, i64, f32], f64)
    d, wide, x = f.reg(f64), f.reg(f64), f.reg(f64)
    a, n, b = f.params
    f.f64_promote_f32(wide, b)
    f.f64_convert_i64_s(x, n)
    f.f64_div(d, a, wide)
    f.f64_add(d, d, x)
    f.ret(d)
    trap, _, result = run(emulator, f, 1.5, -7, 0.25)
    assert trap == 0
    assert number(result) == -1.0


def test_a_constant_of_the_library_is_found(emulator: Emulator) -> None:
    f = Function("f", [f64], f64)
    d = f.reg(f64)
    f.f64_neg(d, f.params[0])
    f.ret(d)
    assert number(run(emulator, f, 2.5)[2]) == -2.5


def test_trap(emulator: Emulator) -> None:
    f = Function("f", [i64, i64], i64)
    d = f.reg(i64)
    f.i64_add(d, *f.params)
    f.i64_div_s(d, f.params[0], f.params[1])
    f.ret(d)
    trap, *_ = run(emulator, f, 7, 0)
    assert (kind(trap), trap >> 4) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, 1)
    assert run(emulator, f, 42, 6)[:2] == (0, 7)


def test_recursion_without_end_traps_and_leaves_the_stack_usable(emulator: Emulator) -> None:
    f = Function("f", [i64], i64)
    d = f.reg(i64)
    f.call(d, f, f.params[0])
    f.i64_add(d, d, f.params[0])
    f.ret(d)
    for _ in range(3):
        assert kind(run(emulator, f, 1)[0]) == TrapKind.STACK_OVERFLOW
    assert run(emulator, adder(1), 1)[:2] == (0, 2)


def test_functions_call_one_another(emulator: Emulator) -> None:
    f = Function("fib", [i64], i64)
    (n,) = f.params
    a, b, small = f.reg(i64), f.reg(i64), f.label()
    f.branch_i64_lt_s(n, 2, small)
    f.i64_sub(a, n, 1)
    f.call(a, f, a)
    f.i64_sub(b, n, 2)
    f.call(b, f, b)
    f.i64_add(a, a, b)
    f.ret(a)
    f.place(small)
    f.ret(n)
    assert run(emulator, f, 20)[:2] == (0, 6765)


def test_a_loop_polls_and_goes_on(emulator: Emulator) -> None:
    assert run(emulator, counter(), 100_000)[:2] == (0, sum(range(100_000)))


def test_interrupt(emulator: Emulator) -> None:
    def interrupt() -> None:
        time.sleep(0.05)
        emulator.interrupt = True

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        trap, *_ = run(emulator, counter(), 2**62)
    finally:
        thread.join()
        emulator.interrupt = False
    assert kind(trap) == TrapKind.INTERRUPTED
    assert run(emulator, counter(), 100_000)[0] == 0


def test_memory_is_shared(emulator: Emulator) -> None:
    buffer = emulator.array(80)
    numbers = np.frombuffer(buffer, np.int64)
    numbers[:] = range(10)
    f = Function("f", [i64], i64)
    d = f.reg(i64)
    f.i64_load(d, f.params[0], 24)
    f.i64_store(d, f.params[0], 72)
    f.ret(d)
    assert run(emulator, f, ctypes.addressof(buffer))[:2] == (0, 3)
    assert list(numbers) == [*range(9), 3]


def test_code_calls_c(emulator: Emulator) -> None:
    f = Function("f", [i64], i64)
    d = f.reg(i64)
    f.call(d, cnp.extern(emulator.functions["sum_integers"], [i64] * 8, i64), *range(7), f.params[0])
    f.i64_add(d, d, f.params[0])
    f.ret(d)
    assert run(emulator, f, 100)[:2] == (0, sum(k * (k + 1) for k in range(7)) + 900)


def test_code_calls_c_with_floats(emulator: Emulator) -> None:
    f = Function("f", [f64], f64)
    d = f.reg(f64)
    f.call(d, cnp.extern(emulator.functions["sum_floats"], [f64] * 8, f64), *(k / 2 for k in range(7)), f.params[0])
    f.ret(d)
    assert number(run(emulator, f, 0.125)[2]) == sum(k / 2 * (k + 1) for k in range(7)) + 1


def test_code_calls_c_with_all_types(emulator: Emulator) -> None:
    f = Function("f", [i64, f64, i32, f32, i64, f64], f64)
    d = f.reg(f64)
    f.call(d, cnp.extern(emulator.functions["sum_mixed"], [i64, f64, i32, f32, i64, f64], f64), *f.params)
    f.ret(d)
    result = run(emulator, f, -1, 0.5, 7, 0.25, 1 << 40, 2.0)[2]
    assert number(result) == -1 + 1 + 21 + 1 + 5.0 * (1 << 40) + 12
    g = Function("g", [f32], f32)
    d = g.reg(f32)
    g.call(d, cnp.extern(emulator.functions["half"], [f32], f32), g.params[0])
    g.ret(d)
    assert run(emulator, g, 3.0)[2] & 0xFFFFFFFF == bits(1.5, f32)


def test_the_upper_half_of_an_i32_from_c_is_not_believed(emulator: Emulator) -> None:
    f = Function("f", [i64], i64)
    narrow, d = f.reg(i32), f.reg(i64)
    f.call(narrow, cnp.extern(emulator.functions["narrow"], [i64], i32), f.params[0])
    f.i64_extend_i32_u(d, narrow)
    f.ret(d)
    assert run(emulator, f, 0x1234_8000_0001)[:2] == (0, 0x8000_0001)


def c_entry(emulator: Emulator, function: Function) -> int:
    """Address at which C calls a function."""
    part = compile_for(emulator, function)
    types = [each.code for each in function.parameter_types]
    assert function.result is not None
    signature = emulator.make_signature(part.offset, types, function.result.code, part.number)
    return GuestCore(emulator).entry_from_c(emulator, signature, function.result in (f32, f64))


def test_c_calls_code(emulator: Emulator) -> None:
    f = Function("f", [f64, i64, f64], f64)
    d = f.reg(f64)
    f.f64_convert_i64_s(d, f.params[1])
    f.f64_sub(d, d, f.params[0])
    f.f64_mul(d, d, f.params[2])
    f.ret(d)
    result = emulator.call(c_entry(emulator, f), [5], [bits(2.0), bits(0.5)], gives_float=True)
    assert number(result) == 1.5
    assert emulator.call(c_entry(emulator, adder(3)), [-1]) == 2
    assert emulator.call(emulator.functions["sum_integers"], range(8)) == sum(k * (k + 1) for k in range(8))


def test_code_calls_c_that_calls_code(emulator: Emulator) -> None:
    inner = c_entry(emulator, counter())
    f = Function("f", [i64], i64)
    d, kept = f.reg(i64), f.reg(i64)
    f.i64_mul(kept, f.params[0], 3)
    f.call(d, cnp.extern(emulator.functions["call_again"], [i64, i64], i64), inner, f.params[0])
    f.i64_add(d, d, kept)
    f.ret(d)
    assert run(emulator, f, 20_000)[:2] == (0, sum(range(20_000)) + 1 + 60_000)


def test_a_trap_behind_c_is_kept(emulator: Emulator) -> None:
    bad = Function("bad", [i64], i64)
    d = bad.reg(i64)
    bad.i64_rem_u(d, 1, bad.params[0])
    bad.ret(d)
    f = Function("f", [i64], i64)
    d = f.reg(i64)
    inner = c_entry(emulator, bad)
    f.call(d, cnp.extern(emulator.functions["call_again"], [i64, i64], i64), inner, f.params[0])
    f.ret(d)
    assert emulator.take_raised() == 0
    assert run(emulator, f, 0)[:2] == (0, 1)
    assert kind(emulator.take_raised()) == TrapKind.INTEGER_DIVIDE_BY_ZERO
    assert run(emulator, f, 1)[:2] == (0, 1)
    assert emulator.take_raised() == 0


def test_addresses_are_used_again_for_other_code(small: Emulator) -> None:
    seen: dict[int, int] = {}
    again = 0
    for k in range(20_000):
        part = compile_for(small, adder(k))
        assert small.run(part.offset, [1])[:2] == (0, k + 1)
        again += part.offset in seen
        seen[part.offset] = k
        if again > 300:
            return
    raise AssertionError("no address was used again")


def test_code_and_data_that_do_not_fit(small: Emulator) -> None:
    with pytest.raises(UserError, match="100000 bytes of code, with room for 65536"):
        small.allocate(100_000)
    with pytest.raises(UserError, match=r"of which \d+ are left of 4194304"):
        small.array(4 << 20)
    first = ctypes.addressof(small.array(3 << 20))
    small.clear()
    assert ctypes.addressof(small.array(3 << 20)) == first
    with pytest.raises(UserError, match="code_size=67108864: at most"):
        Emulator(open_library(), 1 << 20, native=True)


def test_a_crash_is_reported(small: Emulator) -> None:
    f = Function("f", [i64], i64)
    d = f.reg(i64)
    f.i64_load(d, f.params[0], 0)
    f.ret(d)
    part = compile_for(small, f)
    with pytest.raises(Crash, match="the runner died of SIGSEGV when asked for RUN 0x"):
        small.run(part.offset, [16])
    with pytest.raises(Crash, match="died of SIGSEGV"):
        small.run(part.offset, [16])


def test_a_process_that_was_killed_is_reported(small: Emulator) -> None:
    os.kill(small.pid, 9)
    with pytest.raises(Crash, match="died of SIGKILL"):
        small.call(small.functions["narrow"], [1])


def test_a_deadline(small: Emulator) -> None:
    part = compile_for(small, counter())
    with pytest.raises(Crash, match=r"did not reply to RUN 0x\w+ within 0.2 s, and was stopped"):
        small.run(part.offset, [2**62], timeout=0.2)


def test_closing(small: Emulator) -> None:
    small.close()
    small.close()
    with pytest.raises(UserError, match="closed"):
        small.run(0)


def test_several_at_once_have_memory_of_their_own(emulator: Emulator) -> None:
    with Emulator(open_library(), native=emulator.native) as other:
        assert abs(other.address - emulator.address) >= emulator.memory_size
        part = compile_for(other, adder(5))
        assert other.run(part.offset, [1])[:2] == (0, 6)
    assert run(emulator, adder(1), 1)[:2] == (0, 2)


def test_without_an_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unsupported, match=f"qemu-{TARGET}-static nor qemu-{TARGET} is on PATH.* qemu-user-static"):
        Emulator(open_library())


def test_without_a_runner(tmp_path: Path) -> None:
    path = shutil.copy(open_library().path, tmp_path)
    with Library.open(path) as library, pytest.raises(LibraryError, match=r"no runner at .*; rebuild"):
        Emulator(library, native=True)


def test_a_round_trip_is_short(emulator: Emulator) -> None:
    """A loose bound: what it costs on a machine that does nothing else is some 10 to 40 microseconds."""
    part = compile_for(emulator, adder(1))
    times = []
    for _ in range(2000):
        start = time.perf_counter()
        emulator.run(part.offset, (1,))
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 1e-3


def test_the_list_of_functions_is_in_order(emulator: Emulator) -> None:
    assert tuple(emulator.functions) == guest.FUNCTIONS
    assert emulator.call(emulator.functions["narrow"], [7]) & 0xFFFFFFFF == 7
    half = emulator.call(emulator.functions["half"], (), [bits(3.0, f32)], gives_float=True)
    assert half & 0xFFFFFFFF == bits(1.5, f32)
