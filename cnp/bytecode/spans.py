"""Which registers of a function are those of a table's files, and which of them its exits pass on."""

from __future__ import annotations

import ctypes

from cnp.bytecode.operands import within
from cnp.errors import UserError
from cnp.runtime.guest_layout import GuestSpan

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

    __slots__ = ("_kinds", "_live", "address", "files", "passed_on", "room", "rows", "stack", "types")

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
        kinds: list[GuestSpan] = []
        live: list[int] = []
        for exit in encoder.exits:
            kinds.append(GuestSpan(len(live), len(exit.files)))
            live += map(encoder.files.index, exit.files)
        self._kinds, self._live = (GuestSpan * len(kinds))(*kinds), (ctypes.c_uint32 * len(live))(*live)
        self.passed_on = ctypes.addressof(self._kinds), ctypes.addressof(self._live), self.address
        """By exits, as GuestExits has it: kinds, live, files."""
        self.stack = len(encoder.files) - (encoder.stack is not None)

    def of_exit(self, exit: int, depth: int) -> list[int]:
        """The registers that an exit of the table passes on with so much on the stack."""
        kind = self._kinds[exit]
        found: list[int] = []
        for number in self._live[kind.first : kind.first + kind.count]:
            file = self.rows[number]
            found += range(file.first, file.first + (depth if number == self.stack else file.count))
        return found
