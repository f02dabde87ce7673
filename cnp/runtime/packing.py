"""The core's structures -> packers, which fill in many fields by one call: one by one each costs as much as a call."""

from __future__ import annotations

import ctypes
import struct

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

_CODES = {
    ctypes.c_void_p: "Q",
    ctypes.c_char_p: "Q",
    ctypes.c_uint64: "Q",
    ctypes.c_int64: "q",
    ctypes.c_uint32: "I",
    ctypes.c_uint8: "B",
}

BYTES_HEAD = bytes.__basicsize__ - 1
"""Where in a bytes object its data begin: in CPython right behind what it says of them, and a zero ends them."""


def packer(structure: type[ctypes.Structure], first: str, last: str) -> struct.Struct:
    """From field to field a number for each, an address for a pointer, bytes for an array, and nothing for padding."""
    names = [each[0] for each in structure._fields_]
    fields = structure._fields_[names.index(first) : names.index(last) + 1]
    return struct.Struct("=" + "".join(_code(name, kind) for name, kind, *_ in fields))


def _code(name: str, kind: Any) -> str:
    return _CODES[kind] if kind in _CODES else f"{ctypes.sizeof(kind)}{'x' if name == 'zero' else 's'}"
