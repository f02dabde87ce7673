"""Compiled functions as Python objects: conversions of arguments and results, buffers, other ways in, and lifetime."""

from __future__ import annotations

import array
import copy
import ctypes
import gc
import inspect
import itertools
import math
import pickle
import struct
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import LowLevelCallable, integrate
from trials import to_f32

import cnp
from cnp import Function, Trap, TrapKind, f32, f64, i32, i64, ptr, writable_ptr
from cnp.runtime.callable import NativeFunction
from cnp.types import Type


def identity(type: Any) -> Any:
    f = Function("identity", [type], type if isinstance(type, Type) else i64)
    f.ret(f.params[0])
    return f.compile()


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Float:
    def __float__(self) -> float:
        return 2.5


class Fails:
    def __index__(self) -> int:
        raise KeyError("index")

    def __float__(self) -> float:
        raise KeyError("float")


class TestIntegers:
    @pytest.mark.parametrize(("type", "bits"), [(i32, 32), (i64, 64)], ids=["i32", "i64"])
    def test_range(self, type: Any, bits: int) -> None:
        g, half = identity(type), 1 << (bits - 1)
        for value in (0, 1, -1, 2**15, -(2**15), 2**30, 2**30 - 1, -(2**30), half - 1, half - 2, -half, -half + 1):
            assert g(value) == value
        for value in (half, -half - 1, 2 * half - 1, 2 * half, 2**63, -(2**63) - 1, 2**64, 10**400, -(10**400)):
            range_of = f"i{bits} \\(-2\\*\\*{bits - 1} to 2\\*\\*{bits - 1} - 1\\)"
            with pytest.raises(OverflowError, match=rf"^identity\(\) argument 1: -?\d+ does not fit {range_of}$"):
                g(value)

    def test_every_digit_boundary(self) -> None:
        g, h = identity(i64), identity(i32)
        for power, delta in itertools.product(range(63), range(-2, 3)):
            for value in ((1 << power) + delta, -(1 << power) + delta):
                assert g(value) == value
                if -(2**31) <= value < 2**31:
                    assert h(value) == value

    @pytest.mark.parametrize("type", [i32, i64], ids=str)
    def test_other_objects(self, type: Any) -> None:
        g = identity(type)
        assert (g(True), g(False)) == (1, 0)
        for each in (np.int8(-7), np.int32(-7), np.int64(-7), Index(-7)):
            assert g(each) == -7
        for each in (np.uint8(200), np.uint64(200), Index(200), np.array(200)):
            assert g(each) == 200
        for wrong in (1.0, "1", b"1", None, [], np.float64(1), np.array([1, 2]), object(), 1j):
            with pytest.raises(TypeError):
                g(wrong)
        with pytest.raises(KeyError, match="index"):
            g(Fails())
        with pytest.raises(OverflowError, match="does not fit"):
            g(Index(2**64))
        with pytest.raises(OverflowError, match="does not fit"):
            g(np.uint64(2**64 - 1))

    def test_a_subclass_of_int_is_its_value(self) -> None:
        class Three(int):
            def __index__(self) -> int:
                return 99

        assert identity(i64)(Three(3)) == 3


class TestFloats:
    def test_f64(self) -> None:
        g = identity(f64)
        for value in (0.0, -0.0, 1.5, -1.0, math.inf, -math.inf, 5e-324, sys.float_info.max):
            assert struct.pack("<d", g(value)) == struct.pack("<d", value)
        assert math.isnan(g(math.nan))
        for value, expected in ((3, 3.0), (True, 1.0), (np.float32(0.5), 0.5), (np.int64(7), 7.0)):
            assert g(value) == expected
        assert (g(Index(4)), g(Float())) == (4.0, 2.5)
        assert g(2**1000) == 2.0**1000
        for wrong in ("1", b"1", None, [], 1j, object()):
            with pytest.raises(TypeError):
                g(wrong)
        with pytest.raises(KeyError, match="float"):
            g(Fails())
        with pytest.raises(OverflowError):
            g(2**1024)

    def test_f32(self) -> None:
        g = identity(f32)
        for value in (0.1, -0.1, 1 / 3, 16777217.0, 1e-45, 1e-46, 3.4028234663852886e38, -0.0, math.inf, -math.inf):
            assert struct.pack("<d", g(value)) == struct.pack("<d", to_f32(value))
        assert math.isnan(g(math.nan))
        halfway = 2.0**128 - 2.0**103  # between the greatest f32 and 2^128: rounds to 2^128
        assert g(math.nextafter(halfway, 0)) == 2.0**128 - 2.0**104
        for value in (halfway, -halfway, 2.0**128, 1e39, -1e300):
            with pytest.raises(OverflowError, match=r"identity\(\) argument 1: .* does not fit f32"):
                g(value)

    def test_minus_one_is_not_an_error(self) -> None:
        assert [identity(type)(-1) for type in (i32, i64, f32, f64)] == [-1, -1, -1.0, -1.0]


