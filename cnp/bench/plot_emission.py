"""Results -> plots of what writing the code costs: in instructions by program, and in time by size."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from cnp.bench import plot_lines, plot_style
from cnp.bench.emission_programs import POOLED
from cnp.bench.emission_times import LIMIT
from cnp.bench.figure import Figure, Unavailable
from cnp.bench.fit import linear
from cnp.bench.measure import geometric_mean
from cnp.bench.printer import number
from cnp.bench.published import PUBLISHED, Published, Unit
from cnp.bench.results import Results

COUNT = "emission.instructions_per_instruction"
WHOLE = "emission.core_instructions_per_instruction"
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
    sources = " ".join([_compared(results), *(f"{each.name}: {each.source}." for each in published)])
    title = "Instructions executed per instruction emitted"
    figure = plot_style.new(results, title, len(rows) * _ROW + 0.75, sources)
    axes = figure.subplots()
    plot_style.rows(axes, [name for name, _ in rows])
    for at, (name, value) in enumerate(rows):
        marker = "D" if name == _TOTAL else "o"
        axes.plot([value], [at], marker, color=plot_style.VERMILION, markersize=4, clip_on=False)
        axes.annotate(number(value), (1.1, at), xycoords=("axes fraction", "data"), ha="right", va="center_baseline")
    for each in published:
        _mark(axes, each)
    axes.set_xlim(0, max([value for _, value in rows] + [each.high for each in published]) * 1.02)
    return figure


def _compared(results: Results) -> str:
    """What keeps cnp's figures and the published ones from being the same measure."""
    whole = next((each.value for each in results.figures if each.name == WHOLE), None)
    rest = "" if whole is None else f" ({number(whole)} with all of the core)"
    return f"Of cnp, the last pass alone{rest}; of the others, all that happens at run time."


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
    programs = plot_lines.series(results, TIME)
    if not programs:
        raise Unavailable(f"there are no figures {TIME}.<program>.<size>")
    times = {name: plot_lines.values(figures) for name, figures in programs.items()}
    means = _means({name: points for name, points in times.items() if name in POOLED})
    law = _law(means)
    footer = f"{plot_style.SPREAD} {_described(law)}"
    figure = plot_style.new(results, "Time per instruction emitted, in ns", 2.5, footer)
    axes = plot_lines.axes_of(figure)
    ends = [
        plot_lines.draw(axes, programs[name], plot_style.Look(name, colour, marker))
        for name, colour, marker in zip(programs, cycle(plot_style.PALETTE), cycle(plot_style.MARKERS))
    ]
    copied = _copies(times, plot_lines.series(results, COPY))
    if copied:
        axes.plot(list(copied), list(copied.values()), color=plot_style.QUIET, linewidth=1)
        ends.append((max(copied), copied[max(copied)], "memcpy", plot_style.QUIET))
        bound = {size: each * LIMIT for size, each in copied.items()}
        axes.plot(list(bound), list(bound.values()), ":", color=plot_style.QUIET, linewidth=1)
        ends.append((max(bound), bound[max(bound)], f"{LIMIT:g} x memcpy", plot_style.QUIET))
    if law:
        axes.plot(list(means), [law[0] + law[1] / size for size in means], "--", color=plot_style.INK, linewidth=0.7)
    plot_style.plain_ticks(axes.yaxis, 1.0, 2.0, 5.0)
    plot_lines.name_ends(axes, ends)
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


def _copies(times: Mapping[str, Mapping[int, float]], ratios: Mapping[str, Mapping[int, Figure]]) -> dict[int, float]:
    """ns that memcpy takes for an instruction's bytes, by size, in the mean of the programs."""
    compared = {name: plot_lines.values(figures) for name, figures in ratios.items()}
    return _means(
        {
            name: {size: taken / compared[name][size] for size, taken in points.items() if size in compared[name]}
            for name, points in times.items()
            if name in compared and name in POOLED
        }
    )


def _means(times: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Geometric means over the programs, of every size that all of them have."""
    sizes = sorted({size for points in times.values() for size in points})
    return {
        size: geometric_mean(points[size] for points in times.values())
        for size in sizes
        if all(size in points for points in times.values())
    }
