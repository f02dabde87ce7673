"""The reference interpreter: calls of every kind, arguments and buffers, traps, fuel."""

from __future__ import annotations

import array
import ctypes
import math
import struct
import sys

import pytest

from cnp.backends.reference import ReferenceFunction, compile
from cnp.errors import Trap, TrapKind, VerifyError
from cnp.ir import Function, extern
from cnp.ir.reference import Interpreter, OutOfFuel
from cnp.types import ParameterType, Type, f32, f64, i32, i64, ptr, writable_ptr


def identity(type: ParameterType) -> ReferenceFunction:
    f = Function("identity", params=[type], result=type.register_type)
    f.ret(f.params[0])
    return compile(f)


def test_compile_verifies() -> None:
    with pytest.raises(VerifyError, match="function 'f': it has no ops"):
        compile(Function("f"))


@pytest.mark.parametrize("type", [i32, i64, ptr])
def test_integer_arguments(type: ParameterType) -> None:
    bits = type.register_type.bits
    f = identity(type)
    for value in (0, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), True):
        assert f(value) == value
    for value in (2 ** (bits - 1), -(2 ** (bits - 1)) - 1):
        reason = rf"identity\(\) argument 1: {value} does not fit i{bits} \(-2\*\*{bits - 1} "
        with pytest.raises(OverflowError, match=reason):
            f(value)
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        f(1.0)


def test_float_arguments() -> None:
    assert identity(f64)(1) == 1.0
    assert identity(f64)(0.1) == 0.1
    assert identity(f32)(0.1) == struct.unpack("f", struct.pack("f", 0.1))[0]
    assert identity(f32)(math.inf) == math.inf
    reason = r"identity\(\) argument 1: 1e\+300 does not fit f32 \(magnitude below 2\*\*128\)"
    with pytest.raises(OverflowError, match=reason):
        identity(f32)(1e300)
    with pytest.raises(TypeError, match="must be real number, not str"):
        identity(f64)("1")


def test_argument_count() -> None:
    with pytest.raises(TypeError, match=r"identity\(\) takes exactly 1 argument \(2 given\)"):
        identity(i32)(1, 2)
    with pytest.raises(TypeError, match=r"identity\(\) takes no keyword arguments"):
        identity(i32)(value=1)


def load_first(type: ParameterType) -> ReferenceFunction:
    f = Function("first", params=[type], result=i32)
    d = f.reg(i32)
    f.i32_load8_u(d, f.params[0])
    f.ret(d)
    return compile(f)


def test_buffers() -> None:
    data = bytearray(b"\x07abc")
    for buffer in (data, memoryview(data), array.array("B", data), bytes(data), (ctypes.c_char * 4)(7)):
        assert load_first(ptr)(buffer) == 7
    assert load_first(writable_ptr)(data) == 7
    address = ctypes.addressof((ctypes.c_char * 4).from_buffer(data))
    assert load_first(ptr)(address) == 7
    with pytest.raises(BufferError):
        load_first(writable_ptr)(b"abc")
    with pytest.raises(BufferError):
        load_first(ptr)(memoryview(data)[::2])
    with pytest.raises(TypeError):
        load_first(ptr)("abc")


def test_a_buffer_is_held_during_the_call_only() -> None:
    data = bytearray(8)
    load_first(ptr)(data)
    data.append(1)  # BufferError if it were still exported
    f = Function("f", params=[ptr, i32])
    f.ret()
    with pytest.raises(TypeError):
        compile(f)(data, "no integer")
    data.append(1)


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    assert load_first(writable_ptr)(numpy.array([5, 6], dtype=numpy.uint8)) == 5
    assert identity(f64)(numpy.float32(0.5)) == 0.5
    with pytest.raises(ValueError, match="contiguous"):
        load_first(ptr)(numpy.zeros((4, 4))[:, 1])


def test_calls_an_extern() -> None:
    labs = extern(ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value or 0, [i64], i64, "labs")
    hypot = extern(ctypes.cast(ctypes.CDLL("libm.so.6").hypot, ctypes.c_void_p).value or 0, [f64, f64], f64)
    f = Function("f", params=[i64, f64], result=f64)
    a, x = f.params
    y = f.reg(f64)
    f.call(a, labs, a)
    f.f64_convert_i64_s(y, a)
    f.call(x, hypot, x, y)
    f.ret(x)
    assert compile(f)(-3, 4.0) == 5.0


