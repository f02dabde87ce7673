"""Results -> pictures, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnp.bench import plot_compile, plot_emission, plot_kernels, plot_style
from cnp.bench.figure import Unavailable
from cnp.bench.results import Results
from cnp.errors import MissingExtra

PICTURES: dict[str, Callable[[Results], Any]] = {
    "emission_instructions": plot_emission.instructions,
    "emission_time": plot_emission.time,
    "compile_time": plot_compile.time,
    "kernels_time": plot_kernels.time,
    "kernels_bytes": plot_kernels.size,
}
"""What is drawn, by the name of its file. Each gives a matplotlib figure, or says that its figures are missing."""

DOTS_PER_INCH = 300


def check_available() -> None:
    """MissingExtra without matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("plots need matplotlib: pip install 'cnp[bench]'") from None


def save(results: Results, name: str, directory: Path, *kinds: str) -> None:
    """Draw one picture into files of several kinds. Unavailable if its figures are missing."""
    import matplotlib

    with matplotlib.rc_context(plot_style.STYLE):
        figure = PICTURES[name](results)
        for kind in kinds:
            # Without a date the same figures give the same bytes.
            undated = {"Date": None} if kind == "svg" else None
            figure.savefig(directory / f"{name}.{kind}", dpi=DOTS_PER_INCH, metadata=undated)


def draw(results: Results, directory: Path) -> Iterator[str]:
    """Write every picture that there are figures for; a line about each, left out or not."""
    check_available()
    directory.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        try:
            save(results, name, directory, "svg", "png")
        except Unavailable as error:
            yield f"{name}: left out: {error}"
        else:
            yield f"{name}: {directory / name}.svg and .png"
