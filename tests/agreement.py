"""Runs a function on the reference interpreter and compiled in many placements, and compares what they leave."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from machines import MEMORY_SIZE, Machine
from random_outcomes import actual, agree, expected, text
from random_programs import Program

from cnp.ir import Function
from cnp.ir.reference import Interpreter
from cnp.ir.text import parse

_MEMORY = random.Random(5).randbytes(MEMORY_SIZE)
FRAME = 255


def function(source: str) -> Function:
    """The first function of a text."""
    return next(iter(parse(source).values()))


def placements(machine: Machine, f: Function, rounds: int = 1) -> Iterator[bytes]:
    """Pins that no two registers share: all in the frame, then in every hardware register at least once a round, as
    long as there are any, some others in the frame."""
    types = f.register_types
    yield bytes([FRAME] * len(types))
    r = random.Random(len(types))
    for _ in range(rounds):
        orders = [r.sample(range(len(types)), len(types)) for _ in range(2)]
        for turn in machine.turns():
            pins = [FRAME] * len(types)
            for is_float, count in enumerate(machine.registers):
                registers = [each for each in orders[is_float] if types[each].is_float == is_float][:count]
                for number, each in enumerate(registers):
                    if turn < 2 or r.random() < 0.8:
                        pins[each] = (number + turn) % count
            yield bytes(pins)


def check(
    machine: Machine, f: Function, arguments: Sequence[Any], rounds: int = 1, pins: Sequence[bytes] | None = None
) -> Any:
    """Compares returned values, traps and memory. Returns what came of it: ("returns", value) or ("traps", ...)."""
    return check_calls(machine, f, [arguments], rounds, pins)[0]


def check_calls(
    machine: Machine,
    f: Function,
    calls: Sequence[Sequence[Any]],
    rounds: int = 1,
    pins: Sequence[bytes] | None = None,
) -> list[Any]:
    """The same for several lists of arguments, for which the function is decoded once and compiled once a placement."""
    interpreter = Interpreter(200)
    programs = [Program(0, [f], list(each), _MEMORY, {}, b"", machine) for each in calls]
    wanted = [expected(each, interpreter) for each in programs]
    for placement in [None, *(placements(machine, f, rounds) if pins is None else pins)]:
        compiled = machine.compile(f, pins=placement)
        for program, outcome in zip(programs, wanted):
            assert outcome is not None, "takes too long"
            machine.poison()
            found = actual(program, compiled=compiled)
            shown = placement and list(placement)
            assert agree(outcome, found), f"{_shown(found, outcome)}; pins {shown}; {text(program)}"
    return [outcome and outcome[:-1] for outcome in wanted]


def _shown(found: Any, wanted: Any) -> str:
    changed = [n for n, (a, b) in enumerate(zip(found[-1], wanted[-1])) if a != b]
    return f"found {found[:-1]}, expected {wanted[:-1]}, memory differs at {changed}"


def emitted(machine: Machine, f: Function, pins: bytes | None = None) -> list[tuple[int, str]]:
    """Op number and name of every stencil, in the order of the code, without entry and return."""
    return [(op, machine.library.placement_name(stencil)) for op, stencil in machine.stencils(f, pins=pins)]


def ops_in_order(machine: Machine, f: Function) -> list[int]:
    """Numbers of the ops that have code, in its order."""
    return list(dict.fromkeys(number for number, _ in emitted(machine, f)))
