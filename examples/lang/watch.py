"""A hot function's last calls before it is compiled: one whose results compiled code does not have is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .heat import Heat, cool
from .interpreter import NOT_RUN, interpret
from .values import Closure

if TYPE_CHECKING:
    from .machine import Machine

_MOST = 8  # results of which one may be a string, or an integer that needs more than 64 bits


class Watch:
    """Runs in place of compiled code, where the function starts. It sees what is returned by calls that are not within
    one that is seen already."""

    __slots__ = ("_heat", "_left", "_machine", "_seen", "_strange")

    def __init__(self, machine: Machine, heat: Heat) -> None:
        self._machine = machine
        self._heat = heat
        self._left = heat.watched
        self._seen = self._strange = 0

    def run(self, closure: Closure, regs: list[Any], depth: int) -> Any:
        """A call: its result, or NOT_RUN where the interpreter that calls this is to go on."""
        machine = self._machine
        if not self._left:
            self._end(closure, regs)
            return NOT_RUN
        self._left -= 1
        if machine.watches:
            return NOT_RUN
        machine.watches = True
        try:
            result = interpret(machine, closure, regs, self._heat.pc + 1, depth)
        finally:
            machine.watches = False
        self._seen += 1
        self._strange += type(result) is str or (type(result) is int and not -(2**63) <= result < 2**63)
        return result

    def _end(self, closure: Closure, regs: list[Any]) -> None:
        if self._strange * _MOST > self._seen:
            cool(closure.prototype, self._heat.pc)
        else:
            self._machine.tier.heated(self._heat, closure, regs)
