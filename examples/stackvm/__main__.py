"""`python -m examples.stackvm LIBRARY`: what compiled code gains; LIBRARY is what cnp has built of ops/."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cnp.bytecode import Table
from cnp.errors import CnpError

from .code import assemble
from .machine import Machine
from .table import load
from .tier import TieredMachine

TEXT = (Path(__file__).parent / "program.txt").read_text(encoding="utf-8")
RUNS = {"total": [100_000], "fib": [20], "count": [200_000], "power": [3, 3_000]}
ITEMS = range(100_000)


def timed(table: Table, name: str, arguments: Sequence[int], *, tiered: bool) -> tuple[float, int]:
    """Seconds that a call takes in a new machine, and its result."""
    functions = assemble(TEXT)
    machine = TieredMachine(table, functions, ITEMS) if tiered else Machine(functions, ITEMS)
    number = [each.name for each in functions].index(name)
    start = time.perf_counter()
    result = machine.call(number, list(arguments))
    return time.perf_counter() - start, result


def main(*words: str) -> int:
    """Run everything both ways: 0 if the results are the same."""
    if len(words) != 1:
        print(
            f"{len(words)} arguments; accepted: LIBRARY, of `cnp build examples/stackvm/ops -o LIBRARY`",
            file=sys.stderr,
        )
        return 2
    try:
        (_, table), same = load(*words), True
    except CnpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, arguments in RUNS.items():
        slow, expected = timed(table, name, arguments, tiered=False)
        fast, found = timed(table, name, arguments, tiered=True)
        same = same and found == expected
        print(f"{name:8}{slow * 1e3:8.1f} ms interpreted{fast * 1e3:8.1f} ms compiled where hot{slow / fast:8.1f} x")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
