"""Figures by size -> lines on logarithmic axes, each named at its right end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnp.bench import plot_style
from cnp.bench.figure import Figure
from cnp.bench.measure import median, quartiles
from cnp.bench.results import Results

End = tuple[float, float, str, str]
"""x, y, name and colour."""
_LABEL = 0.105  # inches: the height of one


def series(results: Results, prefix: str) -> dict[str, dict[int, Figure]]:
    """The figures `prefix`.<name>.<size>, or the medians of samples of such a name, by name and by growing size."""
    found: dict[str, dict[int, Figure]] = {}
    for each in [*results.figures, *_of_samples(results)]:
        if each.value is not None and each.name.startswith(f"{prefix}."):
            name, _, size = each.name.removeprefix(f"{prefix}.").rpartition(".")
            if name and size.isdigit():
                found.setdefault(name, {}).setdefault(int(size), each)
    return {name: dict(sorted(figures.items())) for name, figures in found.items()}


def _of_samples(results: Results) -> Iterator[Figure]:
    for name, samples in results.samples.items():
        low, high = quartiles(samples)
        yield Figure(name, median(samples), low=low, high=high)


def values(figures: Mapping[int, Figure]) -> dict[int, float]:
    """The numbers alone."""
    return {size: each.value for size, each in figures.items() if each.value is not None}


def axes_of(figure: Any) -> Any:
    """Axes for lines by size."""
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("ops in the function")
    plot_style.plain_ticks(axes.xaxis, 1.0)
    return axes


def draw(axes: Any, figures: Mapping[int, Figure], look: plot_style.Look) -> End:
    """A line through the values, quartiles as whiskers. Its right end, to be named."""
    points = values(figures)
    axes.plot(
        list(points), list(points.values()), f"{look.marker}-", color=look.colour, markersize=2.6, linewidth=0.8,
        markerfacecolor=look.colour if look.filled else "white", markeredgewidth=0.7,
    )  # fmt: skip
    for size, each in figures.items():
        if each.low is not None:
            axes.vlines(size, each.low, each.high, color=look.colour, linewidth=0.8)
    size = max(points)
    return size, points[size], look.label, look.colour


def name_ends(axes: Any, ends: Sequence[End]) -> None:
    """Write the names of lines at their right ends: of those that go all the way beside the axes, none over another."""
    last = max(x for x, *_ in ends)
    for x, y, name, colour in ends:
        if x < last:
            axes.annotate(name, (x, y), (4, 3), textcoords="offset points", fontsize=6.5, color=colour)
    whole = [each for each in ends if each[0] == last]
    low, high = axes.get_ylim()
    room = math.log10(high / low)
    heights = [math.log10(y / low) / room for _, y, _, _ in whole]
    inches = axes.figure.get_figheight() * 0.7
    line = {"arrowstyle": "-", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2, "relpos": (0, 0.5)}
    for (x, y, name, colour), height in zip(whole, apart(heights, _LABEL / inches)):
        axes.annotate(
            name, (x, y), (1.03, height), textcoords="axes fraction", va="center_baseline", fontsize=6.5, color=colour,
            arrowprops={**line, "color": colour},
        )  # fmt: skip


def apart(positions: Sequence[float], gap: float) -> list[float]:
    """Positions moved as little as need be for neighbours to be at least `gap` apart, in the same order."""
    order = sorted(range(len(positions)), key=lambda each: positions[each])
    groups: list[list[int]] = []
    centres: list[float] = []
    for each in order:
        groups.append([each])
        centres.append(positions[each])
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            groups[-2:] = [groups[-2] + groups[-1]]
            centres[-2:] = [sum(positions[index] for index in groups[-1]) / len(groups[-1])]
    moved = list(positions)
    for group, centre in zip(groups, centres):
        for rank, index in enumerate(group):
            moved[index] = centre + (rank - (len(group) - 1) / 2) * gap
    return moved
