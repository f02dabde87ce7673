"""A stencil library -> a running core: placed in code memory, told where Python and the C library are, and called."""

from __future__ import annotations

import ctypes
import os
import sys
from _thread import RLock, get_ident

from cnp.errors import LibraryError
from cnp.runtime import platform, threads
from cnp.runtime.buffer import Buffer
from cnp.runtime.codememory import CodeMemory
from cnp.runtime.layout import (
    LIBC_FUNCTIONS,
    PYTHON_FUNCTIONS,
    PYTHON_OBJECTS,
    STRUCTURES,
    Host,
    Library,
    Request,
)
from cnp.runtime.reservation import release
from cnp.runtime.scratch import Scratch
from cnp.runtime.tables import SECTIONS, describe
from cnp.stencil.layout import SectionName

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cnp.runtime.block import Block
    from cnp.stencil.library import Library as StencilLibrary

NEED_SCRATCH = 100
MISSING_STENCIL = 101
_prototype = ctypes.PYFUNCTYPE  # which keeps the GIL, for the core reads Python objects
_INTEGER, _WORD, _LONG, _POINTER = ctypes.c_int, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
ROUTINES: Mapping[str, tuple[Any, ...]] = {
    "emit": (_INTEGER, _POINTER, _POINTER, _LONG),
    "emit_entry": (_WORD, _POINTER, _WORD, _LONG, _POINTER, _LONG),
    "externals": (_WORD, _POINTER, _POINTER, _WORD),
    "describe_exits": (_LONG, _POINTER, _POINTER, _POINTER),
    "enter": (_INTEGER, _POINTER, _POINTER),
    "label_of": (_WORD, _POINTER, _WORD),
    "fuel": (ctypes.c_int64, _POINTER, ctypes.c_int64),
    "set": (None, _LONG, _LONG),
    "latest_fault": (None, _POINTER, _POINTER, _POINTER),
}
"""Routines of the core that Python calls, methods of Core: what each returns, and takes."""
BARE_PARAMETERS = 4
"""Up to how many integer arguments there is a short way in from Python for."""


