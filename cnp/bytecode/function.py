"""Functions made of guest bytecode, which know where in it each of their ops comes from."""

from __future__ import annotations

import ctypes
from sys import byteorder

from cnp.backends import native
from cnp.bytecode.entered import ReachedWords, described
from cnp.bytecode.operands import Variable
from cnp.errors import UserError
from cnp.ir.optable import Code
from cnp.ir.osr import Reached
from cnp.ir.packed import PackedFunction, label_of, register_of
from cnp.runtime.guest_layout import NO_OFFSET

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnp.bytecode.operands import Registers
    from cnp.ir.function import Function, Label, Register
    from cnp.runtime.guest_layout import GuestSpan
    from cnp.types import ParameterType, Type


class GuestFunction(PackedFunction):
    """A cnp.Function in every respect, made by Table.function."""

    __slots__ = ("_files", "_offsets")

    _offsets: bytes  # of each op, 32 bits
    _files: Mapping[Registers, GuestSpan]  # which registers are those of a file

    def __init__(self, name: str, params: Iterable[ParameterType] = (), result: Type | None = None) -> None:
        super().__init__(name, params, result)
        self._offsets = b""
        self._files = {}

    def _take_places(self, function: Function, first: int, numbers: Sequence[int]) -> None:
        offsets = memoryview(function._offsets).cast("I")  # type: ignore[attr-defined]
        taken = [NO_OFFSET] * first + [offsets[each] if each < len(offsets) else NO_OFFSET for each in numbers]
        self._offsets = b"".join(each.to_bytes(4, byteorder) for each in taken)

    def offset_of(self, op: int) -> int | None:
        """The offset in the bytecode of the instruction, its prefixes included, that an op is part of; `op` is its
        number, as in cnp.Trap. None for those that set registers first, and for what was added later."""
        offsets = memoryview(self._offsets).cast("I")
        found = offsets[op] if 0 <= op < len(offsets) else NO_OFFSET
        return None if found == NO_OFFSET else found

    def label_at(self, offset: int) -> Label:
        """The label of the instruction at an offset that jumps lead to: where `entered_at` may begin.

        UserError if none leads there.
        """
        if self._packed is not None and 0 <= offset < NO_OFFSET:
            ops = described(self)
            index = native.core().label_of(ctypes.addressof(ops), offset)
            if index != self._label_count:
                return label_of(self, index)
        labels = self._labels()
        if offset in labels:
            return labels[offset]
        accepted = ", ".join(map(str, labels)) or "none"
        raise UserError(f"function {self.name!r}: no jump leads to offset {offset}; accepted: {accepted}")

    def _labels(self) -> dict[int, Label]:
        """By offset."""
        labels: dict[int, Label] = {}
        last = None
        for number, op in enumerate(self.ops):
            at = self.offset_of(number)
            if op[0] == Code.PLACE and at is not None and at != last:  # else it is a label of the instruction's own
                labels[at] = op[1]
            last = at
        return labels

    def _reached_from(self, label: Label) -> Reached:
        is_for_here = self._own_ops is None or self._own_ops.library.target == native.core().library.target
        return ReachedWords(self, label) if self._packed is not None and is_for_here else Reached(self, label)

    def registers(self, file: Registers | Variable) -> list[Register]:
        """Those of a file of the table in this function, from number 0 or the bottom of the stack on; or a Variable's.

        UserError for what the table does not have.
        """
        span = self._files.get(file.file if isinstance(file, Variable) else file)
        if span is None:
            raise UserError(f"function {self.name!r}: its table does not have {file!r}")
        return [register_of(self, span.first + number) for number in range(span.count)]

    def _where(self, op: int) -> str:
        offset = self.offset_of(op)
        return super()._where(op) if offset is None else f"offset {offset}, {super()._where(op)}"
