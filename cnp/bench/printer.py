"""Results -> a table, through rich where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

from cnp.bench.figure import Figure, Mark, Recorder

HEADINGS = ("figure", "value", "spread", "target", "", "note")
_COLOURS = {Mark.PASS: "green", Mark.MISS: "red", Mark.UNAVAILABLE: "yellow", Mark.REPORTED: ""}


def number(value: float | None) -> str:
    """Three significant digits, or all of them from a thousand on."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def cells(figure: Figure) -> tuple[str, ...]:
    """One row, in the order of HEADINGS."""
    spread = f"{number(figure.low)} to {number(figure.high)}" if figure.low is not None else ""
    target = ""
    if figure.at_most is not None:
        target = f"<= {number(figure.at_most)}"
    elif figure.at_least is not None:
        target = f">= {number(figure.at_least)}"
    value = f"{number(figure.value)} {figure.unit}".rstrip()
    return figure.name, value, spread, target, figure.mark.value, figure.note


def show(recorder: Recorder, verbose: bool = False, stream: TextIO | None = None) -> None:
    """Print the figures of one bench; with `verbose` also what it has to say beside them."""
    stream = stream or sys.stdout
    rows = [cells(each) for each in recorder.figures]
    if not _show_rich(recorder, rows, stream):
        _show_plain(rows, stream)
    if verbose:
        for text in recorder.texts:
            print(text, file=stream)
    stream.flush()


def show_machine(about: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Print what `machine` found, a line each."""
    for name, value in about.items():
        print(f"{name:18}{value}", file=stream or sys.stdout)


def _show_plain(rows: Iterable[tuple[str, ...]], stream: TextIO) -> None:
    table = [HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    for row in table:
        left, right = row[:1] + row[4:], row[1:4]
        numbers = [cell.rjust(width) for cell, width in zip(right, widths[1:4])]
        texts = [cell.ljust(width) for cell, width in zip(left, (widths[0], widths[4], widths[5]))]
        print("  ".join([texts[0], *numbers, *texts[1:]]).rstrip(), file=stream)


def _show_rich(recorder: Recorder, rows: Iterable[tuple[str, ...]], stream: TextIO) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(padding=(0, 0, 0, 1))
    for position, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if 1 <= position <= 3 else "left", no_wrap=position < 5)
    for figure, row in zip(recorder.figures, rows):
        colours = ["", "", "", "", _COLOURS[figure.mark], ""]
        table.add_row(*map(Text, row, colours))
    # A pipe has no width; without one rich would squeeze the table into 80 columns.
    Console(file=stream, width=None if stream.isatty() else 180).print(table)
    return True
