"""One peer and one job in a process of their own: the first compilation from nothing, then rounds against cnp.

A process of its own keeps what one peer leaves behind from another, and can be stopped when it takes too long.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cnp.bench.figure import Unavailable
from cnp.bench.measure import median
from cnp.bench.peers import peer_named
from cnp.bench.peers.jobs import Job
from cnp.bench.peers.peer import Peer
from cnp.errors import InternalError

BUDGET = 40.0
"""Seconds after which a process is stopped."""
LONGEST_ROUNDS = 31
_SHORTEST_SAMPLE = 0.002  # seconds: what is shorter is done several times
_ERRORS = {each.__name__: each for each in (Unavailable, InternalError)}  # which a process passes on
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(slots=True)
class Times:
    """Seconds that one group took, a number a round: from description to text, and from there to callables."""

    build: list[float] = field(default_factory=list)
    finish: list[float] = field(default_factory=list)

    @property
    def whole(self) -> list[float]:
        """Both together."""
        return [a + b for a, b in zip(self.build, self.finish)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one process found."""

    version: str
    imported: float  # seconds
    first: float  # seconds from there to the first result
    peer: Times
    cnp: Times  # of the same rounds


def hold(name: str, job: Job, seconds: float, budget: float = BUDGET) -> Outcome:
    """Let the peer compile the job in a new process, warm for about so many seconds.

    Unavailable if the peer cannot do it, or not within `budget` seconds; InternalError if its results are wrong.
    """
    made = peer_named(name)
    packages = ", ".join(made.packages)
    program = (
        f"import time; start = time.perf_counter(); import {packages}; imported = time.perf_counter() - start\n"
        "from cnp.bench.peers import contest; contest.main(imported)"
    )
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **made.environment(), "PYTHONPATH": path},
        start_new_session=True,  # what it has started is stopped along with it
    )
    try:
        output, errors = process.communicate(pickle.dumps((name, job, seconds, budget)), timeout=budget)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise Unavailable(f"stopped after {budget:.0f} s") from None
        raise
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise Unavailable(f"ended with {process.returncode}: {lines[-1] if lines else 'no message'}"[:300])
    answer = json.loads(output.splitlines()[-1])
    for kind, exception in _ERRORS.items():
        if kind in answer:
            raise exception(answer[kind])
    return Outcome(**{**answer, "peer": Times(**answer["peer"]), "cnp": Times(**answer["cnp"])})


def main(imported: float) -> None:
    """What the process does: takes its task from stdin, writes a line of JSON to stdout."""
    name, job, seconds, budget = pickle.load(sys.stdin.buffer)
    try:
        answer = asdict(_compete(name, job, seconds, budget, imported))
    except tuple(_ERRORS.values()) as error:
        answer = {type(error).__name__: str(error)}
    print(json.dumps(answer))


def _compete(name: str, job: Job, seconds: float, budget: float, imported: float) -> Outcome:
    made = peer_named(name)
    start = time.perf_counter()
    peer = made()
    functions = peer.finish(peer.build(job.group))
    functions[0](*job.arguments[0])
    first = time.perf_counter() - start
    job.check(name, peer.bits, functions)
    del functions
    times = {name: Times()}
    if seconds:
        peers = {name: peer} if name == "cnp" else {name: peer, "cnp": peer_named("cnp")()}
        times = _rounds(peers, job, seconds, 3 if 8 * first < budget else 1)
    return Outcome(peer.version, imported, first, times[name], times.get("cnp", Times()))


def _rounds(peers: dict[str, Peer], job: Job, seconds: float, fewest: int) -> dict[str, Times]:
    """Alternating rounds for so many seconds, but at least `fewest`."""
    gc.collect()
    gc.freeze()
    repeats = dict.fromkeys(peers, 1)
    for name, peer in peers.items() if fewest > 1 else ():
        shortest = min(sum(_sample(peer, job, 1)) for _ in range(3))
        repeats[name] = max(1, round(_SHORTEST_SAMPLE / shortest))
    times = {name: Times() for name in peers}
    end = time.perf_counter() + seconds
    for number in range(LONGEST_ROUNDS):
        if number >= fewest and time.perf_counter() > end:
            break
        for name, peer in peers.items():
            build, finish = _sample(peer, job, repeats[name])
            times[name].build.append(build)
            times[name].finish.append(finish)
    return times


def _sample(peer: Peer, job: Job, repeats: int) -> tuple[float, float]:
    """Seconds of building and of finishing, the medians of some. Dropping what was compiled is not counted."""
    clock = time.perf_counter_ns
    building, finishing, kept = [], [], []
    for _ in range(repeats):
        start = clock()
        built = peer.build(job.group)
        between = clock()
        kept.append(peer.finish(built))
        finishing.append(clock() - between)
        building.append(between - start)
    kept.clear()
    gc.collect()
    return median(building) / 1e9, median(finishing) / 1e9
