"""Turns a verified program into one cnp function for each of its functions; r0 to r10 are virtual registers.

A function takes r1 to r5 and r10; the one a run starts with takes the context and its length. An access that needs a
check compares its address with the region that the analysis found, in one unsigned comparison, and leaves by a trap
that says where and at what address. cnp has no atomics: on one thread a load, an operation and a store are one."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence

import cnp
from cnp import Label, Register, i32, i64

from . import instruction as bpf
from .analysis import Check, Verified
from .arithmetic import Arithmetic
from .carries import find_carries
from .flow import Block, blocks_of, narrow_before
from .helpers import C_HELPER, PARAMETERS, Function, HostHelper
from .instruction import FRAME_POINTER, FRAME_SIZE, Instruction, Kind, kind_of, target_of
from .interpreter import wide_value
from .map_code import MapCode, load, store
from .maps import ARRAY, DELETE, LOOKUP, UPDATE, Map
from .memory import (
    CONTEXT,
    CONTEXT_BASE,
    CONTEXT_LENGTH,
    FAULT_ADDRESS,
    FAULT_PLACE,
    FAULT_SIZE,
    MASK,
    MAXIMUM_CONTEXT,
    Memory,
    check_length,
)

_SIGNED_LOADS = {1: "i64_load8_s", 2: "i64_load16_s", 4: "i64_load32_s"}
_ATOMICS = {bpf.ADD: "i64_add", bpf.OR: "i64_or", bpf.AND: "i64_and", bpf.XOR: "i64_xor"}
_INLINE_KEY = 16  # bytes of a key up to which a lookup is no call, before which registers would have to be saved
_ARGUMENT = 8  # what a fault's place adds, in units of 2^32, to the register of a helper's argument


def _call(helper: Function, *arguments: int) -> int:
    """Compiled code has signed numbers, helpers unsigned ones."""
    result = helper(*[each & MASK for each in arguments]) & MASK
    return result - (result >> 63 << 64)


def _callee(number: int, helper: Function) -> cnp.Callback | cnp.Extern:
    """What compiled code calls: a C function as it is, anything else through Python."""
    name = f"helper_{number}"
    if isinstance(helper, C_HELPER):
        return cnp.extern(ctypes.cast(helper, ctypes.c_void_p).value or 0, [i64] * 5, i64, name)
    return cnp.callback(functools.partial(_call, helper), [i64] * 5, i64, name=name)


def _refuse_length(_: str, values: tuple[int, ...]) -> None:
    """Where a context of any other length is left for an error."""
    check_length(*values)


class Compiler:
    """The functions of one program, which refer to the machine's memory and maps and must not outlive them."""

    def __init__(
        self, verified: Verified, memory: Memory, maps: Sequence[Map], helpers: Mapping[int, HostHelper]
    ) -> None:
        self.verified = verified
        self.memory = memory
        self.maps = maps
        self.map_code = [MapCode(each) for each in maps]
        self.helpers = helpers
        self.callees = {number: _callee(number, helper.function) for number, helper in helpers.items()}
        self.functions: dict[int, cnp.Function] = {}
        self._anywhere: dict[bool, cnp.Function] = {}

    def lower(self) -> cnp.Function:
        """The function `(context, length) -> r0` of the program."""
        structure, entry = self.verified.structure, self.verified.entry
        starts = [start for start in structure.starts if start in self.verified.reached]
        recursive_entry = any(
            target_of(number, self.verified.program[number]) == entry
            for numbers in structure.calls.values()
            for number in numbers
        )
        for start in starts:
            if start != entry or recursive_entry:
                self.functions[start] = cnp.Function(f"function_{start}", params=[i64] * 6, result=i64)
        for start, function in self.functions.items():
            _Lowering(self, function, start).lower(context=False)
        main = cnp.Function("ebpf", params=[cnp.writable_ptr, i64], result=i64)
        _Lowering(self, main, entry).lower(context=True)
        return main

    def anywhere(self, *, write: bool) -> cnp.Function:
        """`(address, size) -> i32`: whether some region, one that can be written if asked for, holds the bytes."""
        if write not in self._anywhere:
            f = cnp.Function("writable" if write else "readable", params=[i64, i64], result=i32)
            address, size = f.params
            start, length = f.reg(i64), f.reg(i64)
            f.i64_load(start, self.memory.state.address, CONTEXT_BASE)
            f.i64_load(length, self.memory.state.address, CONTEXT_LENGTH)
            self._holds(f, address, size, start, length)
            for region in self.memory.regions()[1:]:
                if region.writable or not write:
                    self._holds(f, address, size, region.address, region.length)
            f.ret(0)
            self._anywhere[write] = f
        return self._anywhere[write]

    @staticmethod
    def _holds(
        f: cnp.Function, address: Register, size: Register, start: Register | int, length: Register | int
    ) -> None:
        """Emit: return 1 if a region holds the bytes."""
        other = f.label()
        _leave_unless_held(f, address, size, start, length, other)
        f.ret(1)
        f.place(other)


