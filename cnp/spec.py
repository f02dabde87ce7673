"""Python types made from C: PyType_FromSpec through ctypes."""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

HEAD = object.__basicsize__
"""Bytes in front of an object's own fields: 16, or 32 in free-threaded builds."""
_TPFLAGS_DEFAULT = 1 << 18
TP_MEMBERS = 72  # of the stable ABI
_T_ULONGLONG = 18


class _Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("pfunc", ctypes.c_void_p))


class _Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


class Member(ctypes.Structure):
    """`PyMemberDef`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_kept: list[Any] = []  # CPython keeps pointers into these for as long as the types live


def make_type(name: str, size: int, flags: int, base: type, slots: Mapping[int, int]) -> type:
    """A type with instances of `size` bytes; `slots` maps numbers of the stable ABI to addresses."""
    rows = (_Slot * (len(slots) + 1))(*(_Slot(number, address) for number, address in slots.items()))
    spec = _Spec(name.encode(), size, 0, _TPFLAGS_DEFAULT | flags, rows)
    _kept.extend((rows, spec))
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object)(
        ctypes.cast(ctypes.pythonapi.PyType_FromSpecWithBases, ctypes.c_void_p).value or 0
    )
    made: type = make(ctypes.addressof(spec), (base,))
    return made


def members_of(*names: str, more: Sequence[Member] = ()) -> int:
    """What TP_MEMBERS wants: attributes that are numbers of 64 bits, one behind the other right behind the head."""
    numbers = [Member(name.encode(), _T_ULONGLONG, HEAD + 8 * place, 0, None) for place, name in enumerate(names)]
    rows = (Member * (len(numbers) + len(more) + 1))(*numbers, *more)
    _kept.append(rows)
    return ctypes.addressof(rows)


def numbered(template: type[T]) -> type[T]:
    """A class like `template` whose instances hold one number of 64 bits, `code`, right behind their head.

    The garbage collector does not know them, nor does it keep tuples in its lists that hold nothing else it knows. A
    class statement makes no such class.
    """
    name = f"{template.__module__}.{template.__qualname__}"
    made = make_type(name, HEAD + 8, 0, object, {TP_MEMBERS: members_of("code")})
    for attribute in ("__doc__", "__new__", "__repr__"):
        setattr(made, attribute, template.__dict__[attribute])
    return made
