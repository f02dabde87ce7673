"""Buffers as arguments of native functions, and other ways to call them."""

from __future__ import annotations

import array
import ctypes
import gc
import sys
from typing import Any

import numpy as np
import pytest
from native_arguments import identity
from scipy import LowLevelCallable, integrate

import cnp
from cnp import Function, Trap, TrapKind, f64, i32, i64, ptr, writable_ptr
from cnp.types import Type


class TestBuffers:
    def sum_bytes(self, type: Any = ptr) -> Any:
        f = Function("sum_bytes", [type, i64], i64)
        at, n = f.params
        total, byte, again, done = f.reg(i64), f.reg(i64), f.label(), f.label()
        f.i64_const(total, 0)
        f.place(again)
        f.branch_i64_eqz(n, done)
        f.i64_load8_u(byte, at)
        f.i64_add(total, total, byte)
        f.i64_add(at, at, 1)
        f.i64_sub(n, n, 1)
        f.jump(again)
        f.place(done)
        f.ret(total)
        return f.compile()

    @pytest.mark.parametrize("type", [ptr, writable_ptr], ids=str)
    def test_kinds(self, type: Any) -> None:
        g, data = self.sum_bytes(type), bytes(range(50))
        kinds = [
            bytearray(data),
            array.array("B", data),
            memoryview(bytearray(data)),
            np.frombuffer(data, np.uint8).copy(),
            ctypes.create_string_buffer(data, 50),
            np.frombuffer(data, np.uint8).copy().reshape(5, 10),
        ]
        for each in kinds:
            assert g(each, 50) == sum(data)
        array_ = np.frombuffer(data, np.uint8).copy()
        assert g(array_.ctypes.data, 50) == sum(data)
        assert g(array_[10:20], 10) == sum(range(10, 20))
        assert g(bytearray(), 0) == 0

    def test_read_only(self) -> None:
        data = bytes(range(50))
        read_only = np.frombuffer(data, np.uint8)
        for each in (data, memoryview(data), read_only):
            assert self.sum_bytes(ptr)(each, 50) == sum(data)
            with pytest.raises((BufferError, TypeError, ValueError)):
                self.sum_bytes(writable_ptr)(each, 50)

    def test_not_contiguous(self) -> None:
        table = np.zeros((6, 6), np.uint8)
        for each in (table[:, 1:3], table[::2], memoryview(bytearray(10))[::2], table.reshape(36)[::-1]):
            for type in (ptr, writable_ptr):
                with pytest.raises((BufferError, ValueError)):
                    self.sum_bytes(type)(each, 0)

    def test_address_is_taken_modulo_nothing(self) -> None:
        g = identity(ptr)
        assert g(2**63 - 1) == 2**63 - 1
        assert g(-1) == -1
        with pytest.raises(OverflowError):
            g(2**63)
        for wrong in ("text", None, 1.0):
            with pytest.raises(TypeError):
                g(wrong)

    def test_buffers_are_released(self) -> None:
        g = self.sum_bytes()
        data = bytearray(16)
        g(data, 16)
        data.extend(b"more")  # BufferError while somebody holds the buffer
        with pytest.raises(TypeError):
            g(data, "x")
        data.extend(b"more")
        f = Function("traps", [ptr, writable_ptr, i64])
        f.unreachable()
        for second, third, error in ((data, 0, Trap), (data, 2**64, OverflowError), (b"", 0, BufferError)):
            with pytest.raises(error):
                f.compile()(data, second, third)
            data.extend(b"more")

    def test_a_buffer_is_held_during_the_call(self) -> None:
        data, seen = bytearray(8), []

        def resize() -> None:
            with pytest.raises(BufferError):
                data.extend(b"more")
            seen.append(True)

        callback = ctypes.CFUNCTYPE(None)(resize)
        f = Function("holds", [ptr])
        f.call(None, cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, []))
        f.ret()
        f.compile()(data)
        assert seen
        data.extend(b"more")

    def test_eight_buffers_and_their_references(self) -> None:
        f = Function("ends", [ptr, writable_ptr] * 4, i64)
        total = f.reg(i64)
        f.i64_load8_u(total, f.params[0])
        for each in f.params[1:]:
            byte = f.reg(i64)
            f.i64_load8_u(byte, each)
            f.i64_shl(total, total, 4)
            f.i64_or(total, total, byte)
        f.ret(total)
        g = f.compile()
        buffers = [bytearray([each + 1]) for each in range(8)]
        before = [sys.getrefcount(each) for each in buffers]
        for _ in range(1000):
            assert g(*buffers) == 0x12345678
        assert [sys.getrefcount(each) for each in buffers] == before
        for buffer in buffers:
            buffer.append(0)

    def test_memory_written_is_seen(self) -> None:
        f = Function("fill", [writable_ptr, f64])
        f.f64_store(f.params[1], f.params[0], 8)
        f.ret()
        data = np.zeros(3)
        f.compile()(data, 2.5)
        assert data.tolist() == [0.0, 2.5, 0.0]


