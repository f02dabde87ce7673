"""What tests of a guest's end share: Ctrl-C, threads that take turns often, and a process of its own for what lasts."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@contextmanager
def interrupted(after: float = 0.1) -> Iterator[None]:
    """Ctrl-C, as the signal's handler raises it, some time on."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def alone(function: Callable[..., None], *arguments: str) -> None:
    """Call a function of a test module in a process of its own: `cnp.catch_faults()` is for good."""
    script = (
        f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]}; "
        f"import {function.__module__} as m; m.{function.__name__}(*{arguments}); print('done')"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr
