"""Bench: compile time against what one would pick instead, the same functions for all: see cnp/bench/peers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from cnp.bench import absent
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.measure import Ratio, median
from cnp.bench.peers import NAMES, contest, jobs
from cnp.bench.peers.contest import Outcome
from cnp.bench.peers.jobs import Job
from cnp.bench.printer import number
from cnp.bench.registry import Bench

LIBTCC_LIMIT = 1.0
LLVMLITE_LIMITS = {"straight.1000": 1 / 40, "tiny": 1 / 15}
QUICK_JOBS = ("tiny", "loop")
COLD_JOBS = ("tiny", "straight.1000")
_WARM_SECONDS = 3.0


def run(recorder: Recorder) -> None:
    """Microseconds from description to callable, warm and from nothing, and their ratio to cnp's of the same rounds."""
    outcomes: dict[tuple[str, str], Outcome] = {}
    stopped: dict[tuple[str, str], str] = {}
    for name in QUICK_JOBS if recorder.quick else jobs.NAMES:
        job = jobs.make(name)
        first: dict[str, list[Outcome]] = {}
        for peer in NAMES:
            with recorder.part(*_figures(peer, name)):
                seconds = 0.1 if recorder.quick else _WARM_SECONDS
                outcome = outcomes[peer, name] = _hold(peer, job, seconds, stopped)
                _record(recorder, peer, name, outcome)
                first[peer] = [outcome]
        if name in COLD_JOBS:
            _cold(recorder, job, first)
        _first(recorder, name, first)
    if recorder.quick:
        left = [name for name in jobs.NAMES if name not in QUICK_JOBS]
        recorder.left_out(*(each for name in left for peer in NAMES for each in _figures(peer, name)))
    absent.record(recorder)
    recorder.text(_shown({key: median(each.peer.whole) * 1e6 for key, each in outcomes.items()}))


def _figures(peer: str, job: str) -> list[str]:
    """All that is reported of a peer and a job, but for what importing adds to it."""
    compared = [] if peer == "cnp" else [f"time_vs_{peer}.{job}"]
    return [*compared, f"us.{peer}.{job}", f"backend_us.{peer}.{job}", f"first_us.{peer}.{job}"]


def _hold(peer: str, job: Job, seconds: float, stopped: dict[tuple[str, str], str]) -> Outcome:
    """The contest, unless the peer has failed at a smaller job of the kind. `stopped` says at which, and why."""
    kind = job.name.partition(".")[0]
    if (peer, kind) in stopped:
        raise Unavailable(f"{stopped[peer, kind]}; larger ones are not tried")
    try:
        return contest.hold(peer, job, seconds)
    except Unavailable as error:
        stopped[peer, kind] = f"{job.name}: {error}"
        raise


def _record(recorder: Recorder, peer: str, job: str, outcome: Outcome) -> None:
    whole, backend = ([taken * 1e6 for taken in each] for each in (outcome.peer.whole, outcome.peer.finish))
    if peer != "cnp":
        ratio = Ratio(outcome.cnp.whole, outcome.peer.whole)
        limit = LIBTCC_LIMIT if peer == "libtcc" else LLVMLITE_LIMITS.get(job) if peer == "llvmlite_O0" else None
        ours, ours_backend = (number(median(each) * 1e6) for each in (outcome.cnp.whole, outcome.cnp.finish))
        note = f"{number(1 / ratio.value)} times as fast: {ours} us, {ours_backend} of it the back end"
        recorder.ratio(f"time_vs_{peer}.{job}", ratio, at_most=limit, note=note)
    note = f"{peer} {outcome.version}; {len(whole)} round{'s' * (len(whole) > 1)}"
    recorder.sampled(f"us.{peer}.{job}", whole, "us", note=note)
    recorder.sampled(f"backend_us.{peer}.{job}", backend, "us", note="from text or IR to callables")


def _cold(recorder: Recorder, job: Job, outcomes: dict[str, list[Outcome]]) -> None:
    """The peers' first processes and some more, one peer after the other, which are added to `outcomes`."""
    for _ in range(recorder.rounds(6, 0)):
        for peer, found in outcomes.items():
            with suppress(Unavailable):  # what went well once may take too long now; the note says how many there were
                found.append(contest.hold(peer, job, 0))
    for peer, found in outcomes.items():
        imported = [each.imported * 1e3 for each in found]
        whole = [(each.imported + each.first) * 1e3 for each in found]
        note = f"from importing to the first result, in a new process; {len(found)} of them"
        recorder.sampled(f"cold_ms.{peer}.{job.name}", whole, "ms", note=note)
        recorder.sampled(f"import_ms.{peer}.{job.name}", imported, "ms", note="of that, importing")


def _first(recorder: Recorder, job: str, outcomes: dict[str, list[Outcome]]) -> None:
    """The first compilation of each process, importing left out."""
    for peer, found in outcomes.items():
        note = f"from importing done to the first result; {len(found)} new process{'es' * (len(found) > 1)}"
        recorder.sampled(f"first_us.{peer}.{job}", [each.first * 1e6 for each in found], "us", note=note)


def _shown(times: dict[tuple[str, str], float]) -> str:
    """Warm microseconds, a row a peer."""
    columns = [name for name in jobs.NAMES if any(job == name for _, job in times)]
    rows: list[Sequence[str]] = [["us, warm", *columns]]
    rows += [[peer, *(number(times.get((peer, name))) for name in columns)] for peer in NAMES]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)


BENCH = Bench("versus", "compile time against libtcc, llvmlite, wasmtime, numba, copapy and gcc", run)
