"""Turns a well-formed program into what each register may hold before each instruction, and so into the check that each
access to memory needs; refuses registers that are read before they are written, and accesses that can never be right.

A pointer keeps to the region it was made from, whatever is added to it: the interpreter and compiled code check it
against that region alone. One whose origin is not known, such as one that was loaded, may point into any region.
room.py finds pointers whose accesses are inside since another register counts what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from . import instruction as bpf
from . import room
from .helpers import Buffer, HostHelper, check_helpers
from .instruction import FRAME_POINTER, FRAME_SIZE, EbpfError, Instruction, Kind, Program, kind_of, target_of
from .maps import LOOKUP, UPDATE, MapSpec
from .memory import CONTEXT, FIRST_MAP, STACK
from .verifier import MAP_HELPERS, Structure, check_structure, refuse

_FARTHEST = 1 << 31  # bytes from the start of a region up to which a constant offset is followed


class What(Enum):
    """What is known of a register. `region` and `offset` of a Value belong to the kinds that name them."""

    UNSET = "not written"
    ANY = "a number"
    LENGTH = "the length of the context"
    POINTER = "a pointer"  # region; offset from its start (from r10 for the stack), None if that is not known
    VALUE = "a map value"  # region; offset from the start of one value
    MAYBE = "a map value or null"  # region; offset: the call it comes from
    MAP = "a map"  # offset: its number


class Value(NamedTuple):
    """What one register holds."""

    what: What
    region: int = 0
    offset: int | None = None


UNSET, ANY, LENGTH = Value(What.UNSET), Value(What.ANY), Value(What.LENGTH)


class State(NamedTuple):
    """Registers, how many bytes the context is known to have, and what is known of how many are left."""

    registers: tuple[Value, ...]
    checked: int
    rooms: room.Rooms

    def having(self, register: int, value: Value) -> State:
        """The state with one register changed."""
        return self._replace(registers=(*self.registers[:register], value, *self.registers[register + 1 :]))


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


def verify(
    program: Sequence[Instruction],
    entry: int = 0,
    maps: Sequence[MapSpec] = (),
    helpers: Mapping[int, HostHelper] | None = None,
    frames: int = 8,
) -> Verified:
    """The program that starts at slot `entry`, ready to run. Raises EbpfError naming what is wrong, and where.

    `helpers`: those besides the ones of maps, which are 1, 2 and 3."""
    helpers = dict(helpers or {})
    taken = set(MAP_HELPERS) & set(helpers)
    if taken:
        raise EbpfError(f"helper {min(taken)} is one of maps; other numbers are accepted")
    check_helpers(helpers)
    program = list(program)
    structure = check_structure(program, [entry], maps, [*(MAP_HELPERS if maps else ()), *helpers], frames)
    verified = Verified(program, entry, structure)
    _Analysis(verified, maps, helpers).run()
    return verified


def _join(a: Value, b: Value) -> Value:
    if a == b:
        return a
    if What.UNSET in (a.what, b.what):
        return UNSET
    pointers = (What.POINTER, What.VALUE, What.MAYBE)
    if a.what in pointers and b.what in pointers and a.region == b.region:
        return Value(What.POINTER, a.region)
    return ANY


def _join_states(a: State | None, b: State) -> State:
    if a is None:
        return b
    registers = tuple(map(_join, a.registers, b.registers))
    return State(registers, min(a.checked, b.checked), room.joined(a.rooms, b.rooms))


def _abroad(value: Value) -> Value:
    """A value in another function, whose r10 is another and which knows nothing of this one's calls."""
    if value.what is What.MAYBE or (value.what is What.POINTER and value.region == STACK):
        return Value(What.POINTER, value.region)
    return value


