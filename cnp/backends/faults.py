"""Signals of faults in compiled code -> traps."""

from __future__ import annotations

from cnp.backends.native import core
from cnp.runtime import platform
from cnp.runtime.callable import route_all
from cnp.runtime.threads import shared


def catch_faults() -> None:
    """See cnp.catch_faults."""
    handler = core().routine("cnp_fault")
    system = platform.current()
    signals = system.fault_signals
    for row, number in zip(shared.old, signals):
        found, flags = system.signal_handler(number)
        if found != handler:
            row.signal, row.handler, row.flags, row.depth = number, found, flags, 0
    shared.catches = 1
    route_all()
    for number in signals:
        system.handle_fault(number, handler)
