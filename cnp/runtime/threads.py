"""What all threads that run compiled code have in common, and what waits for some of them to leave it: see retire.c."""

from __future__ import annotations

import ctypes
from _thread import RLock
from collections import deque

from cnp.runtime import platform
from cnp.runtime.layout import Threads

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

shared = Threads(epoch=1)
"""What the cores of all libraries refer to."""
address = ctypes.addressof(shared)

_waiting: deque[tuple[int, Any]] = deque()  # what was retired, and the epoch that ended with it
_lock = RLock()  # reentrant: a finalizer may retire something while something is being retired
_key: int | None = None
_end_epoch: Callable[[int], int]
_oldest: Callable[[int], int]


def connect(routine: Callable[[str], int]) -> int:
    """The key of thread contexts, of which there is one a process. The first core's routines are everybody's."""
    global _key, _end_epoch, _oldest
    with _lock:
        if _key is None:
            prototype = ctypes.PYFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)
            _end_epoch, _oldest = prototype(routine("cnp_retire")), prototype(routine("cnp_oldest"))
            _key = platform.current().new_thread_key(routine("cnp_free_context"))
            # When Python ends, threads may still be running, and what waits must not be taken apart together with
            # what frees it.
            for each in (shared, _waiting):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))
        return _key


def retire(thing: Any) -> None:
    """Give up a reference, but only when each thread that is inside compiled code now has left it.

    Whoever comes in from here on must not be able to reach what the reference keeps alive.
    """
    with _lock:
        _waiting.append((_end_epoch(address), thing))
        shared.has_retired = 1
    reclaim()


def reclaim() -> None:
    """Give up what waits no longer. The core calls this when a thread leaves compiled code and something waits."""
    gone = []
    with _lock:
        if _waiting:
            oldest = _oldest(address)
            while _waiting and _waiting[0][0] < oldest:
                gone.append(_waiting.popleft())
        shared.has_retired = bool(_waiting)
    gone.clear()  # runs finalizers, which may do anything


def waiting() -> int:
    """How many references wait."""
    return len(_waiting)


def after_fork() -> None:
    """In the child: whoever held the lock is not there any more."""
    global _lock
    _lock = RLock()
