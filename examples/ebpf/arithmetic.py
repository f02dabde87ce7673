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
_BRANCHES = {
    bpf.JEQ: "eq", bpf.JNE: "ne", bpf.JGT: "gt_u", bpf.JGE: "ge_u", bpf.JLT: "lt_u", bpf.JLE: "le_u",
    bpf.JSGT: "gt_s", bpf.JSGE: "ge_s", bpf.JSLT: "lt_s", bpf.JSLE: "le_s",
}  # fmt: skip


class Arithmetic:
    """Emits into a function whose virtual registers are given."""

    def __init__(self, function: cnp.Function, registers: Sequence[Register]) -> None:
        self.function = function
        self.registers = registers

    def zero_extend(self, target: Register, source: Register) -> None:
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

    def _move(self, instruction: Instruction, target: Register, operand: Register | int, *, wide: bool) -> None:
        f, bits = self.function, instruction.offset
        if isinstance(operand, int):
            f.i64_const(target, operand if wide else operand & 0xFFFFFFFF)
        elif bits and wide:
            getattr(f, f"i64_extend{bits}_s")(target, operand)
        elif wide:
            f.move(target, operand)
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
            self.zero_extend(target, target)
        elif bits == 16:
            f.i64_and(target, target, 0xFFFF)

    def branch(self, instruction: Instruction, label: Label) -> None:
        """Emit a branch."""
        f = self.function
        wide = instruction.code & 7 == bpf.JMP
        operation = instruction.code & 0xF0
        left = self.registers[instruction.dst]
        if not wide:
            left = self._low(left)
        operand = self._operand(instruction, wide=wide)
        prefix = "i64" if wide else "i32"
        if operation == bpf.JSET:
            both = f.reg(i64 if wide else i32)
            getattr(f, f"{prefix}_and")(both, left, operand)
            getattr(f, f"branch_{prefix}_nez")(both, label)
        else:
            getattr(f, f"branch_{prefix}_{_BRANCHES[operation]}")(left, operand, label)
