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

VM, HELD = Variable(i64, "vm"), Variable(i64)
OWN, FEW = Registers(i64, 4, "local", initial=0), Registers(i64, 4, "stack")
LEAVE = Exit(VM, OWN, FEW)

STRESS = Table(
    Page(
        Field(0),
        {
            0x01: Instruction("push", ("i64_const", push, Field(1, signed=True)), length=2),
            0x02: Instruction("get", ("move", push, OWN[NUMBER]), length=2),
            0x03: Instruction("set", ("move", OWN[NUMBER], pop), length=2),
            0x04: Instruction("add", ("i64_add", push, pop, pop)),
            0x05: Instruction("multiply", ("i64_mul", push, pop, pop)),
            0x06: Instruction("remainder", ("i64_rem_u", push, pop, pop)),
            0x07: Instruction("send", ("call", push, NUMBER, VM, pop, pop), length=2),
            0x08: Instruction("check", ("assume", NUMBER, LEAVE), length=2),
            0x09: Instruction(
                "small", ("load_cell", HELD, NUMBER), ("branch_i64_gt_s", peek(0), HELD, LEAVE), length=2
            ),
            0x0A: Instruction(
                "equal", ("branch_i64_ne", peek(0), peek(1), LEAVE), ("move", HELD, pop), ("move", HELD, pop)
            ),
            0x0B: Instruction(
                "loop",
                ("i64_sub", HELD, OWN[NUMBER], 1),
                ("move", OWN[NUMBER], HELD),
                ("branch_i64_nez", HELD, Target(Field(2, signed=True))),
                length=3,
            ),
            0x0C: Instruction("stop", ("jump", LEAVE)),
            0x0D: Instruction("return", ("ret", pop)),
        },
        length=1,
    ),
    parameters=[VM, OWN],
    stack=FEW,
)
