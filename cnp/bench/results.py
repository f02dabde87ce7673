"""What a run of benches found <-> one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnp.bench.figure import Figure, Recorder
from cnp.errors import UserError
from cnp.stencil.writer import write_file

ALL = "all"
"""What a run of every bench is called."""


@dataclass(frozen=True, slots=True)
class Results:
    """A run: its figures in the order in which they were measured, and all that is needed to judge them."""

    bench: str  # names of benches with spaces between, or ALL
    date: str  # ISO 8601, when the run ended
    quick: bool  # a check that everything runs: such figures say nothing about speed
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    figures: Sequence[Figure]
    samples: Mapping[str, Sequence[float]]

    def benches(self) -> dict[str, list[Figure]]:
        """The figures of each bench."""
        found: dict[str, list[Figure]] = {}
        for each in self.figures:
            found.setdefault(each.name.partition(".")[0], []).append(each)
        return found

    def values(self, prefix: str) -> dict[str, float]:
        """Figures that there are, by what follows `prefix` and a dot in their names."""
        start = f"{prefix}."
        return {
            each.name.removeprefix(start): each.value
            for each in self.figures
            if each.name.startswith(start) and each.value is not None
        }


def gathered(
    bench: str, recorders: Sequence[Recorder], machine: Mapping[str, str], versions: Mapping[str, str], date: str
) -> Results:
    """One run of several benches."""
    figures = [figure for each in recorders for figure in each.figures]
    samples = {name: values for each in recorders for name, values in each.samples.items()}
    return Results(bench, date, any(each.quick for each in recorders), machine, versions, figures, samples)


def as_json(results: Results) -> str:
    """The object, a line an entry. `figures` has every name, the other tables those that there is more to say of."""
    figures = results.figures
    tables: dict[str, Any] = {
        "bench": results.bench,
        "date": results.date,
        "quick": results.quick,
        "machine": dict(results.machine),
        "versions": dict(results.versions),
        "figures": {each.name: each.value for each in figures},
        "units": {each.name: each.unit for each in figures if each.unit},
        "spread": {each.name: [each.low, each.high] for each in figures if each.low is not None},
        "targets": {each.name: _target(each) for each in figures if _target(each)},
        "marks": {each.name: each.mark.value for each in figures},
        "notes": {each.name: each.note for each in figures if each.note},
        "failed": [each.name for each in figures if each.failed],
        "samples": {name: list(values) for name, values in results.samples.items()},
    }
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {_written(value)}" for key, value in tables.items()) + "\n}\n"


def from_json(text: str, source: str) -> Results:
    """What `as_json` wrote. UserError that begins with `source` for anything else."""
    try:
        found = json.loads(text)
        return Results(
            found["bench"],
            found.get("date", ""),
            found.get("quick", False),
            dict(found["machine"]),
            dict(found["versions"]),
            list(_figures(found)),
            dict(found["samples"]),
        )
    except json.JSONDecodeError as error:
        raise UserError(f"{source}: not JSON: {error}") from None
    except KeyError as error:
        raise UserError(f"{source}: not what `cnp bench --json` writes: there is no {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{source}: not what `cnp bench --json` writes: {error}") from None


def read(path: Path) -> Results:
    """The results in a file. UserError if it holds something else, OSError if it cannot be read."""
    try:
        return from_json(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def write(path: Path, results: Results) -> None:
    """Replace the file whole."""
    write_file(path, as_json(results).encode())


def _target(figure: Figure) -> dict[str, float]:
    limits = {"at_most": figure.at_most, "at_least": figure.at_least}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _written(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items()) + "\n }"


def _figures(found: Mapping[str, Any]) -> Iterable[Figure]:
    for name, value in found["figures"].items():
        limits = found.get("targets", {}).get(name, {})
        low, high = found.get("spread", {}).get(name, (None, None))
        yield Figure(
            name,
            None if value is None else float(value),
            found.get("units", {}).get(name, ""),
            limits.get("at_most"),
            limits.get("at_least"),
            low,
            high,
            found.get("notes", {}).get(name, ""),
            name in found.get("failed", ()),
        )
