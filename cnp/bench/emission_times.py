"""Programs -> time of emitting them, warm and cold, against memcpy: per instruction, per hole, per byte, by size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnp.bench import census, emission_programs, fit
from cnp.bench.census import Census
from cnp.bench.emission_state import State, seconds_in
from cnp.bench.figure import Recorder
from cnp.bench.harness import Prepared, nothing, timed
from cnp.bench.measure import Ratio, median, repeats_for, seconds

LIMIT = 8.0
GROWTH_LIMIT = 1.1
SIZES = (10, 100, 1000, 10_000, 100_000, 1_000_000)
HEADLINE = 100_000
"""Ops of the programs whose figures count."""
_SHOWN = (1000, HEADLINE)  # sizes at which every shape has a row of its own
_EACH_SIZE = ("ns_per_instruction", "GB_per_s", "time_vs_memcpy")
_LONG = 1_000_000  # from so many ops on, fewer rounds do
_IN_CACHE = 10_000  # up to so many ops, all that is read and written fits into the second cache


@dataclass(frozen=True, slots=True)
class Point:
    """What one program, or several together, took in one state."""

    contents: Census
    seconds: Ratio  # of cnp_emit over memcpy

    def per(self, number: int) -> list[float]:
        """Nanoseconds of cnp_emit, divided by a number of things emitted."""
        return [each / max(number, 1) * 1e9 for each in self.seconds.numerator]

    @property
    def rate(self) -> list[float]:
        """GB/s of cnp_emit."""
        return [self.contents.bytes / each / 1e9 for each in self.seconds.numerator]

    @property
    def memcpy_rate(self) -> list[float]:
        """GB/s of memcpy."""
        return [self.contents.bytes / each / 1e9 for each in self.seconds.denominator]


Points = Mapping[int, Mapping[str, Point]]
"""By size and shape."""


def run(recorder: Recorder, shapes: Sequence[str]) -> None:
    """Figures of time. Unavailable without capstone."""
    sizes = SIZES[:3] if recorder.quick else SIZES
    points: dict[State, dict[int, dict[str, Point]]] = {state: {size: {} for size in sizes} for state in State}
    for size in sizes:
        for shape in shapes:
            for state, point in _measure(recorder, shape, size).items():
                points[state][size][shape] = point
    warm = points[State.WARM]
    for size in (each for each in _SHOWN if each in sizes):
        for shape, point in warm[size].items():
            recorder.ratio(f"time_vs_memcpy.{shape}.{size}", point.seconds, at_most=LIMIT, note=_rates(point))
    for shape in shapes:
        _growth(recorder, f"growth.{shape}", [each[shape] for each in warm.values()], GROWTH_LIMIT)
    _parts(recorder, warm)
    _instruments(recorder)
    for state, of_state in points.items():
        recorder.text(_matrix(f"ns per generated instruction, {state.value}", of_state, _nanoseconds))
        recorder.text(_matrix(f"times the time of memcpy, {state.value}", of_state, lambda point: point.seconds.value))
    pooled = emission_programs.pooled(shapes)
    for state, of_state in points.items():
        of_pooled = {size: {shape: each[shape] for shape in pooled} for size, each in of_state.items()}
        _by_size(recorder, state, of_pooled)
        if state is State.WARM:
            _headline(recorder, of_pooled, min(HEADLINE, sizes[-1]))
    for size in SIZES[len(sizes) :]:
        for state in State:
            recorder.left_out(*(f"{state.prefix}{each}.{size}" for each in _EACH_SIZE))
        recorder.left_out(*(f"time_vs_memcpy.{shape}.{size}" for shape in shapes if size in _SHOWN))


def _measure(recorder: Recorder, shape: str, size: int) -> dict[State, Point]:
    prepared = Prepared(emission_programs.make(shape, size))
    contents = census.take(prepared)
    found = {state: Point(contents, seconds_in(state, prepared, _rounds(recorder, state, size))) for state in State}
    prepared.close()
    written = {"generated_instructions": contents.instructions, "generated_bytes": contents.bytes}
    for name, number in written.items():
        recorder.samples[f"{recorder.bench}.{name}.{shape}.{size}"] = [number]
    for state, point in found.items():
        series = {
            "ns_per_instruction": point.per(contents.instructions),
            "GB_per_s": point.rate,
            "memcpy_GB_per_s": point.memcpy_rate,
            "time_vs_memcpy": point.seconds.rounds,
        }
        for name, samples in series.items():
            recorder.samples[f"{recorder.bench}.{state.prefix}{name}.{shape}.{size}"] = samples
    return found


def _rounds(recorder: Recorder, state: State, size: int) -> int:
    return recorder.rounds(7 if size >= _LONG else 31 if state is State.WARM else 15)


def together(points: Iterable[Point]) -> Point:
    """The sums of several programs: of the quickest rounds of each, of the second quickest, and so on.

    So the median is the sum of the medians: one program's bad round spoils no other's good one.
    """
    all_of_them = list(points)
    numerators = zip(*(sorted(each.seconds.numerator) for each in all_of_them))
    denominators = zip(*(sorted(each.seconds.denominator) for each in all_of_them))
    contents = census.total(each.contents for each in all_of_them)
    return Point(contents, Ratio(list(map(sum, numerators)), list(map(sum, denominators))))


def _by_size(recorder: Recorder, state: State, points: Points) -> None:
    pooled = {size: together(each.values()) for size, each in points.items()}
    for size, point in pooled.items():
        per_instruction = point.per(point.contents.instructions)
        note = f"{', '.join(points[size])} of {size:,} ops: {_rates(point)}"
        recorder.sampled(f"{state.prefix}ns_per_instruction.{size}", per_instruction, "ns", note=note)
    for size, point in pooled.items():
        recorder.sampled(f"{state.prefix}GB_per_s.{size}", point.rate, "GB/s", note="the same")
    for size, point in pooled.items():
        limit = LIMIT if state is State.WARM else None
        recorder.ratio(
            f"{state.prefix}time_vs_memcpy.{size}", point.seconds, at_most=limit, note="cnp_emit over memcpy"
        )
    _growth(recorder, f"{state.prefix}growth", pooled.values(), GROWTH_LIMIT if state is State.WARM else None)


def _rates(point: Point) -> str:
    emitted, copied = median(point.rate), median(point.memcpy_rate)
    return f"{point.contents.bytes:,} bytes: {emitted:.3g} GB/s, memcpy {copied:.3g} GB/s"


def _nanoseconds(point: Point) -> float:
    return median(point.per(point.contents.instructions))


def _headline(recorder: Recorder, points: Points, size: int) -> None:
    point = together(points[size].values())
    note = f"cnp_emit over memcpy, warm, {', '.join(points[size])} of {size:,} ops together"
    recorder.ratio("time_vs_memcpy", point.seconds, at_most=LIMIT, note=note)
    for name, number in point.contents.parts().items():
        recorder.sampled(f"ns_per_{name}", point.per(number), "ns", note=f"the same programs, over {number:,} {name}s")


def _growth(recorder: Recorder, name: str, points: Iterable[Point], limit: float | None) -> None:
    nanoseconds = {each.contents.instructions: median(each.per(1)) for each in points}
    note = fit.described(nanoseconds, "ns")
    recorder.value(name, fit.power(nanoseconds).exponent, at_most=limit, note=note)


def _parts(recorder: Recorder, points: Points) -> None:
    """What a call costs that emits nothing, a chunk more, and a hole more that depends on where the function goes."""
    small = [point for size, by_shape in points.items() if size <= _IN_CACHE for point in by_shape.values()]
    line = fit.linear([each.contents.variables() for each in small], [median(each.per(1)) for each in small])
    note = f"warm, by least squares over {len(small)} programs of up to {_IN_CACHE:,} ops, at most {line.worst:.0%} off"
    for name, each in zip(census.VARIABLES, line.coefficients):
        recorder.value(f"ns_of.{name}", max(each, 0.0), "ns", note=note)


def _instruments(recorder: Recorder) -> None:
    empty = nothing()
    n = repeats_for(empty.repeat, 0.001)
    samples = [seconds(lambda: empty.repeat(n)) / n * 1e9 for _ in range(recorder.rounds(15))]
    recorder.sampled("round_ns", samples, "ns", note="a call of nothing, by the loop that takes the warm figures")
    samples = [timed(empty.steps[0][0]) * 1e9 for _ in range(recorder.rounds(51))]
    recorder.sampled("clock_ns", samples, "ns", note="a call of nothing, by the clock that takes the cold figures")


def _matrix(title: str, points: Points, value: Callable[[Point], float]) -> str:
    shapes = list(next(iter(points.values())))
    lines = [f"{title}, by ops", f"{'':16}" + "".join(f"{size:>12,}" for size in points)]
    for shape in shapes:
        lines.append(f"{shape:16}" + "".join(f"{value(each[shape]):12.3g}" for each in points.values()))
    return "\n".join(lines)
