"""One piece of compiled code to be: a function from an instruction on, for given kinds of what is live there.

The classes are plain ones: what a dataclass takes to be made would be a tenth of the time until a program first runs
compiled code."""

from __future__ import annotations

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


class Step:
    """An instruction and the kinds of the two operands that it computes with. `result` is that of what it writes;
    LEAVE steps are where the interpreter takes over."""

    __slots__ = ("callee", "kinds", "leaves", "op", "pc", "result")

    def __init__(
        self,
        pc: int,
        op: int,
        kinds: tuple[Kind, ...],
        result: Kind | None = None,
        callee: Version | None = None,
        leaves: bool = False,
    ) -> None:
        self.pc = pc
        self.op = op
        self.kinds = kinds
        self.result = result
        self.callee = callee
        self.leaves = leaves


class Block:
    """Instructions without a jump into them or between them. The same ones may be in several blocks, for other kinds.

    `after`: the blocks that may be next, where a jump leads last. None where nothing is known: the callee's result."""

    __slots__ = ("after", "context", "kinds", "pc", "steps")

    def __init__(self, pc: int, context: Context) -> None:
        self.pc = pc
        self.context = context
        self.steps: list[Step] = []
        self.kinds: list[dict[int, Kind]] = []  # before each step
        self.after: list[Block] = []


class Version:
    """`result`: the kind of what it returns, if it ever does; another kind is left to the interpreter."""

    function: cnp.Function

    def __init__(self, closure: Closure, pc: int, context: Context) -> None:
        self.closure = closure
        self.pc = pc
        self.context = context
        self.blocks: dict[tuple[int, Context], Block] = {}
        self.at: dict[int, int] = {}  # blocks by instruction
        self.result: Kind | None = None
        self.waiting: list[tuple[Version, Block, dict[int, Kind]]] = []  # for the result
        self.loops = False  # it comes back to where it starts

        self.compiled: Any = None  # what cnp made of the function, if it did
        self.exits = 0
        self.spent = 0  # nanoseconds in compiled code between those exits that have not been judged
        self.dead = False  # not worth entering: it leaves too often

    @property
    def prototype(self) -> Prototype:
        return self.closure.prototype

    @property
    def always_leaves(self) -> bool:
        """Nothing comes back to where it starts, and it never returns."""
        return self.result is None and not self.loops

    @property
    def ways_out(self) -> set[int]:
        """The instructions, of its own prototype's, that are the interpreter's for all kinds that reach them."""
        steps = [step for block in self.blocks.values() for step in block.steps]
        return {each.pc for each in steps if each.leaves} - {each.pc for each in steps if not each.leaves}

    def left(self, spent: int) -> None:
        """Count a way out after so many nanoseconds in compiled code. One that is soon left each time dies."""
        self.exits += 1
        self.spent += spent
        if self.exits % _EXITS == 0:
            self.dead = self.spent < _EXITS * _WORTH
            self.spent = 0
