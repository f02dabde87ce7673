"""Tables with guards, for programs in C: one that reads cells and assumptions of every kind; the two guests'."""

from __future__ import annotations

from guest_machines import REGISTER_GUEST, STACK_GUEST, guarded

from cnp import Assumption, DataCell, f64, i64
from cnp.bytecode import Exit, Field, Instruction, Page, Registers, Table, Target, Variable, peek, pop, push

LOCAL, STACK = Registers(i64, 3, "local", initial=0), Registers(i64, 4, "stack")
FACTOR = Variable(f64, initial=0.5)
HELD, LIMIT_HELD = Variable(i64), Variable(i64)
LIMIT, NOBODY_WATCHES = DataCell(), Assumption("nobody */ watches")
LEAVE, BARE = Exit(FACTOR, LOCAL, STACK), Exit()
NUMBER = Field(1)

GUARDS = Table(
    Page(
        Field(0),
        {
            0x01: Instruction("push", ("i64_const", push, NUMBER), length=2),
            0x02: Instruction("get", ("move", push, LOCAL[NUMBER]), length=2),
            0x03: Instruction("set", ("move", LOCAL[NUMBER], pop), length=2),
            0x04: Instruction(
                "add",
                ("load_cell", LIMIT_HELD, LIMIT),
                ("i64_add", HELD, pop, pop),
                ("branch_i64_gt_s", HELD, LIMIT_HELD, LEAVE),
                ("move", push, HELD),
            ),
            0x05: Instruction(
                "loop",
                ("assume", NOBODY_WATCHES, LEAVE),
                ("i64_sub", HELD, LOCAL[NUMBER], 1),
                ("move", LOCAL[NUMBER], HELD),
                ("branch_i64_nez", HELD, Target(Field(2, signed=True))),
                length=3,
            ),
            0x06: Instruction("ask", ("load_cell", push, NUMBER), length=2),
            0x07: Instruction("check", ("assume", NUMBER, LEAVE), length=2),
            0x08: Instruction("return", ("ret", pop)),
            0x09: Instruction("refuse_zero", ("branch_i64_eqz", peek(0), BARE)),
        },
        length=1,
    ),
    parameters=[LOCAL],
    stack=STACK,
)

WIDE = Registers(i64, 1001, initial=0)
TOO_MANY = Table(Page(Field(0), {1: Instruction("leave", ("jump", Exit(WIDE)))}, length=1))

GUARDED_WORDS, GUARDED_BYTES = (guarded(each, DataCell()).table for each in (REGISTER_GUEST, STACK_GUEST))
