"""Functions that call one another -> requests to the core -> one piece of code."""

from __future__ import annotations

import ctypes

from cnp.errors import InternalError, Unsupported
from cnp.ir.callback import Callback
from cnp.ir.function import CallCell, CalledOp, Extern, Function, callee_signature, unlinked
from cnp.runtime.code import Code, Part
from cnp.runtime.core import MISSING_STENCIL, NEED_SCRATCH
from cnp.runtime.layout import (
    CALLEE_C,
    CALLEE_CELL,
    CALLEE_CODE,
    CALLEE_MEMBER,
    CALLEE_SYMBOL,
    NO_CALLEE,
    Callee,
    External,
    Request,
)
from cnp.runtime.outward import Entry, SideExits, entry_of
from cnp.runtime.packing import BYTES_HEAD, packer
from cnp.types import NO_TYPE

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn, Protocol

    from cnp.runtime.core import Core
    from cnp.runtime.layout import Library
    from cnp.runtime.outward import Home
    from cnp.runtime.scratch import Scratch

    class Compiled(Protocol):
        """What other code may call."""

        @property
        def entry(self) -> int: ...

    Resolve = Callable[[Any], Compiled]


_pack_into = packer(Request, "ops", "pins").pack_into
_LEAST_SCRATCH, _SCRATCH_AN_OP = 16 << 10, 512
_SLACK = 16  # what is copied in chunks of so many bytes may reach


