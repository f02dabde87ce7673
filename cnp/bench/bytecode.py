"""Bench: guest bytecode to a callable by a table that the core walks, and by a loop over the methods of Function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnp.bench.figure import Recorder
from cnp.bench.measure import Ratio, interleaved
from cnp.bench.registry import Bench
from cnp.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cnp.bench.guests import Guest

LIMIT = 0.1  # us a guest instruction
SIZES = (100, 1_000, 10_000)
_ARGUMENT = 12345


def run(recorder: Recorder) -> None:
    """us a guest instruction, from bytes to a callable, by size; the results of both functions are compared first."""
    from cnp.bench.guests import GUESTS, leave  # late: tables open the library, and which one that is can be said

    for name, guest in GUESTS.items():
        for size in SIZES[:2] if recorder.quick else SIZES:
            _measure(recorder, name, guest, size, leave)
        if recorder.quick:
            recorder.left_out(f"us_per_instruction.{name}.{SIZES[-1]}", f"versus_python.{name}.{SIZES[-1]}")


def _measure(recorder: Recorder, name: str, guest: Guest, size: int, leave: Callable[..., Any]) -> None:
    code, repeats = guest.program(size), max(1, 2_000 // size)
    by_hand = guest.by_hand(code)
    params, result = by_hand.parameter_types, by_hand.result
    by_table = guest.table.function("guest", params, result, code, handler=leave)
    if len(by_table.ops) != len(by_hand.ops) or by_table.compile()(_ARGUMENT) != by_hand.compile()(_ARGUMENT):
        raise InternalError(f"bytecode: the {name} program of {size} instructions differs from the one made by hand")

    def table() -> None:
        for _ in range(repeats):
            guest.table.function("guest", params, result, code, handler=leave).compile()

    def hand() -> None:
        for _ in range(repeats):
            guest.by_hand(code).compile()

    samples = interleaved({"table": table, "hand": hand}, recorder.rounds(51))
    each = [taken / repeats / size * 1e6 for taken in samples["table"]]
    note = f"{len(code):,} bytes, {len(by_hand.ops):,} ops"
    recorder.sampled(f"us_per_instruction.{name}.{size}", each, "us", at_most=LIMIT, note=note)
    note = "the same by a loop in Python over the methods of Function"
    recorder.ratio(f"versus_python.{name}.{size}", Ratio(samples["table"], samples["hand"]), note=note)


BENCH = Bench("bytecode", "guest bytecode to a callable, by a table", run)
