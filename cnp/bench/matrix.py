"""Figures of one bench -> matrices of those whose names share rows, and a list of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        """A column's name in words, and the unit that its figures share if that is neither said nor a quotient's."""
        words = column.replace("_", " ")
        units = {each.unit for each in self.column(column)} - {"", "x", *words.split()}
        return words + (f", {units.pop()}" if len(units) == 1 else "")

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


def places(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(row, column) of every figure of a bench, by its name.

    `kernels.time_vs_tcc.sieve` is (sieve, time_vs_tcc). A size at the end belongs to the column, if that has several
    rows then: `compile.core_ns_per_op.loops.1000` is (loops, core_ns_per_op at 1,000). If not, it belongs to the row:
    `versus.time_vs_libtcc.straight.1000` is (straight at 1,000, time_vs_libtcc).
    """
    split = {name: _split(name) for name in names}
    rows_of: dict[tuple[str, str], set[str]] = {}
    for column, row, size in split.values():
        rows_of.setdefault((column, size), set()).add(row)
    found: dict[str, tuple[str, str]] = {}
    for name, (column, row, size) in split.items():
        if size and len(rows_of[column, size] - {"", MEAN}) < 2:
            row, size = f"{row}{_SIZE}{size}" if row else size, ""
        found[name] = row or TOTAL, f"{column}{_SIZE}{size}" if size else column
    return found


def arranged(figures: Sequence[Figure]) -> tuple[list[Matrix], list[Figure]]:
    """A matrix for all columns of two rows or more that are connected by rows they share, and the rest in order.

    A column that shares its rows with no other is no matrix.
    """
    place = places([each.name for each in figures])
    rows_of: dict[str, set[str]] = {}
    for row, column in place.values():
        rows_of.setdefault(column, set()).add(row)
    rows_of = {column: rows - {TOTAL, MEAN} for column, rows in rows_of.items()}
    wide = {column: rows for column, rows in rows_of.items() if len(rows) >= 2}
    matrices = [_matrix(columns, figures, place) for columns in _connected(wide) if len(columns) >= 2]
    inside = {column for each in matrices for column in each.columns}
    return matrices, [each for each in figures if place[each.name][1] not in inside]


def _split(name: str) -> tuple[str, str, str]:
    """(column, row, size with commas); what a name has not is empty."""
    bench, *parts = name.split(".")
    column, *row = parts or [bench]
    size = f"{int(row.pop()):,}" if row and row[-1].isdigit() else ""
    return column, ".".join(row), size


def _connected(rows_of: Mapping[str, set[str]]) -> list[list[str]]:
    """Columns in groups: two that have a row in common are in the same."""
    groups: list[tuple[list[str], set[str]]] = []
    for column, rows in rows_of.items():
        touching = [each for each in groups if each[1] & rows]
        columns = [name for each in touching for name in each[0]] + [column]
        groups = [each for each in groups if each not in touching]
        groups.append((columns, rows.union(*(each[1] for each in touching))))
    return [columns for columns, _ in groups]


def _matrix(columns: Iterable[str], figures: Sequence[Figure], place: Mapping[str, tuple[str, str]]) -> Matrix:
    names = list(columns)
    groups = list(dict.fromkeys(map(_group, names)))
    inside = [each for each in figures if place[each.name][1] in names]
    rows = list(dict.fromkeys(place[each.name][0] for each in inside))
    rows.sort(key=lambda row: (row == MEAN, row == TOTAL))
    names.sort(key=lambda each: groups.index(_group(each)))
    return Matrix(rows, names, {place[each.name]: each for each in inside})


def _group(column: str) -> str:
    """What stands beside one another: a quantity against every contestant, or at every size."""
    return column.partition(_AGAINST)[0].partition(_SIZE)[0]
