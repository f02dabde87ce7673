"""A place that counts until it is hot, and what becomes of it if nothing is to be compiled there."""

from __future__ import annotations

from .bytecode import JUMP, JUMPS, OPERANDS, Prototype

ROUNDS = 600
"""Executions after which a place is hot."""


class Heat:
    """The start of a function, or of a loop's round. The interpreter counts `left` down to zero."""

    __slots__ = ("left", "pc")

    def __init__(self, pc: int) -> None:
        self.pc = pc  # of its instruction; whose it is, it does not know: programs are freed without a collection
        self.left = ROUNDS


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
