"""What a loop that goes through the context knows of how many bytes are left: it advances a pointer, counts down a
register by as much, and compares that. Where this shows that an access is inside, it needs no check when it runs.

All numbers here are mathematical: what might wrap is not known any more."""

from __future__ import annotations

from typing import NamedTuple

from . import instruction as bpf
from .instruction import Instruction, Kind, kind_of

_FARTHEST = 1 << 31  # bytes; contexts have at most 2^40 (memory.MAXIMUM_CONTEXT), so that nothing near them wraps


class Room(NamedTuple):
    """`pointer` points into the context or at its end, with `least` bytes or more in front of that end; the register
    `counter` is as many as there are, and `ahead` more."""

    pointer: int
    counter: int
    ahead: int
    least: int


Rooms = tuple[Room, ...]
START: Rooms = (Room(1, 2, 0, 0),)
"""When a run starts: the context and its length."""


def after(rooms: Rooms, instruction: Instruction) -> Rooms:
    """What is known after an instruction that is neither a branch nor a call."""
    step = _step(instruction)
    for register in bpf.writes(instruction):
        moved = [_moved(each, register, step) for each in rooms]
        rooms = tuple(each for each in moved if each is not None)
    return rooms


def _step(instruction: Instruction) -> int:
    """What is added to the register, 0 if it is anything else that happens to it."""
    code, _, _, _, imm = instruction
    if code == bpf.ALU64 | bpf.ADD | bpf.K:
        return imm
    return -imm if code == bpf.ALU64 | bpf.SUB | bpf.K else 0


def _moved(room: Room, register: int, step: int) -> Room | None:
    """The same after a step of a register, or after it got another value if that is 0."""
    pointer, counter, ahead, least = room
    if register == pointer:
        # Backwards it might leave the context by its start.
        return Room(pointer, counter, ahead + step, least - step) if 0 < step <= least else None
    if register == counter:
        ahead += step
        return Room(pointer, counter, ahead, least) if step and ahead + least >= 0 and ahead < _FARTHEST else None
    return room


def after_call(rooms: Rooms) -> Rooms:
    """What is known after a call: the arguments and r0 are lost."""
    return tuple(each for each in rooms if min(each.pointer, each.counter) > 5)


def refined(rooms: Rooms, instruction: Instruction, *, taken: bool) -> Rooms:
    """What a branch, taken or not, adds."""
    code, register, _, _, imm = instruction
    if kind_of(instruction) is not Kind.BRANCH or code & bpf.X or code & 7 != bpf.JMP or imm < 0:
        return rooms
    at_least = {
        (bpf.JGT, True): imm + 1, (bpf.JGE, True): imm, (bpf.JLT, False): imm, (bpf.JLE, False): imm + 1,
        (bpf.JEQ, True): imm, (bpf.JNE, False): imm, (bpf.JEQ, False): imm == 0, (bpf.JNE, True): imm == 0,
    }.get((code & 0xF0, taken), 0)  # fmt: skip
    return tuple(
        each._replace(least=max(each.least, at_least - each.ahead)) if each.counter == register else each
        for each in rooms
    )


def joined(rooms: Rooms, others: Rooms) -> Rooms:
    """What is known where what is known is either of both. A `least` that falls, falls to 0: loops soon settle."""
    known = {each[:3]: each.least for each in others}
    found = []
    for each in rooms:
        least = known.get(each[:3])
        if least is not None:
            found.append(each if least >= each.least else each._replace(least=0))
    return tuple(found)


def holds(rooms: Rooms, pointer: int, offset: int, size: int) -> bool:
    """Whether an access by a pointer is known to be inside of the context."""
    return any(each.pointer == pointer and offset >= 0 and offset + size <= each.least for each in rooms)
