"""The programs that come with the language, and which of them compiled code is for."""

from __future__ import annotations

import re
from pathlib import Path

DIRECTORY = Path(__file__).parent / "programs"
NUMERIC = (
    "sum", "collatz", "sieve", "sort", "matrix", "mandelbrot", "nbody", "integrate", "fib", "ackermann", "parity",
    "counter", "queens",
)  # fmt: skip
"""Loops and calls that compute with numbers."""
OTHERS = ("append", "mixed", "calls", "factorial", "strings", "lines", "short")
"""Strings, printing, integers of many digits, arrays that grow, and what ends before anything is hot."""
_SIZE = re.compile(r"(let size = )\d+(\s+# test: )(\d+)")


def text(name: str, *, small: bool = False) -> str:
    """A program; `small` for tests, which want its result soon."""
    found = (DIRECTORY / f"{name}.jot").read_text(encoding="utf-8")
    return _SIZE.sub(r"\g<1>\3", found) if small else found
