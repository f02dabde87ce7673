"""The memory that a program may touch: named regions of real addresses, each with its length and whether it is written.

Regions are numbered: 0 is the context (what a run is called with), 1 the stack, 2 + i the values of map i."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from .instruction import (
    FRAME_SIZE,
    EbpfError,
    Instruction,
    Kind,
    format_instruction,
    kind_of,
    pointer_of,
    size_of,
    writes_memory,
)

CONTEXT, STACK, FIRST_MAP = 0, 1, 2
MASK = 0xFFFFFFFFFFFFFFFF
FRAMES = 8  # of the stack: as many functions may be active at once as in Linux

# The words of a machine's state, by their offset in bytes: what compiled code leaves when it stops at an instruction.
FAULT_PLACE, FAULT_ADDRESS, FAULT_SIZE, CONTEXT_BASE, CONTEXT_LENGTH = 0, 8, 16, 24, 32
STATE_SIZE = 40
MAXIMUM_CONTEXT = 1 << 40  # bytes: sums of lengths and offsets do not wrap


def check_length(length: int) -> None:
    """Raises EbpfError for a context that is too long."""
    if not 0 <= length <= MAXIMUM_CONTEXT:
        raise EbpfError(f"a context of {length} bytes; 0 to {MAXIMUM_CONTEXT} are accepted")


class Fault(EbpfError):
    """A run that stopped: `number` is the slot of the instruction, `address` what it wanted to access."""

    def __init__(self, message: str, number: int, address: int = 0) -> None:
        super().__init__(message)
        self.number = number
        self.address = address


class OutOfBudget(EbpfError):
    """A run that was stopped after `budget` turns. What it did to maps and context until then is done."""

    def __init__(self, budget: int) -> None:
        super().__init__(f"the run was stopped: its budget of {budget} turns is spent")
        self.budget = budget


@dataclass(frozen=True)
class Region:
    """Bytes at `address`, which `keep` holds on to."""

    name: str
    address: int
    length: int
    writable: bool
    keep: object = None

    def holds(self, address: int, size: int) -> bool:
        """Whether all of the bytes at an address lie in the region."""
        return self.address <= address and address + size <= self.address + self.length


def buffer_region(name: str, length: int, *, writable: bool = True) -> Region:
    """A region of zeros, 8-aligned, of at least one word."""
    words = (ctypes.c_uint64 * max(1, -(-length // 8)))()
    return Region(name, ctypes.addressof(words), length, writable, words)


class Memory:
    """The stack, the maps' values and the state of one machine; the context comes and goes with each run."""

    def __init__(self, maps: list[Region], frames: int = FRAMES) -> None:
        self.frames = frames
        self.stack = buffer_region("the stack", FRAME_SIZE * frames)
        self.state = buffer_region("the state", STATE_SIZE)
        self.context = Region("the context", 0, 0, False)
        self.maps = maps

    @property
    def top(self) -> int:
        """r10 of the function that a run starts with."""
        return self.stack.address + self.stack.length

    def region(self, index: int) -> Region:
        """A region by its number."""
        return (self.context, self.stack)[index] if index < FIRST_MAP else self.maps[index - FIRST_MAP]

    def regions(self) -> list[Region]:
        """All of them, by number."""
        return [self.context, self.stack, *self.maps]

    def allows(self, address: int, size: int, *, write: bool, region: int | None) -> bool:
        """Whether an access is inside a region that takes it: the given one, or any."""
        where = self.regions() if region is None else [self.region(region)]
        return any(each.holds(address, size) and (each.writable or not write) for each in where)

    @staticmethod
    def read(address: int, size: int) -> int:
        """The number of `size` bytes at an address, which has been checked."""
        return int.from_bytes(ctypes.string_at(address, size), "little")

    @staticmethod
    def write(address: int, size: int, value: int) -> None:
        """Store the low bytes of a number at an address, which has been checked."""
        ctypes.memmove(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"), size)

    def state_word(self, offset: int) -> int:
        """A word of the state."""
        return self.read(self.state.address + offset, 8)

    # Faults, the same whoever finds them.

    def access_fault(self, program: list[Instruction], number: int, address: int, region: int | None) -> Fault:
        """What to raise for a load, store or atomic at an address that its region does not hold, or for an atomic
        at one that is no multiple of its size."""
        instruction = program[number]
        size = size_of(instruction)
        verb = "writes" if writes_memory(instruction) else "reads"
        what = f"{verb} {size} byte{'s' * (size > 1)} at"
        text = f"instruction {number}, `{format_instruction(number, program)}`: {what} {{}}"
        pointer = f"address {address:#x} (r{pointer_of(instruction)} with offset {instruction.offset})"
        if kind_of(instruction) is Kind.ATOMIC and self.allows(address, size, write=True, region=region):
            return Fault(f"{text.format(pointer)}, which is no multiple of {size}", number, address)
        return self._fault(text, number, address, size, region, verb == "writes", pointer)

    def argument_fault(
        self, number: int, register: int, address: int, size: int, region: int | None, *, helper: int, write: bool
    ) -> Fault:
        """What to raise for a helper's argument that does not point at `size` bytes."""
        what = f"{size} byte{'s' * (size != 1)}" + (" that can be written" if write else "")
        text = f"instruction {number}, `call helper {helper}`: r{register} has to point at {what}, but is {{}}"
        return self._fault(text, number, address, size, region, write, f"address {address:#x}")

    def _fault(
        self, text: str, number: int, address: int, size: int, region: int | None, write: bool, pointer: str
    ) -> Fault:
        held = next((each for each in self.regions() if each.holds(address, size)), None)
        if region is not None:
            found = self.region(region)
            offset = address - found.address
            if found.holds(address, size) and write:
                where = f"offset {offset} of {found.name}, which is read-only"
            else:
                where = f"offset {offset} of {found.name}, which holds {found.length} bytes"
        elif held is not None and write:
            where = f"offset {address - held.address} of {held.name}, which is read-only"
        else:
            where = f"{pointer}, which is in no region"
        return Fault(text.format(where), number, address)

    def depth_fault(self, program: list[Instruction], number: int) -> Fault:
        """What to raise for a local call when every frame is in use."""
        text = format_instruction(number, program)
        return Fault(f"instruction {number}, `{text}`: at most {self.frames} functions may be active at once", number)
