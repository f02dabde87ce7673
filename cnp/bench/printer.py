"""Figures -> tables for a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TextIO

from cnp.bench.figure import Figure, Mark
from cnp.bench.matrix import Matrix, arranged

WIDTH = 100  # where nothing says how wide a line may be
_HEADING = 12  # characters of a column's heading before it goes on below
_NOTE = 28  # a note that has less room than this beside its figure goes below it
_GAP = "  "
_MISSED = "!"
QUICK = "a quick run: its figures say nothing about speed"
_COLOURS = {Mark.PASS: 32, Mark.MISS: 31, Mark.UNAVAILABLE: 33, Mark.FAILED: 31}


class Cell(NamedTuple):
    """A text, and what it is coloured by."""

    text: str
    mark: Mark = Mark.REPORTED


def number(value: float | None) -> str:
    """Three significant digits, or all of them from a thousand on."""
    if value is None:
        return "-"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:#.3g}".removesuffix(".")


def quantity(figure: Figure) -> str:
    """`5.90 ns`"""
    return f"{number(figure.value)} {figure.unit}".rstrip() if figure.value is not None else "-"


def spread(figure: Figure) -> str:
    """The quartiles, or nothing."""
    return f"{number(figure.low)} to {number(figure.high)}" if figure.low is not None else ""


def target(figure: Figure) -> str:
    """`<= 6`, or nothing."""
    if figure.at_most is not None:
        return f"<= {number(figure.at_most)}"
    return f">= {number(figure.at_least)}" if figure.at_least is not None else ""


def common_target(figures: Sequence[Figure]) -> str:
    """The target that figures share, or that they have several."""
    targets = {target(each) for each in figures} - {""}
    return "several" if len(targets) > 1 else "".join(targets)


def show(bench: str, figures: Sequence[Figure], verbose: bool = False, stream: TextIO | None = None) -> None:
    """Print what a bench found; with `verbose` the figures of its matrices once more, with spread and note."""
    stream = stream or sys.stdout
    width = shutil.get_terminal_size((WIDTH, 0)).columns if stream.isatty() else WIDTH
    matrices, rest = arranged(figures)
    print(f"\n== {bench} ==", file=stream)
    for matrix in matrices:
        _print(_matrix_lines(matrix, width), stream)
        for each in matrix.gaps():
            lines = textwrap.wrap(f"unavailable: {each}", width, subsequent_indent="    ")
            _print(([Cell(line, Mark.UNAVAILABLE)] for line in lines), stream)
        print(file=stream)
    _print(_list_lines(figures if verbose else rest, width), stream)
    stream.flush()


def show_rows(rows: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Print names and what belongs to them, a line each."""
    for name, value in rows.items():
        print(f"{name:18}{value}", file=stream or sys.stdout)


def show_verdict(figures: Sequence[Figure], quick: bool, stream: TextIO | None = None) -> None:
    """Count how figures compare with their targets, and name every one that does not meet its own."""
    marks = [each.mark for each in figures]
    counts = ", ".join(f"{marks.count(mark)} {mark.value}" for mark in _COLOURS)
    print(f"\n{counts}{f'; {QUICK}' if quick else ''}", file=stream or sys.stdout)
    bad = [each for each in figures if each.mark in (Mark.MISS, Mark.FAILED)]
    _print(([Cell(verdict(each), each.mark)] for each in bad), stream or sys.stdout)


def verdict(figure: Figure) -> str:
    """A figure and its target, or why there is none, in a line."""
    if figure.value is None:
        return f"{figure.mark.value:7}{figure.name}: {figure.note}"
    return f"{figure.mark.value:7}{figure.name}: {quantity(figure)}, must be {target(figure)}"


def _print(lines: Iterable[Sequence[Cell]], stream: TextIO) -> None:
    coloured = stream.isatty() and "NO_COLOR" not in os.environ
    for line in lines:
        parts = [
            f"\x1b[{_COLOURS[each.mark]}m{each.text}\x1b[0m" if coloured and each.mark in _COLOURS else each.text
            for each in line
        ]
        print("".join(parts).rstrip(), file=stream)


def _padded(rows: Sequence[Sequence[Cell]], left: Sequence[int]) -> list[list[Cell]]:
    """Cells as wide as their columns, a gap after each; those of the columns `left` begin where their column does."""
    widths = [max(len(each.text) for each in column) for column in zip(*rows)]
    return [
        [
            Cell((each.text.ljust(width) if at in left else each.text.rjust(width)) + _GAP, each.mark)
            for at, (each, width) in enumerate(zip(row, widths))
        ]
        for row in rows
    ]


def _list_lines(figures: Sequence[Figure], width: int) -> Iterator[list[Cell]]:
    """A line a figure, without the name of its bench."""
    if not figures:
        return
    rows = [[Cell(each) for each in ("figure", "value", "spread", "target", "")]]
    for each in figures:
        name = each.name.partition(".")[2] or each.name
        texts = map(Cell, (name, quantity(each), spread(each), target(each)))
        rows.append([*texts, Cell(each.mark.value, each.mark)])
    notes = ["note" if any(each.note for each in figures) else "", *(each.note for each in figures)]
    for line, note in zip(_padded(rows, left=(0, 4)), notes):
        indent = sum(len(each.text) for each in line)
        if width - indent >= _NOTE:
            first, *others = textwrap.wrap(note, width - indent) or [""]
            yield [*line, Cell(first)]
        else:
            indent, others = 4, textwrap.wrap(note, width - 4)
            yield line
        yield from ([Cell(" " * indent + each)] for each in others)


def _matrix_lines(matrix: Matrix, width: int) -> Iterator[list[Cell]]:
    """As many columns beside one another as there is room for, below them the next."""
    rows = _padded(_matrix_rows(matrix), left=(0,))
    widths = [len(each.text) for each in rows[0]]
    start = 1
    while start < len(widths):
        end = start + 1
        while end < len(widths) and widths[0] + sum(widths[start : end + 1]) <= width:
            end += 1
        for row in rows:
            if any(each.text.strip() for each in row[start:end]):
                yield [row[0], *row[start:end]]
        start = end
        if start < len(widths):
            yield []


def _matrix_rows(matrix: Matrix) -> list[list[Cell]]:
    headings = [_heading(matrix, each) for each in matrix.columns]
    height = max(map(len, headings))
    lines = zip(*([""] * (height - len(each)) + each for each in headings))
    rows = [[Cell(""), *map(Cell, line)] for line in lines]
    for name in matrix.rows:
        rows.append([Cell(name), *(_cell(matrix.cells.get((name, each))) for each in matrix.columns)])
    targets = [common_target(matrix.column(each)) for each in matrix.columns]
    label = f"target ({_MISSED} = MISS)" if any(targets) else ""
    return [*rows, [Cell(label), *(Cell(f"{each} " if each else "") for each in targets)]]


def _heading(matrix: Matrix, column: str) -> list[str]:
    return [f"{each} " for each in textwrap.wrap(matrix.heading(column), _HEADING, break_long_words=False)]


def _cell(figure: Figure | None) -> Cell:
    """The value, and a sign where it misses its target."""
    if figure is None:
        return Cell("")
    return Cell(number(figure.value) + (_MISSED if figure.mark is Mark.MISS else " "), figure.mark)
