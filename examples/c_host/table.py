"""The instructions of main.c's machine, by which its loops are compiled: `cnp export-c --bytecode table:GUEST`."""

from __future__ import annotations

from cnp import i32, i64
from cnp.bytecode import Exit, Field, Instruction, Page, Registers, Table, Target, Variable, peek, pop, push

VARIABLES, STACK = Registers(i64, 3, "variables"), Registers(i64, 8, "stack")
ARGUMENT, OUTCOME = Field(2, 16), Variable(i32)
THERE = Target(Field(2, 16, scale=4), "zero")  # the number of an instruction
LEAVE = Exit(VARIABLES, STACK)

GUEST = Table(
    Page(
        Field(0, 16),
        {
            0: Instruction("push", ("i64_const", push, ARGUMENT)),
            1: Instruction("load", ("move", push, VARIABLES[ARGUMENT])),
            2: Instruction("store", ("move", VARIABLES[ARGUMENT], pop)),
            3: Instruction("add", ("i64_add", push, pop, pop)),
            4: Instruction("rem", ("branch_i64_eqz", peek(0), LEAVE), ("i64_rem_u", push, pop, pop)),
            5: Instruction("less", ("i64_lt_u", OUTCOME, pop, pop), ("i64_extend_i32_u", push, OUTCOME)),
            6: Instruction("jump", ("jump", THERE)),
            7: Instruction("jump_unless", ("branch_i64_eqz", pop, THERE)),
            8: Instruction("return", ("jump", LEAVE)),
        },
        length=4,
    ),
    stack=STACK,
)
