"""Labels and jumps -> loops, for peers that have no goto.

Only one shape is known, that of a while loop: a label, a body that leaves for the place behind the loop or starts
over, a jump back, and the label behind. Loops may be nested. It is the shape that programs.face has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnp.bench.figure import Unavailable
from cnp.bench.peers.description import Description, Op


@dataclass(frozen=True, slots=True)
class Loop:
    """Runs its body over and over: a branch to `head` starts it again, one to `done` leaves it."""

    head: int  # places in the table
    done: int
    body: Sequence[Op | Loop]


def structured(description: Description) -> Sequence[Op | Loop]:
    """The ops, those of loops inside them. Unavailable for control flow of another shape."""
    ops = description.ops
    if not description.labels:
        return ops
    back = {op[1][0]: number for number, op in enumerate(ops) if op[0] == "jump"}
    return _structured(description, 0, len(ops), back)


def _structured(description: Description, start: int, end: int, back: dict[int, int]) -> list[Op | Loop]:
    ops, found = description.ops, list[Op | Loop]()
    number = start
    while number < end:
        name, places, _ = ops[number]
        if name != "place":
            found.append(ops[number])
            number += 1
            continue
        last = back.get(places[0], -1)
        if not number < last < end - 1 or ops[last + 1][0] != "place":
            raise Unavailable(f"{description.name}: control flow is not of loops alone")
        body = _structured(description, number + 1, last, back)
        found.append(Loop(places[0], ops[last + 1][1][0], body))
        number = last + 2
    return found
