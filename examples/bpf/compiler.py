"""Turns a program into one cnp function that gives every packet of a capture its verdict.

A is an i32 register; X an i64 register below 2^32, since it mostly serves as an address; the scratch words are i32
registers of their own. The filter stands inline in the loop over packets: each way it ends stores the verdict and
goes round the loop itself."""

from __future__ import annotations

import cnp
from cnp import Label, Register, i32, i64

from . import instruction as bpf
from .analysis import NEVER, Analysis, analyze, packet_load, successors, writes
from .capture import WIRE_LENGTH
from .instruction import Instruction, Program
from .loop import PacketLoop
from .validator import validate

_ARITHMETIC = {
    bpf.ADD: "i32_add", bpf.SUB: "i32_sub", bpf.MUL: "i32_mul", bpf.DIV: "i32_div_u", bpf.MOD: "i32_rem_u",
    bpf.AND: "i32_and", bpf.OR: "i32_or", bpf.XOR: "i32_xor", bpf.LSH: "i32_shl", bpf.RSH: "i32_shr_u",
}  # fmt: skip
# The fused branch for a comparison, and for its opposite.
_BRANCHES = {
    bpf.JEQ: ("branch_i32_eq", "branch_i32_ne"),
    bpf.JGT: ("branch_i32_gt_u", "branch_i32_le_u"),
    bpf.JGE: ("branch_i32_ge_u", "branch_i32_lt_u"),
}


def lower(program: Program, name: str = "filter") -> cnp.Function:
    """The function `(data, index, count, verdicts) -> accepted` for a program; raises FilterError if it is invalid.

    data: the packets' bytes; index: `count` records as in capture.py, each inside data; verdicts: room for `count`
    32-bit numbers, which receive the verdicts. The result is how many of them are not 0."""
    validate(program)
    return _Lowering(program, name).lower()


