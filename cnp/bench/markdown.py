"""Results -> tables in Markdown, for documents whose numbers are produced and not typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cnp.bench.figure import Figure, Mark
from cnp.bench.matrix import Matrix, arranged
from cnp.bench.printer import QUICK, common_target, number, quantity, spread, target
from cnp.bench.results import Results


def document(results: Results) -> str:
    """Machine, versions, the tables of every bench, and what misses its target."""
    parts = sections(results)
    return "\n\n".join(f"### {name}\n\n{text}" for name, text in parts.items())


def sections(results: Results) -> dict[str, str]:
    """The same by name: `machine`, each bench, `misses`."""
    found = {"machine": about(results)}
    found |= {bench: tables(figures) for bench, figures in results.benches().items()}
    return found | {"misses": misses(results.figures)}


def about(results: Results) -> str:
    """Where and with what the figures were measured."""
    quick = {"beware": QUICK} if results.quick else {}
    return _pairs({**quick, "measured": results.date, **results.machine, **results.versions})


def tables(figures: Sequence[Figure]) -> str:
    """The matrices of a bench and its other figures. What misses its target is bold."""
    matrices, rest = arranged(figures)
    return "\n\n".join([*map(_matrix, matrices), *([_list(rest)] if rest else [])])


def misses(figures: Iterable[Figure]) -> str:
    """Every figure that does not reach its target, and every one that there is none of, with the reason."""
    rows = [
        (_code(each.name), _value(each), target(each) or "-", each.mark.value, each.note)
        for each in figures
        if each.mark in (Mark.MISS, Mark.FAILED, Mark.UNAVAILABLE)
    ]
    return _table(("figure", "value", "target", "", "note"), "lrrll", rows) if rows else "Nothing."


def _pairs(rows: Mapping[str, str]) -> str:
    return _table(("what", "found"), "ll", list(rows.items()))


def _matrix(matrix: Matrix) -> str:
    headings = ["", *map(matrix.heading, matrix.columns)]
    rows = []
    for name in matrix.rows:
        found = (matrix.cells.get((name, each)) for each in matrix.columns)
        rows.append([name, *("" if each is None else _bold(number(each.value), each) for each in found)])
    targets = [common_target(matrix.column(each)) for each in matrix.columns]
    if any(targets):
        rows.append(["target", *targets])
    return _table(headings, "l" + "r" * len(matrix.columns), rows)


def _list(figures: Sequence[Figure]) -> str:
    rows = [
        (_code(each.name.partition(".")[2] or each.name), _value(each), spread(each), target(each), each.note)
        for each in figures
    ]
    return _table(("figure", "value", "quartiles", "target", "note"), "lrrrl", rows)


def _value(figure: Figure) -> str:
    return _bold(quantity(figure), figure)


def _code(name: str) -> str:
    return f"`{name}`"  # names have underscores, brackets and the like


def _bold(text: str, figure: Figure) -> str:
    return f"**{text}**" if figure.mark in (Mark.MISS, Mark.FAILED) else text


def _table(headings: Sequence[str], alignment: str, rows: Iterable[Sequence[str]]) -> str:
    rule = ["---:" if each == "r" else "---" for each in alignment]
    lines = [headings, rule, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
