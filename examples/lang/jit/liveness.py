"""Finds which registers are read after each instruction before they are written."""

from __future__ import annotations

from .. import bytecode as bc
from ..bytecode import OPERANDS, Instruction, Prototype


def reads(instruction: Instruction) -> list[int]:
    """The registers, or constants, that an instruction reads."""
    op = instruction[0]
    found: list[int] = []
    for role, operand in zip(OPERANDS[op], instruction[1:]):
        if role == "r":
            found.append(operand)
        elif role == "f":
            found += (operand, operand + 1)
        elif role == "b":
            found += range(operand, operand + instruction[3] + (op == bc.CALL))
    return found


def writes(instruction: Instruction) -> list[int]:
    """The registers that it writes."""
    role, operand = OPERANDS[instruction[0]][0], instruction[1]
    if role == "d":
        return [operand]
    if role == "f":
        return [operand + 2] if instruction[0] == bc.FOR_PREPARE else [operand, operand + 2]
    return []


def successors(pc: int, instruction: Instruction) -> list[int]:
    """What may run next: where a jump leads comes last."""
    op = instruction[0]
    if op == bc.RETURN:
        return []
    found = [] if op == bc.JUMP else [pc + 1]
    if op in bc.JUMPS:
        found.append(instruction[1 + OPERANDS[op].index("j")])
    return found


def live_before(prototype: Prototype) -> list[list[int]]:
    """Of each instruction the registers that are live before it, in order."""
    code = prototype.code
    registers = (1 << prototype.registers) - 1
    gen = [_mask(reads(each)) & registers for each in code]
    kill = [_mask(writes(each)) for each in code]
    after = [successors(pc, each) for pc, each in enumerate(code)]
    live = [0] * len(code)
    changed = True
    while changed:
        changed = False
        for pc in range(len(code) - 1, -1, -1):
            op, before = code[pc][0], gen[pc]
            for each in after[pc]:
                # A for loop writes only on one of its ways.
                written = not (op == bc.FOR and each == pc + 1) and not (op == bc.FOR_PREPARE and each != pc + 1)
                before |= live[each] & ~kill[pc] if written else live[each]
            if before != live[pc]:
                live[pc] = before
                changed = True
    return [[each for each in range(prototype.registers) if mask >> each & 1] for mask in live]


def _mask(registers: list[int]) -> int:
    mask = 0
    for each in registers:
        mask |= 1 << each
    return mask


def joins(prototype: Prototype) -> frozenset[int]:
    """The instructions that jumps lead to."""
    return frozenset(successors(pc, each)[-1] for pc, each in enumerate(prototype.code) if each[0] in bc.JUMPS)
