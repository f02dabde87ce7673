"""Turns ALU instructions, byte swaps and branches into cnp ops.

Registers are i64. A 32-bit instruction computes on i32 and extends with zeros, which costs nothing on most machines."""

from __future__ import annotations

from collections.abc import Sequence

import cnp
from cnp import Label, Register, i32, i64

from . import instruction as bpf
from .instruction import Instruction

_OPERATIONS = {
    bpf.ADD: "add", bpf.SUB: "sub", bpf.MUL: "mul", bpf.OR: "or", bpf.AND: "and", bpf.XOR: "xor", bpf.LSH: "shl",
    bpf.RSH: "shr_u", bpf.ARSH: "shr_s",
}  # fmt: skip
_BITWISE = (bpf.AND, bpf.OR, bpf.XOR)
_OPPOSITES = {
    bpf.JEQ: bpf.JNE, bpf.JNE: bpf.JEQ, bpf.JGT: bpf.JLE, bpf.JLE: bpf.JGT, bpf.JGE: bpf.JLT, bpf.JLT: bpf.JGE,
    bpf.JSGT: bpf.JSLE, bpf.JSLE: bpf.JSGT, bpf.JSGE: bpf.JSLT, bpf.JSLT: bpf.JSGE,
}  # fmt: skip
_SIGNED = (bpf.JSGT, bpf.JSGE, bpf.JSLT, bpf.JSLE)
_BRANCHES = {
    bpf.JEQ: "eq", bpf.JNE: "ne", bpf.JGT: "gt_u", bpf.JGE: "ge_u", bpf.JLT: "lt_u", bpf.JLE: "le_u",
    bpf.JSGT: "gt_s", bpf.JSGE: "ge_s", bpf.JSLT: "lt_s", bpf.JSLE: "le_s",
}  # fmt: skip


