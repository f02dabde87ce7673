"""What a walk has found of exits and cells -> the side exits of a function, and the cells that it keeps."""

from __future__ import annotations

import ctypes
from collections.abc import MutableMapping

from cnp.ir.callback import SideExit
from cnp.ir.function import register_coded
from cnp.runtime.guest_layout import GuestExit

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from cnp.bytecode.spans import Spans
    from cnp.runtime.guest_layout import Walk

_ROW = ctypes.sizeof(GuestExit)


class GuestExits(MutableMapping[int, SideExit]):
    """Side exits by the numbers of their labels, of which objects are made when somebody looks.

    `rows` are of GuestExit, `first_code` is the number of the function's first register, and `first` the index of the
    one that files count from.
    """

    __slots__ = ("_first_code", "_made", "_spans", "first", "handler", "is_as_found", "passed_on", "rows", "stack")

    def __init__(
        self, rows: bytes, spans: Spans, handler: Callable[[int, tuple[Any, ...]], Any], first_code: int, first: int = 0
    ) -> None:
        self.rows = rows
        self.handler = handler
        self.first = first
        self.passed_on, self.stack = spans.passed_on, spans.stack
        self.is_as_found = True
        """Whether the rows say what all exits are: nobody has added one."""
        self._spans = spans
        self._first_code = first_code
        self._made: dict[int, SideExit] | None = None

    def behind_a_register(self, first_code: int) -> GuestExits:
        """The same exits of a function that has a register more in front."""
        return GuestExits(self.rows, self._spans, self.handler, first_code, self.first + 1)

    def _all(self) -> dict[int, SideExit]:
        if self._made is None:
            self._made = {}
            first = self._first_code + self.first
            known: dict[tuple[int, int], tuple[Any, ...]] = {}  # what exits of one kind and depth share
            for row in (GuestExit * (len(self.rows) // _ROW)).from_buffer_copy(self.rows):
                key = row.exit, row.depth
                if key not in known:
                    known[key] = tuple([register_coded(first + index) for index in self._spans.of_exit(*key)])
                self._made[row.label] = SideExit(self.handler, row.offset, known[key])
        return self._made

    def __len__(self) -> int:
        return len(self.rows) // _ROW if self.is_as_found else len(self._all())

    def __iter__(self) -> Iterator[int]:
        return iter(self._all())

    def __getitem__(self, label: int) -> SideExit:
        return self._all()[label]

    def __setitem__(self, label: int, exit: SideExit) -> None:
        self._all()[label] = exit
        self.is_as_found = False

    def __delitem__(self, label: int) -> None:
        del self._all()[label]
        self.is_as_found = False


def cells_of(walk: Walk, cells: Sequence[Any]) -> list[Any]:
    """Those that the code reads."""
    return [each for each, is_read in zip(cells, ctypes.string_at(walk.is_read, len(cells))) if is_read]