def _leave_unless_held(
    f: cnp.Function, address: Register, size: Register, start: Register | int, length: Register | int, label: Label
) -> None:
    """Emit: go to a label if a region does not hold `size` bytes, however many, at an address."""
    offset, room = f.reg(i64), f.reg(i64)
    f.branch_i64_lt_u(length, size, label)
    f.i64_sub(offset, address, start)
    f.i64_sub(room, length, size)
    f.branch_i64_gt_u(offset, room, label)


class _Lowering:
    """The state of translating one function."""

    def __init__(self, compiler: Compiler, function: cnp.Function, start: int) -> None:
        self.compiler = compiler
        self.verified = compiler.verified
        self.program = compiler.verified.program
        self.function = function
        self.start, self.end = start, compiler.verified.structure.end_of(start)
        self.blocks = blocks_of(self.program, self.start, self.verified.reached, self.end)
        self.narrow = narrow_before(self.program, self.blocks)
        self.carries = find_carries(self.program, self.blocks)
        self.registers = [function.reg(i64) for _ in range(bpf.REGISTERS)]
        self.arithmetic = Arithmetic(function, self.registers)
        self.labels: dict[int, Label] = {}
        self.outside: list[Callable[[], None]] = []  # emits the code that is run but for faults, after the rest
        self.context = self.length = self.negated = self.registers[0]
        self.positions: dict[int, Register] = {}  # by size: how many bytes that large an access may start at

    def lower(self, *, context: bool) -> None:
        """Emit everything. `context`: this is the function that a run starts with."""
        self._begin(context)
        following = [block.slots[0] for block in self.blocks[1:]]
        self.labels = {block.slots[0]: self.function.label() for block in self.blocks}
        for block, after in zip(self.blocks, [*following, None], strict=True):
            self._block(block, after)
        for emit in self.outside:
            emit()

    def _block(self, block: Block, after: int | None) -> None:
        """Emit a block; `after` is the first slot of what is emitted next."""
        f, program = self.function, self.program
        f.place(self.labels[block.slots[0]])
        for number in block.slots[: -1 if block.choice is None else -2]:
            self._instruction(number, program[number])
        last = block.slots[-1]
        kind = kind_of(program[last])
        self.arithmetic.narrow = self.narrow[last]
        if kind is Kind.JUMP:
            if target_of(last, program[last]) != after:
                f.jump(self.labels[target_of(last, program[last])])
        elif kind is Kind.BRANCH:
            self._branch(last, program[last], block, after)
        else:
            self._instruction(last, program[last])
            if block.following is not None and block.following != after:
                f.jump(self.labels[block.following])

    def _branch(self, number: int, instruction: Instruction, block: Block, after: int | None) -> None:
        f, target = self.function, target_of(number, instruction)
        if block.choice is not None:
            register = self.program[block.slots[-2]].dst
            if number not in self.carries.done:
                self.arithmetic.choose(instruction, self.registers[register], *block.choice)
            if target != after:
                f.jump(self.labels[target])
            return
        assert block.following is not None
        if target == after:
            self.arithmetic.branch(instruction, self.labels[block.following], opposite=True)
        else:
            self.arithmetic.branch(instruction, self.labels[target])
            if block.following != after:
                f.jump(self.labels[block.following])

    def _begin(self, context: bool) -> None:
        f, registers, memory = self.function, self.registers, self.compiler.memory
        for register in (0, *range(3, 10)):
            f.i64_const(registers[register], 0)
        accesses = [each for (number, _), each in self.verified.accesses.items() if self.start <= number < self.end]
        asks = any(each.region == CONTEXT and each.check is not Check.NOTHING for each in accesses)
        self.context, self.length = f.reg(i64), f.reg(i64)
        state = memory.state.address
        if context:
            f.move(self.context, f.params[0])
            f.move(self.length, f.params[1])
            self._limit_length()
            f.move(registers[1], self.context)
            f.move(registers[2], self.length)
            f.i64_const(registers[FRAME_POINTER], memory.top)
            if self.compiler.functions or any(
                each.check is Check.ANYWHERE or each.region == CONTEXT for each in self.verified.accesses.values()
            ):
                f.i64_store(self.context, state, CONTEXT_BASE)
                f.i64_store(self.length, state, CONTEXT_LENGTH)
        else:
            for register, parameter in zip((1, 2, 3, 4, 5, FRAME_POINTER), f.params, strict=True):
                f.move(registers[register], parameter)
            if asks:
                f.i64_load(self.context, state, CONTEXT_BASE)
                f.i64_load(self.length, state, CONTEXT_LENGTH)
        if any(each.region == CONTEXT and each.check is Check.RANGE for each in accesses):
            self.negated = f.reg(i64)
            f.i64_sub(self.negated, 0, self.context)
            for size in self._sizes():
                self._count_positions(size)

    def _sizes(self) -> set[int]:
        """The sizes of accesses that are checked against the context's bounds."""
        return {
            access.size
            for (number, _), access in self.verified.accesses.items()
            if self.start <= number < self.end and access.region == CONTEXT and access.check is Check.RANGE
            if access.size is not None
        }

    def _limit_length(self) -> None:
        """Emit an error for a context so long that what room.py proves, and sums with its length, might wrap."""
        refused = self.function.exit(_refuse_length, "length", [self.length])
        self.function.branch_i64_gt_u(self.length, MAXIMUM_CONTEXT, refused)

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

    def _instruction(self, number: int, instruction: Instruction) -> None:
        f, registers, kind = self.function, self.registers, kind_of(instruction)
        self.arithmetic.narrow = self.narrow[number]
        if number in self.carries.done:
            return
        if number in self.carries.sums:
            total = registers[instruction.dst]
            f.i64_add_end_around(total, total, registers[instruction.src])
        elif kind is Kind.ARITHMETIC:
            self.arithmetic.compute(instruction)
        elif kind is Kind.SWAP:
            self.arithmetic.swap(instruction)
        elif kind is Kind.WIDE:
            f.i64_const(registers[instruction.dst], wide_value(self.program, number, self.compiler.maps))
        elif kind is Kind.EXIT:
            f.ret(registers[0])
        elif kind is Kind.CALL:
            self._call(number, instruction)
        else:
            self._access(number, instruction)

    # Memory.

    def _access(self, number: int, instruction: Instruction) -> None:
        f, registers = self.function, self.registers
        code, dst, src, offset, imm = instruction
        register, size = bpf.pointer_of(instruction), bpf.size_of(instruction)
        self._check(number, register, offset)
        base = registers[register]
        kind = kind_of(instruction)
        if kind is Kind.ATOMIC:
            self._atomic(instruction, base, size)
        elif kind is Kind.STORE:
            store(f, size, imm if code & 7 == bpf.ST else registers[src], base, offset)
        elif code & 0xE0 == bpf.MEMSX:
            getattr(f, _SIGNED_LOADS[size])(registers[dst], base, offset)
        else:
            load(f, size, registers[dst], base, offset)

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
            holds = self.compiler.anywhere(write=access.write)
            f.call(answer, holds, at, size)
            f.branch_i32_eqz(answer, fault)
        elif isinstance(size, Register):
            region = self.compiler.memory.region(access.region or 0)
            in_context = access.region == CONTEXT
            start = self.context if in_context else region.address
            _leave_unless_held(f, pointer, size, start, self.length if in_context else region.length, fault)
        elif access.check is Check.LENGTH:
            f.branch_i64_lt_u(self.length, (access.offset or 0) + size, fault)
        elif access.region == CONTEXT:
            f.i64_add(at, pointer, self.negated)
            if offset:
                f.i64_add(at, at, offset)
            f.branch_i64_ge_u(at, self.positions[size], fault)
        else:
            region = self.compiler.memory.region(access.region or 0)
            f.i64_sub(at, pointer, region.address - offset)
            f.branch_i64_ge_u(at, max(0, region.length - size + 1), fault)
        is_argument = kind_of(self.program[number]) is Kind.CALL
        place = number | (_ARGUMENT + register << 32 if is_argument else 0)
        self.outside.append(lambda: self._fault(fault, place, pointer, offset, size))

    def _fault(self, label: Label, place: int, pointer: Register | int, offset: int, size: Register | int = 0) -> None:
        """Emit the way out: the state says which instruction it was, the address, and a size that a register holds."""
        f, state = self.function, self.compiler.memory.state.address
        address = f.reg(i64)
        f.place(label)
        f.i64_add(address, pointer, offset)
        f.i64_store(address, state, FAULT_ADDRESS)
        f.i64_store(place, state, FAULT_PLACE)
        if isinstance(size, Register):
            f.i64_store(size, state, FAULT_SIZE)
        f.unreachable()

    def _atomic(self, instruction: Instruction, base: Register, size: int) -> None:
        f, registers = self.function, self.registers
        operand, offset, imm = registers[instruction.src], instruction.offset, instruction.imm
        old, new = f.reg(i64), f.reg(i64)
        load(f, size, old, base, offset)
        if imm == bpf.CMPXCHG:
            expected, differs = registers[0], f.label()
            if size == 4:
                expected = f.reg(i64)
                self.arithmetic.zero_extend(expected, registers[0])
            f.branch_i64_ne(old, expected, differs)
            store(f, size, operand, base, offset)
            f.place(differs)
            f.move(registers[0], old)
            return
        if imm == bpf.XCHG:
            new = operand
        else:
            getattr(f, _ATOMICS[imm & ~bpf.FETCH])(new, old, operand)
        store(f, size, new, base, offset)
        if imm & bpf.FETCH:
            f.move(operand, old)

    # Calls.

    def _call(self, number: int, instruction: Instruction) -> None:
        f, registers = self.function, self.registers
        if instruction.src == bpf.LOCAL:
            frame, fault = f.reg(i64), f.label()
            f.i64_sub(frame, registers[FRAME_POINTER], FRAME_SIZE)
            f.branch_i64_eq(frame, self.compiler.memory.stack.address, fault)
            self.outside.append(lambda: self._fault(fault, number, 0, 0))
            unset = self.verified.unset[number]
            arguments = [0 if each in unset else registers[each] for each in range(1, 6)]
            f.call(registers[0], self.compiler.functions[target_of(number, instruction)], *arguments, frame)
        elif number in self.verified.maps:
            self._check_arguments(number)
            self._map_helper(number, instruction.imm)
        else:
            self._check_arguments(number)
            count = len(self.compiler.helpers[instruction.imm].arguments)
            arguments = [*registers[1 : 1 + count], *[0] * (PARAMETERS - count)]
            f.call(registers[0], self.compiler.callees[instruction.imm], *arguments)

    def _check_arguments(self, number: int) -> None:
        """Emit the checks of the registers that a helper takes for addresses."""
        for register in range(1, 1 + PARAMETERS):
            if (number, register) in self.verified.accesses:
                self._check(number, register, 0)

    def _map_helper(self, number: int, helper: int) -> None:
        f, registers = self.function, self.registers
        which = self.verified.maps[number]
        found, code = self.compiler.maps[which], self.compiler.map_code[which]
        if helper == UPDATE:
            f.call(registers[0], code.update, *registers[2:5])
        elif helper == LOOKUP and (found.spec.kind == ARRAY or found.spec.key_size <= _INLINE_KEY):
            result = f.reg(i64)
            code.emit_lookup(f, result, registers[2])
            f.move(registers[0], result)
        else:
            assert helper in (LOOKUP, DELETE)
            f.call(registers[0], code.lookup if helper == LOOKUP else code.delete, registers[2])


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


__all__ = ["Compiler", "fault_of"]
