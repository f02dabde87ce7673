"""Bench: how fast and how large the generated code is, against what others make of the same algorithms."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from cnp.bench import absent
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.kernel_c import clang_entry, tcc_entry
from cnp.bench.kernel_cnp import cnp_entry
from cnp.bench.kernel_entry import Entry
from cnp.bench.kernel_llvm import llvm_entry
from cnp.bench.kernel_lua import lua_entry
from cnp.bench.kernel_numba import numba_entry
from cnp.bench.kernel_table import KERNELS, Arguments, Kernel
from cnp.bench.measure import Ratio, geometric_mean, median
from cnp.bench.registry import Bench
from cnp.errors import InternalError


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who else makes code of the kernels, and the targets: what cnp's time and bytes may be of its own."""

    name: str
    prepare: Callable[[Kernel, Arguments], Entry]  # raises Unavailable, for one kernel or for all
    sized: bool = False  # whether its entries know their code's size
    unsized: str = ""  # why they do not
    each: float | None = None  # time of every kernel
    mean: float | None = None  # time, geometric mean over all kernels
    mean_bytes: float | None = None

    def figures(self, of: str) -> list[str]:
        """What there is to say of one kernel, or of the mean."""
        return [f"{what}_vs_{self.name}.{of}" for what in ("time", "bytes")[: 1 + self.sized]]


CONTESTANTS = (
    Contestant("clang_O0", functools.partial(clang_entry, "O0"), sized=True, mean=0.4),
    Contestant("clang_O1", functools.partial(clang_entry, "O1"), sized=True),
    Contestant("clang_O2", functools.partial(clang_entry, "O2"), sized=True, each=2.0, mean=1.25, mean_bytes=1.5),
    Contestant("tcc", tcc_entry, sized=True, each=1.0),
    Contestant("llvmlite_O0", llvm_entry, sized=True, each=1.0),
    Contestant("luajit", lua_entry, unsized="LuaJIT does not say how large the code of its traces is"),
    Contestant("numba", numba_entry, unsized="numba's code is not to be told from the wrappers compiled with it"),
)
"""A new contestant is a row. clang's -O2 is without vectors, numba's is with them."""


@dataclass(slots=True)
class _Ratios:
    """What is collected of one contestant for its means."""

    times: list[Ratio] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)
    missing: str = ""  # why one of its kernels is unavailable


def run(recorder: Recorder) -> None:
    """Times of interleaved rounds and bytes of code, of contestants that compute exactly what cnp computes."""
    ratios = {each.name: _Ratios() for each in CONTESTANTS}
    for kernel in KERNELS:
        with ExitStack() as opened:
            _measure(recorder, kernel, _entries(recorder, kernel, ratios, opened), ratios)
    for contestant in CONTESTANTS:
        _means(recorder, contestant, ratios[contestant.name])
        if contestant.unsized:
            recorder.unavailable(f"bytes_vs_{contestant.name}", f"not known: {contestant.unsized}")
    absent.record(recorder)


def _entries(recorder: Recorder, kernel: Kernel, ratios: dict[str, _Ratios], opened: ExitStack) -> dict[str, Entry]:
    """cnp, and the contestants that have this kernel, every outcome compared with cnp's."""
    entries: dict[str, Entry] = {"cnp": cnp_entry(kernel, kernel.arguments(recorder.quick))}
    expected = entries["cnp"].outcome()
    for contestant in CONTESTANTS:
        with recorder.part(*contestant.figures(kernel.name)):
            try:
                entry = contestant.prepare(kernel, kernel.arguments(recorder.quick))
            except Unavailable as error:
                ratios[contestant.name].missing = str(error)
                raise
            opened.callback(entry.close)
            if entry.outcome() != expected:
                raise InternalError(f"kernel {kernel.name}: {contestant.name} does not compute what cnp computes")
            entries[contestant.name] = entry
    return entries


def _measure(recorder: Recorder, kernel: Kernel, entries: dict[str, Entry], ratios: dict[str, _Ratios]) -> None:
    samples = _interleaved(entries, recorder.rounds(21))
    ours = entries["cnp"]
    for contestant in CONTESTANTS:
        name = contestant.name
        if name not in entries:
            continue
        ratio = Ratio(samples["cnp"], samples[name])
        ratios[name].times.append(ratio)
        note = f"{median(samples['cnp']) * 1e3:.3f} ms against {median(samples[name]) * 1e3:.3f} ms"
        recorder.ratio(f"time_vs_{name}.{kernel.name}", ratio, at_most=contestant.each, note=note)
        if contestant.sized:
            size = ours.code_size / entries[name].code_size
            ratios[name].bytes.append(size)
            note = f"{ours.code_size} against {entries[name].code_size} bytes"
            recorder.value(f"bytes_vs_{name}.{kernel.name}", size, "x", note=note)


def _interleaved(entries: dict[str, Entry], rounds: int, warm: int = 2) -> dict[str, list[float]]:
    """Seconds of each call, by each entry's own clock; warm rounds are not counted.

    A round calls every entry once and begins one further than the round before, so that nobody always runs behind the
    same neighbour.
    """
    samples: dict[str, list[float]] = {name: [] for name in entries}
    order = list(entries)
    for number in range(-warm, rounds):
        for name in order:
            taken = entries[name].seconds()
            if number >= 0:
                samples[name].append(taken)
        order.append(order.pop(0))
    return samples


def _means(recorder: Recorder, contestant: Contestant, ratios: _Ratios) -> None:
    """Geometric means over all kernels: none of fewer, because a mean of those that are there would be of others.

    That of times is taken round by round, so that it has a spread.
    """
    found = len(ratios.times)
    if found < len(KERNELS):
        some = f"{found} of {len(KERNELS)} kernels only: " if found else ""
        for name in contestant.figures("geomean"):
            recorder.unavailable(name, some + ratios.missing)
        return
    time, *size = contestant.figures("geomean")
    note = f"{found} kernels"
    rounds = [geometric_mean(each) for each in zip(*(ratio.rounds for ratio in ratios.times))]
    recorder.sampled(time, rounds, "x", at_most=contestant.mean, note=note)
    for name in size:
        recorder.value(name, geometric_mean(ratios.bytes), "x", at_most=contestant.mean_bytes, note=note)


BENCH = Bench("kernels", "speed and size of generated code, against C compilers and other JITs", run)
