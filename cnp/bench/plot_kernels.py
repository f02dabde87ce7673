"""Results -> two dot plots: run time and bytes of code of every kernel, relative to clang -O2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnp.bench import plot_style
from cnp.bench.figure import Unavailable
from cnp.bench.matrix import MEAN
from cnp.bench.measure import geometric_mean, median, quartiles
from cnp.bench.printer import number
from cnp.bench.results import Results

BASE = "clang_O2"
_ROW = 0.135  # inches


@dataclass(frozen=True, slots=True)
class Point:
    """A quotient, and its quartiles where it was measured several times."""

    value: float
    low: float
    high: float


def time(results: Results) -> Any:
    """Run time."""
    return _dots(
        results, "time", "Run time relative to clang -O2", "relative run time; left is faster", plot_style.SPREAD
    )


def size(results: Results) -> Any:
    """Bytes of code."""
    return _dots(results, "bytes", "Code size relative to clang -O2", "relative bytes of code; left is smaller")


def relative(results: Results, quantity: str) -> dict[str, dict[str, Point]]:
    """Every contestant's kernels relative to clang -O2's. Unavailable if cnp was not compared with that.

    Figures are cnp's time by a contestant's; what both have been compared with cancels.
    """
    base = f"kernels.{quantity}_vs_{BASE}"
    ours = {kernel: _own(results, f"{base}.{kernel}") for kernel in results.values(base) if kernel != MEAN}
    if not ours:
        raise Unavailable(f"there are no figures {base}.*")
    found = {"cnp": ours}
    for contestant in _contestants(results, quantity):
        theirs = f"kernels.{quantity}_vs_{contestant}"
        kernels = [each for each in results.values(theirs) if each in ours]
        found[contestant] = {each: _other(results, f"{base}.{each}", f"{theirs}.{each}") for each in kernels}
    return {contestant: points for contestant, points in found.items() if points}


def _contestants(results: Results, quantity: str) -> list[str]:
    start = f"kernels.{quantity}_vs_"
    names = (each.name.removeprefix(start).partition(".")[0] for each in results.figures if each.name.startswith(start))
    return [each for each in dict.fromkeys(names) if each != BASE]


def _own(results: Results, name: str) -> Point:
    figure = next(each for each in results.figures if each.name == name)
    value = figure.value or 0.0
    low, high = figure.low, figure.high
    return Point(value, value if low is None else low, value if high is None else high)


def _other(results: Results, base: str, theirs: str) -> Point:
    values = {each.name: each.value for each in results.figures}
    times, base_times = (results.samples.get(f"{each}.denominator") for each in (theirs, base))
    if times and base_times and len(times) == len(base_times):
        rounds = [a / b for a, b in zip(times, base_times)]
        return Point(median(rounds), *quartiles(rounds))
    value = (values[base] or 0.0) / (values[theirs] or 1.0)
    return Point(value, value, value)


def _dots(results: Results, quantity: str, title: str, label: str, footer: str = "") -> Any:
    contestants = relative(results, quantity)
    kernels = sorted(contestants["cnp"], key=lambda each: contestants["cnp"][each].value)
    means = {name: geometric_mean(each.value for each in points.values()) for name, points in contestants.items()}
    ranked = sorted(means, key=lambda each: means[each])
    heights = [len(kernels) + 0.2, len(ranked) + 0.2]
    footer += " " + plot_style.not_measured(_contestants(results, quantity), contestants)
    figure = plot_style.new(results, title, sum(heights) * _ROW + 0.95, footer)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    for axes, rows in ((above, kernels), (below, [_label(each, contestants) for each in ranked])):
        plot_style.rows(axes, rows)
        axes.axvline(1, color=plot_style.INK, linewidth=0.7, zorder=1)
    above.annotate(
        plot_style.look(BASE).label, (1, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
        ha="center", fontsize=6.5,
    )  # fmt: skip
    for name in reversed(ranked):
        _series(above, name, contestants[name], kernels)
    _means(below, ranked, means)
    below.set_xscale("log")
    below.margins(x=0.07)
    plot_style.plain_ticks(below.xaxis, 1.0, 2.0, 5.0)
    below.set_xlabel(label)
    return figure


def _label(name: str, contestants: Mapping[str, Mapping[str, Point]]) -> str:
    """A contestant, and of how many kernels its mean is if it lacks some."""
    own, all_of_them = len(contestants[name]), len(contestants["cnp"])
    return plot_style.look(name).label + ("" if own == all_of_them else f", {own} of {all_of_them}")


def _series(axes: Any, name: str, points: Mapping[str, Point], kernels: list[str]) -> None:
    rows = [row for row, kernel in enumerate(kernels) if kernel in points]
    found = [points[kernels[row]] for row in rows]
    look, order = plot_style.look(name), 3 if name == "cnp" else 4  # cnp's mark is larger: it shows below others
    axes.hlines(rows, [each.low for each in found], [each.high for each in found], look.colour, lw=0.8, zorder=order)
    _marks(axes, [each.value for each in found], rows, name, order)


def _marks(axes: Any, values: list[float], rows: list[int], name: str, order: int) -> None:
    look = plot_style.look(name)
    face = look.colour if look.filled else "white"
    axes.plot(
        values, rows, look.marker, markerfacecolor=face, markeredgecolor=look.colour, markeredgewidth=0.7,
        markersize=5 if name == "cnp" else 3.2, zorder=order, clip_on=False,
    )  # fmt: skip


def _means(axes: Any, ranked: list[str], means: Mapping[str, float]) -> None:
    axes.set_title("geometric mean", fontweight="normal", fontsize=6.5, pad=3)
    for row, name in enumerate(ranked):
        _marks(axes, [means[name]], [row], name, 4)
        place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center_baseline"}
        axes.annotate(number(means[name]), (1.1, row), **place)
