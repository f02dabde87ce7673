"""A table whose instructions call: what fields number, and a C function by its name; of many registers."""

from __future__ import annotations

from cnp import extern, f64, i64
from cnp.bytecode import Exit, Field, Instruction, Page, Registers, Table, Target, Variable, peek, pop, push

LOCAL, STACK = Registers(i64, 100, "local", initial=0), Registers(i64, 50, "stack")
REAL = Variable(f64, "real")
NUMBER = Field(1)

CALLS = Table(
    Page(
        Field(0),
        {
            0x01: Instruction("push", ("i64_const", push, Field(1, signed=True)), length=2),
            0x02: Instruction("get", ("move", push, LOCAL[NUMBER]), length=2),
            0x03: Instruction("set", ("move", LOCAL[NUMBER], pop), length=2),
            0x04: Instruction("call", ("call", push, NUMBER, pop), length=2),
            0x05: Instruction("tell", ("call", None, NUMBER, peek(0), peek(0)), length=2),
            0x06: Instruction(
                "mix", ("f64_convert_i64_s", REAL, pop), ("call", REAL, NUMBER, REAL, pop),
                ("i64_trunc_f64_s", push, REAL), length=2,
            ),
            0x07: Instruction("absolute", ("call", push, extern("llabs", [i64], i64), pop)),
            0x08: Instruction("return", ("ret", pop)),
            0x09: Instruction("add", ("i64_add", push, pop, pop)),
            0x0A: Instruction("unless", ("branch_i64_eqz", pop, Target(Field(1, signed=True))), length=2),
            0x0B: Instruction("jump", ("jump", Target(Field(1, signed=True))), length=2),
            0x0C: Instruction("small", ("branch_i64_gt_s", peek(0), 1000, Exit(LOCAL, STACK))),
        },
        length=1,
    ),
    parameters=[LOCAL],
    stack=STACK,
)  # fmt: skip
