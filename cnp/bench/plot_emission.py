"""Results -> plots of what writing the code costs: in instructions by program, and in time by size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnp.bench import plot_style
from cnp.bench.figure import Unavailable
from cnp.bench.fit import linear
from cnp.bench.measure import geometric_mean
from cnp.bench.published import PUBLISHED, Published, Unit
from cnp.bench.results import Results

COUNT = "emission.instructions_per_instruction"
TIME = "emission.ns_per_instruction"
COPY = "emission.time_vs_memcpy"
_ROW = 0.16  # inches
_TOTAL = "all together"


def instructions(results: Results) -> Any:
    """Executed instructions per generated instruction, by program, beside what was published of other systems."""
    programs = results.values(COUNT)
    if not programs:
        raise Unavailable(f"there are no figures {COUNT}.*")
    rows = sorted(programs.items(), key=lambda each: each[1])
    rows += [(_TOTAL, each.value) for each in results.figures if each.name == COUNT and each.value is not None]
    published = [each for each in PUBLISHED if each.unit is Unit.INSTRUCTIONS]
    sources = " ".join(f"{each.name}: {each.source}." for each in published)
    title = "Instructions executed per instruction emitted"
    figure = plot_style.new(results, title, len(rows) * _ROW + 0.75, sources)
    axes = figure.subplots()
    plot_style.rows(axes, [name for name, _ in rows])
    for at, (name, value) in enumerate(rows):
        marker = "D" if name == _TOTAL else "o"
        axes.plot([value], [at], marker, color=plot_style.VERMILION, markersize=4, clip_on=False)
        axes.annotate(f"{value:.1f}", (1.1, at), xycoords=("axes fraction", "data"), ha="right", va="center")
    for each in published:
        _mark(axes, each)
    axes.set_xlim(0, max([value for _, value in rows] + [each.high for each in published]) * 1.02)
    return figure


def _mark(axes: Any, published: Published) -> None:
    """A band, or a line where there is one number; its name above."""
    low, high = published.low, published.high
    if low == high:
        axes.axvline(low, color=plot_style.INK, linewidth=0.8, zorder=1)
        text, place, shift, side = f"{published.name} {low:g}", low, -2, "right"
    else:
        axes.axvspan(low, high, color=plot_style.SKY, alpha=0.25, linewidth=0, zorder=0)
        text, place, shift, side = f"{published.name} {low:g} to {high:g}", (low + high) / 2, 0, "center"
    axes.annotate(
        text, (place, 1), (shift, 2), xycoords=("data", "axes fraction"), textcoords="offset points", ha=side,
        va="bottom", fontsize=6.5,
    )  # fmt: skip


def time(results: Results) -> Any:
    """ns per emitted instruction by size of the program, with memcpy of the same bytes and the best linear law."""
    shapes = by_size(results.values(TIME))
    if not shapes:
        raise Unavailable(f"there are no figures {TIME}.<program>.<size>")
    means = {size: geometric_mean(values) for size, values in _columns(shapes).items()}
    law = _law(means)
    figure = plot_style.new(
        results, "Time per instruction emitted, in ns", 2.5, f"{plot_style.SPREAD} {_described(law)}"
    )
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = [_line(axes, results, shape, shapes[shape], colour) for shape, colour in zip(shapes, _colours(len(shapes)))]
    copied = _copies(shapes, by_size(results.values(COPY)))
    if copied:
        axes.plot(list(copied), list(copied.values()), color=plot_style.QUIET, linewidth=1)
        size = max(copied)
        ends.append((size, copied[size], "memcpy", plot_style.QUIET))
    if law:
        axes.plot(list(means), [law[0] + law[1] / size for size in means], "--", color=plot_style.INK, linewidth=0.7)
    plot_style.plain_ticks(axes.xaxis, 1.0)
    plot_style.plain_ticks(axes.yaxis, 1.0, 2.0, 5.0)
    axes.set_xlabel("ops in the program")
    plot_style.label_ends(axes, ends)
    return figure


def _law(means: Mapping[int, float]) -> tuple[float, float] | None:
    """(a, b) of the best a + b / size; None for sizes too few to judge it by."""
    if len(means) < 3:
        return None
    rate, start = linear([(1.0, 1 / size) for size in means], list(means.values())).coefficients
    return rate, start


def _described(law: tuple[float, float] | None) -> str:
    if not law:
        return ""
    return f"Dashed: {law[0]:.2f} ns + {law[1]:.0f} ns / ops, fitted to the geometric mean of the programs."


def _line(
    axes: Any, results: Results, shape: str, points: Mapping[int, float], colour: str
) -> tuple[float, float, str, str]:
    """One program; its right end, to be named there."""
    axes.plot(list(points), list(points.values()), "o-", color=colour, markersize=2.2, linewidth=0.8)
    spreads = {each.name: (each.low, each.high) for each in results.figures if each.low is not None}
    for size in points:
        low, high = spreads.get(f"{TIME}.{shape}.{size}", (None, None))
        if low is not None:
            axes.vlines(size, low, high, color=colour, linewidth=0.8)
    size = max(points)
    return size, points[size], shape, colour


def _copies(shapes: Mapping[str, Mapping[int, float]], ratios: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """ns that memcpy takes for an instruction's bytes, by size, in the mean of the programs."""
    found: dict[str, dict[int, float]] = {}
    for shape, points in shapes.items():
        compared = ratios.get(shape, {})
        found[shape] = {size: points[size] / compared[size] for size in points if size in compared}
    return {size: geometric_mean(values) for size, values in _columns(found).items()}


def _columns(shapes: Mapping[str, Mapping[int, float]]) -> dict[int, list[float]]:
    """The values of every size that all shapes have."""
    sizes = sorted({size for points in shapes.values() for size in points})
    return {
        size: [points[size] for points in shapes.values()]
        for size in sizes
        if all(size in points for points in shapes.values())
    }


def _colours(count: int) -> Sequence[str]:
    return [plot_style.PALETTE[each % len(plot_style.PALETTE)] for each in range(count)]


def by_size(values: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """`{"loops.1000": value}` -> `{"loops": {1000: value}}`, sizes growing; names without a size are left out."""
    found: dict[str, dict[int, float]] = {}
    for name, value in values.items():
        shape, _, size = name.rpartition(".")
        if shape and size.isdigit():
            found.setdefault(shape, {})[int(size)] = value
    return {shape: dict(sorted(points.items())) for shape, points in found.items()}
