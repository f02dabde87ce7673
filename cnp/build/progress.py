"""Shows how far a build is: a bar where rich is installed and stderr is a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol


class Progress(Protocol):
    """What the build reports while it runs."""

    def start(self, target: str, total: int) -> None: ...
    def advance(self, count: int) -> None: ...
    def finish(self) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, target: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def finish(self) -> None:
        pass


class Lines:
    """A line at the start and every few seconds, for logs."""

    interval = 10.0  # seconds

    def start(self, target: str, total: int) -> None:
        self._target, self._total, self._done = target, total, 0
        self._shown = time.monotonic()
        print(f"{target}: compiling {total} placements", file=sys.stderr, flush=True)

    def advance(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._shown >= self.interval:
            self._shown = time.monotonic()
            print(f"{self._target}: {self._done} of {self._total}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        pass


class Bar:
    """A bar that rich draws."""

    def __init__(self, rich_progress: Any) -> None:
        self._rich = rich_progress
        self._bar: Any = None
        self._task: Any = None

    def start(self, target: str, total: int) -> None:
        from rich.console import Console

        self._bar = self._rich.Progress(console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task(target, total=total)

    def advance(self, count: int) -> None:
        self._bar.advance(self._task, count)

    def finish(self) -> None:
        self._bar.stop()


def default_progress() -> Progress:
    """A bar if it can be drawn, else lines."""
    if sys.stderr.isatty():
        try:
            import rich.progress
        except ImportError:
            return Lines()
        return Bar(rich.progress)
    return Lines()
