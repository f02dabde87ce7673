"""Calls of the core without Python around them: loops and clocks that are themselves compiled functions.

They are made of ops that the core itself asks a library for, so that they run with any library.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cnp import Function, extern, i32, i64
from cnp.backends import native
from cnp.backends.requests import Group
from cnp.errors import InternalError
from cnp.runtime.code import Part
from cnp.runtime.core import NEED_SCRATCH
from cnp.runtime.layout import Request
from cnp.runtime.libc import PAGE
from cnp.runtime.mapping import machine

_CLOCK_MONOTONIC = 1

Step = tuple[int, tuple[int, ...]]
"""A routine's address, and the numbers of the arguments that it is called with."""


@dataclass(frozen=True, slots=True)
class Work:
    """Routines to call one after the other, again and again."""

    steps: tuple[Step, ...]
    arguments: tuple[int, ...]

    def repeat(self, n: int, around: int | None = None) -> None:
        """Takes every step n times. `around` is the address of a routine without parameters to call first and last.

        From the first step to the last no Python runs. A round takes about ten instructions beside each step.
        """
        _loop(self.steps, len(self.arguments), around)(n, *self.arguments)


class Prepared:
    """A function that the core can compile, and emit into one warm block, as often as one likes."""

    def __init__(self, function: Function) -> None:
        """Compiles it once, and sees that emitting it again gives the same bytes. InternalError if it does not."""
        self.function = function
        self.ops = len(function.ops)
        self.core = native.core()
        self.compiled: Any = function.compile()
        self.code: bytes = self.compiled.code
        self.request = self._make_request()
        self._scratch = ctypes.create_string_buffer(max(int(self.request.scratch_used) * 5 // 4, 1 << 16))
        self.compile()
        self.block = self.core.memory.allocate(self.request.code_size, self.request.alignment)
        self._source = _Source(self.code, self.block.writable_address)
        self._check()
        self.compile_and_emit(1)

    def _make_request(self) -> Request:
        """What the native back end asked of the core. It keeps what it points to."""
        group = Group(self.core, [self.function], lambda callee: callee, safepoints=True, trace=False, pins=None)
        with self.core.lock, self.core.scratch() as scratch:
            request, self._callees = group._prepare(0, Part(self.function), scratch)
        request.function_number = self.compiled._code.parts[0].number  # it is part of the code, where code can trap
        return request

    def _check(self) -> None:
        """Bytes are compared as they run where the function is: calls say how far away their target is."""
        self.emit_once(self.block.writable_address, self.compiled.entry)
        if ctypes.string_at(self.block.writable_address, self.block.size) != self.code:
            raise InternalError(f"function {self.function.name!r}: emitted a second time, it has other bytes")

    def compile(self) -> None:
        """cnp_compile: everything but the copying. What it makes has then never been emitted."""
        request = self.request
        while True:
            request.scratch, request.scratch_size = ctypes.addressof(self._scratch), len(self._scratch)
            error = self.core.compile(request)
            if error == NEED_SCRATCH:
                self._scratch = ctypes.create_string_buffer(int(request.scratch_used) + 4096)
                continue
            if error:
                raise InternalError(f"function {self.function.name!r} compiled once, then failed with code {error}")
            return

    @property
    def emission(self) -> Work:
        """cnp_emit, into the warm block."""
        block = self.block
        where = (block.writable_address, block.executable_address)
        return Work(((self.core.routine("cnp_emit"), (0, 1, 2)),), (ctypes.addressof(self.request), *where))

    @property
    def compilation(self) -> Work:
        """cnp_compile and cnp_emit."""
        core, (emit,), arguments = self.core, self.emission.steps, self.emission.arguments
        steps = ((core.routine("cnp_compile"), (0, 1, 2)), (emit[0], (2, 3, 4)))
        return Work(steps, (ctypes.addressof(core.tables), core.host_address, *arguments))

    @property
    def copying(self) -> Work:
        """memcpy of the emitted bytes, into the same block."""
        step = (libc("memcpy"), (0, 1, 2))
        return Work((step,), (self.block.writable_address, self._source.address, len(self.code)))

    def emit(self, n: int) -> None:
        """n times cnp_emit."""
        self.emission.repeat(n)

    def compile_and_emit(self, n: int) -> None:
        """n times cnp_compile and cnp_emit."""
        self.compilation.repeat(n)

    def copy(self, n: int) -> None:
        """n times memcpy of the emitted bytes into the same block."""
        self.copying.repeat(n)

    def emit_once(self, writable: int, executable: int | None = None) -> float:
        """Seconds of one cnp_emit to `writable`, by `timed`. The code is to run at `executable`, else in the block."""
        (step,), (request, _, block) = self.emission.steps, self.emission.arguments
        return timed(step[0], request, writable, block if executable is None else executable)

    def copy_once(self, writable: int) -> float:
        """Seconds of one memcpy of the emitted bytes to `writable`, by `timed`."""
        return timed(libc("memcpy"), writable, self._source.address, len(self.code))

    def close(self) -> None:
        """Gives the block back."""
        self.core.memory.free(self.block)


class _Source:
    """Bytes to copy from, as far into a page as where they are copied to: what memcpy is fastest with."""

    def __init__(self, data: bytes, target: int) -> None:
        self._memory = ctypes.create_string_buffer(len(data) + PAGE)
        start = ctypes.addressof(self._memory)
        self.address = start + (target - start) % PAGE
        ctypes.memmove(self.address, data, len(data))


@functools.cache
def libc(name: str) -> int:
    """The address of a function of the C library."""
    return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0


@functools.cache
def nothing() -> Work:
    """A routine that is one instruction, return: what a round costs without anything in it."""
    memory, (code, _) = native.core().memory, machine()
    block = memory.allocate(len(code))
    block.write(code)
    memory.commit(block)
    return Work(((block.executable_address, (0, 1, 2)),), (0, 0, 0))


@functools.cache
def _loop(steps: tuple[Step, ...], parameters: int, around: int | None) -> Callable[..., None]:
    """f(n, *arguments). It holds the GIL all the time."""
    f = Function("loop", params=[i32] + [i64] * parameters)
    n, *values = f.params
    head, done = f.label(), f.label()
    if around is not None:
        f.call(None, extern(around, [], i32))
    f.branch_table(n, [done], head)
    f.place(head)
    for address, positions in steps:
        f.call(None, extern(address, [i64] * len(positions), i32), *(values[each] for each in positions))
    f.i32_sub(n, n, 1)
    f.branch_table(n, [done], head)
    f.place(done)
    if around is not None:
        f.call(None, extern(around, [], i32))
    f.ret()
    made: Callable[..., None] = f.compile(safepoints=False)
    return made


def timed(address: int, *arguments: int) -> float:
    """Seconds of one call of a routine: between two readings of the clock, which are not taken off."""
    _timed(address, len(arguments))(ctypes.addressof(_readings), *arguments)
    first, first_ns, last, last_ns = _readings
    return last - first + (last_ns - first_ns) / 1e9


_readings = (ctypes.c_int64 * 4)()  # two `struct timespec`


@functools.cache
def _timed(address: int, parameters: int) -> Callable[..., None]:
    f = Function("timed", params=[i64] * (parameters + 1))
    readings, *values = f.params
    last = f.reg(i64)
    clock = extern(libc("clock_gettime"), [i64, i64], i32)
    f.i64_add(last, readings, 16)
    f.call(None, clock, _CLOCK_MONOTONIC, readings)
    f.call(None, extern(address, [i64] * parameters, i32), *values)
    f.call(None, clock, _CLOCK_MONOTONIC, last)
    f.ret()
    made: Callable[..., None] = f.compile(safepoints=False)
    return made
