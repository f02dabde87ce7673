"""Fuel: how many ticks compiled code may take on a thread."""

from __future__ import annotations

from _thread import get_ident

from cnp.backends.native import core
from cnp.errors import UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

_READ = -1
_innermost: dict[int, Fuel] = {}  # by thread


class Fuel:
    """A budget for this thread, while a `with` block lasts: made by cnp.fuel, which says what it counts."""

    __slots__ = ("_before", "_granted", "_inner", "_left", "_outer", "_thread", "limit")

    def __init__(self, limit: int) -> None:
        if not hasattr(limit, "__index__") or not 0 <= limit.__index__() < 2**62:
            raise UserError(f"fuel: {limit!r} is no number of ticks; accepted: an integer from 0 to 2^62 - 1")
        self.limit = limit.__index__()
        self._left = self._granted = self.limit
        self._thread = 0  # where the block is being executed
        self._inner: Fuel | None = None
        self._outer: Fuel | None = None

    @property
    def left(self) -> int:
        """Ticks that are left.

        Exact while no compiled code of this thread is running, which holds up to 8,191 ticks that do not count as left.
        """
        if self._inner is not None:
            return self._inner._before - self._inner.used
        return _exchange(_READ) if self._thread else self._left

    @property
    def used(self) -> int:
        """Ticks that have been taken, or are held by running code."""
        return self._granted - self.left

    def __enter__(self) -> Fuel:
        """UserError if the block is being executed already."""
        if self._thread:
            raise UserError("this fuel is in use; accepted: one `with` block at a time, or a cnp.fuel(n) for each")
        self._thread = get_ident()
        self._before = _exchange(_READ)
        self._left = self._granted = min(self.limit, self._before)
        _exchange(self._granted)
        self._outer = _innermost.get(self._thread)
        if self._outer is not None:
            self._outer._inner = self
        _innermost[self._thread] = self
        return self

    def __exit__(self, *_: object) -> None:
        """UserError on another thread, or in another order than blocks end."""
        if get_ident() != self._thread or _innermost.get(self._thread) is not self:
            raise UserError("fuel ends on the thread, and in the order, in which it began")
        self._left = _exchange(_READ)
        _exchange(self._before - (self._granted - self._left))
        if self._outer is None:
            del _innermost[self._thread]
        else:
            _innermost[self._thread] = self._outer
            self._outer._inner = None
        self._outer, self._thread = None, 0

    def __repr__(self) -> str:
        return f"<fuel {self.left} of {self._granted} ticks>"


def _exchange(ticks: int) -> int:
    running: Any = core()
    before: int = running.fuel(running.host_address, ticks)
    if before < 0:
        raise MemoryError("no memory for this thread's frame stack")
    return before
