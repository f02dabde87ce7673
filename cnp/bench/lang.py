"""Bench: programs in the language of examples/lang, interpreted in Python, against the same compiled where hot."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cnp.bench import startup
from cnp.bench.callgrind import environment
from cnp.bench.checkout import example
from cnp.bench.figure import Recorder
from cnp.bench.measure import Ratio, median
from cnp.bench.registry import Bench
from cnp.bench.tiered import NUMERIC, OTHERS, speed
from cnp.errors import InternalError

FRESH = 2.5  # seconds for pairs of processes of one program; where it gains much, one pair says enough
_FIRST = """
from examples.lang import demo, suite
text = suite.text("fib", small=True)
first, second = [demo.timed(text, tiered=True)[0] for _ in range(2)]
print((first - second) * 1e3)
"""


def run(recorder: Recorder) -> None:
    """Time of each program in a new machine, from its text on; what they print is compared first.

    Importing cnp and the compiler, which the first place that is worth it does, is a figure of its own; it is part of
    the times of programs that have a process for themselves.
    """
    suite, timed = example("lang.suite"), example("lang.demo").timed
    recorder.sampled("first_ms", [_first() for _ in range(1 + recorder.rounds(9))][1:], "ms", note="once a process")
    for names, target in ((suite.NUMERIC, NUMERIC), (suite.OTHERS, OTHERS)):
        for name in names:
            speed(recorder, name, partial(timed, suite.text(name, small=recorder.quick)), target)
    if recorder.quick:
        recorder.left_out(*(f"fresh.{name}" for name in (*suite.NUMERIC, *suite.OTHERS[1:])))
        besides = _fresh(recorder, suite.OTHERS[0], suite.text(suite.OTHERS[0], small=True), 0.0, None)
    else:
        besides = []
        for names, enough in ((suite.NUMERIC, 0.0), (suite.OTHERS, FRESH)):
            for name in names:
                besides += _fresh(recorder, name, suite.text(name), enough, OTHERS)
    recorder.sampled("start_ms", besides, "ms", note="of Python and the language, before the program; not in `fresh`")


def _first() -> float:
    """Milliseconds by which the first run of a small program in a process takes longer than the second."""
    return float(startup.start(_FIRST).stdout)


def _fresh(recorder: Recorder, name: str, text: str, enough: float, target: float | None) -> list[float]:
    """The same for the only program of a process: what Python and the language take to start is not part of it, but
    returned, in milliseconds. Pairs of processes are run until they have taken so many seconds."""
    pairs: list[tuple[_Process, _Process]] = []
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        path = Path(directory) / f"{name}.jot"
        path.write_text(text, encoding="utf-8")
        _start(path)  # so that everything is in the caches for files and byte code
        until = time.perf_counter() + enough
        while not pairs or time.perf_counter() < until:
            pairs.append((_start(path, "--interpret"), _start(path)))
    if any(a.printed != b.printed for a, b in pairs):
        raise InternalError(f"lang: program {name!r}: in a new process compiled code makes it print something else")
    slow, fast = ([pair[which].milliseconds for pair in pairs] for which in range(2))
    note = f"{median(slow):.1f} against {median(fast):.1f} ms"
    recorder.ratio(f"fresh.{name}", Ratio(slow, fast), at_least=target, note=note)
    return [each.besides for pair in pairs for each in pair]


class _Process(NamedTuple):
    printed: str
    milliseconds: float  # from the program's text to its end
    besides: float  # milliseconds for everything else


def _start(path: Path, *options: str) -> _Process:
    """`python -m examples.lang`, as a user runs a program."""
    command = [sys.executable, "-m", "examples.lang", "--time", *options, str(path)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    whole = (time.perf_counter() - start) * 1e3
    taken = float(done.stderr.split()[0])
    return _Process(done.stdout, taken, whole - taken)


BENCH = Bench("lang", "a language's programs: its interpreter against what is compiled when it is hot", run)
