"""What all plots have in common: one column wide, quiet, colours that colour-blind people tell apart."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cnp.bench.machine import MISSING
from cnp.bench.results import Results

WIDTH = 3.4  # inches: one column of a paper in two columns
INK, QUIET, FAINT = "#222222", "#6b6b6b", "#dddddd"
_FOOTER = 84  # characters in a line of it
SPREAD = "Medians of interleaved rounds; whiskers are quartiles."

# Okabe and Ito, Color Universal Design, 2008; without its yellow, which is too light for a line on white.
ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7"
BROWN = "#8c6d31"
PALETTE = (BLUE, GREEN, ORANGE, PURPLE, SKY, BROWN, VERMILION)
MARKERS = "os^DvPX<"

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: pictures look the same everywhere
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "svg.hashsalt": "cnp",  # the same figures give the same bytes
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a contestant is called and drawn."""

    label: str
    colour: str
    marker: str
    filled: bool = True


LOOKS = {
    "cnp": Look("cnp", VERMILION, "o"),
    "clang_O0": Look("clang -O0", "#8a8a8a", "s", filled=False),
    "clang_O1": Look("clang -O1", "#8a8a8a", "^", filled=False),
    "clang_O2": Look("clang -O2", INK, "|"),
    "tcc": Look("tcc", BLUE, "D", filled=False),
    "libtcc": Look("libtcc", BLUE, "D", filled=False),
    "luajit": Look("LuaJIT", SKY, "v"),
    "llvmlite_O0": Look("llvmlite -O0", GREEN, "P"),
    "llvmlite_O2": Look("llvmlite -O2", GREEN, "X"),
    "numba": Look("numba", PURPLE, "X"),
    "wasmtime": Look("wasmtime", ORANGE, ">"),
    "copapy": Look("copapy", BROWN, "d"),
    "cffi_gcc": Look("cffi, gcc", QUIET, "<", filled=False),
}


def look(contestant: str) -> Look:
    """Of a contestant; one that is not known is called by its name, underscores turned into spaces."""
    return LOOKS.get(contestant) or Look(contestant.replace("_", " "), QUIET, "*")


def new(results: Results, title: str, height: float, sources: str = "") -> Any:
    """An empty figure with a title above, and below it what was measured where, and `sources` of what was not."""
    from matplotlib.figure import Figure

    lines = [*textwrap.wrap(provenance(results), _FOOTER), *textwrap.wrap(sources, _FOOTER)]
    footer = len(lines) * 0.083 + 0.06
    height += footer
    figure: Any = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(rect=(0, footer / height, 1, 1 - footer / height), w_pad=0.03, h_pad=0.03)
    figure.text(0.012, 0.03 / height, "\n".join(lines), fontsize=5, color=QUIET, va="bottom", linespacing=1.15)
    figure.suptitle(title, x=0.012, ha="left", fontsize=7.5, fontweight="bold")
    return figure


def provenance(results: Results) -> str:
    """The processor, what was measured and when."""
    versions = [f"cnp {results.versions['cnp']}"] if "cnp" in results.versions else []
    clang = results.versions.get("clang", MISSING)
    parts = [results.machine.get("processor", ""), *versions, "" if clang == MISSING else clang, results.date[:10]]
    warning = "QUICK RUN, NOT A MEASUREMENT. " if results.quick else ""
    return warning + "; ".join(filter(None, parts))


def not_measured(wanted: Iterable[str], found: Container[str]) -> str:
    """A sentence on the contestants that there are no figures of, if there are such."""
    missing = [look(each).label for each in wanted if each not in found]
    return f"Not measured: {', '.join(missing)}." if missing else ""


def rows(axes: Any, names: Sequence[str]) -> None:
    """One faint line a name, downwards."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.set_axisbelow(True)


def plain_ticks(axis: Any, *steps: float, written: Callable[[float], str] | None = None) -> None:
    """Marks at each power of ten times `steps` on a logarithmic axis, written as `short` does if not otherwise."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(base=10, subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: (written or short)(value)))
    axis.set_minor_locator(NullLocator())


def short(value: float) -> str:
    """`10k` for 10,000."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def duration(microseconds: float) -> str:
    """`10 ms` for 10,000."""
    for size, unit in ((1e6, "s"), (1e3, "ms"), (1, "µs")):
        if microseconds >= size:
            return f"{microseconds / size:g} {unit}"
    return f"{microseconds * 1e3:g} ns"
