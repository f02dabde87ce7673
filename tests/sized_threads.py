"""Threads with a native stack of a size that the test chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def in_thread(kibibytes: int, run: Callable[[], Any]) -> Any:
    """What run() gives in a thread with a stack of that size."""
    found: list[Any] = []
    before = threading.stack_size(kibibytes << 10)
    try:
        thread = threading.Thread(target=lambda: found.append(run()))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    return found[0]
