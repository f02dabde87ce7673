"""Turns a function's slots into blocks in the order in which to emit them, and into which registers are below 2^32.

Reverse postorder: a block comes after those it is reached from but for loops. Compilers for eBPF put the end of a loop
in front of its middle, and then every jump to it would be taken for a loop of its own."""

from __future__ import annotations

from dataclasses import dataclass

from . import instruction as bpf
from .instruction import Instruction, Kind, Program, kind_of, target_of


@dataclass(frozen=True)
class Block:
    """Slots of instructions that run one after the other. `following`: the slot after the last, if that may run next."""

    slots: list[int]
    following: int | None


def successors(program: Program, number: int) -> list[int]:
    """The slots that may run after one in the same function: the target of a branch first."""
    instruction, kind = program[number], kind_of(program[number])
    if kind is Kind.EXIT:
        return []
    if kind is Kind.JUMP:
        return [target_of(number, instruction)]
    after = number + (2 if kind is Kind.WIDE else 1)
    return [target_of(number, instruction), after] if kind is Kind.BRANCH else [after]


def blocks_of(program: Program, start: int, reached: set[int], end: int) -> list[Block]:
    """The blocks of the function from `start` up to `end`, those of `reached` slots, in reverse postorder."""
    slots = [number for number in range(start, end) if number in reached]
    leaders = {start}
    for number in slots:
        if kind_of(program[number]) in (Kind.JUMP, Kind.BRANCH):
            leaders.update(successors(program, number))
    blocks: dict[int, Block] = {}
    for number in slots:
        if number in leaders:
            inside = blocks[number] = Block([], None)
        inside.slots.append(number)
    after = {leader: [to for to in successors(program, each.slots[-1]) if to in reached] for leader, each in blocks.items()}
    order: list[int] = []
    seen = {start}
    trail = [(start, iter(after[start]))]
    while trail:
        leader, left = trail[-1]
        to = next((each for each in left if each not in seen), None)
        if to is None:
            order.append(leader)
            trail.pop()
        else:
            seen.add(to)
            trail.append((to, iter(after[to])))
    found = []
    for leader in reversed(order):
        runs_on = kind_of(program[blocks[leader].slots[-1]]) not in (Kind.JUMP, Kind.EXIT) and after[leader]
        found.append(Block(blocks[leader].slots, after[leader][-1] if runs_on else None))
    return found


def narrow_before(program: Program, blocks: list[Block]) -> dict[int, int]:
    """Of each slot, a bit for each register that is below 2^32 whenever it is reached."""
    every = (1 << bpf.REGISTERS) - 1
    by_leader = {block.slots[0]: block for block in blocks}
    at_start = dict.fromkeys(by_leader, every)
    at_start[blocks[0].slots[0]] = 0
    before: dict[int, int] = {}
    work = [block.slots[0] for block in reversed(blocks)]
    while work:
        block = by_leader[work.pop()]
        narrow = at_start[block.slots[0]]
        for number in block.slots:
            before[number] = narrow
            narrow = _narrow_after(program[number], narrow)
        for to in successors(program, block.slots[-1]):
            if to in at_start and at_start[to] & narrow != at_start[to]:
                at_start[to] &= narrow
                work.append(to)
    return before


def _narrow_after(instruction: Instruction, narrow: int) -> int:
    for register in bpf.writes(instruction):
        narrow &= ~(1 << register)
        if _is_narrow(instruction, narrow):
            narrow |= 1 << register
    return narrow & ~0b111110 if kind_of(instruction) is Kind.CALL else narrow


def _is_narrow(instruction: Instruction, narrow: int) -> bool:
    code, _, src, offset, imm = instruction
    kind, operation = kind_of(instruction), code & 0xF0
    if kind is Kind.ARITHMETIC:
        if code & 7 == bpf.ALU:
            return True
        if operation == bpf.MOV:
            return not offset and bool(narrow >> src & 1) if code & bpf.X else imm >= 0
        if operation == bpf.AND:
            return bool(narrow >> src & 1) if code & bpf.X else imm >= 0
        return operation == bpf.RSH and not code & bpf.X and imm & 63 >= 32
    if kind is Kind.SWAP:
        return imm < 64
    if kind in (Kind.LOAD, Kind.ATOMIC):
        return bpf.size_of(instruction) < 8 and not (kind is Kind.LOAD and code & 0xE0 == bpf.MEMSX)
    return False
