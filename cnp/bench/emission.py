"""Bench: what writing the code costs, once it is decided which."""

from __future__ import annotations

from functools import partial

from cnp.bench import callgrind, programs
from cnp.bench.figure import Recorder
from cnp.bench.harness import Prepared
from cnp.bench.measure import Ratio, interleaved, repeats_for
from cnp.bench.registry import Bench

COUNTED = ("face", "straight", "mix", "loops", "memory", "calls", "many_registers")
COPIED = ("straight", "mix", "loops", "memory", "calls")
LIMIT = 6.0
COPY_LIMIT = 8.0
SIZE = 1000


def run(recorder: Recorder) -> None:
    """Instructions executed per instruction generated; time against memcpy of the same bytes."""
    with recorder.part("instructions_per_instruction"):
        _count(recorder, COUNTED[:3] if recorder.quick else COUNTED)
    _compare(recorder, COPIED[:2] if recorder.quick else COPIED)


def _count(recorder: Recorder, shapes: tuple[str, ...]) -> None:
    counts = callgrind.counts(SIZE, *shapes)
    executed = generated = 0.0
    for shape in shapes:
        prepared = Prepared(programs.face() if shape == "face" else programs.SHAPES[shape](SIZE))
        instructions, items = prepared.instructions(), int(prepared.request.n_items)
        count = counts[f"{shape}.emit"]
        note = f"{count:,.0f} for {instructions:,} instructions in {items:,} chunks, {len(prepared.code):,} bytes"
        recorder.value(f"instructions_per_instruction.{shape}", count / instructions, at_most=LIMIT, note=note)
        executed, generated = executed + count, generated + instructions
        prepared.close()
    recorder.value("instructions_per_instruction", executed / generated, at_most=LIMIT, note="all programs together")


def _compare(recorder: Recorder, shapes: tuple[str, ...]) -> None:
    sizes = (SIZE,) if recorder.quick else (SIZE, 100 * SIZE)
    for size in sizes:
        emitting: list[float] = []
        copying: list[float] = []
        for shape in shapes:
            prepared = Prepared(programs.SHAPES[shape](size))
            target = 0.001 if recorder.quick else 0.005
            n, m = repeats_for(prepared.emit, target), repeats_for(prepared.copy, target)
            works = {"emit": partial(prepared.emit, n), "copy": partial(prepared.copy, m)}
            samples = interleaved(works, recorder.rounds(21))
            ratio = Ratio([each / n for each in samples["emit"]], [each / m for each in samples["copy"]])
            rate = len(prepared.code) / min(ratio.numerator) / 1e9
            copied = len(prepared.code) / min(ratio.denominator) / 1e9
            note = f"{len(prepared.code):,} bytes: {rate:.1f} GB/s against {copied:.0f} GB/s"
            recorder.ratio(f"time_per_memcpy.{shape}.{size}", ratio, at_most=COPY_LIMIT, note=note)
            emitting = [a + b for a, b in zip(emitting, ratio.numerator)] or list(ratio.numerator)
            copying = [a + b for a, b in zip(copying, ratio.denominator)] or list(ratio.denominator)
            prepared.close()
        together = Ratio(emitting, copying)
        note = f"programs of {size:,} ops together"
        recorder.ratio(f"time_per_memcpy.{size}", together, at_most=COPY_LIMIT, note=note)


BENCH = Bench("emission", "instructions executed per instruction generated; time against memcpy", run)
