"""Calls of the core without Python around them: loops that are themselves compiled functions."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from cnp import Function, extern, i32, i64
from cnp.backends import native
from cnp.backends.requests import Group
from cnp.bench.figure import Unavailable
from cnp.errors import InternalError, MissingExtra
from cnp.runtime.code import Part
from cnp.runtime.core import NEED_SCRATCH, Core
from cnp.runtime.layout import Request
from cnp.tools import disassembly


class Prepared:
    """A function that the core can compile, and emit into one warm block, as often as one likes."""

    def __init__(self, function: Function) -> None:
        """Compiles it once. InternalError if the core fails."""
        self.function = function
        self.ops = len(function.ops)
        self.core = native.core()
        self.compiled: Any = function.compile()
        self.code: bytes = self.compiled.code
        self.request, self._callees = _request_of(self.core, function)
        self._scratch = ctypes.create_string_buffer(max(int(self.request.scratch_used) * 5 // 4, 1 << 16))
        self._compile()
        self.block = self.core.memory.allocate(self.request.code_size)
        self.compile_and_emit(1)

    def _compile(self) -> None:
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

    def emit(self, n: int) -> None:
        """n times cnp_emit."""
        _repeat_emit()(n, ctypes.addressof(self.request), self.block.writable_address, self.block.executable_address)

    def compile_and_emit(self, n: int) -> None:
        """n times cnp_compile and cnp_emit."""
        core = self.core
        _repeat_compile()(
            n,
            ctypes.addressof(core.tables),
            core.host_address,
            ctypes.addressof(self.request),
            self.block.writable_address,
            self.block.executable_address,
        )

    def copy(self, n: int) -> None:
        """n times memcpy of the emitted bytes into the same block."""
        _repeat_memcpy()(n, self.block.writable_address, self.code, len(self.code))

    def instructions(self) -> int:
        """How many machine instructions were generated, padding and jump tables not counted."""
        return generated_instructions(self.compiled)

    def close(self) -> None:
        """Gives the block back."""
        self.core.memory.free(self.block)


def _request_of(core: Core, function: Function) -> tuple[Request, Any]:
    """What the native back end would ask of the core, and what the request points to."""
    group = Group(core, [function], lambda callee: callee, safepoints=True, trace=False, pins=None)
    with core.compiling(1) as scratch:
        return group._prepare(0, Part(function), scratch)


def generated_instructions(compiled: Any) -> int:
    """Machine instructions of a compiled function. Unavailable without capstone."""
    try:
        rows = disassembly.instructions(compiled.code, compiled.entry, compiled._code.core.library.target)
    except MissingExtra as error:
        raise Unavailable(str(error)) from None
    return sum(not each.text.startswith(("nop", ".byte", "xchg ax, ax")) for each in rows)


def repeat(name: str, *steps: tuple[int, tuple[int, ...]], parameters: int) -> Any:
    """A compiled loop: called with n and `parameters` more, it calls each step's address with the parameters numbered.

    It holds the GIL all the time. About ten instructions a round beside the calls.
    """
    f = Function(name, params=[i64] * (parameters + 1))
    n, *values = f.params
    head, done = f.label(), f.label()
    f.place(head)
    f.branch_i64_eqz(n, done)
    for address, positions in steps:
        f.call(None, extern(address, [i64] * len(positions), i32), *(values[each] for each in positions))
    f.i64_sub(n, n, 1)
    f.jump(head)
    f.place(done)
    f.ret()
    return f.compile(safepoints=False)


@functools.cache
def _repeat_emit() -> Any:
    return repeat("repeat_emit", (native.core().routine("cnp_emit"), (0, 1, 2)), parameters=3)


@functools.cache
def _repeat_compile() -> Any:
    core = native.core()
    steps = ((core.routine("cnp_compile"), (0, 1, 2)), (core.routine("cnp_emit"), (2, 3, 4)))
    return repeat("repeat_compile", *steps, parameters=5)


@functools.cache
def _repeat_memcpy() -> Any:
    from cnp import ptr

    address = ctypes.cast(ctypes.CDLL(None).memcpy, ctypes.c_void_p).value or 0
    f = Function("repeat_memcpy", params=[i64, i64, ptr, i64])
    n, to, source, size = f.params
    head, done = f.label(), f.label()
    f.place(head)
    f.branch_i64_eqz(n, done)
    f.call(None, extern(address, [i64, i64, i64], i64), to, source, size)
    f.i64_sub(n, n, 1)
    f.jump(head)
    f.place(done)
    f.ret()
    return f.compile(safepoints=False)
