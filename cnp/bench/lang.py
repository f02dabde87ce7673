"""Bench: programs in the language of examples/lang, interpreted in Python, against the same compiled where hot."""

from __future__ import annotations

from functools import partial

from cnp.bench import startup
from cnp.bench.checkout import example
from cnp.bench.figure import Recorder
from cnp.bench.registry import Bench
from cnp.bench.tiered import NUMERIC, OTHERS, speed

_FIRST = """
from examples.lang import demo, suite
text = suite.text("sum", small=True)
first, second = [demo.timed(text, tiered=True)[0] for _ in range(2)]
print((first - second) * 1e3)
"""


def run(recorder: Recorder) -> None:
    """Time of each program in a new machine, from its text on; what they print is compared first.

    Importing cnp and the compiler, which the first hot place of a process does, is a figure of its own.
    """
    suite, timed = example("lang.suite"), example("lang.demo").timed
    recorder.sampled("first_ms", [_first() for _ in range(1 + recorder.rounds(9))][1:], "ms", note="once a process")
    for names, target in ((suite.NUMERIC, NUMERIC), (suite.OTHERS, OTHERS)):
        for name in names:
            speed(recorder, name, partial(timed, suite.text(name, small=recorder.quick)), target)


def _first() -> float:
    """Milliseconds by which the first run of a small program in a process takes longer than the second."""
    return float(startup.start(_FIRST).stdout)


BENCH = Bench("lang", "a language's programs: its interpreter against what is compiled when it is hot", run)
