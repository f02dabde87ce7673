"""The compiler's side of a machine: compiles what is hot, and takes the guest back where compiled code leaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..bytecode import RUN, Prototype
from ..heat import Heat, cool
from ..interpreter import RESUMED, interpret
from ..values import Closure
from .blocks import PARAMETERS, Explorer, Flow, TooLarge
from .kinds import FLOAT
from .site import Site
from .translation import NOTHING, SENTINEL, Translation
from .trial import Trial
from .version import Context, Version

if TYPE_CHECKING:
    from ..machine import Machine
    from .code import Point


def _weakly(tier: Tier) -> Callable[[int, tuple[Any, ...]], Any]:
    """What compiled code calls to leave. It must not keep the tier alive, which keeps the code alive."""
    found = ref(tier)

    def leave(number: int, values: tuple[Any, ...]) -> Any:
        tier = found()
        assert tier is not None  # it has called the code
        return tier.leave(number, values)

    return leave


class Tier:
    """Everything that is compiled for one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.translation = Translation()
        self.compiled: list[Version] = []
        self._explored: tuple[object, Version, Explorer] | None = None  # last
        self.nesting = 0
        self.entered: Version | None = None  # last, from Python
        self.entered_depth = 0
        self._flows: dict[Prototype, Flow] = {}
        self._found: dict[tuple[Closure, Context], Version] = {}
        self._points: list[Point] = []
        self._leave = _weakly(self)
        self._crossed = 0  # nanoseconds, when compiled code was last entered or returned to
        self.unavailable = False  # no native code on this machine

    def heated(self, heat: Heat, closure: Closure, regs: list[Any]) -> None:
        """A place is hot: it is tried, if that may show that it is not worth compiling."""
        code, rounds = closure.prototype.code, heat.tried
        ways_out = self._site(heat, closure).ways_out(closure, regs) if rounds and not self.unavailable else ()
        if ways_out:
            self._explored = None  # in these rounds cells and arrays may become others
            code[heat.pc] = (RUN, Trial(self, heat, rounds, {pc: code[pc] for pc in ways_out}), 0, 0)
        else:
            self.take(heat, closure, regs)

    def take(self, heat: Heat, closure: Closure, regs: list[Any]) -> None:
        """From now on a place runs compiled code, or is an ordinary one again."""
        site = self._site(heat, closure)
        if not self.unavailable and site.prepare(closure, regs):
            closure.prototype.code[heat.pc] = (RUN, site, 0, 0)
        else:
            cool(closure.prototype, heat.pc)

    def _site(self, heat: Heat, closure: Closure) -> Site:
        return Site(self, closure.prototype, heat.pc, self.flow(closure.prototype).live[heat.pc])

    def flow(self, prototype: Prototype) -> Flow:
        """What is known of a prototype's code, computed once."""
        if prototype not in self._flows:
            self._flows[prototype] = Flow(prototype)
        return self._flows[prototype]

    def compile(self, closure: Closure, pc: int, context: Context) -> Version | None:
        """The version that starts there, ready to run; None if it is none that is worth it."""
        version = self.explored(closure, pc, context)
        explored, self._explored = self._explored, None
        if version is None or version.always_leaves:
            return None
        if explored is not None:
            self._say(explored[2])
        if version.compiled is None:
            self._make(version)
        return None if self.unavailable else version

    def explored(self, closure: Closure, pc: int, context: Context) -> Version | None:
        """The version that starts there. It is kept until it is compiled, or what it was found from may have changed;
        as long as it is, it is not in cnp ops. None if it cannot be compiled."""
        key = closure, pc, context
        if self._explored is not None and self._explored[0] == key:
            return self._explored[1]
        self._explored = None
        if pc == 0:
            if sum(kind.represented for _, kind in context) > PARAMETERS:
                return None
            if (closure, context) in self._found:
                return self._found[closure, context]
        explorer = Explorer(self._flows, dict(self._found))
        try:
            version = explorer.explore(closure, pc, context)
        except TooLarge:
            return None
        self._explored = key, version, explorer
        return version

    def _say(self, explorer: Explorer) -> None:
        """What has been explored, in cnp ops."""
        from .lower import declare, lower  # only now, for it imports cnp

        self._found = explorer.found
        for each in explorer.made:
            declare(each)
        for each in explorer.made:
            lower(each, self._leave, self._points, self._flows[each.prototype].live)

    def _make(self, version: Version) -> None:
        import cnp

        try:
            version.compiled = version.function.compile(backend=self.machine.backend)
        except cnp.Unsupported:
            self.unavailable = True
        else:
            self.compiled.append(version)

    # What runs.

    def enter(self, version: Version, depth: int, arguments: list[Any]) -> Any:
        """Run a version in place of the interpreter: the guest's result, or RESUMED."""
        translation, before, before_depth = self.translation, self.entered, self.entered_depth
        self.entered, self.entered_depth = version, depth
        self.nesting += 1
        translation.odd = NOTHING  # Ctrl-C may have come before somebody took it
        self._crossed = perf_counter_ns()
        try:
            value = version.compiled(*arguments)
        finally:
            self.nesting -= 1
            self.entered, self.entered_depth = before, before_depth
        return translation.take(version.result, value)

    def leave(self, number: int, values: tuple[Any, ...]) -> Any:
        """Compiled code has left: what its caller gets, which has called for the result of this very call."""
        point = self._points[number]
        version, translation, entered = point.version, self.translation, self.entered
        assert entered is not None
        spent = perf_counter_ns() - self._crossed
        version.left(spent)
        if entered is not version:
            entered.left(spent)
        regs = [None] * version.prototype.arity + list(version.prototype.rest)
        for register, known in point.known:
            regs[register] = known
        for (register, kind), value in zip(point.registers, values[1:]):
            regs[register] = translation.outward(kind, value)
        if point.target is not None:
            regs[point.target] = translation.take(point.callee, math.nan if point.callee is FLOAT else SENTINEL)
        if values[0] == self.entered_depth:  # the interpreter is right below, and goes on with this frame itself
            self.machine.resumed = regs, point.pc
            translation.odd = RESUMED
            return math.nan if version.result is FLOAT else SENTINEL
        self.nesting += 1
        try:
            result = interpret(self.machine, version.closure, regs, point.pc, values[0])
        finally:
            self.nesting -= 1
        self._crossed = perf_counter_ns()
        return translation.give(version.result, result, aside=entered.dead)
