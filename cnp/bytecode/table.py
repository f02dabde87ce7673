"""A declaration of a guest's instructions, by which the core turns its bytecode into functions."""

from __future__ import annotations

import ctypes

from cnp.backends import native
from cnp.bytecode.encode import Encoder
from cnp.bytecode.exits import GuestExits, cells_of
from cnp.bytecode.function import GuestFunction
from cnp.bytecode.message import message
from cnp.bytecode.operands import Registers, Variable
from cnp.bytecode.spans import Spans
from cnp.errors import UserError
from cnp.ir.function import Function
from cnp.ir.optable import default_ops
from cnp.ir.packed import Packed
from cnp.runtime.guest_layout import GuestExit, Walk, WalkError
from cnp.runtime.packing import BYTES_HEAD, packer

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from cnp.bytecode.instruction import Page
    from cnp.ir.function import Callee, ReadCell
    from cnp.types import ParameterType, Type


_pack_into = packer(Walk, "code", "n_cells").pack_into
_found = packer(Walk, "words", "n_exits").unpack_from
_FOUND = Walk.words.offset
_NEEDS_SCRATCH = int(WalkError.NEEDS_SCRATCH)


class Table:
    """The instructions of a guest, as `page` declares them, ready to translate its bytecode.

    `parameters` says where those of a function are when it begins: Variables for the first of them, then a file for
    the rest, from its register 0 on. `stack` is the file of the operand stack, whose count is how deep it may get;
    how deep it is is known everywhere before the function runs, and it is empty at first. `functions` is the class of
    an extension library (cnp.load), if the templates have its ops. UserError if a template is not well formed.
    """

    def __init__(
        self,
        page: Page,
        *,
        parameters: Sequence[Variable | Registers] = (),
        stack: Registers | None = None,
        functions: type[Function] = Function,
    ) -> None:
        for number, each in enumerate(parameters):
            last = number == len(parameters) - 1
            if not isinstance(each, Variable) and not (last and isinstance(each, Registers)):
                raise UserError(f"table: parameter {number} is {each!r}; accepted: Variables, and a file as the last")
        self.page = page
        self._places = [each.file if isinstance(each, Variable) else each for each in parameters]
        op_table = functions._own_ops or default_ops()
        self._encoder = Encoder(page, self._places, stack, op_table)
        self._class: Any = GuestFunction
        if functions._own_ops is not None:
            self._class = type("GuestFunction", (GuestFunction,), {"__slots__": (), "_own_ops": functions._own_ops})
        self._spans = Spans(self._encoder, self._places, {})

    def function(
        self,
        name: str,
        params: Iterable[ParameterType] = (),
        result: Type | None = None,
        code: bytes | bytearray | memoryview = b"",
        *,
        callees: Sequence[Callee] = (),
        cells: Sequence[ReadCell] = (),
        handler: Callable[[int, tuple[int | float, ...]], Any] | None = None,
        sizes: Mapping[Registers, int] | None = None,
    ) -> GuestFunction:
        """A function of the bytecode `code`, which is copied.

        `callees` are what fields of callees number, from 0, and `cells` what fields of cells and assumptions do.
        `handler` is what exits lead to: see Exit, and Function.exit; without one UserError if there are any. `sizes`
        says of some files, the operand stack among them, how many registers the function has of them, up to their
        count. BytecodeError says which instruction is wrong, by its offset; what is wrong with an op (a register that
        is read before it is written, arguments of a callee that a field numbers, a missing result) is a VerifyError
        when the function is compiled, with the offset too.
        """
        spans = Spans(self._encoder, self._places, sizes) if sizes else self._spans
        function: GuestFunction = self._class(name, params, result)
        n_parameters = len(function.parameter_types)
        if not spans.types.startswith(function._types) or n_parameters > spans.room:
            raise self._bad_parameters(function, spans)
        function._types = bytearray(spans.types)
        function._files = spans.files
        for callee in (*self._encoder.callees, *callees):
            function._add_callee(callee)
        data = bytes(code)
        every_cell = [*cells, *self._encoder.cells]
        addresses = self._addresses(name, every_cell) if every_cell else None
        walk = Walk()
        with native.core().scratch() as scratch:
            while True:
                _pack_into(
                    walk, 0, id(data) + BYTES_HEAD, len(data), spans.address, scratch.address, scratch.size,
                    n_parameters, len(callees), ctypes.addressof(addresses) if addresses else 0, len(cells),
                    len(every_cell),
                )  # fmt: skip
                error = self._walk(ctypes.addressof(self._encoder.table), ctypes.addressof(walk))
                if error != _NEEDS_SCRATCH:
                    break
                scratch.grow(walk.scratch_used)
            if error:
                raise message(name, self.page, self._encoder.fields, data, walk)
            found = _found(walk, _FOUND)
            words, constants, offsets, exits, _, n_words, _, n_constants, n_labels, n_ops, n_exits = found
            function._packed = Packed(scratch.copy(words, n_words * 4), scratch.copy(constants, n_constants * 8))
            function._offsets = scratch.copy(offsets, n_ops * 4)
            if n_exits:
                rows = scratch.copy(exits, n_exits * ctypes.sizeof(GuestExit))
                if handler is None or not callable(handler):
                    raise _unhandled(name, GuestExit.from_buffer_copy(rows), handler)
                function._exits = GuestExits(rows, spans, handler, function._first_code)
            if every_cell:
                function._cells = cells_of(walk, every_cell)
        function._label_count = n_labels
        return function

    def _walk(self, table: int, walk: int) -> int:
        """The core's routine, which takes the place of this method when it is first needed."""
        prototype = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        self._walk = prototype(native.core().routine("cnp_walk"))  # type: ignore[method-assign]
        return int(self._walk(table, walk))

    def _addresses(self, name: str, cells: Sequence[ReadCell]) -> Any:
        for each in cells:
            if not hasattr(each, "address"):
                raise UserError(f"function {name!r}: {each!r} is no cell; accepted: cnp.DataCells and cnp.Assumptions")
        return (ctypes.c_uint64 * len(cells))(*(each.address for each in cells))

    def _bad_parameters(self, function: Function, spans: Spans) -> UserError:
        found = ", ".join(map(str, function.parameter_types))
        accepted = ", ".join(f"{span.count} {file.type}" for span, file in zip(spans.rows, self._places)) or "none"
        return UserError(f"function {function.name!r}: parameters ({found}); accepted in this order, up to: {accepted}")


def _unhandled(name: str, exit: GuestExit, handler: Any) -> UserError:
    what = f"its instruction at offset {exit.offset} has an exit, and the handler is {handler!r}"
    return UserError(f"function {name!r}: {what}; accepted: any callable")
