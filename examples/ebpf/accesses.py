"""Turns what is known before each instruction into the check that each access to memory needs; refuses registers that
are read before they are written, and accesses that can never be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from . import instruction as bpf
from . import room
from .helpers import Buffer, HostHelper
from .instruction import FRAME_SIZE, Instruction, Kind, kind_of
from .maps import UPDATE, MapSpec
from .memory import CONTEXT, FIRST_MAP, STACK
from .state import State, What
from .verifier import MAP_HELPERS, Structure, refuse


class Check(Enum):
    """What an access needs when it runs."""

    NOTHING = "nothing"
    LENGTH = "the context's length"  # `offset` + size bytes of it
    RANGE = "an address in one region"
    ANYWHERE = "an address in any region"


@dataclass(frozen=True)
class Access:
    """Of a load, store, atomic, or argument that a helper takes for an address: `offset` is that of its first byte, if
    known. It is of `size` bytes, or, where that is None, of as many as the register `counted_by` holds."""

    check: Check
    size: int | None
    write: bool
    region: int | None = None
    offset: int | None = None
    counted_by: int | None = None


@dataclass(frozen=True)
class Verified:
    """A program that can run. `accesses` by slot and register; `maps`: of calls, the number of the map in r1."""

    program: list[Instruction]
    entry: int
    structure: Structure
    reached: set[int] = field(default_factory=set)
    accesses: dict[tuple[int, int], Access] = field(default_factory=dict)
    maps: dict[int, int] = field(default_factory=dict)
    unset: dict[int, set[int]] = field(default_factory=dict)  # of local calls: arguments that nobody has written


class Recorder:
    """Fills in what is Verified of a program, slot by slot."""

    def __init__(self, verified: Verified, maps: Sequence[MapSpec], helpers: Mapping[int, HostHelper]) -> None:
        self.verified = verified
        self.program = verified.program
        self.maps = maps
        self.helpers = helpers

    def record(self, number: int, state: State) -> None:
        """An instruction that is reached, and what is known before it."""
        instruction, verified = self.program[number], self.verified
        verified.reached.add(number)
        for register in bpf.reads(instruction):
            self._readable(number, register, state)
        kind = kind_of(instruction)
        if kind in (Kind.LOAD, Kind.STORE, Kind.ATOMIC):
            register = bpf.pointer_of(instruction)
            size, write = bpf.size_of(instruction), bpf.writes_memory(instruction)
            verified.accesses[number, register] = self._access(number, register, instruction.offset, size, state, write)
        elif kind is Kind.CALL and instruction.src == bpf.HELPER:
            if instruction.imm in MAP_HELPERS:
                self._map_helper(number, instruction.imm, state)
            else:
                self._host_helper(number, self.helpers[instruction.imm], state)
        elif kind is Kind.CALL:
            unset = {each for each in range(1, 6) if state.registers[each].what is What.UNSET}
            verified.unset[number] = unset

    def _readable(self, number: int, register: int, state: State) -> None:
        if state.registers[register].what is What.UNSET:
            refuse(self.program, number, f"r{register} may be read before it is written; write it on every path first")

    def _host_helper(self, number: int, helper: HostHelper, state: State) -> None:
        for register, argument in enumerate(helper.arguments, 1):
            self._readable(number, register, state)
            if isinstance(argument, Buffer):
                size, counter = argument.size, argument.counted_by
                access = self._access(number, register, 0, size, state, argument.written)
                self.verified.accesses[number, register] = replace(access, counted_by=counter)

    def _map_helper(self, number: int, helper: int, state: State) -> None:
        for register in range(1, 5 if helper == UPDATE else 3):
            self._readable(number, register, state)
        value = state.registers[1]
        if value.what is not What.MAP:
            refuse(self.program, number, f"r1 is {value.what.value}; one map, the same on every path, is accepted")
        which = value.offset or 0
        spec = self.maps[which]
        self.verified.maps[number] = which
        self.verified.accesses[number, 2] = self._access(number, 2, 0, spec.key_size, state, False)
        if helper == UPDATE:
            if not spec.writable:
                refuse(self.program, number, f"map {which} is read-only; a map that can be written is accepted")
            self.verified.accesses[number, 3] = self._access(number, 3, 0, spec.value_size, state, False)

    def _access(self, number: int, register: int, offset: int, size: int | None, state: State, write: bool) -> Access:
        """What an access needs; a size that is None is not known before it runs."""
        what, region, start = state.registers[register]
        if what in (What.ANY, What.LENGTH):
            return Access(Check.ANYWHERE, size, write)
        if what is What.MAP:
            refuse(self.program, number, f"r{register} is a map; a pointer is accepted: look a value up")
        spec = self.maps[region - FIRST_MAP] if region >= FIRST_MAP else None
        if write and spec is not None and not spec.writable:
            refuse(self.program, number, f"writes map {region - FIRST_MAP}, which is read-only")
        if size is None:
            return Access(Check.RANGE, size, write, region)
        if what is What.MAYBE or start is None:
            inside = region == CONTEXT and room.holds(state.rooms, register, offset, size)
            return Access(Check.NOTHING if inside else Check.RANGE, size, write, region)
        first = start + offset
        if region == CONTEXT:
            if first < 0:
                self._outside(number, register, first, size, "the context", 0, None)
            known = state.checked >= first + size
            return Access(Check.NOTHING if known else Check.LENGTH, size, write, region, first)
        low, high, where = (-FRAME_SIZE, 0, "the frame (from r10)") if region == STACK else (0, 0, "the map's value")
        if spec is not None:
            high = spec.value_size
        if first < low or first + size > high:
            self._outside(number, register, first, size, where, low, high)
        return Access(Check.NOTHING, size, write, region, first)

    def _outside(
        self, number: int, register: int, first: int, size: int, where: str, low: int, high: int | None
    ) -> None:
        accepted = f"{low} to {high - size}" if high is not None else f"{low} or more"
        if high is not None and high - size < low:
            accepted = f"{size} bytes do not fit there, nothing"
        refuse(self.program, number, f"r{register} points at offset {first} of {where}; {accepted} is accepted")