class _Lowering:
    """The state of one translation."""

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.analysis: Analysis = analyze(program)
        self.loop = PacketLoop(name)
        f = self.function = self.loop.function
        self.a, self.x = f.reg(i32), f.reg(i64)
        self.bits, self.wide = f.reg(i32), f.reg(i64)  # short-lived values
        self.scratch: dict[int, Register] = {}
        self.labels: dict[int, Label] = {}  # of instructions that are jumped to
        self.ends: dict[int, Label] = {}  # of the code that stores a constant verdict
        self.pending: set[int] = set()  # those of them not placed yet
        # What every path to an instruction has checked: bytes the packet holds, and holds after X. None: no path.
        self.checked: list[tuple[int, int] | None] = [None] * len(program)

    def lower(self) -> cnp.Function:
        """Emit everything."""
        self.loop.begin()
        if "A" in self.analysis.live_at_start:
            self.function.i32_const(self.a, 0)
        if "X" in self.analysis.live_at_start:
            self.function.i64_const(self.x, 0)
        self._filter()
        return self.loop.finish()

    def _filter(self) -> None:
        """Emit the instructions that can run, in order, then the ends that none of them runs into."""
        self.checked[0] = (0, 0)
        entered = False  # whether the code emitted last runs on into the next instruction
        if self.analysis.needed[0] == NEVER:
            self.function.jump(self._end_label(0))
        else:
            for number in range(len(self.program)):
                entered = self._instruction(number, entered)
        while self.pending:
            self._end(self.pending.pop())

    def _instruction(self, number: int, entered: bool) -> bool:
        """Emit one instruction; returns whether it runs on into the next."""
        instruction, checked = self.program[number], self.checked[number]
        if checked is None:
            return False
        label = self.labels.get(number)
        if label is not None:
            self.function.place(label)
        elif not entered and number:
            return False  # only jumped to, and every jump goes straight to its end
        kind = instruction.code & 7
        if kind == bpf.RET:
            if instruction.code == bpf.RET | bpf.A:
                self.loop.store(self.a)
            elif instruction.k in self.pending or instruction.k not in self.ends:
                self._end_label(instruction.k)
                self.pending.discard(instruction.k)
                self._end(instruction.k)
            else:
                self.function.jump(self.ends[instruction.k])
            return False
        if kind == bpf.JMP:
            return self._jump(number, instruction, checked)
        checked = self._check(number, instruction, checked)
        self._value(instruction)
        if writes(instruction) == "X":
            checked = (checked[0], 0)
        self._reach(number + 1, checked)
        if self.analysis.needed[number + 1] == NEVER:
            self.function.jump(self._end_label(0))
            return False
        return True

    def _reach(self, number: int, checked: tuple[int, int]) -> None:
        before = self.checked[number] or checked
        self.checked[number] = (min(before[0], checked[0]), min(before[1], checked[1]))

    # How a packet's verdict is stored.

    def _end_label(self, verdict: int) -> Label:
        if verdict not in self.ends:
            self.ends[verdict] = self.function.label()
            self.pending.add(verdict)
        return self.ends[verdict]

    def _end(self, verdict: int) -> None:
        self.function.place(self.ends[verdict])
        self.loop.store(verdict)

    # Jumps.

    def _target(self, number: int, checked: tuple[int, int]) -> Label:
        """Where a jump to an instruction goes: past what would only jump again, and to the end that is certain."""
        while self.program[number].code == bpf.JMP | bpf.JA and self.analysis.needed[number] != NEVER:
            number += 1 + self.program[number].k
        instruction = self.program[number]
        if self.analysis.needed[number] == NEVER:
            return self._end_label(0)
        if instruction.code == bpf.RET:
            return self._end_label(instruction.k)
        self._reach(number, checked)
        if number not in self.labels:
            self.labels[number] = self.function.label()
        return self.labels[number]

    def _jump(self, number: int, instruction: Instruction, checked: tuple[int, int]) -> bool:
        f = self.function
        following = successors(number, instruction)
        runs_on = number + 1 in following and self.analysis.needed[number + 1] != NEVER
        if runs_on:
            self._reach(number + 1, checked)
        if following[0] == following[-1]:
            if not runs_on:
                f.jump(self._target(following[0], checked))
            return runs_on
        if following[0] == number + 1 and runs_on:
            self._branch(instruction, self._target(following[1], checked), opposite=True)
            return True
        self._branch(instruction, self._target(following[0], checked), opposite=False)
        if not runs_on:
            f.jump(self._target(following[1], checked))
        return runs_on

    def _branch(self, instruction: Instruction, target: Label, *, opposite: bool) -> None:
        f = self.function
        operation = instruction.code & 0xF0
        operand = self._operand(instruction)
        if operation == bpf.JSET:
            f.i32_and(self.bits, self.a, operand)
            (f.branch_i32_eqz if opposite else f.branch_i32_nez)(self.bits, target)
        else:
            getattr(f, _BRANCHES[operation][opposite])(self.a, operand, target)

    def _operand(self, instruction: Instruction) -> int | Register:
        """k, or X as an i32."""
        if not instruction.code & bpf.X:
            return instruction.k
        self.function.i32_wrap_i64(self.bits, self.x)
        return self.bits

    # Instructions that compute.

    def _check(self, number: int, instruction: Instruction, checked: tuple[int, int]) -> tuple[int, int]:
        """Emit the length check of a packet load, unless every path here has made it; returns what is checked now."""
        load = packet_load(instruction)
        if load is None:
            return checked
        f = self.function
        (length, from_x), (known, known_from_x) = load, checked
        too_short = self._end_label(0)
        if not from_x:
            if known < length:
                known = max(length, self.analysis.needed[number])
                f.branch_i64_lt_u(self.loop.captured, known, too_short)
        elif known_from_x < length:
            known_from_x = max(length, self.analysis.needed_from_x[number])
            known = max(known, known_from_x)
            f.i64_add(self.wide, self.x, known_from_x)  # 64 bits wide: cannot wrap around
            f.branch_i64_gt_u(self.wide, self.loop.captured, too_short)
        return known, known_from_x

    def _value(self, instruction: Instruction) -> None:
        f = self.function
        code, _, _, k = instruction
        kind = code & 7
        if kind == bpf.ALU:
            self._arithmetic(instruction)
        elif kind in (bpf.ST, bpf.STX):
            self.scratch.setdefault(k, f.reg(i32))
            if kind == bpf.ST:
                f.move(self.scratch[k], self.a)
            else:
                f.i32_wrap_i64(self.scratch[k], self.x)
        elif code == bpf.MISC | bpf.TAX:
            f.i64_extend_i32_u(self.x, self.a)
        elif kind == bpf.MISC:
            f.i32_wrap_i64(self.a, self.x)
        elif code == bpf.LDX | bpf.B | bpf.MSH:
            f.i64_load8_u(self.x, self.loop.packet, k)
            f.i64_and(self.x, self.x, 15)
            f.i64_shl(self.x, self.x, 2)
        elif code == bpf.LD | bpf.IMM:
            f.i32_const(self.a, k)
        elif code == bpf.LDX | bpf.IMM:
            f.i64_const(self.x, k)
        elif code == bpf.LD | bpf.MEM:
            f.move(self.a, self.scratch[k])
        elif code == bpf.LDX | bpf.MEM:
            f.i64_extend_i32_u(self.x, self.scratch[k])
        elif code == bpf.LD | bpf.W | bpf.LEN:
            f.i32_load(self.a, self.loop.index, WIRE_LENGTH)
        elif code == bpf.LDX | bpf.W | bpf.LEN:
            f.i64_load32_u(self.x, self.loop.index, WIRE_LENGTH)
        else:
            self._load_packet(code, k)

    def _load_packet(self, code: int, k: int) -> None:
        """A big-endian load; its length has been checked."""
        f = self.function
        base = self.loop.packet
        if code & 0xE0 == bpf.IND:
            f.i64_add(self.wide, self.loop.packet, self.x)
            base = self.wide
        size = code & 0x18
        if size == bpf.B:
            f.i32_load8_u(self.a, base, k)
        elif size == bpf.H:
            f.i32_load16_u(self.a, base, k)
            f.i32_bswap(self.a, self.a)
            f.i32_shr_u(self.a, self.a, 16)
        else:
            assert size == bpf.W
            f.i32_load(self.a, base, k)
            f.i32_bswap(self.a, self.a)

    def _arithmetic(self, instruction: Instruction) -> None:
        f = self.function
        operation = instruction.code & 0xF0
        if operation == bpf.NEG:
            f.i32_sub(self.a, 0, self.a)
            return
        operand = self._operand(instruction)
        by_x = bool(instruction.code & bpf.X)
        if by_x and operation in (bpf.DIV, bpf.MOD):
            f.branch_i64_eqz(self.x, self._end_label(0))
        getattr(f, _ARITHMETIC[operation])(self.a, self.a, operand)
        if by_x and operation in (bpf.LSH, bpf.RSH):  # cnp takes the count modulo 32
            within = f.label()
            f.branch_i64_lt_u(self.x, 32, within)
            f.i32_const(self.a, 0)
            f.place(within)