class Core:
    """The core of one library, in one code memory. Its methods may be called from any thread that holds the GIL.

    `register_type` and `label_type` are the classes that operands may have, `raise_trap` a function that takes a trap
    word and raises. `imports` are the addresses of functions that the library's own call, by name.
    """

    def __init__(
        self,
        library: StencilLibrary,
        memory: CodeMemory,
        register_type: type,
        label_type: type,
        raise_trap: Callable[[int], object],
        imports: Mapping[str, int],
    ) -> None:
        self.library = library
        self.imports = imports
        self.memory = memory
        self.register_type = register_type
        self._kept = (label_type, raise_trap, release, threads.reclaim)
        self.host = Host()
        self.host_address = ctypes.addressof(self.host)
        self.blob = self._place_blob()
        self._check_layout()
        self._fill_in_host(register_type, label_type, raise_trap)
        self._sections: list[Buffer] = []
        self.tables = self.make_tables(library, self.blob.executable_address)
        self.bare_calls = [self.routine(f"cnp_vectorcall_bare_{count}") for count in range(BARE_PARAMETERS + 1)]
        self._compile = _prototype(_INTEGER, _POINTER, _POINTER, _POINTER)(self.routine("cnp_compile"))
        self._library_address = ctypes.addressof(self.tables)
        self.lock = RLock()
        self._free_scratch: list[Scratch] = []
        self._spare_scratch: list[Scratch] = []
        os.register_at_fork(after_in_child=self._after_fork)

    def __getattr__(self, name: str) -> Any:
        """One of the ROUTINES, made when it is first called: each is a type of its own, and most programs want one."""
        if name not in ROUTINES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        made = _prototype(*ROUTINES[name])(self.routine(f"cnp_{name}"))
        setattr(self, name, made)
        return made

    def routine(self, name: str) -> int:
        """The address of one of the core's exported routines."""
        return self.blob.executable_address + self.library.exports[name]

    def _after_fork(self) -> None:
        """In the child: no other thread is there to finish anything, and the main thread is another."""
        self.lock = RLock()
        self.host.main_thread = get_ident()
        ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(self.routine("cnp_after_fork"))(self.host_address)
        threads.after_fork()

    def _check_layout(self) -> None:
        """LibraryError if the core was compiled from other headers than cnp.runtime.layout mirrors."""
        size_of = ctypes.PYFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)(self.routine("cnp_size_of"))
        for number, structure in enumerate(STRUCTURES):
            if size_of(number) != ctypes.sizeof(structure):
                name, found, mine = structure.__name__, size_of(number), ctypes.sizeof(structure)
                raise LibraryError(
                    f"{self.library.path} was built for another cnp: its {name} has {found} bytes, {mine} are "
                    "accepted; "
                    "rebuild it with `python build_stencils.py`"
                )

    def _place_blob(self) -> Block:
        data = bytearray(self.library.section(SectionName.BLOB))
        word = self.library.exports["cnp_own_host"]
        data[word : word + 8] = self.host_address.to_bytes(8, "little")
        block = self.memory.allocate(len(data), 64)
        block.write(bytes(data))
        if self.imports:
            for name, offsets in self.library.imports.items():
                for offset in offsets:
                    block.write(self.imports[name].to_bytes(8, "little"), offset)
        self.memory.commit(block)
        return block

    def _fill_in_host(self, register_type: type, label_type: type, raise_trap: Callable[[int], object]) -> None:
        host = self.host
        for name in PYTHON_FUNCTIONS:
            setattr(host, name, ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name)))
        host.poll, host.trapped = self.routine("cnp_poll_python"), self.routine("cnp_trapped_python")
        host.left, host.called = self.routine("cnp_left_python"), self.routine("cnp_called_python")
        host.came_out = self.routine("cnp_came_out_python")
        system = platform.current()
        for name in LIBC_FUNCTIONS:
            setattr(host, name, system.routine(name))
        objects = (
            None,
            TypeError,
            OverflowError,
            ValueError,
            int,
            float,
            register_type,
            label_type,
            raise_trap,
            release,
            threads.reclaim,
        )
        for name, each in zip(PYTHON_OBJECTS, objects):
            setattr(host, name, id(each))
        host.long_layout = _long_layout()
        host.tuple_items = _tuple_items()
        host.type_offset = object.__basicsize__ - ctypes.sizeof(ctypes.c_void_p)
        host.slot_offset = object.__basicsize__
        host.context_key = threads.connect(self.routine)
        host.threads = threads.address
        threading = sys.modules.get("threading")  # where nobody wanted it, this thread is the first that Python knows
        host.main_thread = get_ident() if threading is None else (threading.main_thread().ident or 0)

    def make_tables(self, library: StencilLibrary, blob: int) -> Library:
        """What the core wants to know of a library whose blob is, or will be, executable at an address.

        LibraryError if something is not in it.
        """
        tables = describe(library)
        for name in SECTIONS:
            section = Buffer(library.section(SectionName[name.upper()]), writable=False)
            self._sections.append(section)
            setattr(tables, name, section.address)
        if library.limits["pools"]:
            constants = Buffer(library.section(SectionName.BLOB), writable=False)
            self._sections.append(constants)
            tables.constants = constants.address
        tables.blob = blob
        return tables

    def compile(self, request: Request, tables: Library | None = None) -> int:
        """Run the core's passes over a request, for its own library or another one's tables.

        Returns 0, or the code of what is wrong; the request has details.
        """
        library = self._library_address if tables is None else ctypes.addressof(tables)
        error: int = self._compile(library, self.host_address, ctypes.addressof(request))
        return error

    def make_entry(self, which: int, description: int) -> Block:
        """A way from C to compiled code, 0 for an integer result, 1 for a float; or from there to a callback, 2 or 3.

        `description` is the address of the signature, or callback.
        """
        tables = ctypes.addressof(self.tables)
        with self.lock:
            size = self.emit_entry(tables, which, description, None, 0)
            block = self.memory.allocate(size)
            self.emit_entry(tables, which, description, block.writable_address, block.executable_address)
            self.memory.commit(block)
        return block

    def scratch(self) -> Scratch:
        """For a with statement: memory to work in, which nobody else has meanwhile."""
        try:
            return self._free_scratch.pop()
        except IndexError:
            return Scratch(self._free_scratch, self._spare_scratch)


_LONG_UNKNOWN, _LONG_SIZE, _LONG_TAG = range(3)


def _long_layout() -> int:
    """How this CPython keeps small ints (`enum long_layout`), found out by looking at some."""
    head, samples = object.__basicsize__, (0, 1, -1, 7, -300, 2**30 - 1, 1 - 2**30)

    def matches(size_of: Callable[[int], int]) -> bool:
        return all(
            ctypes.c_int64.from_address(id(each) + head).value == size_of(each)
            and ctypes.c_uint32.from_address(id(each) + head + 8).value == abs(each)
            for each in samples
        )

    if sys.int_info.bits_per_digit != 30 or int.__itemsize__ != 4:
        return _LONG_UNKNOWN
    if matches(lambda each: (each > 0) - (each < 0)):
        return _LONG_SIZE
    if matches(lambda each: 1 if each == 0 else 8 + 2 * (each < 0)):
        return _LONG_TAG
    return _LONG_UNKNOWN


def _tuple_items() -> int:
    """Offset of a tuple's first item, 0 if lists and tuples do not look as the core expects."""
    head, items, pointer = object.__basicsize__, tuple.__basicsize__, ctypes.c_void_p
    pair = (None, Ellipsis)
    listed = list(pair)

    def word(address: int) -> int:
        return pointer.from_address(address).value or 0

    fits = all(
        (
            word(id(pair) + head) == len(pair),
            [word(id(pair) + items + 8 * k) for k in range(2)] == list(map(id, pair)),
            word(id(listed) + head) == len(listed),
            [word(word(id(listed) + head + 8) + 8 * k) for k in range(2)] == list(map(id, pair)),
        )
    )
    return items if fits else 0
