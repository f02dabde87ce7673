"""Turns a function into a Python object that the reference interpreter runs: backend="reference"."""

from __future__ import annotations

import ctypes
import math
import operator
from typing import Any

from cnp.errors import Unsupported
from cnp.ir.function import Function
from cnp.ir.reference import DEPTH, RANGES, Interpreter, Value
from cnp.ir.signature import as_signed, rounded
from cnp.runtime.buffer import Buffer
from cnp.types import ParameterType, PointerType, Type


def compile(function: Function, target: str | None = None, *, depth: int = DEPTH) -> ReferenceFunction:
    """Verify and decode `function`. VerifyError if it is not well formed; its callees are looked at when called.

    Unsupported for a `target`.
    """
    if target is not None:
        raise Unsupported(f"backend 'reference' has no targets, and none called {target!r}")
    return ReferenceFunction(function, depth)


class ReferenceFunction:
    """A callable that takes and returns what compiled code does, some thousand times slower.

    TypeError for a wrong number or kind of arguments, OverflowError for an integer that does not fit, BufferError for
    a buffer that is not contiguous or, where it is to be written, read-only; Trap where the function traps.
    """

    backend = "reference"

    def __init__(self, function: Function, depth: int = DEPTH) -> None:
        self.function = function
        self.__name__ = function.name
        self.interpreter = Interpreter(depth)
        self.interpreter.program(function)

    def __repr__(self) -> str:
        return f"<reference function {self.function.name}>"

    def __call__(self, *arguments: Any, **keywords: Any) -> Value:
        name, types = self.function.name, self.function.parameter_types
        if keywords:
            raise TypeError(f"{name}() takes no keyword arguments")
        if len(arguments) != len(types):
            plural = "" if len(types) == 1 else "s"
            raise TypeError(f"{name}() takes exactly {len(types)} argument{plural} ({len(arguments)} given)")
        buffers: list[Buffer] = []
        try:
            values = [
                convert(name, number, type, value, buffers)
                for number, (type, value) in enumerate(zip(types, arguments), 1)
            ]
            return self.interpreter.run(self.function, values)
        finally:
            for each in buffers:
                each.release()


def convert(name: str, number: int, type: ParameterType, value: Any, buffers: list[Buffer]) -> int | float:
    """An argument as the interpreter's registers hold it. A buffer that was opened for it is added to `buffers`.

    The same conversions, with the same words, as in stencils/core/python.c.
    """
    if isinstance(type, PointerType):
        if has_memory(value):
            buffers.append(Buffer(value, type.writable))
            return as_signed(Type.i64, buffers[-1].address)
        type = Type.i64
    if type.is_integer:
        integer = operator.index(value)
        if as_signed(type, integer) != integer:
            raise OverflowError(f"{name}() argument {number}: {value!r} does not fit {RANGES[type]}")
        return integer
    real = math.ldexp(value, 0)  # what C's conversion takes, with its words for the rest
    try:
        return rounded(type, real)
    except OverflowError:
        raise OverflowError(f"{name}() argument {number}: {value!r} does not fit {RANGES[type]}") from None


def has_memory(value: Any) -> bool:
    """Whether a value given for a pointer means the address of its buffer: scalars of NumPy mean a number."""
    api, boxed = ctypes.pythonapi, ctypes.py_object(value)
    return bool(api.PyObject_CheckBuffer(boxed) and (api.PySequence_Check(boxed) or not api.PyNumber_Check(boxed)))
