"""Emits what a function does with memory: loads, stores and atomics, each behind the check that it needs, and checks of
what helpers take for addresses.

A check compares an address with the region that the analysis found, in one unsigned comparison. Where it fails the way
out, behind everything else, leaves in the machine's state what fault_of() makes the interpreter's error of. Atomics are
ops of the example's own."""

from __future__ import annotations

from collections.abc import Callable

from cnp import Label, Register, i32, i64

from . import instruction as bpf
from .accesses import Check, Verified
from .arithmetic import Arithmetic
from .atomics import method_of
from .helpers import PARAMETERS
from .instruction import Instruction, Kind, kind_of
from .map_code import load, store
from .memory import (
    CONTEXT,
    CONTEXT_BASE,
    CONTEXT_LENGTH,
    FAULT_ADDRESS,
    FAULT_PLACE,
    FAULT_SIZE,
    MAXIMUM_CONTEXT,
    Memory,
    check_length,
)
from .region_code import Anywhere, leave_unless_held

_SIGNED_LOADS = {1: "i64_load8_s", 2: "i64_load16_s", 4: "i64_load32_s"}
_ARGUMENT = 8  # what a fault's place adds, in units of 2^32, to the register of a helper's argument


def _refuse_length(_: str, values: tuple[int, ...]) -> None:
    """Where a context of any other length is left for an error."""
    check_length(*values)


