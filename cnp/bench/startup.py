"""Bench: from starting Python to having run a first compiled function."""

from __future__ import annotations

import subprocess
import sys

from cnp.bench.callgrind import environment
from cnp.bench.figure import Recorder
from cnp.bench.measure import interleaved, median
from cnp.bench.registry import Bench
from cnp.runtime.default import default_library
from cnp.stencil.library import Library

LIMIT = 25.0  # ms
OPEN_LIMIT = 3.0  # ms
IMPORT = "import cnp"
FIRST = """
import cnp
f = cnp.Function("seven", [cnp.i64], cnp.i64)
d = f.reg(cnp.i64)
f.i64_mul(d, f.params[0], 7)
f.ret(d)
assert f.compile()(6) == 42
"""
PROGRAMS = {"pass": "pass", "import": IMPORT, "first": FIRST}
SHOWN = 10  # modules


def start(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own."""
    command = [sys.executable, *options, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment())


def run(recorder: Recorder) -> None:
    """Milliseconds above `python -c pass`, each process new, files in the page cache."""
    works = {name: lambda text=text: start(text) for name, text in PROGRAMS.items()}
    samples = interleaved(works, recorder.rounds(31))
    milliseconds = {name: [taken * 1e3 for taken in each] for name, each in samples.items()}
    base = median(milliseconds["pass"])
    note = f"above `python -c pass`, {base:.1f} ms"
    first = [each - base for each in milliseconds["first"]]
    recorder.sampled("first_function_ms", first, "ms", at_most=LIMIT, note=note)
    recorder.sampled("import_ms", [each - base for each in milliseconds["import"]], "ms", note="`import cnp` alone")
    _open(recorder)
    recorder.text(dearest_imports(SHOWN))


def _open(recorder: Recorder) -> None:
    """Of that, opening the library, in this process."""
    path = default_library().path

    def work() -> None:
        with Library.open(path) as library:
            assert library.ops

    samples = [taken * 1e3 for taken in interleaved({"open": work}, recorder.rounds(31))["open"]]
    recorder.sampled("open_library_ms", samples, "ms", at_most=OPEN_LIMIT, note="mapping the file, and its op table")


def dearest_imports(shown: int) -> str:
    """The modules whose own loading takes longest, by -X importtime, those that `python -c pass` loads left out."""
    usual = {name for name, _ in _imports("pass")}
    rows = [(taken, name) for name, taken in _imports(FIRST) if name not in usual]
    lines = [f"{taken / 1000:8.2f} ms  {name}" for taken, name in sorted(rows, reverse=True)[:shown]]
    total = sum(taken for taken, _ in rows) / 1000
    return "\n".join([f"dearest imports, {total:.1f} ms in all {len(rows)} (the clock itself included):", *lines])


def _imports(program: str) -> list[tuple[str, int]]:
    """Module and its own microseconds."""
    found = []
    for line in start(program, "-X", "importtime").stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdigit():
            found.append((fields[2].strip(), int(fields[0])))
    return found


BENCH = Bench("startup", "import, open the library, compile and run a first function", run)
