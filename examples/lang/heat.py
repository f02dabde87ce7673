"""A place that counts until it is hot, and what becomes of it if nothing is to be compiled there.

The rounds of a for loop are known when it is entered: no round is counted until there are enough of them altogether."""

from __future__ import annotations

from .bytecode import FOR, HOT, JUMP, JUMPS, OPERANDS, Instruction, Prototype

ROUNDS = 600
"""Executions after which a place is hot."""
_WARM = 3
"""Of a for loop with so many rounds, to come or gone, one in so many is run before it is hot: the first ones may
compute with other kinds than the rest does."""


class Heat:
    """The start of a function, or of a loop's round. The interpreter counts `left` down to zero or, where a for loop is
    entered, below."""

    __slots__ = ("left", "pc")

    def __init__(self, pc: int) -> None:
        self.pc = pc  # of its instruction; whose it is, it does not know: programs are freed without a collection
        self.left = ROUNDS

    def warm(self, code: list[Instruction]) -> None:
        """From now on the rounds of the for loop that begins with this place are counted."""
        self.left = max(1, ROUNDS // _WARM)
        code[self.pc] = (HOT, self, 0, 0)
        for number, (op, a, b, _) in enumerate(code):
            if op == FOR and b == self.pc + 1:
                code[number] = (FOR, a, self.pc, 0)


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