class AccessCode:
    """Memory, in one function under construction: its slots are `start` to `end`. The one that a run starts with has
    the context and its length for parameters; what others need of them they find in the machine's state."""

    def __init__(self, verified: Verified, anywhere: Anywhere, arithmetic: Arithmetic, start: int, end: int) -> None:
        self.verified = verified
        self.program = verified.program
        self.anywhere = anywhere
        self.memory = anywhere.memory
        self.arithmetic = arithmetic
        self.function, self.registers = arithmetic.function, arithmetic.registers
        self.outside: list[Callable[[], None]] = []  # emits the code that is run but for faults, after the rest
        self.context = self.length = self.negated = self.registers[0]
        self.positions: dict[int, Register] = {}  # by size: how many bytes that large an access may start at
        self._in_context = [
            each for (number, _), each in verified.accesses.items() if start <= number < end and each.region == CONTEXT
        ]

    def begin_entry(self, *, keeps: bool) -> None:
        """Emit what comes before the first instruction. `keeps`: other functions ask for the context."""
        f = self.function
        self.context, self.length = f.reg(i64), f.reg(i64)
        f.move(self.context, f.params[0])
        f.move(self.length, f.params[1])
        # What room.py proves, and sums with the length, must not wrap.
        f.branch_i64_gt_u(self.length, MAXIMUM_CONTEXT, f.exit(_refuse_length, "length", [self.length]))
        if keeps:
            f.i64_store(self.context, self.memory.state.address, CONTEXT_BASE)
            f.i64_store(self.length, self.memory.state.address, CONTEXT_LENGTH)
        self._begin()

    def begin_local(self) -> None:
        """The same in a function that is called by others."""
        f = self.function
        self.context, self.length = f.reg(i64), f.reg(i64)
        if any(each.check is not Check.NOTHING for each in self._in_context):
            f.i64_load(self.context, self.memory.state.address, CONTEXT_BASE)
            f.i64_load(self.length, self.memory.state.address, CONTEXT_LENGTH)
        self._begin()

    def _begin(self) -> None:
        ranges = [each for each in self._in_context if each.check is Check.RANGE]
        if ranges:
            self.negated = self.function.reg(i64)
            self.function.i64_sub(self.negated, 0, self.context)
        for size in {each.size for each in ranges if each.size is not None}:
            self._count_positions(size)

    def _count_positions(self, size: int) -> None:
        """Emit max(0, length - size + 1): where in the context so large an access may start, counted from 0."""
        f = self.function
        if size == 1:
            self.positions[size] = self.length
            return
        positions, enough = f.reg(i64), f.label()
        f.i64_sub(positions, self.length, size - 1)
        f.branch_i64_ge_s(positions, 0, enough)
        f.i64_const(positions, 0)
        f.place(enough)
        self.positions[size] = positions

    def end(self) -> None:
        """Emit the ways out."""
        for emit in self.outside:
            emit()

    def access(self, number: int, instruction: Instruction) -> None:
        """Emit a load, a store or an atomic."""
        f, registers = self.function, self.registers
        code, dst, src, offset, imm = instruction
        register, size = bpf.pointer_of(instruction), bpf.size_of(instruction)
        self._check(number, register, offset)
        base = registers[register]
        kind = kind_of(instruction)
        if kind is Kind.ATOMIC:
            self._atomic(number, instruction, base, size)
        elif kind is Kind.STORE:
            store(f, size, imm if code & 7 == bpf.ST else registers[src], base, offset)
        elif code & 0xE0 == bpf.MEMSX:
            getattr(f, _SIGNED_LOADS[size])(registers[dst], base, offset)
        else:
            load(f, size, registers[dst], base, offset)

    def _atomic(self, number: int, instruction: Instruction, base: Register, size: int) -> None:
        f, registers = self.function, self.registers
        operand, offset, imm = registers[instruction.src], instruction.offset, instruction.imm
        at, beyond, fault = f.reg(i64), f.reg(i64), f.label()
        f.i64_add(at, base, offset)
        f.i64_and(beyond, at, size - 1)
        f.branch_i64_nez(beyond, fault)
        self.outside.append(lambda: self._fault(fault, number, base, offset))
        emit = getattr(f, method_of(imm, size))
        if imm == bpf.CMPXCHG:
            emit(registers[0], at, registers[0], operand)
        elif imm & bpf.FETCH:
            emit(operand, at, operand)
        else:
            emit(at, operand)

    def check_arguments(self, number: int) -> None:
        """Emit the checks of the registers that a helper takes for addresses."""
        for register in range(1, 1 + PARAMETERS):
            if (number, register) in self.verified.accesses:
                self._check(number, register, 0)

    def _check(self, number: int, register: int, offset: int) -> None:
        """Emit the check of an access by a register, unless none is needed."""
        f, pointer = self.function, self.registers[register]
        access = self.verified.accesses[number, register]
        size = self.registers[access.counted_by or 0] if access.size is None else access.size
        fault, at = f.label(), f.reg(i64)
        if access.check is Check.NOTHING:
            return
        if access.check is Check.ANYWHERE:
            answer = f.reg(i32)
            f.i64_add(at, pointer, offset)
            holds = self.anywhere.function(write=access.write)
            f.call(answer, holds, at, size)
            f.branch_i32_eqz(answer, fault)
        elif isinstance(size, Register):
            region = self.memory.region(access.region or 0)
            in_context = access.region == CONTEXT
            start = self.context if in_context else region.address
            leave_unless_held(f, pointer, size, start, self.length if in_context else region.length, fault)
        elif access.check is Check.LENGTH:
            f.branch_i64_lt_u(self.length, (access.offset or 0) + size, fault)
        elif access.region == CONTEXT:
            f.i64_add(at, pointer, self.negated)
            if offset:
                f.i64_add(at, at, offset)
            f.branch_i64_ge_u(at, self.positions[size], fault)
        else:
            region = self.memory.region(access.region or 0)
            f.i64_sub(at, pointer, region.address - offset)
            f.branch_i64_ge_u(at, max(0, region.length - size + 1), fault)
        is_argument = kind_of(self.program[number]) is Kind.CALL
        place = number | (_ARGUMENT + register << 32 if is_argument else 0)
        self.outside.append(lambda: self._fault(fault, place, pointer, offset, size))

    def depth_fault(self, number: int) -> Label:
        """Where a local call goes when every frame is in use."""
        fault = self.function.label()
        self.outside.append(lambda: self._fault(fault, number, 0, 0))
        return fault

    def _fault(self, label: Label, place: int, pointer: Register | int, offset: int, size: Register | int = 0) -> None:
        """Emit the way out: the state says which instruction it was, the address, and a size that a register holds."""
        f, state = self.function, self.memory.state.address
        address = f.reg(i64)
        f.place(label)
        f.i64_add(address, pointer, offset)
        f.i64_store(address, state, FAULT_ADDRESS)
        f.i64_store(place, state, FAULT_PLACE)
        if isinstance(size, Register):
            f.i64_store(size, state, FAULT_SIZE)
        f.unreachable()


def fault_of(verified: Verified, memory: Memory) -> Exception:
    """What the interpreter would have raised where compiled code has trapped."""
    place, address = memory.state_word(FAULT_PLACE), memory.state_word(FAULT_ADDRESS)
    number, register = place & 0xFFFFFFFF, (place >> 32) - _ARGUMENT
    instruction = verified.program[number]
    if kind_of(instruction) is not Kind.CALL:
        access = verified.accesses[number, bpf.pointer_of(instruction)]
        return memory.access_fault(verified.program, number, address, access.region)
    if instruction.src == bpf.LOCAL:
        return memory.depth_fault(verified.program, number)
    access = verified.accesses[number, register]
    size = memory.state_word(FAULT_SIZE) if access.size is None else access.size
    return memory.argument_fault(
        number, register, address, size, access.region, helper=instruction.imm, write=access.write
    )
