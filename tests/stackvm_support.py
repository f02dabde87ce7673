"""What tests of the guide's stack machine share: numbers of every size, a machine that is watched, and its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnp import tiers
from examples.stackvm import __main__ as demo
from examples.stackvm.code import Function, GuestError
from examples.stackvm.machine import Machine
from examples.stackvm.tier import TieredMachine

DIRECTORY = Path(demo.__file__).parent
AT, TOTAL, FIB, COUNT, POWER = range(5)
"""The functions of its programs."""
EAGER = tiers.Policy(calls=2, loops=3, exits=4, attempts=3)
NEVER = tiers.Policy(calls=10**9, loops=10**9)
LARGE = (2**62, -(2**62) - 1, 2**63, 2**70)
ITEMS = (3, -1, 4, 1, -5, 2**61, 2**62 - 1, -(2**62), *LARGE)
ENDLESS = """
function at index = get index item return
function endless = again: push 0 item set x loop again
"""
TOGETHER = """
function at index = get index item return
function f a b = get a get b add return
function g n x =
  again: get i get n unless_less done
    get x push 3 item call f 2 set x
    get i push 1 add set i
  loop again
  done: get x get n call f 2 return
"""


class Watched(TieredMachine):
    """Keeps what it was handed where compiled code was left."""

    def __init__(self, *arguments: Any) -> None:
        self.left: list[tuple[str, int, list[int]]] = []
        super().__init__(*arguments)

    def leave(self, function: Function, at: int, words: tuple[int, ...]) -> int:
        self.left.append((function.name, at, [self.words.number(word) for word in words]))
        return super().leave(function, at, words)


def result(machine: Machine, number: int, arguments: list[int]) -> int | str:
    """What a call gives, or what is wrong with it."""
    try:
        return machine.call(number, list(arguments))
    except GuestError as error:
        return str(error)


def is_at_rest(machine: TieredMachine) -> bool:
    """Whether nothing is left of calls that have ended, as far as the caller's thread goes."""
    return machine.words.running == 0 and machine.words.large == machine.lasting
