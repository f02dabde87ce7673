"""Benches -> results, with the machine that they were measured on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from cnp.bench import machine
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.registry import Bench


def run(chosen: Iterable[Bench], quick: bool) -> Iterator[Recorder]:
    """Run benches one after the other. A bench that cannot run here yields one figure that says why."""
    for bench in chosen:
        recorder = Recorder(bench.name, quick)
        try:
            bench.run(recorder)
        except Unavailable as error:
            recorder.unavailable("", str(error))
        yield recorder


def as_json(results: Iterable[Recorder]) -> list[dict[str, Any]]:
    """One object a bench: what it is, where it was measured, its figures and their samples."""
    about, versions = machine.machine(), machine.versions()
    return [
        {
            "bench": each.bench,
            "machine": about,
            "versions": versions,
            "quick": each.quick,
            "figures": [{**asdict(figure), "mark": figure.mark.value} for figure in each.figures],
            "samples": each.samples,
        }
        for each in results
    ]