class Arithmetic:
    """Emits into a function whose virtual registers are given."""

    def __init__(self, function: cnp.Function, registers: Sequence[Register]) -> None:
        self.function = function
        self.registers = registers
        self.narrow = 0  # a bit for each register that is below 2^32 here

    def _zero_extend(self, target: Register, source: Register) -> None:
        """Emit target = the low half of source."""
        low = self._low(source)
        self.function.i64_extend_i32_u(target, low)

    def _low(self, register: Register) -> Register:
        low = self.function.reg(i32)
        self.function.i32_wrap_i64(low, register)
        return low

    def _operand(self, instruction: Instruction, *, wide: bool) -> Register | int:
        if not instruction.code & bpf.X:
            return instruction.imm
        source = self.registers[instruction.src]
        return source if wide else self._low(source)

    def compute(self, instruction: Instruction) -> None:
        """Emit an ALU instruction."""
        f = self.function
        wide = instruction.code & 7 == bpf.ALU64
        target, operation = self.registers[instruction.dst], instruction.code & 0xF0
        operand = self._operand(instruction, wide=wide)
        if operation == bpf.MOV:
            self._move(instruction, target, operand, wide=wide)
            return
        if not wide and operation in (*_BITWISE, bpf.RSH) and self._stays_narrow(instruction):
            name = f"i64_{_OPERATIONS[operation]}"
            getattr(f, name)(
                target, target, instruction.imm if isinstance(operand, int) else self.registers[instruction.src]
            )
            return
        value = target if wide else self._low(target)
        prefix = "i64" if wide else "i32"
        if operation in (bpf.DIV, bpf.MOD):
            self._divide(instruction, prefix, value, operand)
        elif operation == bpf.NEG:
            getattr(f, f"{prefix}_sub")(value, 0, value)
        else:
            getattr(f, f"{prefix}_{_OPERATIONS[operation]}")(value, value, operand)
        if not wide:
            f.i64_extend_i32_u(target, value)

    def _is_narrow(self, register: int) -> bool:
        return bool(self.narrow >> register & 1)

    def _stays_narrow(self, instruction: Instruction) -> bool:
        """Whether 64 bits give what a bitwise operation or shift of 32 bits would, its upper half zeros."""
        code, dst, src, _, imm = instruction
        operation = code & 0xF0
        if operation == bpf.RSH:
            return self._is_narrow(dst) and not code & bpf.X and 0 <= imm < 32
        if code & bpf.X:
            return self._is_narrow(dst) and self._is_narrow(src)
        return imm >= 0 and (self._is_narrow(dst) or operation == bpf.AND)

    def _move(self, instruction: Instruction, target: Register, operand: Register | int, *, wide: bool) -> None:
        f, bits = self.function, instruction.offset
        if isinstance(operand, int):
            f.i64_const(target, operand if wide else operand & 0xFFFFFFFF)
        elif bits and wide:
            getattr(f, f"i64_extend{bits}_s")(target, operand)
        elif wide or (not bits and self._is_narrow(instruction.src)):
            f.move(target, self.registers[instruction.src])
        else:
            if bits:
                getattr(f, f"i32_extend{bits}_s")(operand, operand)
            f.i64_extend_i32_u(target, operand)

    def _divide(self, instruction: Instruction, prefix: str, value: Register, operand: Register | int) -> None:
        """Emit a division or remainder, after what cnp would trap at: zero, and -2^63 (or -2^31) by -1."""
        f = self.function
        is_division, is_signed = instruction.code & 0xF0 == bpf.DIV, bool(instruction.offset)
        emit = getattr(f, f"{prefix}_{'div' if is_division else 'rem'}_{'s' if is_signed else 'u'}")

        def by_zero() -> None:
            if is_division:
                getattr(f, f"{prefix}_const")(value, 0)

        def by_minus_one() -> None:
            if is_division:
                getattr(f, f"{prefix}_sub")(value, 0, value)
            else:
                getattr(f, f"{prefix}_const")(value, 0)

        if isinstance(operand, int):
            if operand == 0:
                by_zero()
            elif operand == -1 and is_signed:
                by_minus_one()
            else:
                emit(value, value, operand)
            return
        zero, minus_one, done = f.label(), f.label(), f.label()
        getattr(f, f"branch_{prefix}_eqz")(operand, zero)
        if is_signed:
            getattr(f, f"branch_{prefix}_eq")(operand, -1, minus_one)
        emit(value, value, operand)
        f.jump(done)
        if is_signed:
            f.place(minus_one)
            by_minus_one()
            f.jump(done)
        f.place(zero)
        by_zero()
        f.place(done)

    def swap(self, instruction: Instruction) -> None:
        """Emit a byte swap; `le` only cuts off, for registers and memory are little-endian."""
        f, target, bits = self.function, self.registers[instruction.dst], instruction.imm
        if instruction.code != bpf.ALU | bpf.END:
            f.i64_bswap(target, target)
            if bits < 64:
                f.i64_shr_u(target, target, 64 - bits)
        elif bits == 32:
            self._zero_extend(target, target)
        elif bits == 16:
            f.i64_and(target, target, 0xFFFF)

    def branch(self, instruction: Instruction, label: Label, *, opposite: bool = False) -> None:
        """Emit a branch, or one that is taken where it would not be."""
        f, operation = self.function, instruction.code & 0xF0
        left, operand, prefix = self._compared(instruction)
        if operation == bpf.JSET:
            both = f.reg(i64 if prefix == "i64" else i32)
            getattr(f, f"{prefix}_and")(both, left, operand)
            getattr(f, f"branch_{prefix}_{'eqz' if opposite else 'nez'}")(both, label)
        else:
            operation = _OPPOSITES[operation] if opposite else operation
            getattr(f, f"branch_{prefix}_{_BRANCHES[operation]}")(left, operand, label)

    def choose(self, instruction: Instruction, target: Register, taken: int, other: int) -> None:
        """Emit target = `taken` where a branch, which is no JSET, would be taken, else `other`."""
        f, operation = self.function, instruction.code & 0xF0
        left, operand, prefix = self._compared(instruction)
        answer = f.reg(i32)
        if (taken, other) == (0, 1):
            operation, taken, other = _OPPOSITES[operation], 1, 0
        getattr(f, f"{prefix}_{_BRANCHES[operation]}")(answer, left, operand)
        if (taken, other) == (1, 0):
            f.i64_extend_i32_u(target, answer)
        else:
            f.select(target, taken, other, answer)

    def _compared(self, instruction: Instruction) -> tuple[Register, Register | int, str]:
        """What a branch compares, and the type of it."""
        code, dst, src, _, imm = instruction
        wide = code & 7 == bpf.JMP
        if not wide and code & 0xF0 not in _SIGNED and self._is_narrow(dst):
            wide = self._is_narrow(src) if code & bpf.X else imm >= 0
        left = self.registers[dst] if wide else self._low(self.registers[dst])
        return left, self._operand(instruction, wide=wide), "i64" if wide else "i32"
