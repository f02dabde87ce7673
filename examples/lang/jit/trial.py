"""A hot place's last rounds before it is compiled, in which it is counted how often compiled code would be left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bytecode import LEFT, Instruction
from ..heat import Heat, cool
from ..interpreter import NOT_RUN, RESUMED
from ..values import Closure

if TYPE_CHECKING:
    from .tier import Tier

_MOST = 8  # rounds of which compiled code may be left in one


class Trial:
    """Runs in place of compiled code. `ways_out`: the instructions, by number, that are the interpreter's."""

    __slots__ = ("_heat", "_left", "_rounds", "_seen", "_tier", "_ways_out")

    def __init__(self, tier: Tier, heat: Heat, rounds: int, ways_out: dict[int, Instruction]) -> None:
        self._tier = tier
        self._heat = heat
        self._rounds = self._left = rounds
        self._ways_out = ways_out
        self._seen = 0

    def run(self, closure: Closure, regs: list[Any], depth: int) -> Any:
        """A round, which the interpreter does."""
        code = closure.prototype.code
        if self._left:
            self._left -= 1
            for pc in self._ways_out:
                code[pc] = (LEFT, _WayOut(self, pc), 0, 0)
            return NOT_RUN
        self._disarm(code)
        if self._seen * _MOST > self._rounds:
            cool(closure.prototype, self._heat.pc)
        else:
            self._tier.take(self._heat, closure, regs)
        return NOT_RUN

    def _disarm(self, code: list[Instruction]) -> None:
        """Put the instructions back, until the next round."""
        for pc, instruction in self._ways_out.items():
            code[pc] = instruction

    def left(self, code: list[Instruction], regs: list[Any], pc: int) -> Any:
        """Compiled code would be left here: the interpreter goes on with the instruction itself."""
        self._seen += 1
        self._disarm(code)
        self._tier.machine.resumed = regs, pc
        return RESUMED


class _WayOut:
    """In place of an instruction. It knows the trial, not the code: programs are freed without a collection."""

    __slots__ = ("_pc", "_trial")

    def __init__(self, trial: Trial, pc: int) -> None:
        self._trial = trial
        self._pc = pc

    def run(self, closure: Closure, regs: list[Any], depth: int) -> Any:
        """It is reached."""
        return self._trial.left(closure.prototype.code, regs, self._pc)
