"""A place where compiled code may take over from the interpreter, for the kinds of values that are there."""

from __future__ import annotations

from array import array
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from ..bytecode import Prototype
from ..heat import cool
from ..interpreter import NOT_RUN
from ..values import Closure
from .kinds import FLOAT, Kind
from .version import Version

if TYPE_CHECKING:
    from .tier import Tier

NESTING = 40
"""Entries of compiled code within one another from which on nothing is entered: each takes of Python's own stack."""
_VERSIONS = 4
_MISSES = 50  # one after the other
_SAMPLES = 32
_SHORT = 400  # nanoseconds that compiled code takes: the interpreter is done as soon as it has been entered


class Site:
    """`live`: the registers that are live there. `versions` has None for kinds that are not worth compiling for."""

    __slots__ = ("_buffer", "_live", "_misses", "_pc", "_prototype", "_sampled", "_spent", "_tier", "_versions")

    def __init__(self, tier: Tier, prototype: Prototype, pc: int, live: list[int]) -> None:
        self._tier = tier
        self._prototype = prototype
        self._pc = pc
        self._live = live
        self._versions: dict[tuple[Any, ...], Version | None] = {}
        self._misses = 0
        self._sampled = 0
        self._spent = 0
        self._buffer = array("q", bytes(8 * (1 + len(live))))

    def ways_out(self, closure: Closure, regs: list[Any]) -> set[int]:
        """Where code compiled for what is there now would be left."""
        kept = self._tier.translation.kept
        mark = len(kept)
        kinds, _ = self._look(regs)
        del kept[mark:]
        version = self._tier.explored(closure, self._pc, tuple(zip(self._live, kinds)))
        return set() if version is None or version.always_leaves else version.ways_out

    def prepare(self, closure: Closure, regs: list[Any]) -> bool:
        """Compile for what is there now. False if that is not worth it."""
        kept = self._tier.translation.kept
        mark = len(kept)
        kinds, _ = self._look(regs)
        del kept[mark:]
        return self._version(closure, kinds) is not None

    def run(self, closure: Closure, regs: list[Any], depth: int) -> Any:
        """Go on in compiled code until the call returns: its result, RESUMED, or NOT_RUN if that cannot be."""
        tier = self._tier
        if tier.nesting >= NESTING:
            return NOT_RUN
        kept = tier.translation.kept
        mark = len(kept)
        try:
            kinds, values = self._look(regs)
            version = self._version(closure, kinds)
            if version is None or version.dead:
                self._missed()
                return NOT_RUN
            self._misses = 0
            arguments = [depth, *values] if self._pc == 0 else [self._packed(depth, version, values)]
            if self._sampled >= _SAMPLES:
                return tier.enter(version, depth, arguments)
            started = perf_counter_ns()
            result = tier.enter(version, depth, arguments)
            self._sample(perf_counter_ns() - started)
            return result
        finally:
            del kept[mark:]

    def _look(self, regs: list[Any]) -> tuple[tuple[Kind, ...], list[Any]]:
        """The kinds of what is live, and what represents those values that are represented."""
        inward = self._tier.translation.inward
        kinds, values = [], []
        for each in self._live:
            kind, value = inward(regs[each])
            kinds.append(kind)
            if kind.represented:
                values.append(value)
        return tuple(kinds), values

    def _version(self, closure: Closure, kinds: tuple[Kind, ...]) -> Version | None:
        key = (closure, kinds) if closure.cells else kinds
        if key in self._versions:
            return self._versions[key]
        if len(self._versions) >= _VERSIONS:
            return None
        version = self._tier.compile(closure, self._pc, tuple(zip(self._live, kinds)))
        self._versions[key] = version
        return version

    def _packed(self, depth: int, version: Version, values: list[Any]) -> array[int]:
        kinds = [kind for _, kind in version.context if kind.represented]
        reals = array("d", [value if kind is FLOAT else 0.0 for kind, value in zip(kinds, values)])
        words = array("q", reals.tobytes())
        for number, (kind, value) in enumerate(zip(kinds, values)):
            if kind is not FLOAT:
                words[number] = value
        self._buffer[0] = depth
        self._buffer[1 : 1 + len(words)] = words
        return self._buffer

    def _missed(self) -> None:
        self._misses += 1
        lives = any(each is not None and not each.dead for each in self._versions.values())
        if self._misses >= _MISSES or not lives:
            cool(self._prototype, self._pc)

    def _sample(self, spent: int) -> None:
        self._sampled += 1
        self._spent += spent
        if self._sampled == _SAMPLES and self._spent < _SAMPLES * _SHORT:
            cool(self._prototype, self._pc)
