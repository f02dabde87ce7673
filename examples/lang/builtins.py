"""The built-in functions."""

from __future__ import annotations

import ctypes
import math
from array import array
from collections.abc import Callable
from typing import Any

from .faults import BadArgument
from .heat import least
from .values import Array, Builtin, show, type_name

_ROUND = 1000  # nanoseconds that the interpreter takes for an element
_PROCESS = ctypes.CDLL(None)


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        raise TypeError
    return value


def _array(value: object) -> Array:
    if type(value) is not Array:
        raise TypeError
    return value


def _len(value: Any) -> int:
    return len(value.items) if type(value) is Array else len(_string(value))


def _string(value: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _pop(value: object) -> object:
    taken = _array(value)
    if not taken.items:
        raise BadArgument("pop from an empty array")
    return taken.pop()


def _filled(length: object, value: object) -> Array:
    if type(length) is not int:
        raise TypeError
    if length < 0:
        raise BadArgument(f"array: the length is {length}")
    return Array([value] * length)


def _filled_memory(length: object, value: Any) -> Array:
    """The same; one of numbers is what compiled code takes from the start if a loop over it is worth compiling."""
    code = {int: "q", float: "d"}.get(type(value))
    if code is None or type(length) is not int or length * _ROUND < least():
        return _filled(length, value)
    try:
        return Array(array(code, [value]) * length)
    except OverflowError:
        return _filled(length, value)


def _int(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise BadArgument(f"int: {value!r} is no number") from None
    return int(_number(value))


def _float(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise BadArgument(f"float: {value!r} is no number") from None
    return float(_number(value))


def _sqrt(value: Any) -> float:
    if _number(value) < 0:
        raise BadArgument("sqrt of a negative number")
    return math.sqrt(value)


def _floor(value: Any) -> int:
    floor: int = math.floor(_number(value))
    return floor


def _least(a: Any, b: Any) -> Any:
    return b if _number(b) < _number(a) else a


def _greatest(a: Any, b: Any) -> Any:
    return b if _number(b) > _number(a) else a


def _chr(value: object) -> str:
    if type(value) is not int:
        raise TypeError
    if not 0 <= value < 0x110000:
        raise BadArgument(f"chr: {value} is no character")
    return chr(value)


def _ord(value: object) -> int:
    if len(_string(value)) != 1:
        raise BadArgument("ord takes one character")
    return ord(_string(value))


def _of_c(name: str, arity: int) -> Builtin:
    """A function of the C library: what is out of its range gives inf or nan."""
    native = _PROCESS[name]
    native.argtypes, native.restype = [ctypes.c_double] * arity, ctypes.c_double
    return Builtin(name, arity, lambda *values: native(*[float(_number(each)) for each in values]), native)


def make(write: Callable[[str], object], *, compiled: bool) -> dict[str, object]:
    """The functions by name; print writes lines to `write`. `compiled`: there is a compiler."""

    def say(*values: object) -> None:
        write(" ".join(map(show, values)) + "\n")

    found: list[tuple[str, int | None, Callable[..., object]]] = [
        ("abs", 1, lambda value: abs(_number(value))),
        ("array", 2, _filled_memory if compiled else _filled),
        ("chr", 1, _chr),
        ("float", 1, _float),
        ("floor", 1, _floor),
        ("int", 1, _int),
        ("len", 1, _len),
        ("max", 2, _greatest),
        ("min", 2, _least),
        ("ord", 1, _ord),
        ("pop", 1, _pop),
        ("print", None, say),
        ("push", 2, lambda value, item: _array(value).push(item)),
        ("sqrt", 1, _sqrt),
        ("str", 1, show),
        ("type", 1, type_name),
    ]
    functions = [Builtin(*each) for each in found]
    functions += [_of_c(name, arity) for name, arity in (("cos", 1), ("exp", 1), ("log", 1), ("pow", 2), ("sin", 1))]
    return {each.name: each for each in functions}
