"""Turns the code that C compilers make of `sum += x; sum += sum < x` into one op: an addition whose carry comes round.

That is `r1 += r2; w3 = 1; if r1 < r2 goto end; w3 = 0; end: r1 += r3`, of which flow.py takes all up to `end` for one
block, that ends in a choice. Without the op the next sum waits for the addition, a comparison, what makes 0 or 1 of it,
and another addition; with it, for two additions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from . import instruction as bpf
from .flow import Block, successors
from .instruction import Instruction, Kind, Program, kind_of

_ADD, _COPY = bpf.ALU64 | bpf.ADD | bpf.X, bpf.ALU64 | bpf.MOV | bpf.X
# Branches of `sum` and `x`, or of the two exchanged, and whether the carry is what is chosen where they are taken.
_STRAIGHT = {bpf.JMP | bpf.JLT | bpf.X: True, bpf.JMP | bpf.JGE | bpf.X: False}
_SWAPPED = {bpf.JMP | bpf.JGT | bpf.X: True, bpf.JMP | bpf.JLE | bpf.X: False}


@dataclass(frozen=True)
class Carries:
    """`sums`: the slots of additions that become the op. `done`: slots whose instruction is a part of such an op."""

    sums: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)


def find_carries(program: Program, blocks: list[Block]) -> Carries:
    """All of them in one function."""
    found = Carries()
    leaders = {block.slots[0]: block for block in blocks}
    live: dict[int, int] | None = None
    for block in blocks:
        end = leaders.get(block.following or -1)
        if block.choice is None or end is None:
            continue
        branch, after = block.slots[-1], end.slots[0]
        carry = program[block.slots[-2]].dst
        number = _sum(program, block, program[branch])
        if number is None or program[after] != Instruction(_ADD, program[number].dst, carry):
            continue
        if after == blocks[0].slots[0] or sum(after in _leads_to(program, each) for each in blocks) > 1:
            continue
        live = _live_after(program, blocks) if live is None else live
        if not live[after] >> carry & 1:
            found.sums.add(number)
            found.done.update((branch, after))
    return found


def _sum(program: Program, block: Block, branch: Instruction) -> int | None:
    """The slot of the addition whose carry a block's choice is, if it is one."""
    if branch.code in _STRAIGHT:
        is_carry, total, addend = _STRAIGHT[branch.code], branch.dst, branch.src
    elif branch.code in _SWAPPED:
        is_carry, total, addend = _SWAPPED[branch.code], branch.src, branch.dst
    else:
        return None
    if block.choice != ((1, 0) if is_carry else (0, 1)) or total == addend:
        return None
    before = reversed(block.slots[:-2])
    number = _last_write(program, before, total, addend)
    if number is None or program[number].code != _ADD or program[number].dst == program[number].src:
        return None
    if program[number].src == addend:
        return number
    # Or it was a copy of the addend to which something has been added.
    copy = _last_write(program, before, total, addend)
    return number if copy is not None and program[copy] == Instruction(_COPY, total, addend) else None


def _last_write(program: Program, before: Iterator[int], total: int, addend: int) -> int | None:
    """The latest slot that writes `total`; None if there is none, or one behind it reads that or writes `addend`."""
    for number in before:
        instruction = program[number]
        if kind_of(instruction) is Kind.CALL or addend in bpf.writes(instruction):
            return None
        if total in bpf.writes(instruction):
            return number
        if total in bpf.reads(instruction):
            return None
    return None


def _leads_to(program: Program, block: Block) -> list[int]:
    """The slots of the blocks that may run after one."""
    return successors(program, block.slots[-1])[: 1 if block.choice else None]


def _live_after(program: Program, blocks: list[Block]) -> dict[int, int]:
    """Of each slot, a bit for each register that may be read after it before it is written."""
    at_start = dict.fromkeys((block.slots[0] for block in blocks), 0)
    after: dict[int, int] = {}
    changed = True
    while changed:
        changed = False
        for block in reversed(blocks):
            live = 0
            for leader in _leads_to(program, block):
                live |= at_start.get(leader, 0)
            for number in reversed(block.slots):
                after[number] = live
                live = _live_before(program[number], live)
            if live != at_start[block.slots[0]]:
                at_start[block.slots[0]] = live
                changed = True
    return after


def _live_before(instruction: Instruction, live: int) -> int:
    for register in bpf.writes(instruction):
        live &= ~(1 << register)
    # A local function may read what its caller has on the stack, but of the registers the arguments alone.
    read = range(1, 6) if kind_of(instruction) is Kind.CALL else bpf.reads(instruction)
    for register in read:
        live |= 1 << register
    return live
