"""Bench: how fast and how large the generated code is, against what others make of the same algorithms."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.kernel_c import clang_entry, tcc_entry
from cnp.bench.kernel_cnp import cnp_entry
from cnp.bench.kernel_entry import Entry
from cnp.bench.kernel_table import KERNELS, Arguments, Kernel
from cnp.bench.measure import Ratio, geometric_mean, median
from cnp.bench.registry import Bench
from cnp.errors import InternalError

CODE_LIMIT = 1.5  # of clang -O2


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who else makes code of the kernels, and what cnp's run time may be of its run time."""

    name: str
    prepare: Callable[[Kernel, Arguments], Entry]  # raises Unavailable, about one kernel or all
    each: float | None = None  # of every kernel
    mean: float | None = None  # of the geometric mean over all


CONTESTANTS = (
    Contestant("clang_O0", functools.partial(clang_entry, "O0"), mean=0.4),
    Contestant("clang_O1", functools.partial(clang_entry, "O1")),
    Contestant("clang_O2", functools.partial(clang_entry, "O2"), each=2.0, mean=1.25),
    Contestant("tcc", tcc_entry, each=1.0),
)
"""A new contestant is a row. clang's -O2 is without vectors."""


@dataclass(slots=True)
class _Ratios:
    """What is collected of one contestant for its means."""

    times: list[float] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)


def run(recorder: Recorder) -> None:
    """Times of interleaved rounds and bytes of code; a contestant is timed if it computes what cnp computes."""
    ratios = {each.name: _Ratios() for each in CONTESTANTS}
    for kernel in KERNELS:
        with ExitStack() as open_entries:
            _measure(recorder, kernel, _entries(recorder, kernel, open_entries), ratios)
    for contestant in CONTESTANTS:
        _means(recorder, contestant, ratios[contestant.name])


def _entries(recorder: Recorder, kernel: Kernel, stack: ExitStack) -> dict[str, Entry]:
    """The contestants that have this kernel, cnp first, every outcome compared with cnp's."""
    entries: dict[str, Entry] = {"cnp": cnp_entry(kernel, kernel.arguments(recorder.quick))}
    expected = entries["cnp"].outcome()
    for contestant in CONTESTANTS:
        try:
            entry = contestant.prepare(kernel, kernel.arguments(recorder.quick))
        except Unavailable as error:
            recorder.unavailable(f"time_vs_{contestant.name}.{kernel.name}", str(error))
            continue
        stack.callback(entry.close)
        if entry.outcome() != expected:
            raise InternalError(f"kernel {kernel.name}: {contestant.name} does not compute what cnp computes")
        entries[contestant.name] = entry
    return entries


def _measure(recorder: Recorder, kernel: Kernel, entries: dict[str, Entry], ratios: dict[str, _Ratios]) -> None:
    samples = _interleaved(entries, recorder.rounds(21))
    for contestant in CONTESTANTS:
        name = contestant.name
        if name not in entries:
            continue
        ratio = Ratio(samples["cnp"], samples[name])
        ratios[name].times.append(ratio.value)
        note = f"{median(samples['cnp']) * 1e3:.3f} ms against {median(samples[name]) * 1e3:.3f} ms"
        recorder.ratio(f"time_vs_{name}.{kernel.name}", ratio, at_most=contestant.each, note=note)
        ours, theirs = entries["cnp"].code_size, entries[name].code_size
        if ours is not None and theirs is not None:
            ratios[name].bytes.append(ours / theirs)
            recorder.value(f"bytes_vs_{name}.{kernel.name}", ours / theirs, "x", note=f"{ours} against {theirs} bytes")


def _interleaved(entries: dict[str, Entry], rounds: int, warm: int = 2) -> dict[str, list[float]]:
    """Seconds of each call: every round calls each entry once, by that entry's own clock."""
    samples: dict[str, list[float]] = {name: [] for name in entries}
    for number in range(-warm, rounds):
        for name, entry in entries.items():
            taken = entry.seconds()
            if number >= 0:
                samples[name].append(taken)
    return samples


def _means(recorder: Recorder, contestant: Contestant, ratios: _Ratios) -> None:
    for what, values, limit in (
        ("time", ratios.times, contestant.mean),
        ("bytes", ratios.bytes, CODE_LIMIT if contestant.name == "clang_O2" else None),
    ):
        name, note = f"{what}_vs_{contestant.name}.geomean", f"of {len(values)} of {len(KERNELS)} kernels"
        if values:
            recorder.value(name, geometric_mean(values), "x", at_most=limit, note=note)


BENCH = Bench("kernels", "speed and size of generated code, against C compilers and other JITs", run)