class TestOtherWaysIn:
    def adder(self, type: Any) -> Any:
        f = Function("adder", [type, type], type)
        d = f.reg(type)
        getattr(f, f"{type}_add")(d, *f.params)
        f.ret(d)
        return f.compile()

    @pytest.mark.parametrize("type", list(Type), ids=str)
    def test_ctypes(self, type: Any) -> None:
        pointer = self.adder(type).ctypes  # the only reference to the function
        gc.collect()
        assert pointer(20, 22) == 42
        assert pointer(-20, -22) == -42

    def test_upper_halves_of_i32_arguments_are_ignored(self) -> None:
        g = self.adder(i32)
        wide = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_int64)(g.address)
        assert wide(0x7FFFFFFF_00000005, -(2**63) + 6) == 11
        f = Function("as_index", [i32], i64)
        d = f.reg(i64)
        f.i64_extend_i32_u(d, f.params[0])
        f.ret(d)
        h = f.compile()
        assert ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(h.address)(-1) == 2**32 - 1

    def test_ctypes_raises_traps(self) -> None:
        f = Function("crash", [i64], i64)
        d = f.reg(i64)
        f.i64_div_s(d, 1, f.params[0])
        f.ret(d)
        pointer = f.compile().ctypes
        assert pointer(1) == 1
        for _ in range(3):
            with pytest.raises(Trap) as caught:
                pointer(0)
            assert (caught.value.kind, caught.value.op) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, 0)
        assert pointer(-1) == -1

    def test_without_the_gil_a_trap_is_unraisable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        f = Function("crash", [], i64)
        f.unreachable()
        g, seen = f.compile(), []
        monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_value))
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(g.address)() == 0  # CFUNCTYPE releases the GIL
        assert [type(each) for each in seen] == [Trap]

    def test_address_stays(self) -> None:
        g = self.adder(i64)
        assert g.address == g.address != g.entry

    def test_scipy(self) -> None:
        f = Function("integrand", [f64], f64)
        x = f.params[0]
        f.f64_mul(x, x, x)
        f.ret(x)
        call = f.compile().low_level_callable
        assert isinstance(call, LowLevelCallable)
        gc.collect()
        assert integrate.quad(call, 0, 3)[0] == pytest.approx(9.0)

    def test_scipy_with_parameters(self) -> None:
        f = Function("integrand", [i32, ptr], f64)
        a, b = f.reg(f64), f.reg(f64)
        f.f64_load(a, f.params[1], 0)
        f.f64_load(b, f.params[1], 8)
        f.f64_mul(a, a, b)
        f.ret(a)
        g = f.compile()
        kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
        pointer = kind(g.address)
        assert integrate.quad(LowLevelCallable(pointer), 0, 1, args=(4.0,))[0] == pytest.approx(2.0)
        assert g
