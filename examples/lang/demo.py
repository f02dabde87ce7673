"""Runs a program; or those that come with the language, interpreted and compiled, and shows times and whether they
print the same."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import suite
from .bytecode import listing
from .errors import JotError
from .machine import Machine


def timed(text: str, *, tiered: bool) -> tuple[float, str]:
    """Seconds that a new machine takes for a program, and what it prints."""
    lines: list[str] = []
    machine = Machine(lines.append, tiered=tiered)
    start = time.perf_counter()
    machine.run(text)
    return time.perf_counter() - start, "".join(lines)


def _compare() -> bool:
    timed(suite.text("fib", small=True), tiered=True)  # imports cnp, which is once
    agree = True
    for name in (*suite.NUMERIC, *suite.OTHERS):
        text = suite.text(name)
        slow, expected = timed(text, tiered=False)
        fast, found = timed(text, tiered=True)
        agree = agree and found == expected
        print(
            f"{name:12}{slow * 1e3:9.1f} ms interpreted{fast * 1e3:9.1f} ms compiled where hot:{slow / fast:7.1f} x"
            f"   {'the same' if found == expected else 'DIFFERS'}"
        )
    return agree


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns 0, 1 if what is printed differs, or 2 for a program that is wrong or missing."""
    parser = argparse.ArgumentParser(prog="python -m examples.lang", description=__doc__)
    parser.add_argument("program", nargs="?", help="a .jot file to run in place of the programs that come with this")
    parser.add_argument("--interpret", action="store_true", help="compile nothing")
    parser.add_argument("--budget", type=int, metavar="STEPS", help="stop it after so many rounds and calls (none)")
    parser.add_argument("--show", action="store_true", help="print the bytecode")
    parser.add_argument("--time", action="store_true", help="say how long the program took, from its text on")
    options = parser.parse_args(words)
    if not options.program:
        return 0 if _compare() else 1
    start = time.perf_counter()
    try:
        machine = Machine(tiered=not options.interpret, budget=options.budget)
    except ValueError as error:
        parser.error(str(error))
    try:
        prototype = machine.load(Path(options.program).read_text(encoding="utf-8"))
        if options.show:
            print(listing(prototype))
        machine.execute(prototype)
    except (JotError, OSError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.time:
        print(f"{(time.perf_counter() - start) * 1e3:.3f} ms", file=sys.stderr)
    return 0
