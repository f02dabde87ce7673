"""A stencil library for another machine -> its compiled functions run here, in memory that Python shares with qemu."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from cnp.errors import LibraryError, Unsupported, UserError
from cnp.runtime import libc
from cnp.runtime.default import beside
from cnp.runtime.layout import Host, Signature
from cnp.stencil.layout import SectionName
from cnp.stencil.library import Library
from cnp.tools.guest import FUNCTIONS, Command, Desk, Guest, find_emulator, stack_size

CODE_SIZE = 64 << 20
"""Bytes for code unless told otherwise: jumps must reach the core from anywhere in it, on any target."""
_LARGEST_CODE = 120 << 20
_FIRST = 1 << 36  # free in every process that anybody has seen, and below what a small riscv64 has (2**38)
_LAST = 1 << 38
_PAGE = 1 << 16  # the largest that a machine, or a guest, may have
_MAP_FIXED_NOREPLACE = 0x100000
_MFD_EXEC = 0x10


class Emulator:
    """A process that runs compiled code of `library`'s target, and the memory that it has in common with this one.

    The memory is at the same addresses in both, so an address means the same here and there. It has room for code,
    and for data. memory_size: bytes of both; pages that nobody has written to cost nothing. code_size: bytes for
    code, at most 120 MB. options: of qemu. native: run without an emulator, where the target is this machine's.

    Unsupported where nothing can run the target, LibraryError where the library has no runner beside it. A context
    manager. Whatever `array` returned must not be used after `close`. One thread at a time may use it, but any may set
    `interrupt`.
    """

    def __init__(
        self,
        library: Library,
        memory_size: int = 1 << 30,
        *,
        code_size: int = CODE_SIZE,
        native: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        self.library = library
        self.native = native
        self._options = options
        command = self._command()
        blob = bytes(library.section(SectionName.BLOB))
        start = _aligned(ctypes.sizeof(Desk), _PAGE)
        self.memory_size = _aligned(memory_size, _PAGE)
        if code_size > _LARGEST_CODE or start + _aligned(len(blob), 64) + code_size > self.memory_size:
            raise UserError(f"code_size={code_size}: at most {_LARGEST_CODE} bytes, and no more than there is memory")
        self._answers: dict[int, Callable[[], tuple[int, int]]] = {}
        self._raised: BaseException | None = None
        file = _nameless_file(self.memory_size)
        try:
            self.address = _map(file, self.memory_size)
            """Where the shared memory begins."""
            self._guest: Guest | None = Guest(command, file, self._answer)
        finally:
            os.close(file)
        try:
            self._desk = Desk.from_address(self.address)
            self._begin(file)
            self.blob_address = self.address + start
            """Where the core and the constants of the library are."""
            self._code_start = _aligned(self.blob_address + len(blob), _PAGE)
            self._code_end = self._data_start = self._code_start + _aligned(code_size, _PAGE)
            self._next_code, self._next_data = self._code_start, self._data_start
            ctypes.memmove(self.blob_address, blob, len(blob))
            self.commit(self.blob_address, len(blob))
        except BaseException:
            self.close()
            raise
        desk, base = self._desk, self.address
        self._run = self.routine("cnp_run")
        self._integers, self._floats = base + Desk.integers.offset, base + Desk.floats.offset
        self._result, self._signature = base + Desk.result_integer.offset, base + Desk.signature.offset
        self.host_address = base + Desk.host.offset
        """The `Host` of the process, for signatures."""
        desk.signature.host = self.host_address

    def _command(self) -> list[str]:
        runner = os.path.splitext(beside(self.library).path)[0] + ".runner"
        if not os.path.exists(runner):
            raise LibraryError(f"there is no runner at {runner}; rebuild the library with `python build_stencils.py`")
        if self.native and self.library.target != os.uname().machine:
            raise Unsupported(f"native=True: this machine is {os.uname().machine}, not {self.library.target}")
        return [runner] if self.native else [*find_emulator(self.library.target), *self._options, runner]

    def _begin(self, file: int) -> None:
        """Maps the memory there too, and asks for what the process has to offer."""
        base = self.address
        found = self._ask(Command.MAP, file, base, self.memory_size, stack_size())
        if found != base:
            raise Unsupported(f"the runner cannot map {self.memory_size} bytes at {base:#x}: mmap gave {found:#x}")
        size = self._ask(Command.HOST, base + Desk.host.offset)
        count = self._ask(Command.FUNCTIONS, base + Desk.functions.offset)
        if size != ctypes.sizeof(Host) or count != len(FUNCTIONS):
            raise LibraryError(
                f"the runner beside {self.library.path} was built for another cnp; "
                "rebuild it with `python build_stencils.py`"
            )
        self.functions: dict[str, int] = dict(zip(FUNCTIONS, self._desk.functions))
        """Addresses of C functions that compiled code may call."""

    def _ask(self, command: Command, *words: int, timeout: float | None = None) -> int:
        if self._guest is None:
            raise UserError("this Emulator is closed")
        return self._guest.ask(command, *words, timeout=timeout)

    # ---- memory ----

    def allocate(self, size: int, alignment: int = 16) -> int:
        """Address of room for code, to be written here and then committed. When the room is used up it starts over.

        UserError where there is not as much room at all. Starting over, all code placed so far is forgotten.
        """
        address = _aligned(self._next_code, alignment)
        if address + size > self._code_end:
            address = _aligned(self._code_start, alignment)
            if address + size > self._code_end:
                raise UserError(f"{size} bytes of code, with room for {self._code_end - self._code_start}")
            self._ask(Command.FLUSH, self._code_start, self._code_end)
        self._next_code = address + size
        return address

    def commit(self, address: int, size: int) -> None:
        """Makes code that has been written at `address` runnable."""
        # An emulator that has not seen a page's code yet, or has forgotten it, sees what is there now.
        if self.native:
            self._ask(Command.FLUSH, address // _PAGE * _PAGE, _aligned(address + size, _PAGE))

    def write(self, address: int, code: bytes) -> None:
        """Put code where `allocate` has made room."""
        ctypes.memmove(address, code, len(code))
        self.commit(address, len(code))

    def place(self, code: bytes, alignment: int = 16) -> int:
        """Put code anywhere: its address."""
        address = self.allocate(len(code), alignment)
        self.write(address, code)
        return address

    def array(self, size: int, alignment: int = 64) -> ctypes.Array[ctypes.c_char]:
        """`size` bytes of shared memory: a writable buffer, which NumPy takes; its address is ctypes.addressof of it.

        UserError when the room for data is used up.
        """
        address = _aligned(self._next_data, alignment)
        if address + size > self.address + self.memory_size:
            room = self.address + self.memory_size - self._next_data
            raise UserError(f"{size} bytes of shared memory, of which {room} are left of {self.memory_size}")
        self._next_data = address + size
        buffer = (ctypes.c_char * size).from_address(address)
        buffer.emulator = self  # type: ignore[attr-defined]  # the memory lives as long
        return buffer

    def clear(self) -> None:
        """Gives the room for data free. Arrays made so far must not be used any more."""
        self._next_data = self._data_start

    # ---- running ----

    def routine(self, name: str) -> int:
        """The address of one of the core's exported routines, there."""
        return self.blob_address + self.library.exports[name]

    def run(
        self,
        entry: int,
        integers: Sequence[int] = (),
        floats: Sequence[int] = (),
        *,
        number: int = 0,
        timeout: float | None = None,
    ) -> tuple[int, int, int]:
        """Enter compiled code at `entry`: (trap word or 0, integer result, float result).

        Arguments and results are as registers hold them: numbers of 64 bits, negative ones allowed for arguments; an
        f64 is its bit pattern, an f32 is in the low half. number: of the function, for the trap word of one that
        there is no stack for. timeout: seconds; None waits for ever. Crash if the process dies.
        """
        desk = self._desk
        signature = desk.signature
        desk.integers[: len(integers)] = integers
        desk.floats[: len(floats)] = floats
        signature.entry = entry
        signature.number = number
        signature.uses_floats = bool(floats)
        trap = self._ask(
            Command.RUN, self._run, self._integers, self._floats, self._result, self._signature, timeout=timeout
        )
        return trap, desk.result_integer, desk.result_float

    def call(
        self,
        address: int,
        integers: Sequence[int] = (),
        floats: Sequence[int] = (),
        *,
        gives_float: bool = False,
        timeout: float | None = None,
    ) -> int:
        """Call a function of the C convention: its result, as `run` takes and gives numbers."""
        desk = self._desk
        desk.integers[: len(integers)] = integers
        desk.floats[: len(floats)] = floats
        command = Command.CALL_FOR_FLOAT if gives_float else Command.CALL_FOR_INTEGER
        self._ask(command, address, self._integers, self._floats, self._result, timeout=timeout)
        result: int = desk.result_float if gives_float else desk.result_integer
        return result

    @property
    def pid(self) -> int:
        """The process, for debuggers; 0 when it is closed."""
        return 0 if self._guest is None else self._guest.pid

    @property
    def interrupt(self) -> bool:
        """Set it, from any thread, and code that polls ends with an INTERRUPTED trap, until it is cleared."""
        return bool(self._desk.interrupt)

    @interrupt.setter
    def interrupt(self, value: bool) -> None:
        self._desk.interrupt = value

    def take_raised(self) -> int:
        """The trap word of the last trap in compiled code that C called, or 0: C itself sees a result of 0."""
        word: int = self._desk.raised
        self._desk.raised = 0
        return word

    # ---- side exits and callbacks ----

    def on_record(self, address: int, answer: Callable[[], tuple[int, int]]) -> None:
        """Have `answer()` called when code takes the side exit, or calls the callback, whose record is at an address:
        it gives the result as an integer and as a float in registers. An exception of it ends the code, INTERRUPTED.
        """
        self._answers[address] = answer

    @property
    def arguments(self) -> tuple[list[int], list[int]]:
        """Integers and floats, in registers, that a callback has been given."""
        return list(self._desk.integers), list(self._desk.floats)

    def _answer(self, address: int) -> tuple[int, int, bool]:
        try:
            return (*self._answers[address](), False)
        except BaseException as error:
            self._raised = error
            return 0, 0, True

    def raise_again(self) -> None:
        """Raise what an answer has raised since this was last called, if any has."""
        error, self._raised = self._raised, None
        if error is not None:
            raise error

    def make_signature(self, entry: int, types: Sequence[int], result: int, number: int = 0) -> int:
        """Address of a new signature in the room for data, for entries from C (`cnp_emit_entry`)."""
        signature: Any = Signature.from_address(ctypes.addressof(self.array(ctypes.sizeof(Signature))))
        signature.host, signature.entry, signature.number = self.host_address, entry, number
        signature.n_parameters, signature.result_type = len(types), result
        signature.uses_floats = any(each in (2, 3) for each in types)
        signature.parameter_type[: len(types)] = types
        return ctypes.addressof(signature)

    # ---- the end ----

    def close(self) -> None:
        """End the process and unmap the memory. May be called again."""
        if self._guest is not None:
            self._guest.close()
            self._guest = None
            self._desk = Desk()  # nothing is where the other was
            libc.munmap(self.address, self.memory_size)

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_guest", None) is not None:
            self.close()


def _aligned(value: int, alignment: int) -> int:
    return (value + alignment - 1) & -alignment


def _nameless_file(size: int) -> int:
    """The descriptor of a new file of zeros, in memory where that is possible."""
    try:
        file = os.memfd_create("cnp", os.MFD_CLOEXEC | _MFD_EXEC)
    except (AttributeError, OSError):
        with tempfile.TemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as opened:
            file = os.dup(opened.fileno())
    os.ftruncate(file, size)
    return file


def _map(file: int, size: int) -> int:
    """Maps a file where nothing is, low enough for every target: its address. Unsupported where there is no room."""
    flags = libc.MAP_SHARED | libc.MAP_NORESERVE | _MAP_FIXED_NOREPLACE
    for address in range(_FIRST, _LAST - size, size):
        try:
            found = libc.mmap(address, size, libc.PROT_READ | libc.PROT_WRITE, flags, file)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            continue
        if found == address:
            return address
        libc.munmap(found, size)  # a kernel before 4.17, which takes the address for a wish
    raise Unsupported(f"no room for {size} bytes between {_FIRST:#x} and {_LAST:#x}")
