"""Turns an untrusted program into one whose every instruction is well-formed and jumps where it may, or into an error.

What is in registers is analysis.py's part, which starts from the functions that are found here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from . import instruction as bpf
from .instruction import EbpfError, Instruction, Kind, Program, format_instruction, is_wide, kind_of, target_of
from .maps import DELETE, LOOKUP, UPDATE, MapSpec

MAP_HELPERS = (LOOKUP, UPDATE, DELETE)
_LIMITS = {"code": (0, 255), "dst": (0, 15), "src": (0, 15), "offset": (-(1 << 15), (1 << 15) - 1)}
_LIMITS["imm"] = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True)
class Structure:
    """`starts`: the first slot of each function, ascending. `calls`: of each function, the slots of its local calls."""

    starts: list[int]
    size: int
    calls: dict[int, list[int]] = field(default_factory=dict)

    def function_of(self, number: int) -> int:
        """The first slot of the function that a slot is in."""
        return self.starts[bisect_right(self.starts, number) - 1]

    def end_of(self, start: int) -> int:
        """The slot after the last one of a function."""
        after = bisect_right(self.starts, start)
        return self.starts[after] if after < len(self.starts) else self.size


def refuse(program: Program, number: int, why: str) -> NoReturn:
    """Raise the error that names an instruction."""
    raise EbpfError(f"instruction {number}, `{format_instruction(number, program)}`: {why}")


def check_structure(
    program: Program, entries: Iterable[int], maps: Sequence[MapSpec], helpers: Collection[int], frames: int
) -> Structure:
    """The functions of a program that starts at one of `entries`. Raises EbpfError for what is not well-formed.

    The message names the slot (from 0), its text, the field, its value, and what would be accepted."""
    if not program:
        raise EbpfError("the program has no instructions; at least one, an exit, is needed")
    if len(program) > bpf.MAXIMUM_SLOTS:
        raise EbpfError(f"the program has {len(program)} slots; at most {bpf.MAXIMUM_SLOTS} are accepted")
    heads = _check_instructions(program, maps, helpers)
    starts = {0}
    for entry in entries:
        if entry not in heads:
            raise EbpfError(f"the program cannot start at slot {entry}; the first slot of an instruction is needed")
        starts.add(entry)
    for number in heads:
        if kind_of(program[number]) is Kind.CALL and program[number].src == bpf.LOCAL:
            _check_target(program, number, heads, 0, len(program), "the program")
            starts.add(target_of(number, program[number]))
    structure = Structure(sorted(starts), len(program))
    for start in structure.starts:
        _check_function(program, heads, structure, start)
    _check_depth(program, structure, frames)
    return structure


def _check_instructions(program: Program, maps: Sequence[MapSpec], helpers: Collection[int]) -> set[int]:
    """Check each instruction by itself; returns the slots that are not the second of an LD_IMM64."""
    heads = set()
    number = 0
    while number < len(program):
        instruction = program[number]
        for name, (low, high) in _LIMITS.items():
            value = getattr(instruction, name)
            if not low <= value <= high:
                raise EbpfError(f"instruction {number}: {name} is {value}; {low} to {high} is accepted")
        if instruction.code not in bpf.OPCODES:
            accepted = "accepted are those of RFC 9669 but for the legacy packet loads"
            raise EbpfError(f"instruction {number}: opcode {instruction.code:#04x} is not known; {accepted}")
        _check_registers(program, number, instruction)
        _check_fields(program, number, instruction)
        heads.add(number)
        if is_wide(instruction):
            _check_wide(program, number, instruction, maps)
            number += 1
        elif kind_of(instruction) is Kind.CALL and instruction.src == bpf.HELPER and instruction.imm not in helpers:
            known = ", ".join(map(str, sorted(helpers))) or "none"
            refuse(program, number, f"there is no helper {instruction.imm}; accepted: {known}")
        number += 1
    return heads


def _check_registers(program: Program, number: int, instruction: Instruction) -> None:
    for name in ("dst", "src"):
        value = getattr(instruction, name)
        if value >= bpf.REGISTERS:
            raise EbpfError(f"instruction {number}: {name} is {value}; registers 0 to {bpf.FRAME_POINTER} are accepted")
    if bpf.FRAME_POINTER in bpf.writes(instruction):
        refuse(program, number, "writes r10, the frame pointer; r0 to r9 are accepted")


def _check_fields(program: Program, number: int, instruction: Instruction) -> None:
    """Fields that an opcode does not use are 0, and those that choose a variant have a known value."""
    accepted = _accepted_fields(instruction)
    for name, values in accepted.items():
        value = getattr(instruction, name)
        if value not in values:
            words = " or ".join(f"{each:#x}" if name == "imm" and each > 64 else str(each) for each in values)
            words = ", ".join(words.split(" or ")) if len(values) > 3 else words
            refuse(program, number, f"{name} is {value}; {words} is accepted")


def _accepted_fields(instruction: Instruction) -> dict[str, tuple[int, ...]]:
    code = instruction.code
    kind, by_register = kind_of(instruction), code & bpf.X
    zero: tuple[int, ...] = (0,)
    if kind is Kind.ARITHMETIC:
        operation = code & 0xF0
        accepted = {"imm" if by_register else "src": zero, "offset": zero}
        if operation == bpf.NEG:
            accepted = {"src": zero, "imm": zero, "offset": zero}
        elif operation in (bpf.DIV, bpf.MOD):
            accepted["offset"] = (0, 1)
        elif operation == bpf.MOV and by_register:
            accepted["offset"] = (0, 8, 16, 32) if code & 7 == bpf.ALU64 else (0, 8, 16)
        return accepted
    if kind is Kind.SWAP:
        return {"src": zero, "offset": zero, "imm": (16, 32, 64)}
    if kind is Kind.JUMP:
        return {"dst": zero, "src": zero, "offset" if code & 7 == bpf.JMP32 else "imm": zero}
    if kind is Kind.BRANCH:
        return {"imm" if by_register else "src": zero}
    if kind is Kind.CALL:
        return {"dst": zero, "offset": zero, "src": (bpf.HELPER, bpf.LOCAL)}
    if kind is Kind.EXIT:
        return {"dst": zero, "src": zero, "offset": zero, "imm": zero}
    if kind is Kind.ATOMIC:
        return {"imm": tuple(bpf.ATOMICS)}
    if kind is Kind.WIDE:
        sources = (0, bpf.MAP, bpf.MAP_VALUE, bpf.MAP_BY_INDEX, bpf.MAP_VALUE_BY_INDEX)
        return {"offset": zero, "src": sources}
    return {"src": zero} if code & 7 == bpf.ST else {"imm": zero}


def _check_wide(program: Program, number: int, instruction: Instruction, maps: Sequence[MapSpec]) -> None:
    if number + 1 == len(program):
        refuse(program, number, "its second slot is missing: the program ends here")
    second = program[number + 1]
    for name in ("code", "dst", "src", "offset"):
        if getattr(second, name):
            raise EbpfError(
                f"instruction {number}: {name} of its second slot is {getattr(second, name)}; 0 is accepted"
            )
    low, high = _LIMITS["imm"]
    if not low <= second.imm <= high:
        raise EbpfError(f"instruction {number}: imm of its second slot is {second.imm}; {low} to {high} is accepted")
    if not instruction.src:
        return
    if not 0 <= instruction.imm < len(maps):
        accepted = f"0 to {len(maps) - 1} are accepted" if maps else "the program has none"
        refuse(program, number, f"there is no map {instruction.imm}; {accepted}")
    spec = maps[instruction.imm]
    is_value = instruction.src in (bpf.MAP_VALUE, bpf.MAP_VALUE_BY_INDEX)
    # A pointer to the end of an array's value may be formed; the values of a hash map have no order to point into.
    limit = spec.value_size if is_value and spec.max_entries == 1 else 0
    if not 0 <= second.imm <= limit:
        refuse(program, number, f"offset {second.imm} of map {instruction.imm}; 0 to {limit} is accepted")


def _check_target(program: Program, number: int, heads: set[int], start: int, end: int, where: str) -> None:
    target = target_of(number, program[number])
    if not start <= target < end:
        refuse(program, number, f"goes to {target}, outside {where}; {start} to {end - 1} is accepted")
    if target not in heads:
        refuse(program, number, f"goes to {target}, the second slot of `{format_instruction(target - 1, program)}`")


def _check_function(program: Program, heads: set[int], structure: Structure, start: int) -> None:
    end = structure.end_of(start)
    inside = [number for number in range(start, end) if number in heads]
    for number in inside:
        kind = kind_of(program[number])
        if kind in (Kind.JUMP, Kind.BRANCH):
            _check_target(program, number, heads, start, end, "its function")
        elif kind is Kind.CALL and program[number].src == bpf.LOCAL:
            structure.calls.setdefault(start, []).append(number)
    if kind_of(program[inside[-1]]) not in (Kind.EXIT, Kind.JUMP):
        refuse(program, inside[-1], "is the last instruction of its function; the last one must be an exit or a goto")


def _check_depth(program: Program, structure: Structure, frames: int) -> None:
    """Refuse calls without recursion that need more frames than there are; recursion is counted when it runs."""
    depths: dict[int, int | None] = {}  # None: recursive, or calls what is

    def successors(start: int) -> list[int]:
        return [target_of(number, program[number]) for number in structure.calls.get(start, ())]

    for root in structure.starts:  # a stack of its own: a chain of calls may be longer than Python's
        trail, active = [root], {root}
        while trail:
            start = trail[-1]
            waiting = [each for each in successors(start) if each not in depths]
            if any(each in active for each in waiting):
                depths.update(dict.fromkeys(trail))
                active.clear()
                trail.clear()
            elif waiting:
                trail.append(waiting[0])
                active.add(waiting[0])
            else:
                below = [depths[each] for each in successors(start)]
                known = [each for each in below if each is not None]
                depths.setdefault(start, None if len(known) < len(below) else 1 + max(known, default=0))
                active.discard(trail.pop())
    for start, depth in sorted(depths.items()):
        if depth is not None and depth > frames:
            raise EbpfError(f"function at {start}: its calls need {depth} stack frames; at most {frames} are accepted")