def test_calls_an_extern_of_python() -> None:
    seen: list[tuple[int, float]] = []
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_float)
    callback = prototype(lambda a, b: seen.append((a, b)))
    note = extern(ctypes.cast(callback, ctypes.c_void_p).value or 0, [i32, f32])
    f = Function("f")
    f.call(None, note, 2**32 - 1, 0.5)
    f.ret()
    assert compile(f)() is None
    assert seen == [(-1, 0.5)]


def test_calls_a_compiled_function() -> None:
    double = Function("double", params=[i64], result=i64)
    double.i64_mul(double.params[0], double.params[0], 2)
    double.ret(double.params[0])

    class Other:
        """What another back end's compiled function looks like."""

        function = double

        def __call__(self, value: int) -> int:
            return value * 2 % 2**64  # unsigned, as one might

    for callee in (double, compile(double), Other()):
        f = Function("f", params=[i64], result=i64)
        f.call(f.params[0], callee, f.params[0])
        f.ret(f.params[0])
        assert compile(f)(-21) == -42


def forever() -> Function:
    f = Function("forever")
    f.call(None, f)
    f.ret()
    return f


def test_endless_recursion_traps_whatever_it_goes_through() -> None:
    with pytest.raises(Trap, match="stack overflow in function 'forever' at op 0"):
        compile(forever())()
    f = Function("f")
    compiled: list[ReferenceFunction] = []

    class Python:
        """A compiled function that calls back into Python, and so uses its stack."""

        function = Function("python")

        def __call__(self) -> None:
            compiled[0]()

    f.call(None, Python())
    f.ret()
    compiled.append(compile(f))
    with pytest.raises(Trap) as caught:
        compiled[0]()
    assert caught.value.kind == TrapKind.STACK_OVERFLOW
    assert sys.getrecursionlimit() < 10_000


def test_a_trap_says_where() -> None:
    f = Function("f", params=[i32], result=i32)
    (a,) = f.params
    f.i32_sub(a, a, 1)
    f.i32_div_u(a, 10, a)
    f.ret(a)
    with pytest.raises(Trap, match=r"integer divide by zero in function 'f' at op 1 \(i32.div_u\)") as caught:
        compile(f)(1)
    assert (caught.value.kind, caught.value.function, caught.value.op) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, "f", 1)


def test_fuel() -> None:
    f = Function("f")
    head = f.label()
    f.place(head)
    f.jump(head)
    with pytest.raises(OutOfFuel, match="out of fuel in function 'f' at op 0"):
        Interpreter(fuel=1000).run(f, [])
    with pytest.raises(OutOfFuel):
        Interpreter(depth=10**9, fuel=1000).run(forever(), [])


def test_constants_are_signed_and_rounded() -> None:
    cases: list[tuple[Type, float, float]] = [
        (i32, 2**32 - 1, -1),
        (i64, 2**63, -(2**63)),
        (f32, 0.1, struct.unpack("f", struct.pack("f", 0.1))[0]),
        (f64, 1, 1.0),
    ]
    for type, given, found in cases:
        f = Function("f", result=type)
        f.ret(given)
        result = compile(f)()
        assert result == found
        assert isinstance(result, float) is type.is_float


def test_loads_and_stores_wrap_around_the_address_space() -> None:
    data = bytearray(b"\0\0\0\0\x2a")
    f = Function("f", params=[ptr], result=i32)
    base, d = f.params[0], f.reg(i32)
    f.i64_add(base, base, 2**31)
    f.i32_load8_s(d, base, -(2**31) + 4)
    f.ret(d)
    assert compile(f)(data) == 42


def test_a_compiled_function_does_not_change_afterwards() -> None:
    f = Function("f", result=i32)
    f.ret(1)
    compiled = compile(f)
    f._ops[0] = (f._ops[0][0], 2)
    assert compiled() == 1
    assert repr(compiled) == "<reference function f>"
    assert (compiled.__name__, compiled.backend, compiled.function) == ("f", "reference", f)
