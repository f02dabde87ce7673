"""What a guest's function does: compiled, by the reference interpreter, and by the guest's own, which knows no
table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import guest_machines
from guest_machines import Guest, Trapped

import cnp
from cnp import TrapKind, i64
from cnp.bytecode import GuestFunction
from cnp.ir import reference
from cnp.ir.reference import Interpreter

ARGUMENTS = (5, -3, 2**40, 0, -1, 19, 7, -(2**63))
"""Different ones for as many registers as the smallest guest has: what is computed wrong shows in what is returned."""

TICKS = 10
"""That compiled code gets where the interpreters come to no end."""

Way = tuple[object, ...]
"""How a call ends: "returned" and the result, "trapped" and the guest's offset, or "endless"."""

ENDLESS: Way = ("endless",)


class Hostile:
    """A function of any bytes. BytecodeError if the walker does not take them."""

    def __init__(self, guest: Guest, code: bytes) -> None:
        self._guest, self._code = guest, code
        self.function = guest.table.function("hostile", [i64] * len(ARGUMENTS), i64, code, handler=self._leave)
        self.left: list[int] = []  # offsets, by all calls

    def _leave(self, at: int, values: tuple[Any, ...]) -> int:
        self.left.append(at)
        return self._guest.run(self._code, list(values), at)

    def interpreted(self) -> Way:
        """What both interpreters make of it. The guest's own ends if any does; else it may jump back too often for it,
        and the reference interpreter says whether it is endless."""
        plain = _way(self.function, lambda: self._guest.run(self._code, [*ARGUMENTS]))
        interpreter = Interpreter(fuel=self._ops(TICKS if plain == ENDLESS else guest_machines.FUEL))
        way = _way(self.function, lambda: interpreter.run(self.function, ARGUMENTS))
        assert plain in (way, ENDLESS), self._code.hex()
        return way

    def compiled(self, way: Way) -> Way:
        """What compiled code does, with ticks for what the interpreters made of it."""
        compiled = self.function.compile()
        with cnp.fuel(TICKS if way == ENDLESS else self._ops(guest_machines.FUEL)):
            return _way(self.function, lambda: compiled(*ARGUMENTS))

    def _ops(self, ticks: int) -> int:
        """At least how many ops take so many: between two no op is executed more than twice, for no circle lacks one,
        and short loops may take one in two rounds."""
        return 2 * (ticks + 1) * len(self.function.ops)


def _way(function: GuestFunction, call: Callable[[], Any]) -> Way:
    try:
        return "returned", call()
    except (reference.OutOfFuel, guest_machines.OutOfFuel):
        return ENDLESS
    except Trapped as trap:
        return "trapped", *trap.args
    except cnp.Trap as trap:
        if trap.kind == TrapKind.OUT_OF_FUEL:
            return ENDLESS
        assert trap.kind == TrapKind.INTEGER_DIVIDE_BY_ZERO
        return "trapped", function.offset_of(trap.op)
