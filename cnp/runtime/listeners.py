"""Who wants to hear of compiled functions: dumps, profilers, debuggers."""

from __future__ import annotations

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from cnp.runtime.callable import NativeFunction

    Listener = Callable[[NativeFunction], None]

_listeners: list[Listener] = []
wants_trace = False
"""Whether a listener needs to know which stencils were chosen."""


def add(listener: Listener, *, trace: bool = False) -> None:
    """Call `listener` with every function that is compiled from now on; `trace`: with what listings need."""
    global wants_trace
    _listeners.append(listener)
    wants_trace = wants_trace or trace


def tell(made: NativeFunction) -> None:
    """A function has been compiled."""
    for each in _listeners:
        each(made)
