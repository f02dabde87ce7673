"""Functions -> code: members of one request compiled, placed together in one block, and freed when nobody needs them."""

from __future__ import annotations

import ctypes
import itertools

from cnp.errors import InternalError
from cnp.ir.function import Extern, Function, callee_function, callee_signature
from cnp.ir.verify_message import message
from cnp.runtime.layout import CALLEE_C, CALLEE_CODE, CALLEE_MEMBER, Callee, Interval, Request, Signature, Trace
from cnp.runtime.core import NEED_SCRATCH, MISSING_STENCIL

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

    from cnp.runtime.block import Block
    from cnp.runtime.core import Core

_ALIGNMENT = 16
_numbers = itertools.count(1)
_alive: dict[int, str] = {}  # names by function number, for traps


def function_name(number: int) -> str:
    """The name of a live function by the number in trap words."""
    return _alive.get(number, "?")


class Part:
    """One function of a piece of code."""

    __slots__ = ("callees", "code_size", "frame_size", "function", "intervals", "number", "offset", "request", "traces")

    def __init__(self, function: Function) -> None:
        self.function = function
        self.number = next(_numbers) & 0xFFFFFFFF
        self.offset = self.code_size = self.frame_size = 0
        self.request = Request()
        self.callees: Any = None
        self.traces: list[tuple[int, int, int]] = []  # (op, stencil, offset), when asked for
        self.intervals: list[tuple[int, int, int, int]] = []  # (start, end, register or -1, slot or -1) of each register


class Code:
    """A block of code memory with the functions in it. Freed with the last reference to it."""

    __slots__ = ("__weakref__", "_blocks", "_keeps", "core", "parts")

    def __init__(self, core: Core, parts: list[Part], keeps: list[Any]) -> None:
        self.core = core
        self.parts = parts
        self._keeps = keeps  # code that this one calls
        self._blocks: list[Block] = []

    def entry(self, index: int) -> int:
        """Where a member begins."""
        return self._blocks[0].executable_address + self.parts[index].offset

    def bytes_of(self, index: int) -> bytes:
        """A member's code and jump tables."""
        return ctypes.string_at(self.entry(index), self.parts[index].code_size)

    def place(self, block: Block) -> None:
        """Take over the block that the members are written to."""
        self._blocks.append(block)
        for part in self.parts:
            _alive[part.number] = part.function.name

    def make_entry(self, signature: Signature) -> Block:
        """The way in from C for one signature, in a block of its own."""
        core = self.core
        is_float, address = signature.result_type in (2, 3), ctypes.addressof(signature)
        tables = ctypes.addressof(core.tables)
        with core.lock:
            size = core.emit_entry(tables, is_float, address, None, 0)
            block = core.memory.allocate(size)
            core.emit_entry(tables, is_float, address, block.writable_address, block.executable_address)
            core.memory.commit(block)
        self._blocks.append(block)
        return block

    def __del__(self) -> None:
        for part in self.parts:
            _alive.pop(part.number, None)
        for block in self._blocks:
            self.core.memory.free(block)


def compile_group(core: Core, functions: list[Function], compiled: Any, safepoints: bool, trace: bool) -> Code:
    """Compile functions that call one another into one block. `compiled` maps other callees to their NativeFunction.

    VerifyError if one of them is not well formed.
    """
    parts = [Part(function) for function in functions]
    member = {id(function): index for index, function in enumerate(functions)}
    keeps: list[Any] = []
    with core.lock:
        for index, part in enumerate(parts):
            _prepare(core, part, index, member, compiled, keeps, safepoints, trace)
        size = 0
        for part in parts:
            part.offset = size
            size = (size + part.request.code_size + _ALIGNMENT - 1) & -_ALIGNMENT
        code = Code(core, parts, keeps)
        block = core.memory.allocate(parts[-1].offset + parts[-1].request.code_size)
        code.place(block)
        for part in parts:
            _emit(core, part, parts, block)
        core.memory.commit(block)
    return code


def _prepare(
    core: Core, part: Part, index: int, member: dict[int, int], compiled: Any, keeps: list[Any], safepoints: bool, trace: bool
) -> None:
    function, request = part.function, part.request
    request.ops = id(function._ops)
    request.types = id(function._types)
    request.serial = function._serial
    request.function_number = part.number
    request.n_registers = len(function._types)
    request.n_parameters = len(function.parameter_types)
    request.n_labels = function._label_count
    request.result_type = 255 if function.result is None else function.result.code
    request.safepoints = safepoints
    request.trace = trace
    if function._callees:
        part.callees = _callees(function, member, compiled, keeps)
        request.callees = ctypes.addressof(part.callees)
        request.n_callees = len(function._callees)
    size = 0
    while True:
        request.scratch, request.scratch_size = core.scratch(index, size)
        error = core.compile(request)
        if error != NEED_SCRATCH:
            break
        size = request.scratch_used
    if error == MISSING_STENCIL:
        raise InternalError(f"function {function.name!r}: no stencil for op {request.error_op}")
    if error:
        raise message(function, error, request.error_op, request.error_operand)
    part.code_size, part.frame_size = request.code_size, request.frame_size
    if trace:
        rows = (Trace * request.n_traces).from_address(request.traces) if request.n_traces else ()
        part.traces = [(row.op, row.stencil, row.offset) for row in rows]
        places = (Interval * request.n_registers).from_address(request.intervals) if request.n_registers else ()
        part.intervals = [(each.start, each.end, each.place, each.slot) for each in places]


def _callees(function: Function, member: dict[int, int], compiled: Any, keeps: list[Any]) -> Any:
    rows = (Callee * len(function._callees))()
    for row, callee in zip(rows, function._callees):
        _, params, result = callee_signature(callee) or ("", (), None)
        row.n_parameters = len(params)
        row.result_type = 255 if result is None else result.code
        for position, each in enumerate(params):
            row.parameter_type[position] = each.code
        if isinstance(callee, Extern):
            row.kind, row.address = CALLEE_C, callee.address
            keeps.append(callee)
            continue
        target = callee_function(callee)
        if id(target) in member and isinstance(callee, Function):
            row.kind, row.address = CALLEE_MEMBER, member[id(target)]
            continue
        native = compiled(callee)
        keeps.append(native)
        row.kind, row.address = CALLEE_CODE, native.entry
    return rows


def _emit(core: Core, part: Part, parts: list[Part], block: Block) -> None:
    if part.callees is not None:
        for row in part.callees:
            if row.kind == CALLEE_MEMBER:
                row.address = block.executable_address + parts[row.address].offset
    request = part.request
    if core.emit(ctypes.addressof(request), block.writable_address + part.offset, block.executable_address + part.offset):
        raise InternalError(f"function {part.function.name!r}: a call does not reach its target")
