"""A machine: runs programs with one set of built-in functions, with compiled code or without."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import builtins, parser, scope
from .bytecode import RUN, Prototype, Steps
from .emitter import Emitter
from .errors import SyntaxFault
from .heat import Heat
from .interpreter import interpret
from .values import Closure
from .watch import Watch

if TYPE_CHECKING:
    from .jit.tier import Tier


class Machine:
    """Where programs run. `write` takes what they print. Not `tiered`: all is interpreted. `backend` is cnp's.
    `budget`: how many steps a program may take, rounds of loops and calls of its functions, 0 to 2^63 - 1 or None for
    any number; the next one is OutOfBudget."""

    def __init__(
        self,
        write: Callable[[str], object] | None = None,
        *,
        tiered: bool = True,
        backend: str = "native",
        budget: int | None = None,
    ) -> None:
        if budget is not None and not 0 <= budget < 1 << 63:
            raise ValueError(f"a budget of {budget} steps; 0 to {(1 << 63) - 1} are accepted")
        self.backend = backend
        self.builtins = builtins.make(write or sys.stdout.write, compiled=tiered)
        self.tiered = tiered
        self.steps: Steps | None = None if budget is None else array("q", (budget, budget))
        self.resumed: tuple[list[Any], int] = ([], 0)  # the frame that compiled code has left
        self.watches = False  # the results of a function, in this very call of it
        self._tier: Tier | None = None

    def load(self, text: str) -> Prototype:
        """The program's code. SyntaxFault if it is none."""
        try:
            program = parser.parse(text)
            scope.resolve(program, self.builtins)
            return Emitter(program, self.builtins, self.tiered, self.steps).emit()
        except RecursionError:
            raise SyntaxFault(1, "an expression is nested too deep") from None

    def run(self, text: str) -> None:
        """Run a program. SyntaxFault or RuntimeFault with its line if it is wrong, OutOfBudget."""
        self.execute(self.load(text))

    def execute(self, prototype: Prototype) -> None:
        """Run a program that this machine has loaded, once: what became hot stays compiled in it."""
        if self.steps is not None:
            self.steps[0] = self.steps[1]
        interpret(self, Closure(prototype, []), list(prototype.rest), 0, 0)

    def heated(self, heat: Heat, closure: Closure, regs: list[Any]) -> None:
        """A place is hot: it is watched, waits on, or is compiled."""
        code = closure.prototype.code
        if heat.ends_soon():
            heat.wait(code)
        elif heat.watched:
            code[heat.pc] = (RUN, Watch(self, heat), 0, 0)
        else:
            self.tier.heated(heat, closure, regs)

    @property
    def tier(self) -> Tier:
        """What compiles. It is imported when the first place may be worth it."""
        if self._tier is None:
            from .jit.tier import Tier

            self._tier = Tier(self)
        return self._tier
