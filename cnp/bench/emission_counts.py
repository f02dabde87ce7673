"""Programs -> executed instructions of emitting them: per instruction generated, per stencil, per hole, by size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnp.bench import callgrind, census, emission_programs, fit
from cnp.bench.census import Census
from cnp.bench.counted import Kind
from cnp.bench.figure import Recorder
from cnp.bench.harness import Prepared

LIMIT = 6.0
SIZE = 1000
"""Of the programs whose figures count; the others show how the count grows."""
SIZES = (10, 100, SIZE, 10_000, 100_000)
LARGEST = ("straight", 1_000_000)
"""One program more, because under valgrind it takes more than a minute to build."""

Point = tuple[str, int]
"""A shape and a size."""


def run(recorder: Recorder, shapes: Sequence[str]) -> None:
    """Figures that begin with `instructions_`, and one of the whole core. Unavailable without valgrind or capstone."""
    sizes = SIZES[:3] if recorder.quick else SIZES
    works = (*((Kind.EMIT, size) for size in sizes), (Kind.COMPILE, SIZE))
    found = callgrind.run(works, tuple(shapes))
    counts = {(shape, size): found[shape, Kind.EMIT, size] for shape in shapes for size in sizes}
    if LARGEST[0] in shapes and not recorder.quick:
        shape, size = LARGEST
        counts[LARGEST] = callgrind.run(((Kind.EMIT, size),), (shape,))[shape, Kind.EMIT, size]
    contents = {point: _census(*point) for point in counts}
    for (shape, size), count in counts.items():
        per_instruction = count / contents[shape, size].instructions
        recorder.samples[f"{recorder.bench}.instructions_per_instruction.{shape}.{size}"] = [per_instruction]
    _at_one_size(recorder, {shape: (counts[shape, SIZE], contents[shape, SIZE]) for shape in shapes})
    for shape in shapes:
        points = {contents[point].instructions: count for point, count in counts.items() if point[0] == shape}
        if len(points) > 1:  # `face` has one size only
            note = fit.described(points, "instructions")
            recorder.value(f"instructions_growth.{shape}", fit.power(points).exponent, note=note)
    _parts(recorder, counts, contents)
    pooled = emission_programs.pooled(shapes)
    _together(recorder, {shape: (counts[shape, SIZE], contents[shape, SIZE]) for shape in pooled})
    core = sum(found[shape, Kind.COMPILE, SIZE] for shape in pooled)
    note = "cnp_compile too: reading the ops, liveness, registers, choice of stencils, values of holes, and copying"
    generated = sum(contents[shape, SIZE].instructions for shape in pooled)
    recorder.value("core_instructions_per_instruction", core / generated, note=note)


def _census(shape: str, size: int) -> Census:
    prepared = Prepared(emission_programs.make(shape, size))
    try:
        return census.take(prepared)
    finally:
        prepared.close()


def _at_one_size(recorder: Recorder, programs: Mapping[str, tuple[float, Census]]) -> None:
    for shape, (count, each) in programs.items():
        note = f"{count:,.0f} for {each.instructions:,} instructions in {each.chunks:,} chunks, {each.bytes:,} bytes"
        recorder.value(f"instructions_per_instruction.{shape}", count / each.instructions, at_most=LIMIT, note=note)


def _together(recorder: Recorder, programs: Mapping[str, tuple[float, Census]]) -> None:
    total = sum(count for count, _ in programs.values())
    contents = census.total(each for _, each in programs.values())
    for name, number in contents.parts().items():
        note = f"cnp_emit alone, over {number:,} {name}s: {', '.join(programs)} together"
        limit = LIMIT if name == "instruction" else None
        recorder.value(f"instructions_per_{name}", total / max(number, 1), at_most=limit, note=note)


def _parts(recorder: Recorder, counts: Mapping[Point, float], contents: Mapping[Point, Census]) -> None:
    """What a call costs that emits nothing, a chunk more, and a hole more that depends on where the function goes."""
    line = fit.linear([contents[point].variables() for point in counts], list(counts.values()))
    note = f"by least squares over {len(counts)} programs of all shapes and sizes, at most {line.worst:.0%} off"
    for name, each in zip(census.VARIABLES, line.coefficients):
        recorder.value(f"instructions_of.{name}", max(each, 0.0), note=note)
