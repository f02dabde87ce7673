"""Figures of one bench -> a matrix of those whose names share rows, and a list of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnp.bench.figure import Figure

TOTAL = "(all)"
"""The row of a figure that has its column's name alone."""
MEAN = "geomean"
_SIZE, _AGAINST = " at ", "_vs_"


@dataclass(frozen=True, slots=True)
class Matrix:
    """Figures by (row, column). What sums up the other rows comes last."""

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[str, str], Figure]

    def column(self, name: str) -> list[Figure]:
        """The figures of a column."""
        return [self.cells[row, name] for row in self.rows if (row, name) in self.cells]

    def heading(self, column: str) -> str:
        """A column's name in words, with the unit that its figures share unless that is a quotient's."""
        units = {each.unit for each in self.column(column)} - {"", "x"}
        return column.replace("_", " ") + (f", {units.pop()}" if len(units) == 1 else "")

    def gaps(self) -> list[str]:
        """Which figures there are none of, and why: a line for all that lack for one reason, if of the same rows."""
        rows_of: dict[tuple[str, str], list[str]] = {}
        for (row, column), figure in self.cells.items():
            if figure.value is None:
                rows_of.setdefault((column, figure.note), []).append(row)
        columns_of: dict[tuple[str, str], list[str]] = {}
        for (column, reason), rows in rows_of.items():
            every = len(rows) == len(self.column(column))
            columns_of.setdefault(("every row" if every else ", ".join(rows), reason), []).append(column)
        return [f"{', '.join(columns)} of {rows}: {reason}" for (rows, reason), columns in columns_of.items()]


def place(name: str) -> tuple[str, str]:
    """(row, column) of a figure's name.

    `kernels.time_vs_tcc.sieve` is (sieve, time_vs_tcc). A size at the end belongs to the column:
    `emission.time_vs_memcpy.loops.1000` is (loops, time_vs_memcpy at 1,000).
    """
    bench, *parts = name.split(".")
    column, *row = parts or [bench]
    if row and row[-1].isdigit():
        column += f"{_SIZE}{int(row.pop()):,}"
    return ".".join(row) or TOTAL, column


def _group(column: str) -> str:
    """What stands beside one another: a quantity against every contestant, or at every size."""
    return column.partition(_AGAINST)[0].partition(_SIZE)[0]


def arranged(figures: Sequence[Figure]) -> tuple[Matrix | None, list[Figure]]:
    """The matrix of every column that has two rows or more, if there are two such columns, and the rest in order."""
    places = {each.name: place(each.name) for each in figures}
    rows_of: dict[str, set[str]] = {}
    for row, column in places.values():
        rows_of.setdefault(column, set()).add(row)
    wide = [column for column, rows in rows_of.items() if len(rows - {TOTAL, MEAN}) >= 2]
    groups = list(dict.fromkeys(map(_group, wide)))
    columns = sorted(wide, key=lambda each: groups.index(_group(each)))
    if len(columns) < 2:
        return None, list(figures)
    inside = [each for each in figures if places[each.name][1] in columns]
    rows = list(dict.fromkeys(places[each.name][0] for each in inside))
    rows.sort(key=lambda row: (row == MEAN, row == TOTAL))
    cells = {places[each.name]: each for each in inside}
    return Matrix(rows, columns, cells), [each for each in figures if places[each.name][1] not in columns]
