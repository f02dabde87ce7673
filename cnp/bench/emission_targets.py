"""One large function, compiled for this machine and for another -> how emitting the one compares with the other."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NoReturn

from cnp.backends import foreign, native
from cnp.backends.requests import Group
from cnp.bench import emission_programs
from cnp.bench.measure import Ratio, interleaved, repeats_for
from cnp.errors import InternalError
from cnp.runtime.default import library_for

SIZE = 10_000  # ops, beside whose emission a call from Python is nothing
_SLACK = 16
_LASTING = 0.001  # seconds


def emission(target: str, rounds: int) -> tuple[Ratio, int, int]:
    """Seconds of cnp_emit for `target` over those for this machine, and the bytes of both codes."""
    core = native.core()
    function = emission_programs.make("mix", SIZE)
    with core.lock, core.scratch() as scratch, core.scratch() as other:
        there = Group(core, [function], _nobody, safepoints=True, trace=False, pins=None, tables=_tables(target))
        here = Group(core, [function], _nobody, safepoints=True, trace=False, pins=None)
        _, ((foreign_request, _),), foreign_size, _ = there._lay_out(scratch)
        _, ((own_request, _),), own_size, _ = here._lay_out(other)
        buffer = ctypes.create_string_buffer(foreign_size + _SLACK)
        block = core.memory.allocate(own_size, 64)
        works = {
            "there": _emit(core, foreign_request, ctypes.addressof(buffer), 0),
            "here": _emit(core, own_request, block.writable_address, block.executable_address),
        }
        repeats = {name: repeats_for(work, _LASTING) for name, work in works.items()}
        repeated = {name: _times(work, repeats[name]) for name, work in works.items()}
        samples = interleaved(repeated, rounds)
        core.memory.commit(block)
        core.memory.free(block)
    there_seconds, here_seconds = ([each / repeats[name] for each in samples[name]] for name in works)
    return Ratio(there_seconds, here_seconds), foreign_size, own_size


def _tables(target: str) -> Any:
    return foreign.tables_for(native.core(), library_for(target))


def _nobody(callee: object) -> NoReturn:
    raise InternalError(f"the function calls {callee!r}")


def _emit(core: Any, request: Any, writable: int, executable: int) -> Callable[[int], None]:
    address, emit = ctypes.addressof(request), core.emit

    def work(times: int) -> None:
        for _ in range(times):
            if emit(address, writable, executable):
                raise InternalError("something is out of reach")

    return work


def _times(work: Callable[[int], None], times: int) -> Callable[[], None]:
    return lambda: work(times)
