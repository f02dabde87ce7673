"""Native functions as Python callables: numbers in, numbers out."""

from __future__ import annotations

import gc
import inspect
import itertools
import math
import struct
import sys
from typing import Any

import numpy as np
import pytest
from native_arguments import Fails, Float, Index, identity
from trials import to_f32

import cnp
from cnp import Function, f32, f64, i32, i64, ptr
from cnp.types import Type


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


@pytest.mark.parametrize("option", ["nogil", "safepoints", "landing_pads"])
@pytest.mark.parametrize("value", [None, "", "yes", [], 2])
def test_options_are_true_or_false_as_python_has_it(option: str, value: Any) -> None:
    f = Function("same", [i64], i64)
    f.ret(f.params[0])
    assert f.compile(**{option: value})(7) == 7
