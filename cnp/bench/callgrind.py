"""Counts executed instructions by running `counted` under valgrind."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cnp.bench import counted
from cnp.bench.counted import Kind
from cnp.bench.figure import Unavailable

_ROOT = Path(__file__).resolve().parent.parent.parent

Works = tuple[tuple[Kind, int], ...]
"""Kinds and sizes of what is to be counted."""


def counts(size: int, *shapes: str) -> dict[str, float]:
    """Instructions that one call takes, by `<shape>.emit`, `<shape>.compile` and `<shape>.python`.

    emit is cnp_emit, compile is cnp_compile and cnp_emit, python is building the function besides, for functions that
    call none. Unavailable without valgrind.
    """
    found = run(tuple((kind, size) for kind in Kind), shapes)
    return {f"{shape}.{kind.value}": each for (shape, kind, _), each in found.items()}


@functools.cache
def run(works: Works, shapes: tuple[str, ...]) -> dict[tuple[str, Kind, int], float]:
    """Instructions that one call takes, by shape, kind and size: exact, but for what is Python's.

    The loop that calls is not counted. Unavailable without valgrind.
    """
    _compile_byte_code()
    words = [",".join(f"{kind.value}:{size}" for kind, size in works), ",".join(shapes)]
    printed, totals = marked([sys.executable, "-m", counted.__name__, *words], counted.MARKER)
    rows = json.loads(printed)
    measured = {(name, calls): total for (name, calls), total in zip(rows, totals)}
    found = {name: (measured[name, 3] - measured[name, 1]) / 2 for name, calls in measured if calls == 1}
    around = found[counted.ROUND] - 1  # the one is its instruction, return, which cnp_emit has too
    return {
        (shape, kind, size): found[name] - (0 if kind is Kind.PYTHON else around)
        for kind, size in works
        for shape in shapes
        if (name := counted.name(shape, size, kind)) in found
    }


def marked(command: Sequence[str], marker: str) -> tuple[str, list[int]]:
    """Runs a command. What it prints, and how many instructions it executes between the calls of a function, of which
    the first one begins what is counted, the second ends it, and so on. Unavailable without valgrind.
    """
    if shutil.which("valgrind") is None:
        raise Unavailable("valgrind is not installed")
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        output = Path(directory) / "out"
        whole = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", f"--dump-before={marker}*"),
            "--smc-check=all",  # code memory is written through another mapping than it runs from
            *command,
        ]
        done = subprocess.run(whole, capture_output=True, text=True, check=False, env=environment())
        if done.returncode:
            raise Unavailable(f"valgrind failed: {done.stderr.strip()[-300:]}")
        dumps = len(list(Path(directory).glob("out.*")))
        return done.stdout, [_total(Path(f"{output}.{number}")) for number in range(2, dumps + 1, 2)]


@functools.cache
def _compile_byte_code() -> None:
    """Without valgrind, which would take ten seconds for it."""
    subprocess.run([sys.executable, "-c", f"import {counted.__name__}"], check=True, env=environment())


def environment() -> dict[str, str]:
    """For subprocesses: this cnp, hashes that are always the same, and a cache for byte code that can be written."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": _cache().name}


@functools.cache
def _cache() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cnp-bench-")


def _total(path: Path) -> int:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("summary:"):
                return int(line.split()[1])
    raise Unavailable(f"callgrind wrote no summary to {path.name}")
