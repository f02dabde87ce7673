"""Which built-in functions compiled code does itself, or calls C or Python for, and what kind of value they give."""

from __future__ import annotations

import ctypes

from ..values import Builtin
from .kinds import ELEMENTS, FLOAT, FLOATS, INT, INTS, NUMBERS, WHOLE, Kind, Known

OF_C = {ctypes.c_double: FLOAT, ctypes.c_int64: INT}


def result_of(callee: object, arguments: tuple[Kind, ...]) -> Kind | None:
    """The kind of the result, or None if this call is the interpreter's."""
    if not isinstance(callee, Builtin) or callee.arity != len(arguments):
        return None
    if callee.native is not None:
        wanted = [OF_C[each] for each in callee.native.argtypes]
        fit = all(kind in (NUMBERS if each is FLOAT else WHOLE) for each, kind in zip(wanted, arguments))
        return OF_C[callee.native.restype] if fit else None
    a = arguments[0] if arguments else None
    match callee.name:
        case "sqrt" if a in NUMBERS:
            return FLOAT
        case "abs" if a in NUMBERS:
            return FLOAT if a is FLOAT else INT
        case "float" if a in NUMBERS:
            return FLOAT
        case "int" if a in NUMBERS:
            return INT
        case "floor" if a in NUMBERS:
            return INT
        case "len" if a in ELEMENTS:
            return INT
        case "push" if (a is INTS or a is FLOATS) and ELEMENTS[a] is arguments[1]:
            return Known(None)
        case "min" | "max" if a is arguments[1] and (a is FLOAT or a is INT):
            return a
    return None
