"""Turns a verified program and a context into a result, one instruction at a time: what compiled code must equal.

Arithmetic wraps; shifts take their count modulo the width; a division by zero gives 0, a remainder by zero leaves what
was there; 32-bit instructions zero the upper half. Memory is that of the machine, at its real addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import atomics
from . import instruction as bpf
from .accesses import Check, Verified
from .helpers import PARAMETERS, HostHelper
from .instruction import FRAME_POINTER, FRAME_SIZE, Instruction, Kind, kind_of, target_of
from .maps import LOOKUP, UPDATE, Map
from .memory import MASK, Memory, OutOfBudget


def signed(value: int, bits: int) -> int:
    """The low bits as two's complement."""
    half = 1 << bits - 1
    return ((value & (1 << bits) - 1) ^ half) - half


def run(
    verified: Verified,
    memory: Memory,
    maps: Sequence[Map],
    helpers: Mapping[int, HostHelper],
    budget: int | None = None,
) -> int:
    """r0, 64 bits unsigned, after a run on memory.context. Raises Fault where an access is refused.

    `budget`: how often the program may go back in its text before OutOfBudget is raised, None for any number."""
    return _Interpreter(verified, memory, maps, helpers, budget).run()


class _Interpreter:
    """The state of one run."""

    def __init__(
        self,
        verified: Verified,
        memory: Memory,
        maps: Sequence[Map],
        helpers: Mapping[int, HostHelper],
        budget: int | None,
    ) -> None:
        self.verified = verified
        self.program = verified.program
        self.memory = memory
        self.maps = maps
        self.helpers = helpers
        self.budget = budget
        self.turns = 0
        self.registers = [0] * bpf.REGISTERS
        self.callers: list[tuple[int, list[int]]] = []  # where to go on, and r6 to r10

    def run(self) -> int:
        context = self.memory.context
        self.registers[1], self.registers[2] = context.address, context.length
        self.registers[FRAME_POINTER] = self.memory.top
        number: int | None = self.verified.entry
        while number is not None:
            following = self._step(number, self.program[number])
            if following is not None and following <= number:
                self._turn()
            number = following
        return self.registers[0]

    def _turn(self) -> None:
        if self.turns == self.budget:
            raise OutOfBudget(self.budget)
        self.turns += 1

    def _step(self, number: int, instruction: Instruction) -> int | None:
        """Run one instruction: the slot of the next, None at the end."""
        code, dst, src, _, imm = instruction
        registers, kind = self.registers, kind_of(instruction)
        if kind is Kind.ARITHMETIC:
            registers[dst] = arithmetic(instruction, registers[dst], registers[src])
        elif kind is Kind.SWAP:
            registers[dst] = swap(instruction, registers[dst])
        elif kind is Kind.JUMP:
            return target_of(number, instruction)
        elif kind is Kind.BRANCH:
            if holds(instruction, registers[dst], registers[src]):
                return target_of(number, instruction)
        elif kind is Kind.WIDE:
            registers[dst] = wide_value(self.program, number, self.maps)
            return number + 2
        elif kind is Kind.CALL:
            return self._call(number, instruction)
        elif kind is Kind.EXIT:
            if not self.callers:
                return None
            number, registers[6:] = self.callers.pop()
            return number
        else:
            address = registers[bpf.pointer_of(instruction)] + instruction.offset & MASK
            self._check(number, instruction, address)
            size = bpf.size_of(instruction)
            if kind is Kind.LOAD:
                value = self.memory.read(address, size)
                registers[dst] = signed(value, 8 * size) & MASK if code & 0xE0 == bpf.MEMSX else value
            elif kind is Kind.STORE:
                self.memory.write(address, size, imm if code & 7 == bpf.ST else registers[src])
            else:
                self._atomic(instruction, address, size)
        return number + 1

    def _check(self, number: int, instruction: Instruction, address: int) -> None:
        access = self.verified.accesses[number, bpf.pointer_of(instruction)]
        size, write = bpf.size_of(instruction), bpf.writes_memory(instruction)
        refused = access.check is not Check.NOTHING and not self.memory.allows(
            address, size, write=write, region=access.region
        )
        if refused or (kind_of(instruction) is Kind.ATOMIC and address % size):
            raise self.memory.access_fault(self.program, number, address, access.region)

    def _atomic(self, instruction: Instruction, address: int, size: int) -> None:
        registers, imm = self.registers, instruction.imm
        old = atomics.perform(imm, address, size, registers[instruction.src], registers[0])
        if imm & bpf.FETCH:
            registers[0 if imm == bpf.CMPXCHG else instruction.src] = old

    # Calls.

    def _call(self, number: int, instruction: Instruction) -> int:
        registers = self.registers
        if instruction.src == bpf.LOCAL:
            frame = registers[FRAME_POINTER] - FRAME_SIZE
            if frame == self.memory.stack.address:
                raise self.memory.depth_fault(self.program, number)
            self.callers.append((number + 1, registers[6:]))
            registers[FRAME_POINTER] = frame
            return target_of(number, instruction)
        for register in range(1, 1 + PARAMETERS):
            self._check_argument(number, instruction.imm, register)
        if number in self.verified.maps:
            registers[0] = self._map_helper(number, instruction.imm) & MASK
        else:
            helper = self.helpers[instruction.imm]
            count = len(helper.arguments)
            arguments = registers[1 : 1 + count] + [0] * (PARAMETERS - count)
            registers[0] = helper.function(*arguments) & MASK
        return number + 1

    def _map_helper(self, number: int, helper: int) -> int:
        found = self.maps[self.verified.maps[number]]
        key_at, value_at, flags = self.registers[2:5]
        key = self.memory.read(key_at, found.spec.key_size).to_bytes(found.spec.key_size, "little")
        if helper == LOOKUP:
            return found.lookup(key)
        return found.update(key, value_at, flags) if helper == UPDATE else found.delete(key)

    def _check_argument(self, number: int, helper: int, register: int) -> None:
        """Raise a Fault if a register is to be an address and is one that its region does not hold."""
        access = self.verified.accesses.get((number, register))
        if access is None or access.check is Check.NOTHING:
            return
        address = self.registers[register]
        size = self.registers[access.counted_by or 0] if access.size is None else access.size
        if not self.memory.allows(address, size, write=access.write, region=access.region):
            raise self.memory.argument_fault(
                number, register, address, size, access.region, helper=helper, write=access.write
            )


