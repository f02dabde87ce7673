"""Addresses of Python's buffers."""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any


class _PyBuffer(ctypes.Structure):
    """CPython's Py_buffer."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_SIMPLE, _WRITABLE = 0, 1  # PyBUF_SIMPLE, PyBUF_WRITABLE


class Buffer:
    """The memory of a C-contiguous buffer, held in place until `release`. BufferError if it cannot be had."""

    def __init__(self, owner: Any, writable: bool) -> None:
        self._view = _PyBuffer()
        flags = _WRITABLE if writable else _SIMPLE
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(owner), ctypes.byref(self._view), flags)
        self.address: int = self._view.buf or 0

    def release(self) -> None:
        """Let go of the memory; a second time does nothing."""
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(self._view))
