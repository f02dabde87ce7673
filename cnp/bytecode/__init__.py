"""Guest bytecode to functions by a table, without Python for each instruction: see docs/embedding.md."""

from cnp.bytecode.function import GuestFunction
from cnp.bytecode.instruction import Instruction, Page, Prefix
from cnp.bytecode.operands import Exit, Field, Registers, Target, Variable, peek, pop, push
from cnp.bytecode.table import Table

__all__ = [
    "Exit",
    "Field",
    "GuestFunction",
    "Instruction",
    "Page",
    "Prefix",
    "Registers",
    "Table",
    "Target",
    "Variable",
    "peek",
    "pop",
    "push",
]
