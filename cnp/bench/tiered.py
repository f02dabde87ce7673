"""A guest's program interpreted in Python, and the same compiled where it is hot: the figure of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnp.bench.measure import Ratio, median
from cnp.errors import InternalError

if TYPE_CHECKING:
    from typing import Any, Protocol

    from cnp.bench.figure import Recorder

    class Timed(Protocol):
        """Seconds that a program takes in a new machine, and its result."""

        def __call__(self, *, tiered: bool) -> tuple[float, Any]: ...


NUMERIC = 30.0
OTHERS = 0.95  # what is not for compiled code must not suffer from it
_SHORTEST = 0.1  # seconds: what a short program is repeated for, so that what else goes on does not decide
_ROUNDS = 5
_CLOSE_ROUNDS = 31  # where a few per cent decide


def speed(recorder: Recorder, name: str, timed: Timed, target: float | None, column: str = "speed") -> None:
    """`COLUMN.NAME`: interpreted over tiered time, in alternating rounds. The target is for full runs.

    InternalError if the results differ: that is looked at first, in runs that do not count.
    """
    spent, expected = timed(tiered=False)
    if timed(tiered=True)[1] != expected:
        raise InternalError(f"{recorder.bench}: program {name!r}: compiled code gives another result")
    times = 1 if recorder.quick else 1 + int(_SHORTEST / spent)
    samples: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(recorder.rounds(_CLOSE_ROUNDS if target == OTHERS else _ROUNDS)):
        for tiered, taken in samples.items():
            taken.append(sum(timed(tiered=tiered)[0] for _ in range(times)))
    slow, fast = (median(samples[tiered]) / times * 1e3 for tiered in (False, True))
    recorder.ratio(
        f"{column}.{name}",
        Ratio(samples[False], samples[True]),
        at_least=None if recorder.quick else target,
        note=f"{slow:.1f} against {fast:.2f} ms",
    )
