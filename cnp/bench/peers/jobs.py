"""What peers compile against the clock, with the results that the reference interpreter has for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnp.bench import programs
from cnp.bench.peers.description import Group, describe
from cnp.bench.peers.peer import Functions
from cnp.errors import InternalError
from cnp.ir.function import Function
from cnp.ir.reference import Interpreter

SIZES = (10, 100, 1_000, 10_000, 100_000)
NAMES = ("tiny", "loop", *(f"straight.{size}" for size in SIZES), "thousand")
"""3 ops; the loop of the README; so many sums and products in a row; a thousand functions of 3 ops at once."""

_PAIRS = ((0, 0), (1, 2), (-5, 7), (2**30 + 3, -9), (123_456_789, -987_654_321))
_COUNTS = ((0,), (1,), (10,), (1_000,))


@dataclass(frozen=True, slots=True)
class Job:
    """Functions, arguments for each of them, and the results: a row a function."""

    name: str
    group: Group
    arguments: Sequence[tuple[int, ...]]
    expected: Sequence[Sequence[Any]]

    def check(self, peer: str, bits: int, functions: Functions) -> None:
        """InternalError for a result that differs in its low bits."""
        for description, function, row in zip(self.group, functions, self.expected):
            for arguments, expected in zip(self.arguments, row):
                found = function(*arguments)
                if (found - expected) % 2**bits:
                    raise InternalError(
                        f"{self.name}: {peer}: {description.name}{arguments} is {found}, not {expected}"
                    )


def make(name: str) -> Job:
    """The job of this name."""
    functions, arguments = _functions(name), _COUNTS if name == "loop" else _PAIRS
    interpreter = Interpreter()
    expected = [[interpreter.run(each, values) for values in arguments] for each in functions]
    return Job(name, describe(functions), arguments, expected)


def _functions(name: str) -> list[Function]:
    if name == "tiny":
        return [programs.tiny()]
    if name == "loop":
        return [programs.face()]
    if name == "thousand":
        return [programs.tiny(factor) for factor in range(3, 1_003)]
    return [programs.straight(int(name.partition(".")[2]), chained=True)]
