"""Which registers of a function are those of a table's files, and which of them its exits pass on."""

from __future__ import annotations

import ctypes

from cnp.bytecode.operands import within
from cnp.errors import UserError
from cnp.runtime.guest_layout import ALL_OF_STACK, GuestSpan

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from cnp.bytecode.encode import Encoder
    from cnp.bytecode.operands import Registers


class Spans:
    """Those of functions whose files have the given sizes. `places` are the files that parameters are in.

    UserError for a file that the table does not have, or a size out of range.
    """

    __slots__ = ("_exit_files", "_exit_kinds", "address", "exit_files", "exit_kinds", "files", "room", "rows", "types")

    def __init__(self, encoder: Encoder, places: Sequence[Registers], sizes: Mapping[Registers, int]) -> None:
        for file in sizes:
            if file not in encoder.files:
                raise UserError(f"sizes: the table does not have {file!r}")
        types, rows = bytearray(), (GuestSpan * max(len(encoder.files), 1))()
        for span, file in zip(rows, encoder.files):
            count = within(f"sizes: {file!r}", sizes.get(file, file.count), 0, file.count)
            span.first, span.count = len(types), count
            types += bytes([file.type]) * count
        self.rows: Any = rows
        self.address = ctypes.addressof(rows)
        self.types = bytes(types)
        """Of all registers."""
        self.files = dict(zip(encoder.files, rows))
        self.room = sum(span.count for span, _ in zip(rows, places))
        """How many parameters there may be."""
        passed_on = [
            (self.files[file].first, ALL_OF_STACK if file is encoder.stack else self.files[file].count)
            for exit in encoder.exits
            for file in exit.files
        ]
        kinds, first = [], 0
        for exit in encoder.exits:
            kinds.append((first, len(exit.files)))
            first += len(exit.files)
        self._exit_files, self._exit_kinds = _rows(passed_on), _rows(kinds)
        self.exit_files, self.exit_kinds = ctypes.addressof(self._exit_files), ctypes.addressof(self._exit_kinds)
        """Addresses of what exits pass on, as GuestExits has it."""

    def passed_on(self, exit: int, depth: int) -> list[int]:
        """The registers that an exit of the table passes on with so much on the stack."""
        kind = self._exit_kinds[exit]
        found: list[int] = []
        for file in self._exit_files[kind.first : kind.first + kind.count]:
            found += range(file.first, file.first + (depth if file.count == ALL_OF_STACK else file.count))
        return found


def _rows(spans: Sequence[tuple[int, int]]) -> Any:
    return (GuestSpan * len(spans))(*(GuestSpan(*each) for each in spans))
