"""A place that counts until it is hot, and what becomes of it if nothing is to be compiled there.

The rounds of a for loop are known when it is entered: no round is counted until there are enough of them altogether."""

from __future__ import annotations

import sys
from time import thread_time_ns

from .bytecode import ENTER, FOR, HOT, JUMP, JUMPS, OPERANDS, Instruction, Prototype

ROUNDS = 600
"""Executions after which a place is hot."""
_WARM = 3
"""Of a for loop with so many rounds, to come or gone, one in so many is run before it is hot: the first ones may
compute with other kinds than the rest does."""
_WATCHED = 6
"""Of a function's calls, one in so many is watched before it is compiled."""
_TRIED = 12
"""Of a place's rounds, one in so many is tried before it is compiled, if compiled code might be left in each."""
COMPILE, FIRST = 2_500_000, 100_000_000
"""Nanoseconds for which a loop has to go on to be worth compiling: five times what that takes, since it may be in vain.
The first time in a process cnp is imported."""


def least() -> int:
    """Nanoseconds for which a loop has to go on to be worth compiling now."""
    return COMPILE if "cnp" in sys.modules else FIRST


class Heat:
    """The start of a function, or of a loop's round. The interpreter counts `left` down to zero or, where a for loop is
    entered, below. `watched`: how many calls of the function, from now on, are to be watched before it is compiled."""

    __slots__ = ("_ahead", "_began", "_loop", "left", "pc", "watched")

    def __init__(self, pc: int) -> None:
        self.pc = pc  # of its instruction; whose it is, it does not know: programs are freed without a collection
        self.watched = 0 if pc else ROUNDS // _WATCHED
        self.left = ROUNDS - self.watched
        self._ahead = 0  # rounds of a loop that are known to come, if none but these are likely
        self._began = 0
        self._loop = 0

    def warm(self, code: list[Instruction], rounds: int) -> None:
        """From now on the rounds of the for loop that begins with this place are counted; so many are to come."""
        is_first = self.left + rounds == ROUNDS
        self.left = max(1, ROUNDS // _WARM)
        self._ahead = rounds - self.left if is_first else 0
        self._began = thread_time_ns()
        self._loop = code[self.pc][2]
        code[self.pc] = (HOT, self, 0, 0)
        self._lead(code, self.pc + 1, self.pc)

    @property
    def tried(self) -> int:
        """How many rounds are to be tried, after those that have been counted."""
        return ROUNDS // _TRIED

    def ends_soon(self) -> bool:
        """Whether it is a for loop that will have ended, in the interpreter, before compiling it pays. One that is
        entered for the second time may be entered as often as it likes."""
        if not self._ahead:
            return False
        spent = (thread_time_ns() - self._began) * _WARM // ROUNDS
        return spent * self._ahead < least()

    def wait(self, code: list[Instruction]) -> None:
        """Count nothing until the loop is entered again."""
        self.left = 0
        code[self.pc] = (ENTER, self, self._loop, 0)
        self._lead(code, self.pc, self.pc + 1)

    def _lead(self, code: list[Instruction], old: int, new: int) -> None:
        """Have the loop's rounds begin at another instruction."""
        for number, (op, a, b, _) in enumerate(code):
            if op == FOR and b == old:
                code[number] = (FOR, a, new, 0)


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
