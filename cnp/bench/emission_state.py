"""A function that can be emitted -> seconds of emitting it, warm and cold, against memcpy of the same bytes."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from functools import partial

from cnp.bench import caches
from cnp.bench.harness import Prepared
from cnp.bench.measure import Ratio, interleaved, repeats_for
from cnp.errors import InternalError
from cnp.runtime.linux_mapping import CLASSES
from cnp.runtime.mapping import Mapping


class State(enum.Enum):
    """What the memory that code is written to, and all that is read for it, has been through before."""

    WARM = "warm"  # the same function was emitted into the same block just before
    COLD_CACHES = "cold_caches"  # compiled, never emitted; the caches swept; the block's pages exist
    FRESH_PAGES = "fresh_pages"  # compiled just before, never emitted; pages newly mapped, which nothing has touched

    @property
    def prefix(self) -> str:
        """Of the names of figures."""
        return "" if self is State.WARM else f"{self.value}."


_LASTING = 0.0005  # seconds: long beside the call from Python, short beside the time that other processes get


def seconds_in(state: State, prepared: Prepared, rounds: int) -> Ratio:
    """Seconds of one cnp_emit over those of one memcpy, by rounds that take both.

    Warm ones are means of as many calls as last half a millisecond, by a loop whose round is in the figure: 1 to 2 ns.
    Cold ones are single calls between two readings of the clock, which is in the figure: 20 to 60 ns.
    """
    if state is State.WARM:
        return _warm(prepared, rounds)
    emit, copy = _SINGLE[state]
    pairs = [(emit(prepared), copy(prepared)) for _ in range(rounds)]
    return Ratio([each for each, _ in pairs], [each for _, each in pairs])


def _warm(prepared: Prepared, rounds: int) -> Ratio:
    n, m = repeats_for(prepared.emit, _LASTING), repeats_for(prepared.copy, _LASTING)
    works = {"emit": partial(prepared.emit, n), "copy": partial(prepared.copy, m)}
    samples = interleaved(works, rounds)
    return Ratio([each / n for each in samples["emit"]], [each / m for each in samples["copy"]])


def _emit_from_memory(prepared: Prepared) -> float:
    prepared.compile()
    caches.sweep()
    return prepared.emit_once(prepared.block.writable_address)


def _copy_from_memory(prepared: Prepared) -> float:
    caches.sweep()
    return prepared.copy_once(prepared.block.writable_address)


def _emit_into_fresh_pages(prepared: Prepared) -> float:
    prepared.compile()
    mapping = _fresh(prepared)
    # As it would run where the compiled function is, so that its bytes can be compared.
    taken = prepared.emit_once(mapping.writable, prepared.compiled.entry)
    emitted = ctypes.string_at(mapping.writable, len(prepared.code))
    mapping.close()
    if emitted != prepared.code:
        raise InternalError(f"function {prepared.function.name!r}: emitted into fresh pages, it has other bytes")
    return taken


def _copy_into_fresh_pages(prepared: Prepared) -> float:
    mapping = _fresh(prepared)
    taken = prepared.copy_once(mapping.writable)
    mapping.close()
    return taken


def _fresh(prepared: Prepared) -> Mapping:
    """Of the kind that code memory has here, writable."""
    mapping = CLASSES[prepared.core.memory.way](len(prepared.code))
    mapping.begin(0, mapping.capacity)
    return mapping


_SINGLE: dict[State, tuple[Callable[[Prepared], float], Callable[[Prepared], float]]] = {
    State.COLD_CACHES: (_emit_from_memory, _copy_from_memory),
    State.FRESH_PAGES: (_emit_into_fresh_pages, _copy_into_fresh_pages),
}
