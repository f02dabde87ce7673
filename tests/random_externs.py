"""What random programs call in C."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

from machines import C_FUNCTIONS, Machine

import cnp
from cnp.ir import Extern
from cnp.types import Type

i32, i64, f32, f64 = Type


def _mix(*values: Any) -> int:
    """A number that depends on every argument and on its position; of a float, on no more than its sign."""
    total = 0
    for each in values:
        total = (total * 31 + (int(each > 0) if isinstance(each, float) else each)) % 2**64
    return total


_C: dict[Type, Any] = {i32: ctypes.c_int32, i64: ctypes.c_int64, f32: ctypes.c_float, f64: ctypes.c_double}
_callbacks: list[Any] = []


def _callback(name: str, params: list[Type], result: Type | None) -> Extern:
    def called(*values: Any) -> Any:
        mixed = _mix(*values)
        if result is None:
            return None
        return (
            float(mixed % 1000)
            if result.is_float
            else (mixed + 2 ** (result.bits - 1)) % 2**result.bits - 2 ** (result.bits - 1)
        )

    made = ctypes.CFUNCTYPE(None if result is None else _C[result], *[_C[each] for each in params])(called)
    _callbacks.append(made)
    return cnp.extern(ctypes.cast(made, ctypes.c_void_p).value or 0, params, result, name)


def _library(name: str, params: list[Type], result: Type) -> Extern:
    library = ctypes.CDLL(ctypes.util.find_library("m") if result.is_float else None)
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    return cnp.extern(address, params, result, name)


EXTERNS = [
    _library("abs", [i32], i32),
    _library("labs", [i64], i64),
    _library("labs", [i64], i32),  # which leaves something in the upper half of the register
    _library("fabs", [f64], f64),
    _library("sqrt", [f64], f64),
    _library("floorf", [f32], f32),
    _library("fmax", [f64, f64], f64),
    _library("ldexp", [f64, i32], f64),
    _callback("mix_nothing", [], i32),
    _callback("mix_void", [i64, f32], None),
    _callback("mix_three", [i32, f32, i64], f32),
    _callback("mix_six", [i64, i32, i64, i32, i64, i32], i32),
    _callback("mix_seven", [i64, i32, i64, i32, i64, i32, i32], i64),
    _callback("mix_eight", [i32, i64, f64, f32, i64, i32, i64, i32, i64, f64, i32], i64),
    _callback("mix_all", [*[f64, i64] * 4, *[f32, i32] * 4], f64),
]
"""Of this machine."""


def externs(machine: Machine) -> list[Extern]:
    """C functions that programs may call."""
    return EXTERNS if machine.is_native else [machine.extern(name) for name in C_FUNCTIONS]
