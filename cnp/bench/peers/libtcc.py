"""Peer: libtcc, the Tiny C Compiler as a library, called through ctypes."""

from __future__ import annotations

import ctypes
import functools
import os
from ctypes.util import find_library
from typing import Any

from cnp.bench.figure import Unavailable
from cnp.bench.peers.c_ops import HELPERS, LIBRARY_FUNCTIONS
from cnp.bench.peers.c_source import translate
from cnp.bench.peers.description import Group
from cnp.bench.peers.libtcc_shared import PLACE, find_shared_library
from cnp.bench.peers.peer import Functions, Peer, c_function

_OUTPUT_MEMORY, _RELOCATE_AUTO = 1, 1


class Libtcc(Peer):
    """C text in memory, compiled in one pass. Code goes when the last function of a group does."""

    name = "libtcc"
    packages = ("ctypes",)

    def __init__(self) -> None:
        super().__init__()
        self._library = _declare(ctypes.CDLL(find_shared_library()))

    @classmethod
    def environment(cls) -> dict[str, str]:
        return {PLACE: find_shared_library()}  # made once for all processes

    @property
    def version(self) -> str:
        state = _State(self._library)
        state.compile("int version(void){return __TINYC__;}")
        number = ctypes.CFUNCTYPE(ctypes.c_int)(state.address("version"))()
        return f"{number // 1000}.{number // 100 % 10}.{number % 100}"

    def build(self, group: Group) -> tuple[Group, str]:
        return group, translate(group)

    def finish(self, built: tuple[Group, str]) -> Functions:
        group, text = built
        state = _State(self._library)
        if "abort();" in text or HELPERS in text:
            for name in LIBRARY_FUNCTIONS:
                state.add_symbol(name)
        state.compile(text)
        return [c_function(each, state.address(each.symbol), state) for each in group]


class _State:
    """One compilation and its code."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._errors: list[str] = []
        self._report = _ERROR(self._append_error)
        self._pointer = library.tcc_new()
        library.tcc_set_error_func(self._pointer, None, self._report)
        # Otherwise it looks for libc and for its own library on disk, which doubles the time for a small function.
        library.tcc_set_options(self._pointer, b"-nostdlib")
        library.tcc_set_output_type(self._pointer, _OUTPUT_MEMORY)

    def __del__(self) -> None:
        self._library.tcc_delete(self._pointer)

    def _append_error(self, _: Any, message: bytes) -> None:
        self._errors.append(os.fsdecode(message))

    def add_symbol(self, name: str) -> None:
        """Make a function of the C library known."""
        address = ctypes.cast(getattr(_c_library(), name), ctypes.c_void_p)
        self._library.tcc_add_symbol(self._pointer, name.encode(), address)

    def compile(self, text: str) -> None:
        """Unavailable with libtcc's message if it cannot."""
        library, pointer = self._library, self._pointer
        if library.tcc_compile_string(pointer, text.encode()) or library.tcc_relocate(pointer, _RELOCATE_AUTO) < 0:
            raise Unavailable(f"libtcc: {'; '.join(self._errors)}")

    def address(self, symbol: str) -> int:
        """Of a function that was compiled."""
        found: int = self._library.tcc_get_symbol(self._pointer, symbol.encode())
        return found


@functools.cache
def _c_library() -> Any:
    return ctypes.CDLL(find_library("m"))  # and with it libc


_ERROR = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_SIGNATURES: dict[str, tuple[Any, ...]] = {  # the result, then the parameters
    "tcc_new": (ctypes.c_void_p,),
    "tcc_delete": (None, ctypes.c_void_p),
    "tcc_set_error_func": (None, ctypes.c_void_p, ctypes.c_void_p, _ERROR),
    "tcc_set_options": (None, ctypes.c_void_p, ctypes.c_char_p),
    "tcc_add_symbol": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
    "tcc_set_output_type": (ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
    "tcc_compile_string": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p),
    "tcc_relocate": (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
    "tcc_get_symbol": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p),
}


def _declare(library: Any) -> Any:
    for name, (result, *parameters) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, parameters
    return library