# What the words mean. Values are 64 bits, unsigned.


def wide_value(program: Sequence[Instruction], number: int, maps: Sequence[Map]) -> int:
    """What LD_IMM64 gives. A map as a number is 2^32 times its number and 1: only helpers can use it."""
    instruction = program[number]
    if instruction.src in (bpf.MAP, bpf.MAP_BY_INDEX):
        return 1 + instruction.imm << 32
    if instruction.src:
        return maps[instruction.imm].values.address + program[number + 1].imm
    return bpf.wide_immediate(program, number)


def arithmetic(instruction: Instruction, a: int, b: int) -> int:
    """The result of an ALU instruction on dst and, if it reads it, src."""
    code, _, _, offset, imm = instruction
    bits = 64 if code & 7 == bpf.ALU64 else 32
    mask = (1 << bits) - 1
    a, b = a & mask, (b if code & bpf.X else imm) & mask
    operation = code & 0xF0
    if operation in (bpf.DIV, bpf.MOD):
        return _divide(operation, a, b, bits if offset else 0) & mask
    if operation == bpf.MOV:
        return signed(b, offset) & mask if offset else b
    count = b & bits - 1
    results = {
        bpf.ADD: a + b, bpf.SUB: a - b, bpf.MUL: a * b, bpf.OR: a | b, bpf.AND: a & b, bpf.XOR: a ^ b, bpf.NEG: -a,
        bpf.LSH: a << count, bpf.RSH: a >> count, bpf.ARSH: signed(a, bits) >> count,
    }  # fmt: skip
    return results[operation] & mask


def _divide(operation: int, a: int, b: int, signed_bits: int) -> int:
    if b == 0:
        return 0 if operation == bpf.DIV else a
    if not signed_bits:
        return a // b if operation == bpf.DIV else a % b
    a, b = signed(a, signed_bits), signed(b, signed_bits)
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)  # towards zero
    return quotient if operation == bpf.DIV else a - b * quotient


def swap(instruction: Instruction, value: int) -> int:
    """The low 16, 32 or 64 bits, their bytes in reverse for `be` and `bswap`: a register is little-endian here."""
    data = (value & (1 << instruction.imm) - 1).to_bytes(instruction.imm // 8, "little")
    stays = instruction.code == bpf.ALU | bpf.END
    return int.from_bytes(data, "little" if stays else "big")


def holds(instruction: Instruction, a: int, b: int) -> bool:
    """Whether a branch is taken."""
    code = instruction.code
    bits = 64 if code & 7 == bpf.JMP else 32
    mask = (1 << bits) - 1
    a, b = a & mask, (b if code & bpf.X else instruction.imm) & mask
    operation = code & 0xF0
    if operation in (bpf.JSGT, bpf.JSGE, bpf.JSLT, bpf.JSLE):
        a, b = signed(a, bits), signed(b, bits)
    return {
        bpf.JEQ: a == b, bpf.JNE: a != b, bpf.JSET: a & b != 0, bpf.JGT: a > b, bpf.JGE: a >= b, bpf.JLT: a < b,
        bpf.JLE: a <= b, bpf.JSGT: a > b, bpf.JSGE: a >= b, bpf.JSLT: a < b, bpf.JSLE: a <= b,
    }[operation]  # fmt: skip


__all__ = ["arithmetic", "holds", "run", "signed", "swap", "wide_value"]
