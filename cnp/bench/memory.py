"""Bench: what is kept in memory, and whether it goes away again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from cnp.bench import programs
from cnp.bench.callgrind import environment
from cnp.bench.figure import Recorder
from cnp.bench.harness import Prepared
from cnp.bench.registry import Bench

LIBRARY_LIMIT = 1 << 20  # bytes
SCRATCH_LIMIT = 200  # bytes an op
WASTE_LIMIT = 10  # percent
SIZE = 1000


def run(recorder: Recorder) -> None:
    """Private bytes of an open library, scratch an op, waste of code memory, growth of compile-and-drop."""
    found = _ask("opening")
    note = f"{found['library_dirty']:,} of it dirty; the rest are pages of the file that no other process has"
    recorder.value("library_private_bytes", found["library"], "B", at_most=LIBRARY_LIMIT, note=note)
    note = f"library, core and a first function; {found['running_dirty']:,} of it dirty"
    recorder.value("running_private_bytes", found["running"], "B", note=note)
    for name, make in programs.SHAPES.items():
        prepared = Prepared(make(SIZE))
        used = prepared.request.scratch_used / prepared.ops
        recorder.value(f"scratch_bytes_per_op.{name}", used, "B", at_most=SCRATCH_LIMIT, note=f"{prepared.ops:,} ops")
        prepared.close()
    count = 100 if recorder.quick else 1000
    found = _ask("waste", count)
    note = f"{count:,} functions of 3 to 400 ops: {found['asked']:,} bytes asked for, {found['taken']:,} taken"
    recorder.value("waste_percent", 100 * (1 - found["asked"] / found["taken"]), "%", at_most=WASTE_LIMIT, note=note)
    count = 1000 if recorder.quick else 10_000
    found = _ask("drop", count)
    note = f"{count:,} times; private memory of the process: {found['private']:+,} bytes"
    recorder.value("drop_bytes", found["live"], "B", at_most=0, note=f"code memory; {note}")
    recorder.value("drop_python_blocks", found["blocks"], note="allocated by Python's allocator, counted")
    recorder.value("drop_mappings", found["mappings"], at_most=0)


def _ask(question: str, *numbers: int) -> dict[str, int]:
    """The answer of a new process, which nothing has been done in yet."""
    command = [sys.executable, "-m", "cnp.bench.memory", question, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    answer: dict[str, int] = json.loads(done.stdout)
    return answer


def private() -> tuple[int, int]:
    """Bytes that only this process has, and how many of them it has written."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in file if line.startswith("Private_")}
    return sizes["Private_Clean:"] + sizes["Private_Dirty:"], sizes["Private_Dirty:"]


def mappings() -> int:
    """Rows of /proc/self/maps."""
    with open("/proc/self/maps", encoding="ascii") as file:
        return sum(1 for _ in file)


def _opening() -> dict[str, int]:
    from cnp.runtime.default import default_library

    private()
    before, dirty = private()
    default_library()
    opened, opened_dirty = private()
    programs.tiny().compile()(1, 2)
    running, running_dirty = private()
    return {
        "library": opened - before, "library_dirty": opened_dirty - dirty,
        "running": running - before, "running_dirty": running_dirty - dirty,
    }  # fmt: skip


def _waste(count: int) -> dict[str, int]:
    from cnp.backends import native

    programs.tiny().compile()
    memory = native.core().memory
    before = memory.statistics()
    makers = list(programs.SHAPES.values())
    kept = []
    for number in range(count):
        maker = makers[number % len(makers)]
        kept.append((programs.tiny() if number % 4 == 0 else maker(50 + number * 37 % 350)).compile())
    after = memory.statistics()
    return {"asked": after.live - before.live, "taken": after.top - before.top}


def _drop(count: int) -> dict[str, int]:
    from cnp.backends import native

    def rounds(n: int) -> None:
        for number in range(n):
            made = programs.straight(20 + number % 30).compile() if number % 2 else programs.tiny().compile()
            made(1, 2)

    rounds(1000)  # lets every free list and every arena reach its size
    memory = native.core().memory
    mappings()  # a first reading allocates too
    live, rows, blocks, (bytes_before, _) = memory.statistics().live, mappings(), sys.getallocatedblocks(), private()
    rounds(count)
    (bytes_after, _), after = private(), sys.getallocatedblocks()
    return {
        "live": memory.statistics().live - live, "mappings": mappings() - rows,
        "blocks": after - blocks, "private": bytes_after - bytes_before,
    }  # fmt: skip


BENCH = Bench("memory", "private bytes, scratch, waste of code memory, what compile-and-drop leaves", run)

if __name__ == "__main__":
    _answers: dict[str, Callable[..., dict[str, int]]] = {"opening": _opening, "waste": _waste, "drop": _drop}
    _answer = _answers[sys.argv[1]]
    json.dump(_answer(*map(int, sys.argv[2:])), sys.stdout)
