"""Turns a well-formed program into what each register may hold before each instruction, and so into a program that can
run, whose accesses to memory have the checks that they need.

A pointer keeps to the region it was made from, whatever is added to it: the interpreter and compiled code check it
against that region alone. One whose origin is not known, such as one that was loaded, may point into any region.
room.py finds pointers whose accesses are inside since another register counts what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from . import instruction as bpf
from . import room
from .accesses import Recorder, Verified
from .helpers import HostHelper, check_helpers
from .instruction import FRAME_POINTER, EbpfError, Instruction, Kind, Program, kind_of, target_of
from .maps import LOOKUP, MapSpec
from .memory import CONTEXT, FIRST_MAP, STACK
from .state import ANY, LENGTH, UNSET, State, Value, What, abroad, join, join_states
from .verifier import MAP_HELPERS, check_structure

_FARTHEST = 1 << 31  # bytes from the start of a region up to which a constant offset is followed


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
        recorder = Recorder(self.verified, self.maps, self.helpers)
        for number in sorted(self.before):
            recorder.record(number, self.before[number])

    def _reach(self, number: int, state: State) -> None:
        joined = join_states(self.before.get(number), state)
        if joined != self.before.get(number):
            self.before[number] = joined
            self.work.append(number)

    # What an instruction changes.

    def _after(self, number: int, state: State) -> Iterator[tuple[int, State]]:
        """The slots that may run next, and what holds there."""
        instruction = self.program[number]
        kind = kind_of(instruction)
        if kind is Kind.EXIT:
            self._return(self.verified.structure.function_of(number), abroad(state.registers[0]))
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
        arguments = [UNSET, *map(abroad, state.registers[1:6]), *[UNSET] * 4, Value(What.POINTER, STACK, 0)]
        self._reach(start, State(tuple(arguments), state.checked, ()))
        if start not in self.results:
            return None
        registers[0] = self.results[start]
        return State(tuple(registers), state.checked, room.after_call(state.rooms))

    def _return(self, start: int, value: Value) -> None:
        joined = join(self.results.get(start, value), value)
        if joined != self.results.get(start):
            self.results[start] = joined
            self.work += self.callers.get(start, ())
