"""What a walk has found of exits and cells -> the side exits of a function, and the cells that it keeps."""

from __future__ import annotations

import ctypes

from cnp.errors import UserError
from cnp.ir.callback import SideExit
from cnp.ir.packed import register_of
from cnp.runtime.guest_layout import GuestExit

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from cnp.bytecode.encode import Encoder
    from cnp.ir.function import Function
    from cnp.runtime.guest_layout import Walk


def side_exits(
    function: Function, walk: Walk, encoder: Encoder, spans: Any, handler: Callable[[int, tuple[Any, ...]], Any] | None
) -> dict[int, SideExit]:
    """The side exits that a walk has found, by the numbers of their labels. UserError if nobody handles them."""
    rows = (GuestExit * walk.n_exits).from_address(walk.exits)
    if handler is None or not callable(handler):
        what = f"its instruction at offset {rows[0].offset} has an exit, and the handler is {handler!r}"
        raise UserError(f"function {function.name!r}: {what}; accepted: any callable")
    numbers = {file: number for number, file in enumerate(encoder.files)}
    known: dict[tuple[int, int], tuple[Any, ...]] = {}  # what exits of one kind and depth pass on
    found = {}
    for row in rows:
        key = row.exit, row.depth
        if key not in known:
            values: list[Any] = []
            for file in encoder.exits[row.exit].files:
                span = spans[numbers[file]]
                count = row.depth if file is encoder.stack else span.count
                values += [register_of(function, span.first + k) for k in range(count)]
            known[key] = tuple(values)
        found[row.label] = SideExit(handler, row.offset, known[key])
    return found


def cells_of(walk: Walk, cells: Sequence[Any]) -> list[Any]:
    """Those that the code reads."""
    return [each for each, is_read in zip(cells, ctypes.string_at(walk.is_read, len(cells))) if is_read]
