"""Guest bytecode to functions by a table, without Python for each instruction: see docs/embedding.md."""

from cnp.bytecode.function import GuestFunction
from cnp.bytecode.instruction import Instruction, Page, Prefix
from cnp.bytecode.operands import Exit, Field, Registers, Target, Variable, peek, pop, push
from cnp.bytecode.parts import Align, Targets, Varint
from cnp.bytecode.table import Table

__all__ = [
    "Align",
    "Exit",
    "Field",
    "GuestFunction",
    "Instruction",
    "Page",
    "Prefix",
    "Registers",
    "Table",
    "Target",
    "Targets",
    "Variable",
    "Varint",
    "peek",
    "pop",
    "push",
]
