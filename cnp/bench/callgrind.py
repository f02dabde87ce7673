"""Counts executed instructions by running `counted` under valgrind."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cnp.bench.counted import MARKER
from cnp.bench.figure import Unavailable

_ROOT = Path(__file__).resolve().parent.parent.parent


@functools.cache
def counts(size: int, *shapes: str) -> dict[str, float]:
    """Instructions that one call takes, by `<shape>.emit`, `<shape>.compile` and `<shape>.python`.

    emit is cnp_emit, compile is cnp_compile and cnp_emit, python is building the function besides. Exact but for the
    few instructions of the loop around. Unavailable without valgrind.
    """
    if shutil.which("valgrind") is None:
        raise Unavailable("valgrind is not installed")
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        output = Path(directory) / "out"
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", f"--dump-before={MARKER}"),
            "--smc-check=all",  # code memory is written through another mapping than it runs from
            *(sys.executable, "-m", "cnp.bench.counted", str(size), *shapes),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
        if done.returncode:
            raise Unavailable(f"valgrind failed: {done.stderr.strip()[-300:]}")
        rows = json.loads(done.stdout)
        totals = [_total(Path(f"{output}.{number}")) for number in range(2, len(rows) + 2)]
    measured: dict[tuple[str, int], int] = {}
    for (name, repeats), total in zip(rows, totals):
        measured[name, repeats] = total
    return {name: (measured[name, 3] - measured[name, 1]) / 2 for name, repeats in measured if repeats == 1}


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
