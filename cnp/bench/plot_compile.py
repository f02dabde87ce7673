"""Results -> a plot of compile time by size of the function: cnp's, and that of what else one would pick."""

from __future__ import annotations

from typing import Any

from cnp.bench import plot_lines, plot_style
from cnp.bench.figure import Unavailable
from cnp.bench.results import Results

TIME = "versus.us"
PROGRAM = "straight"


def time(results: Results) -> Any:
    """From a description of the function to a callable, warm."""
    found = plot_lines.series(results, TIME)
    contestants = {
        name.removesuffix(f".{PROGRAM}"): figures for name, figures in found.items() if name.endswith(f".{PROGRAM}")
    }
    if not contestants:
        raise Unavailable(f"there are no figures {TIME}.<contestant>.{PROGRAM}.<size>")
    footer = f"{plot_style.SPREAD} {plot_style.not_measured(_all(results), contestants)}"
    figure = plot_style.new(results, "Compile time from Python", 2.7, footer)
    axes = plot_lines.axes_of(figure)
    ends = [plot_lines.draw(axes, figures, plot_style.look(name)) for name, figures in contestants.items()]
    plot_style.plain_ticks(axes.yaxis, 1.0, written=plot_style.duration)
    plot_lines.name_ends(axes, ends)
    return figure


def _all(results: Results) -> list[str]:
    names = (each.name.removeprefix(f"{TIME}.") for each in results.figures if each.name.startswith(f"{TIME}."))
    return list(dict.fromkeys(each.partition(".")[0] for each in names))