class _Analysis:
    """The state of one analysis: a work list of slots whose state before has changed."""

    def __init__(self, verified: Verified, maps: Sequence[MapSpec], helpers: Mapping[int, HostHelper]) -> None:
        self.verified = verified
        self.program: Program = verified.program
        self.maps = maps
        self.helpers = helpers
        self.before: dict[int, State] = {}
        self.results: dict[int, Value] = {}  # of functions: r0 when they return
        self.callers: dict[int, set[int]] = {}  # of functions: slots of calls
        self.work: list[int] = []

    def run(self) -> None:
        registers = [UNSET] * bpf.REGISTERS
        registers[1], registers[2] = Value(What.POINTER, CONTEXT, 0), LENGTH
        registers[FRAME_POINTER] = Value(What.POINTER, STACK, 0)
        self._reach(self.verified.entry, State(tuple(registers), 0, room.START))
        while self.work:
            number = self.work.pop()
            for target, state in self._after(number, self.before[number]):
                self._reach(target, state)
        for number in sorted(self.before):
            self._record(number, self.before[number])

    def _reach(self, number: int, state: State) -> None:
        joined = _join_states(self.before.get(number), state)
        if joined != self.before.get(number):
            self.before[number] = joined
            self.work.append(number)

    # What an instruction changes.

    def _after(self, number: int, state: State) -> Iterator[tuple[int, State]]:
        """The slots that may run next, and what holds there."""
        instruction = self.program[number]
        kind = kind_of(instruction)
        if kind is Kind.EXIT:
            self._return(self.verified.structure.function_of(number), _abroad(state.registers[0]))
        elif kind is Kind.JUMP:
            yield target_of(number, instruction), state
        elif kind is Kind.BRANCH:
            yield target_of(number, instruction), self._refined(instruction, state, taken=True)
            yield number + 1, self._refined(instruction, state, taken=False)
        elif kind is Kind.CALL:
            after = self._call(number, instruction, state)
            if after is not None:
                yield number + 1, after
        elif kind is Kind.WIDE:
            rooms = room.after(state.rooms, instruction)
            yield number + 2, state._replace(rooms=rooms).having(instruction.dst, self._wide(number, instruction))
        else:
            for register in bpf.writes(instruction):
                value = self._computed(instruction, state) if kind is Kind.ARITHMETIC else ANY
                state = self._checked(number, instruction, state).having(register, value)
            state = self._checked(number, instruction, state, again=True)
            yield number + 1, state._replace(rooms=room.after(state.rooms, instruction))

    def _checked(self, number: int, instruction: Instruction, state: State, *, again: bool = False) -> State:
        """The state after an access: the context has the bytes that were accessed."""
        if kind_of(instruction) not in (Kind.LOAD, Kind.STORE, Kind.ATOMIC) or (again and bpf.writes(instruction)):
            return state
        pointer = state.registers[bpf.pointer_of(instruction)]
        if pointer.what is What.POINTER and pointer.region == CONTEXT and pointer.offset is not None:
            return state._replace(
                checked=max(state.checked, pointer.offset + instruction.offset + bpf.size_of(instruction))
            )
        return state

    def _wide(self, number: int, instruction: Instruction) -> Value:
        if instruction.src in (bpf.MAP, bpf.MAP_BY_INDEX):
            return Value(What.MAP, 0, instruction.imm)
        if instruction.src:
            return Value(What.POINTER, FIRST_MAP + instruction.imm, self.program[number + 1].imm)
        return ANY

    def _computed(self, instruction: Instruction, state: State) -> Value:
        code, dst, src, offset, imm = instruction
        operation = code & 0xF0
        if code & 7 == bpf.ALU:
            return ANY
        right = state.registers[src] if code & bpf.X else ANY
        if operation == bpf.MOV:
            return ANY if offset else right
        left = state.registers[dst]
        pointers = (What.POINTER, What.VALUE, What.MAYBE)
        if operation == bpf.ADD and left.what not in pointers:
            left, right = right, left
        if operation not in (bpf.ADD, bpf.SUB) or left.what not in pointers or right.what in pointers:
            return ANY
        if code & bpf.X or left.what is What.MAYBE or left.offset is None:
            return Value(What.POINTER, left.region)
        moved = left.offset + (imm if operation == bpf.ADD else -imm)
        return left._replace(offset=moved) if abs(moved) < _FARTHEST else Value(What.POINTER, left.region)

    def _refined(self, instruction: Instruction, state: State, *, taken: bool) -> State:
        """What a branch, taken or not, adds: a lookup that found something, a context that is long enough."""
        code, dst, _, _, imm = instruction
        if code & bpf.X or code & 7 == bpf.JMP32:
            return state
        state = state._replace(rooms=room.refined(state.rooms, instruction, taken=taken))
        value, operation = state.registers[dst], code & 0xF0
        if value.what is What.MAYBE and imm == 0 and operation in (bpf.JEQ, bpf.JNE):
            found = taken == (operation == bpf.JNE)
            known = Value(What.VALUE, value.region, 0) if found else ANY
            return state._replace(registers=tuple(known if each == value else each for each in state.registers))
        if value.what is What.LENGTH and imm >= 0:
            at_least = {
                (bpf.JGT, True): imm + 1, (bpf.JGE, True): imm, (bpf.JLT, False): imm, (bpf.JLE, False): imm + 1,
                (bpf.JEQ, True): imm, (bpf.JNE, False): imm,
            }.get((operation, taken), 0)  # fmt: skip
            return state._replace(checked=max(state.checked, at_least))
        return state

    # Calls.

    def _call(self, number: int, instruction: Instruction, state: State) -> State | None:
        """The state after a call, None as long as it is not known to return."""
        registers = list(state.registers)
        registers[1:6] = [UNSET] * 5
        if instruction.src == bpf.HELPER:
            registers[0] = ANY
            # What an earlier round of a loop got from this call is not what it gives now.
            stale = What.MAYBE
            registers = [
                Value(What.POINTER, v.region) if v.what is stale and v.offset == number else v for v in registers
            ]
            if instruction.imm == LOOKUP and state.registers[1].what is What.MAP:
                registers[0] = Value(What.MAYBE, FIRST_MAP + (state.registers[1].offset or 0), number)
            return State(tuple(registers), state.checked, room.after_call(state.rooms))
        start = target_of(number, instruction)
        self.callers.setdefault(start, set()).add(number)
        arguments = [UNSET, *map(_abroad, state.registers[1:6]), *[UNSET] * 4, Value(What.POINTER, STACK, 0)]
        self._reach(start, State(tuple(arguments), state.checked, ()))
        if start not in self.results:
            return None
        registers[0] = self.results[start]
        return State(tuple(registers), state.checked, room.after_call(state.rooms))

    def _return(self, start: int, value: Value) -> None:
        joined = _join(self.results.get(start, value), value)
        if joined != self.results.get(start):
            self.results[start] = joined
            self.work += self.callers.get(start, ())

    # What is recorded once all states are known.

    def _record(self, number: int, state: State) -> None:
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


__all__ = ["Access", "Check", "EbpfError", "Value", "Verified", "verify"]