class Group:
    """Functions to be compiled into one block. `resolve` gives the compiled code of callees from outside the group.

    `pins` takes the place of register allocation in the first function, for tests: a signed byte for each register,
    the hardware register to be in, or -1 for a frame slot. `tables` are those of another library than the core's own.
    With `for_linker` externs are names, not addresses, and trap words number the functions from 1 on. `home` is where
    side exits and callbacks are described if the code is for another process.
    """

    def __init__(
        self,
        core: Core,
        functions: Sequence[Function],
        resolve: Resolve,
        *,
        safepoints: bool,
        trace: bool,
        pins: bytes | None,
        landing_pads: bool = False,
        far_calls: bool = False,
        tables: Library | None = None,
        for_linker: bool = False,
        home: Home | None = None,
    ) -> None:
        self._core = core
        self._home = home
        self._tables = tables
        self._far_calls = far_calls
        self._for_linker = for_linker
        self._resolve = resolve
        self._pins = pins
        self._safepoints, self._trace, self._landing_pads = bool(safepoints), bool(trace), bool(landing_pads)
        self._functions = functions
        self._members: dict[int, int] = {}  # by id, once a call wants to know
        self._keeps: list[Any] = []

    def compile(self) -> Code:
        """VerifyError if a function is not well formed, CodeMemoryFull if there is no room."""
        core = self._core
        with core.lock, core.scratch() as scratch:
            while True:
                parts, requests, size, alignment = self._lay_out(scratch)
                block = core.memory.allocate(size, alignment)
                code = Code(core, parts, self._keeps, block)
                writable, executable = block.writable_address, block.executable_address
                for part, (request, callees) in zip(parts, requests):
                    if not self._emit(part, request, callees, writable, executable, parts):
                        break
                else:
                    core.memory.commit(block)
                    return code
                if self._far_calls:
                    raise InternalError(f"function {parts[0].function.name!r}: a call does not reach its target")
                self._far_calls = True

    def image(self) -> tuple[bytes, list[Part], list[tuple[int, External, Any]]]:
        """The same as bytes, as they run at address 0 with the library's blob there too, the parts, and what else they
        refer to: a part's number, where and how, and the callee (None for a place in the blob)."""
        core = self._core
        externals = []
        with core.lock, core.scratch() as scratch:
            parts, requests, size, _ = self._lay_out(scratch)
            buffer = ctypes.create_string_buffer(size + _SLACK)
            for number, (part, (request, callees)) in enumerate(zip(parts, requests)):
                if not self._emit(part, request, callees, ctypes.addressof(buffer), 0, parts):
                    raise Unsupported(
                        f"function {part.function.name!r}: what it is compiled together with is more code than calls "
                        "reach; accepted: less, or functions that are compiled by themselves"
                    )
                address = ctypes.addressof(request)
                rows = (External * core.externals(address, None, 0))()
                core.externals(address, ctypes.addressof(rows), len(rows))
                for row in rows:
                    callee = None if row.callee == NO_CALLEE else part.function._callees[row.callee]
                    if not isinstance(callee, Function):
                        externals.append((number, row, callee))
        return bytes(buffer)[:size], parts, externals

    def _lay_out(self, scratch: Scratch) -> tuple[list[Part], list[tuple[Request, Any]], int, int]:
        """Compile everything; the parts get their offsets. Returns how large it is altogether, and its alignment."""
        parts, requests, mine = [], [], scratch
        size = alignment = 0
        for index, function in enumerate(self._functions):
            part = Part(function)
            if self._for_linker:
                part.number = index + 1
            if index:
                mine = scratch.another(_enough_for(function))
            requests.append(self._prepare(index, part, mine))
            part.offset = (size + part.alignment - 1) & -part.alignment
            size = part.offset + part.code_size
            if part.alignment > alignment:
                alignment = part.alignment
            parts.append(part)
        return parts, requests, size, alignment

    def _emit(
        self, part: Part, request: Request, callees: Any, writable: int, executable: int, parts: Sequence[Part]
    ) -> bool:
        """Copy and patch. False if a call does not reach its target."""
        for row in callees or ():
            if row.kind == CALLEE_MEMBER:
                row.address = executable + parts[row.address].offset
        address = ctypes.addressof(request)
        return not self._core.emit(address, writable + part.offset, executable + part.offset)

    def _prepare(self, index: int, part: Part, scratch: Scratch) -> tuple[Request, Any]:
        """Everything but the copying. The request's scratch holds the result until it is emitted."""
        function: Function = part.function
        callees, pins, result = None, None, function._result
        exits = n_exits = leave = 0
        # Copies, because the __index__ of a constant, or another thread in its middle, may go on with the function.
        types, packed = bytearray(function._types), function._packed
        ops, words, constants = None, b"", b""
        if packed is None:
            ops = function._ops[:]
        else:
            words, constants = packed.words, packed.constants
        if self._pins is not None and index == 0:
            pins = bytes(self._pins).ljust(len(types), b"\xff")
        if function._exits:
            if self._for_linker:
                self._refuse_python(function, "side exits, which lead")
            part.exits = found = SideExits(self._core, function, bytes(types), self._home)
            exits, n_exits, leave = found.address, found.count, found.routine
        if function._callees:
            callees = self._describe_callees(function, part)
        request = Request()
        request.kept = (ops, types, words, constants, pins)
        while True:
            _pack_into(
                request, 0,
                0 if ops is None else id(ops), id(types), id(words) + BYTES_HEAD, len(words) // 4,
                id(constants) + BYTES_HEAD, 0, len(constants) // 8, n_exits,
                ctypes.addressof(callees) if callees else 0, scratch.address, scratch.size,
                function._serial, part.number, len(types), len(function._parameter_types), function._label_count,
                len(callees) if callees else 0, NO_TYPE if result is None else result,
                self._safepoints, self._trace, False, self._landing_pads, self._far_calls,
                exits, leave, 0 if pins is None else id(pins) + BYTES_HEAD,
            )  # fmt: skip
            error = self._core.compile(request, self._tables)
            if error != NEED_SCRATCH:
                break
            scratch.grow(request.scratch_used)
        if error == MISSING_STENCIL:
            raise InternalError(f"function {function.name!r}: no stencil for op {request.error_op}")
        if error:
            from cnp.ir.verify_message import message  # late: most functions are well formed

            raise message(function, error, request.error_op, request.error_operand)
        if function._cells:
            self._check_cells(function)
            self._keeps.extend(function._cells)
        part.read(request)
        return request, callees

    def _describe_callees(self, function: Function, part: Part) -> Any:
        rows = (Callee * len(function._callees))()
        for row, callee in zip(rows, function._callees):
            _, params, result = callee_signature(callee) or ("", (), None)
            row.n_parameters = len(params)
            row.result_type = NO_TYPE if result is None else result
            row.parameter_type[: len(params)] = params
            if isinstance(callee, Extern):
                row.kind, row.address = self._describe_extern(function, callee)
            elif isinstance(callee, Callback):
                if self._for_linker:
                    self._refuse_python(function, f"a call of {callee.described}, which leads")
                row.kind, row.address = CALLEE_C, self._entry_of(callee, part)
            elif isinstance(callee, CallCell):
                self._check_cells(function)
                self._keeps.append(callee)
                row.kind, row.address = CALLEE_CELL, callee.address
            elif isinstance(callee, Function):
                row.kind, row.address = CALLEE_MEMBER, self._member(callee)
            else:
                compiled = self._resolve(callee)
                self._keeps.append(compiled)
                row.kind, row.address = CALLEE_CODE, compiled.entry
        return rows

    def _member(self, callee: Function) -> int:
        """Its number among the functions."""
        if not self._members:
            self._members = {id(function): index for index, function in enumerate(self._functions)}
        return self._members[id(callee)]

    def _refuse_python(self, function: Function, what: str) -> NoReturn:
        """Unsupported, because the code will run where this Python is not."""
        raise Unsupported(
            f"function {function.name!r} has {what} to this Python; accepted in an object file: "
            "calls of cnp.extern(...)"
        )

    def _entry_of(self, callee: Callback, part: Part) -> int:
        """The address of the way to a callback."""
        if self._home is None:
            entry = entry_of(self._core, callee)
            self._keeps.append(entry)
        else:
            entry = Entry(self._core, callee, self._home, self._tables)
            part.callbacks.append(entry)
        return entry.address

    def _check_cells(self, function: Function) -> None:
        if self._for_linker:
            raise Unsupported(
                f"function {function.name!r} refers to a cell or an assumption of this process, "
                "which means nothing in an object file"
            )

    def _describe_extern(self, function: Function, callee: Extern) -> tuple[int, int]:
        """Kind and address of a C function."""
        if self._tables is not None and isinstance(callee, CalledOp):
            raise Unsupported(
                f"function {function.name!r} has the op {callee.name}, a CALL, whose C is for this process; accepted "
                "for other machines and in object files: ops that are copied"
            )
        if self._for_linker:
            if callee.address is not None:
                raise Unsupported(
                    f"function {function.name!r} calls extern {callee.name!r} at an address, which means nothing in an "
                    "object file; accepted: its name alone, for the linker"
                )
            return CALLEE_SYMBOL, 0
        if callee.address is None:
            raise Unsupported(f"function {function.name!r}: {unlinked(callee)}")
        return CALLEE_C, callee.address


def _enough_for(function: Function) -> int:
    """Bytes of scratch memory that most functions of so many ops do with."""
    packed = function._packed
    ops = len(function._ops) if packed is None else len(packed.words) // 8
    return _LEAST_SCRATCH + ops * _SCRATCH_AN_OP
