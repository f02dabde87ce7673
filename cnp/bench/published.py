"""What others' run-time code generators were published to cost, to be drawn beside what is measured here."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Unit(enum.Enum):
    """What is counted for each instruction that is generated."""

    INSTRUCTIONS = "executed instructions per generated instruction"
    CYCLES = "cycles per generated instruction"


@dataclass(frozen=True, slots=True)
class Published:
    """One system's cost, from `low` to `high`. All of what happens at run time is in it, choosing instructions too."""

    name: str
    low: float
    high: float
    unit: Unit
    source: str


_FABIUS = "P. Lee, M. Leone: Optimizing ML with Run-Time Code Generation, PLDI 1996"

PUBLISHED = (
    Published(
        "Fabius", 6, 6, Unit.INSTRUCTIONS, f"{_FABIUS}: 6 instructions (as cited; the abstract counts 6 cycles)"
    ),
    Published("Fabius", 6, 6, Unit.CYCLES, f"{_FABIUS}, abstract"),
    Published(
        "VCODE", 6, 10, Unit.INSTRUCTIONS,
        "D. R. Engler: VCODE: A Retargetable, Extensible, Very Fast Dynamic Code Generation System, PLDI 1996, "
        "abstract",
    ),
    Published(
        "`C", 100, 600, Unit.CYCLES,
        "M. Poletto, W. C. Hsieh, D. R. Engler, M. F. Kaashoek: `C and tcc: A Language and Compiler for Dynamic Code "
        "Generation, ACM TOPLAS 21(2), 1999, abstract",
    ),
    Published(
        "DyC", 20, 200, Unit.CYCLES,
        "B. Grant, M. Philipose, M. Mock, C. Chambers, S. J. Eggers: An Evaluation of Staged Run-Time Optimizations in "
        "DyC, PLDI 1999",
    ),
)  # fmt: skip
