"""Benches -> recorders with what they found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.registry import Bench
from cnp.errors import CnpError


def run(chosen: Iterable[Bench], quick: bool) -> Iterator[Recorder]:
    """Run benches one after the other. One that cannot run here, or fails, yields a figure that says why."""
    for bench in chosen:
        recorder = Recorder(bench.name, quick)
        try:
            bench.run(recorder)
        except Unavailable as error:
            recorder.unavailable("", str(error))
        except CnpError as error:
            recorder.failed(str(error))
        yield recorder
