"""A place that counts until it is hot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bytecode import JUMP, JUMPS, OPERANDS, Prototype
from .values import Closure

if TYPE_CHECKING:
    from .machine import Machine

ROUNDS = 600
"""Executions after which a place is hot."""


class Heat:
    """The start of a function, or of a loop's round."""

    __slots__ = ("left", "pc", "prototype")

    def __init__(self, prototype: Prototype, pc: int) -> None:
        self.prototype = prototype
        self.pc = pc
        self.left = ROUNDS

    def heat(self, machine: Machine, closure: Closure, regs: list[Any]) -> None:
        """Count once; compile when it is time."""
        self.left -= 1
        if self.left <= 0:
            machine.tier.heated(self, closure, regs)


def cool(prototype: Prototype, pc: int) -> None:
    """Take the instruction of a place out: what jumps there goes past it, and it does nothing itself."""
    code = prototype.code
    for number, instruction in enumerate(code):
        op = instruction[0]
        if op in JUMPS:
            where = 1 + OPERANDS[op].index("j")
            if instruction[where] == pc:
                code[number] = (*instruction[:where], pc + 1, *instruction[where + 1 :])  # type: ignore[assignment]
    code[pc] = (JUMP, pc + 1, 0, 0)
    if pc == prototype.start:
        prototype.start = pc + 1
