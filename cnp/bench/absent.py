"""Who would be compared with too, if there were a package to install: figures that say so."""

from __future__ import annotations

from cnp.bench.figure import Recorder

REASONS = {"mir": "MIR is not compared with: there is no package of it on PyPI or in Debian"}
"""By the name that its figures would have."""


def record(recorder: Recorder) -> None:
    """One figure for each, without a value."""
    for name, reason in REASONS.items():
        recorder.unavailable(f"time_vs_{name}", reason)
