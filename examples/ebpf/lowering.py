"""Turns the instructions of one of a program's functions into cnp ops; r0 to r10 are virtual registers.

A function takes r1 to r5 and r10; the one a run starts with takes the context and its length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cnp
from cnp import Label, i64

from . import instruction as bpf
from .access_code import AccessCode
from .accesses import Check
from .arithmetic import Arithmetic
from .carries import find_carries
from .flow import Block, blocks_of, narrow_before
from .helpers import PARAMETERS
from .instruction import FRAME_POINTER, FRAME_SIZE, Instruction, Kind, kind_of, target_of
from .interpreter import wide_value
from .maps import ARRAY, DELETE, LOOKUP, UPDATE
from .memory import CONTEXT

if TYPE_CHECKING:
    from .compiler import Compiler

_INLINE_KEY = 16  # bytes of a key up to which a lookup is no call, before which registers would have to be saved


class Lowering:
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
        self.access_code = AccessCode(self.verified, compiler.anywhere, self.arithmetic, self.start, self.end)

    def lower(self, *, context: bool) -> None:
        """Emit everything. `context`: this is the function that a run starts with."""
        self._begin(context)
        following = [block.slots[0] for block in self.blocks[1:]]
        self.labels = {block.slots[0]: self.function.label() for block in self.blocks}
        for block, after in zip(self.blocks, [*following, None], strict=True):
            self._block(block, after)
        self.access_code.end()

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
        f, registers = self.function, self.registers
        for register in (0, *range(3, 10)):
            f.i64_const(registers[register], 0)
        if not context:
            for register, parameter in zip((1, 2, 3, 4, 5, FRAME_POINTER), f.params, strict=True):
                f.move(registers[register], parameter)
            self.access_code.begin_local()
            return
        others_ask = any(
            each.check is Check.ANYWHERE or each.region == CONTEXT for each in self.verified.accesses.values()
        )
        self.access_code.begin_entry(keeps=bool(self.compiler.functions) or others_ask)
        f.move(registers[1], self.access_code.context)
        f.move(registers[2], self.access_code.length)
        f.i64_const(registers[FRAME_POINTER], self.compiler.memory.top)

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
            self.access_code.access(number, instruction)

    # Calls.

    def _call(self, number: int, instruction: Instruction) -> None:
        f, registers = self.function, self.registers
        if instruction.src == bpf.LOCAL:
            frame = f.reg(i64)
            f.i64_sub(frame, registers[FRAME_POINTER], FRAME_SIZE)
            f.branch_i64_eq(frame, self.compiler.memory.stack.address, self.access_code.depth_fault(number))
            unset = self.verified.unset[number]
            arguments = [0 if each in unset else registers[each] for each in range(1, 6)]
            f.call(registers[0], self.compiler.functions[target_of(number, instruction)], *arguments, frame)
        elif number in self.verified.maps:
            self.access_code.check_arguments(number)
            self._map_helper(number, instruction.imm)
        else:
            self.access_code.check_arguments(number)
            count = len(self.compiler.helpers[instruction.imm].arguments)
            arguments = [*registers[1 : 1 + count], *[0] * (PARAMETERS - count)]
            f.call(registers[0], self.compiler.callees[instruction.imm], *arguments)

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
