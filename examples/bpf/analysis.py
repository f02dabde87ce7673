"""Turns a valid program into what its compiler asks before emitting: what is reached, what a verdict other than 0
needs of a packet's length, and which registers must start at 0.

Every jump goes forward, so one pass over the program, from its end or from its start, answers each question."""

from __future__ import annotations

from dataclasses import dataclass

from . import instruction as bpf
from .instruction import Instruction, Program, is_conditional

NEVER = 1 << 33  # bytes: longer than any packet, so "every path from here gives 0"


def successors(number: int, instruction: Instruction) -> tuple[int, ...]:
    """The instructions that may run next: none, one, or for a conditional jump the one if true, the one if false."""
    if instruction.code & 7 == bpf.RET:
        return ()
    if instruction.code == bpf.JMP | bpf.JA:
        return (number + 1 + instruction.k,)
    if is_conditional(instruction):
        return (number + 1 + instruction.jt, number + 1 + instruction.jf)
    return (number + 1,)


def packet_load(instruction: Instruction) -> tuple[int, bool] | None:
    """For a load from the packet: the bytes the packet must hold (from X on if the second is true); else None."""
    code, _, _, k = instruction
    if code == bpf.LDX | bpf.B | bpf.MSH:
        return k + 1, False
    if code & 7 == bpf.LD and code & 0xE0 in (bpf.ABS, bpf.IND):
        return k + bpf.LOAD_SIZES[code & 0x18], code & 0xE0 == bpf.IND
    return None


def reads(instruction: Instruction) -> str:
    """The registers an instruction reads, of "A" and "X"."""
    code = instruction.code
    kind = code & 7
    if kind in (bpf.ALU, bpf.JMP) and code != bpf.JMP | bpf.JA:
        return "AX" if code & bpf.X and code != bpf.ALU | bpf.NEG else "A"
    if code in (bpf.ST, bpf.RET | bpf.A, bpf.MISC | bpf.TAX):
        return "A"
    if kind in (bpf.STX, bpf.MISC) or (kind == bpf.LD and code & 0xE0 == bpf.IND):
        return "X"
    return ""


def writes(instruction: Instruction) -> str:
    """The register an instruction writes: "A", "X" or none."""
    kind = instruction.code & 7
    if instruction.code == bpf.MISC | bpf.TAX or kind == bpf.LDX:
        return "X"
    return "A" if kind in (bpf.LD, bpf.ALU, bpf.MISC) else ""


@dataclass(frozen=True)
class Analysis:
    """One entry an instruction: what holds before it.

    `needed[i]`: from here on a packet of fewer bytes gets 0 on every path, whatever else it holds. So the first load
    may check this much at once and later loads nothing: a length too short for them all cannot be told from one too
    short for the first. `needed_from_x[i]`: the same for bytes after X, until X changes.
    `live_at_start`: those of "A" and "X" that may be read before they are written."""

    needed: list[int]
    needed_from_x: list[int]
    live_at_start: str


def analyze(program: Program) -> Analysis:
    """The analysis of a program that passed validate()."""
    size = len(program)
    needed, needed_from_x, live = [0] * size, [0] * size, [""] * size
    for number in range(size - 1, -1, -1):
        instruction = program[number]
        after = successors(number, instruction)
        if not after:
            verdict_is_0 = instruction.code == bpf.RET and instruction.k == 0
            needed[number] = needed_from_x[number] = NEVER if verdict_is_0 else 0
        else:
            needed[number] = min(needed[i] for i in after)
            needed_from_x[number] = min(needed_from_x[i] for i in after)
        if writes(instruction) == "X":
            needed_from_x[number] = 0
        load = packet_load(instruction)
        if load:
            length, from_x = load
            # X is not negative: a packet that holds so many bytes after X holds as many after its start.
            needed[number] = max(needed[number], length)
            if from_x:
                needed_from_x[number] = max(needed_from_x[number], length)
        alive = {register for i in after for register in live[i]} - set(writes(instruction))
        live[number] = "".join(sorted(alive | set(reads(instruction))))
    return Analysis(needed, needed_from_x, live[0])
