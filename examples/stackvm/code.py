"""Text -> bytecode: the guest's functions, each an array of instructions of four bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum, auto

INSTRUCTION = struct.Struct("<BBh")
"""An opcode and two operands, a and b."""
MOST_PARAMETERS = 7


class GuestError(Exception):
    """What is wrong with a program, and where."""


class Op(IntEnum):
    """What an instruction does. Jumps go to instruction b."""

    PUSH = auto()  # the number b
    GET = auto()  # local a
    SET = auto()
    ADD = auto()
    MUL = auto()
    ITEM = auto()  # the item that the top of the stack numbers
    UNLESS_LESS = auto()  # jumps
    JUMP = auto()  # ahead
    LOOP = auto()  # back
    CALL = auto()  # function a with b arguments
    RETURN = auto()


@dataclass(eq=False)
class Function:
    """A function of the guest. Its parameters are its first locals; the others are 0 when it begins."""

    name: str
    arity: int
    locals: int
    code: bytearray = field(repr=False)


def assemble(text: str) -> list[Function]:
    """The functions of a text: `function name parameter... = instruction...`, where a word with a colon is a label."""
    parts = [part.split() for part in text.split("function ")[1:]]
    numbers = {name: number for number, (name, *_) in enumerate(parts)}
    return [_function(part, numbers) for part in parts]


def _function(words: list[str], numbers: dict[str, int]) -> Function:
    body = words.index("=") + 1
    local = {name: number for number, name in enumerate(words[1 : body - 1])}
    arity, labels, rows = len(local), {}, list[list[str]]()
    for word in words[body:]:
        if word.endswith(":"):
            labels[word[:-1]] = len(rows)
        elif word.upper() in Op.__members__:
            rows.append([word])
        else:
            rows[-1].append(word)
    code = bytearray()
    for name, *operands in rows:
        op, a, b = Op[name.upper()], 0, 0
        if op in (Op.GET, Op.SET):
            a = local.setdefault(operands[0], len(local))
        elif op is Op.CALL:
            a, b = numbers[operands[0]], int(operands[1])
        elif operands:
            b = int(operands[0]) if op is Op.PUSH else labels[operands[0]]
        code += INSTRUCTION.pack(op, a, b)
    return Function(words[0], arity, len(local), code)