class TestSignature:
    def test_wrong_counts(self) -> None:
        f = Function("two", [i64, i64], i64)
        f.ret(f.params[0])
        g = f.compile()
        for arguments in ((), (1,), (1, 2, 3), tuple(range(20))):
            message = rf"^two\(\) takes exactly 2 arguments \({len(arguments)} given\)$"
            with pytest.raises(TypeError, match=message):
                g(*arguments)
        with pytest.raises(TypeError, match=r"^identity\(\) takes exactly 1 argument \(0 given\)$"):
            identity(i32)()

    def test_keywords(self) -> None:
        g = identity(i64)
        with pytest.raises(TypeError, match=r"^identity\(\) takes no keyword arguments$"):
            g(p0=1)
        with pytest.raises(TypeError, match="keyword"):
            g(1, p1=1)
        nothing: dict[str, Any] = {}
        assert g(1, **nothing) == 1
        assert g(*[5]) == 5

    def test_all_ways_to_call(self) -> None:
        f = Function("add", [i64, i64], i64)
        f.i64_add(f.params[0], f.params[0], f.params[1])
        f.ret(f.params[0])
        g = f.compile()
        assert list(map(g, [1, 2], [10, 20])) == [11, 22]
        assert g.__call__(1, 2) == 3
        assert (lambda *a: g(*a))(1, 2) == 3

        class Holder:
            method = g  # no descriptor: it does not become a bound method, as with built-ins

        assert Holder().method(1, 2) == 3

    def test_introspection(self) -> None:
        f = Function("mixed", [i32, f64, ptr], f32)
        f.ret(0.0)
        g = f.compile()
        assert g.__name__ == "mixed"
        assert g.__doc__ == "mixed(i32, f64, ptr) -> f32, compiled by cnp."
        assert g.__text_signature__ == "(p0, p1, p2, /)"
        signature = inspect.signature(g)
        assert [each.kind for each in signature.parameters.values()] == [inspect.Parameter.POSITIONAL_ONLY] * 3
        assert [each.annotation for each in signature.parameters.values()] == ["i32", "f64", "ptr"]
        assert signature.return_annotation == "f32"
        assert repr(g).startswith("<native function mixed, ")
        assert callable(g)
        assert g.function is f
        assert len(g.code) > 0

    def test_no_parameters(self) -> None:
        for result, value in ((i32, -3), (i64, -(2**40)), (f32, 0.5), (f64, 0.1), (None, None)):
            f = Function("give", [], result)
            f.ret(value)
            g = f.compile()
            assert g() == value
            assert g.__text_signature__ == "()"
            with pytest.raises(TypeError, match=r"takes exactly 0 arguments \(1 given\)"):
                g(1)

    def test_none_is_returned_without_a_result(self) -> None:
        f = Function("nothing", [i64])
        f.ret()
        before = sys.getrefcount(None)
        g = f.compile()
        assert [g(each) for each in range(1000)] == [None] * 1000
        assert abs(sys.getrefcount(None) - before) < 500

    def test_a_new_name_comes_with_the_next_compilation(self) -> None:
        f = Function("".join(["old", "_name"]), [i64], i64)
        f.ret(f.params[0])
        g = f.compile()
        f.name = "".join(["new", "_name"])
        gc.collect()
        filler = ["".join(["xxx", "_name"]) for _ in range(1000)]
        with pytest.raises(TypeError, match=r"^(old|new)_name\(\) takes exactly 1 argument"):
            g()
        assert filler


MIXED = [
    types for count in range(1, 9) for types in [[list(Type)[(count * k + k * k // 3) % 4] for k in range(count)]]
] + [list(each) for each in itertools.product(Type, repeat=3)]
SAMPLE = {i32: -(2**31) + 5, i64: 2**62 + 3, f32: 0.1, f64: -0.1}


@pytest.mark.parametrize("types", MIXED, ids=lambda types: "-".join(map(str, types)))
def test_each_of_mixed_parameters_arrives(types: list[Type]) -> None:
    for position, type in enumerate(types):
        f = Function("pick", types, type)
        f.ret(f.params[position])
        g = f.compile()
        values = [SAMPLE[each] + (k if each.is_integer else 0) for k, each in enumerate(types)]
        expected = values[position] if type is not f32 else to_f32(values[position])
        assert g(*values) == expected
        assert g.ctypes(*values) == expected
        h = Function("through", types, type)
        d = h.reg(type)
        h.call(d, cnp.extern(g.address, types, type), *h.params)
        h.ret(d)
        assert h.compile()(*values) == expected


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
