"""Turns a function's slots into blocks in the order in which to emit them, and into which registers are below 2^32.

Reverse postorder: a block comes after those it is reached from but for loops. Compilers for eBPF put the end of a loop
in front of its middle, and then every jump to it would be taken for a loop of its own."""

from __future__ import annotations

from dataclasses import dataclass

from . import instruction as bpf
from .instruction import Instruction, Kind, Program, kind_of, target_of


@dataclass(frozen=True)
class Block:
    """Slots of instructions that run one after the other. `following`: the slot after the last, if that may run next.

    `choice`: of a block that ends in `w4 = 1; if ... goto end`, after which comes `w4 = 0; end:`, the two constants.
    It needs no branch; where it would be taken the first is chosen, and `end` is what runs next either way."""

    slots: list[int]
    following: int | None
    choice: tuple[int, int] | None = None


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
    leaders, leader = {start}, start
    for number in slots:
        if kind_of(program[number]) in (Kind.JUMP, Kind.BRANCH):
            leaders.update(successors(program, number))
    inside: dict[int, list[int]] = {}
    for number in slots:
        leader = number if number in leaders else leader
        inside.setdefault(leader, []).append(number)
    choices = {leader: _choice(program, each, reached) for leader, each in inside.items()}
    after = {leader: successors(program, each[-1])[: 1 if choices[leader] else None] for leader, each in inside.items()}
    order: list[int] = []
    seen = {start}
    trail = [(start, iter(after[start]))]
    while trail:
        leader, left = trail[-1]
        to = next((each for each in left if each in reached and each not in seen), None)
        if to is None:
            order.append(leader)
            trail.pop()
        else:
            seen.add(to)
            trail.append((to, iter(after[to])))
    found = []
    for leader in reversed(order):
        runs_on = kind_of(program[inside[leader][-1]]) not in (Kind.JUMP, Kind.EXIT)
        following = next((to for to in reversed(after[leader]) if runs_on and to in reached), None)
        found.append(Block(inside[leader], following, choices[leader]))
    return found


def _choice(program: Program, slots: list[int], reached: set[int]) -> tuple[int, int] | None:
    """The constants of a block's choice, None for a block that ends in anything else."""
    branch, other = slots[-1], slots[-1] + 1
    instruction = program[branch]
    if len(slots) < 2 or kind_of(instruction) is not Kind.BRANCH or instruction.code & 0xF0 == bpf.JSET:
        return None
    first, second, target = program[slots[-2]], program[other], target_of(branch, instruction)
    if not (_is_constant(first) and _is_constant(second) and first.dst == second.dst and target in reached):
        return None
    goes_on = target == other + 1 or (
        kind_of(program[other + 1]) is Kind.JUMP and target_of(other + 1, program[other + 1]) == target
    )
    return (_constant(first), _constant(second)) if goes_on and first.dst not in bpf.reads(instruction) else None


def _is_constant(instruction: Instruction) -> bool:
    return instruction.code in (bpf.ALU | bpf.MOV | bpf.K, bpf.ALU64 | bpf.MOV | bpf.K)


def _constant(instruction: Instruction) -> int:
    return instruction.imm if instruction.code & 7 == bpf.ALU64 else instruction.imm & 0xFFFFFFFF


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
        following = successors(program, block.slots[-1])
        if block.choice is not None:
            register, following = program[block.slots[-2]].dst, following[:1]
            narrow = narrow & ~(1 << register) | (min(block.choice) >= 0) << register
        for to in following:
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
