"""What a text file holds: functions by name, in order."""

from __future__ import annotations

from cnp.ir.function import Extern, Function


class Module(dict[str, Function]):
    """Functions by name in the order of the file, which may call one another, and the externs they call."""

    def __init__(self, filename: str) -> None:
        super().__init__()
        self.filename = filename
        self.externs: dict[str, Extern] = {}
        self.lines: dict[str, list[int]] = {}
        """For each function, the line (from 1) of each of its ops."""
