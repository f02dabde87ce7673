"""The instructions of the register machine, and the functions made of them.

An instruction is `(op, a, b, c)`. A frame is one list: parameters, variables, temporaries, then the function's
constants, so that an operand may be either. Numbers of ops are in order of use: the first are found the soonest."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Instruction: TypeAlias = "tuple[int, Any, int, int]"
Steps: TypeAlias = "array[int]"
"""Of a machine with a budget: the steps that are left, and all of them."""

# What operands are, in order: d a register that is written, r one that is read, j the number of an instruction,
# n a number, f first of three registers of a for loop (next value, end, variable), b first of registers that are read,
# s an object that counts (heat.py, Steps) or runs (watch.py, jit/trial.py, jit/site.py).
OPERANDS: dict[int, str] = {}
NAMES: dict[int, str] = {}


def _op(name: str, operands: str) -> int:
    number = len(OPERANDS)
    OPERANDS[number] = operands.ljust(3, "n")
    NAMES[number] = name
    return number


ADD = _op("add", "drr")
SUB = _op("sub", "drr")
MUL = _op("mul", "drr")
INDEX = _op("index", "drr")
FOR = _op("for", "fj")  # the next round of a loop, at j, or on
MOVE = _op("move", "dr")
JUMP_LT = _op("jump_lt", "jrr")
JUMP_NOT_LT = _op("jump_not_lt", "jrr")
JUMP_LE = _op("jump_le", "jrr")
JUMP_NOT_LE = _op("jump_not_le", "jrr")
JUMP_EQ = _op("jump_eq", "jrr")
JUMP_NE = _op("jump_ne", "jrr")
CALL = _op("call", "dbn")  # callee, then n arguments
RETURN = _op("return", "r")
HOT = _op("hot", "s")  # a place where compiled code may take over, once it is hot
GET_UP = _op("get_up", "dn")  # a captured variable
SET_UP = _op("set_up", "nr")
STORE = _op("store", "rrr")  # array, index, value
MOD = _op("mod", "drr")
FLOOR_DIV = _op("floor_div", "drr")
DIV = _op("div", "drr")
JUMP = _op("jump", "j")
JUMP_IF = _op("jump_if", "jr")
JUMP_IF_NOT = _op("jump_if_not", "jr")
GET_CELL = _op("get_cell", "dr")  # a variable that functions within capture
SET_CELL = _op("set_cell", "rr")
AND = _op("and", "drr")
OR = _op("or", "drr")
XOR = _op("xor", "drr")
SHL = _op("shl", "drr")
SHR = _op("shr", "drr")
LT = _op("lt", "drr")
LE = _op("le", "drr")
EQ = _op("eq", "drr")
NE = _op("ne", "drr")
NEG = _op("neg", "dr")
NOT = _op("not", "dr")
FOR_PREPARE = _op("for_prepare", "fj")  # to j if there is no round at all
ARRAY = _op("array", "dbn")
CLOSURE = _op("closure", "dn")  # of inner function n
NEW_CELL = _op("new_cell", "drn")  # n: whether only the declaration assigns it
RUN = _op("run", "s")  # a place where it does
ENTER = _op("enter", "sn")  # a for loop, of registers n on: hot when all its rounds are as many
LEFT = _op("left", "s")  # stands where compiled code would leave, while that is counted
STEP = _op("step", "s")  # of a machine with a budget: a round of a loop, or a call

JUMPS = frozenset(op for op, operands in OPERANDS.items() if "j" in operands)


@dataclass(eq=False)
class Prototype:
    """A function's code. `captures`: for closures of it, where each captured variable comes from: (True, register of
    the enclosing function) or (False, number of what that has captured itself)."""

    name: str
    arity: int
    code: list[Instruction] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    start: int = 0  # the first instruction of a call
    registers: int = 0
    constants: list[object] = field(default_factory=list)
    inner: list[Prototype] = field(default_factory=list)
    captures: list[tuple[bool, int]] = field(default_factory=list)
    rest: tuple[object, ...] = ()  # of a new frame, after the arguments

    def finish(self) -> None:
        """Once code, registers and constants are known."""
        self.rest = (None,) * (self.registers - self.arity) + tuple(self.constants)


def listing(prototype: Prototype) -> str:
    """The code as text, functions within it after it."""
    lines = [f"{prototype.name}({prototype.arity}): {prototype.registers} registers, constants {prototype.constants}"]
    for number, (op, *operands) in enumerate(prototype.code):
        shown = [str(each) for each, role in zip(operands, OPERANDS[op]) if role != "s"]
        lines.append(f"{number:4} {NAMES[op]:12} {' '.join(shown)}  ; line {prototype.lines[number]}")
    return "\n".join([*lines, *map(listing, prototype.inner)])
