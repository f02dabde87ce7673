"""Compiles functions with this machine's core, for an Emulator of the same target: code at the emulator's addresses."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any

import pytest

from cnp.backends import native
from cnp.backends.requests import Group
from cnp.errors import Unsupported
from cnp.ir import Function
from cnp.runtime.code import Part
from cnp.runtime.default import DATA
from cnp.runtime.layout import CALLEE_MEMBER, Library, Request
from cnp.stencil.library import Library as StencilLibrary
from cnp.target import TARGETS
from cnp.tools.emulator import Emulator
from cnp.tools.guest import find_emulator

TARGET = platform.machine()
NATIVE = "native"


def machine_names() -> list[str]:
    """Of this machine, and of all targets that there is a library for: what tests of compiled code run on."""
    built = [each for each in TARGETS if all(Path(DATA, f"{each}.{kind}").exists() for kind in ("cnpl", "runner"))]
    return [NATIVE, *(each for each in built if each != TARGET)]


def need_emulator(target: str = TARGET) -> None:
    """Skips a test where nothing runs programs for `target`; conftest.py says so once more in the summary."""
    try:
        find_emulator(target)
    except Unsupported as error:
        pytest.skip(f"NOT TESTED: {error}")


class GuestCore:
    """This machine's core, which takes the library's blob to be where the emulator has it."""

    def __init__(self, emulator: Emulator) -> None:
        core = native.core()
        self.lock, self.scratch, self.emit = core.lock, core.scratch, core.emit
        self.library, self._core = core.library, core
        self.tables = Library.from_buffer_copy(core.tables)
        self.tables.blob = emulator.blob_address

    def compile(self, request: Request, _: Library | None = None) -> int:
        tables = ctypes.addressof(self.tables)
        return int(self._core._compile(tables, self._core.host_address, ctypes.addressof(request)))

    def entry_from_c(self, emulator: Emulator, signature: int, is_float: bool) -> int:
        """The way in from C for a signature."""
        tables = ctypes.addressof(self.tables)
        size = self._core.emit_entry(tables, is_float, signature, None, 0)
        address = emulator.allocate(size)
        self._core.emit_entry(tables, is_float, signature, address, address)
        emulator.commit(address, size)
        return address


class GuestGroup(Group):
    """Functions whose code goes to the emulator."""

    def place(self, emulator: Emulator) -> list[Part]:
        """The parts, with their offsets turned into addresses."""
        core: Any = self._core
        with core.lock, core.scratch() as scratch:
            parts, requests, _, _ = self._lay_out(scratch)
            for part in parts:
                part.offset = emulator.allocate(part.code_size, part.alignment)
            for part, (request, callees) in zip(parts, requests):
                for row in callees or ():
                    if row.kind == CALLEE_MEMBER:
                        row.address = parts[row.address].offset
                assert not core.emit(ctypes.addressof(request), part.offset, part.offset)
                emulator.commit(part.offset, part.code_size)
        return parts


def compile_for(emulator: Emulator, function: Function) -> Part:
    """The function's part: its `offset` is the address of its code in the emulator, its `number` is in trap words."""
    core: Any = GuestCore(emulator)
    group = GuestGroup(core, native.reached([function]), native._compiled, safepoints=True, trace=False, pins=None)
    return group.place(emulator)[0]


def open_library() -> StencilLibrary:
    return native.core().library
