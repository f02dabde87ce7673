"""One piece of compiled code to be: a function from an instruction on, for given kinds of what is live there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ..bytecode import Prototype
from ..values import Closure
from .kinds import Kind

if TYPE_CHECKING:
    import cnp

_EXITS = 8
_WORTH = 2500  # nanoseconds of compiled code that are worth an entry and an exit
Context: TypeAlias = "tuple[tuple[int, Kind], ...]"
"""The live registers whose kinds are known, in order."""


@dataclass(eq=False, repr=False)
class Step:
    """An instruction and the kinds of the two operands that it computes with. `result` is that of what it writes;
    LEAVE steps are where the interpreter takes over."""

    pc: int
    op: int
    kinds: tuple[Kind, ...]
    result: Kind | None = None
    callee: Version | None = None
    leaves: bool = False


@dataclass(eq=False, repr=False)
class Block:
    """Instructions without a jump into them or between them. The same ones may be in several blocks, for other kinds.

    `after`: the blocks that may be next, where a jump leads last. None where nothing is known: the callee's result."""

    pc: int
    context: Context
    steps: list[Step] = field(default_factory=list)
    kinds: list[dict[int, Kind]] = field(default_factory=list)  # before each step
    after: list[Block] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Version:
    """`result`: the kind of what it returns, if it ever does; another kind is left to the interpreter."""

    closure: Closure
    pc: int
    context: Context
    blocks: dict[tuple[int, Context], Block] = field(default_factory=dict)
    at: dict[int, int] = field(default_factory=dict)  # blocks by instruction
    result: Kind | None = None
    waiting: list[tuple[Version, Block, dict[int, Kind]]] = field(default_factory=list)  # for the result
    loops: bool = False  # it comes back to where it starts

    function: cnp.Function = field(init=False)
    compiled: Any = None  # what cnp made of the function, if it did
    exits: int = 0
    spent: int = 0  # nanoseconds in compiled code between those exits that have not been judged
    dead: bool = False  # not worth entering: it leaves too often

    @property
    def prototype(self) -> Prototype:
        return self.closure.prototype

    @property
    def always_leaves(self) -> bool:
        """Nothing comes back to where it starts, and it never returns."""
        return self.result is None and not self.loops

    def left(self, spent: int) -> None:
        """Count a way out after so many nanoseconds in compiled code. One that is soon left each time dies."""
        self.exits += 1
        self.spent += spent
        if self.exits % _EXITS == 0:
            self.dead = self.spent < _EXITS * _WORTH
            self.spent = 0
