"""Takes every open arena of code memory through a fork: a copy before it, which the child then makes its own."""

from __future__ import annotations

import os
from _thread import allocate_lock

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from cnp.runtime.codememory import CodeMemory

_open: dict[int, CodeMemory] = {}
_copies: list[tuple[CodeMemory, int]] = []
_lock = allocate_lock()  # held throughout a fork
_registered = False


def watch(memory: CodeMemory) -> None:
    """From here on `memory` survives forks; it is kept alive until `forget`."""
    global _registered
    with _lock:
        _open[id(memory)] = memory
        if not _registered:  # Python has no way to take such a hook back
            _registered = True
            os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def forget(memory: CodeMemory) -> None:
    """Undoes `watch`."""
    _open.pop(id(memory), None)


def _before() -> None:
    _lock.acquire()
    _copies.extend((memory, memory.before_fork()) for memory in list(_open.values()))


def _in_parent() -> None:
    _after(in_child=False)


def _in_child() -> None:
    _after(in_child=True)


def _after(in_child: bool) -> None:
    for memory, fd in _copies:
        memory.after_fork(fd, in_child)
    _copies.clear()
    _lock.release()
