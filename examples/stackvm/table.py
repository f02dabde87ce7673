"""What the guest's instructions are in machine code: ops, and guards where the interpreter has to see to them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import cnp
from cnp import i64
from cnp.bytecode import Exit, Field, Instruction, Page, Prefix, Registers, Table, Target, Variable, peek, pop, push

from .code import MOST_PARAMETERS, Op


class Context(ctypes.Structure):
    """`struct vm` of ops/vm.c."""

    _fields_ = (("items", ctypes.POINTER(ctypes.c_int64)), ("length", ctypes.c_uint64))


MEANINGS: dict[str, Callable[..., int]] = {
    "vm.length": lambda vm: Context.from_address(vm).length,
    "vm.item": lambda vm, index: Context.from_address(vm).items[index],
    "vm.either_large": lambda a, b: (a | b) & 1,
    "vm.sum_large": lambda a, b: int(not -(2**63) <= a + b < 2**63),
    "vm.product_large": lambda a, b: int(not -(2**63) <= a * b < 2**63),
}

VM = Variable(i64, "vm")
LOCALS, STACK = Registers(i64, 256, "local", initial=0), Registers(i64, 64, "stack")
A, THERE = Field(1), Target(Field(2, 16, signed=True, scale=4), "zero")

INDEX, LENGTH, NUMBER = Variable(i64), Variable(i64), Variable(i64)  # in between
LEAVE = Exit(LOCALS, STACK)
SMALL = ("branch_vm_either_large", peek(1), peek(0), LEAVE)

PUSH = Instruction("push", ("i64_const", push, Field(2, 16, signed=True, scale=2)))
ADD = Instruction("add", SMALL, ("branch_vm_sum_large", peek(1), peek(0), LEAVE), ("i64_add", push, pop, pop))
MUL = Instruction(
    "mul",
    SMALL,
    ("i64_shr_s", NUMBER, peek(0), 1),
    ("branch_vm_product_large", peek(1), NUMBER, LEAVE),
    ("i64_mul", peek(1), peek(1), NUMBER),
    ("move", NUMBER, pop),
)
ITEM = Instruction(
    "item",
    ("assume", A, LEAVE),
    ("i64_rotr", INDEX, peek(0), 1),  # of a large or negative number, more than any length
    ("vm_length", LENGTH, VM),
    ("branch_i64_ge_u", INDEX, LENGTH, LEAVE),
    ("vm_item", peek(0), VM, INDEX),
)
UNLESS_LESS = Instruction("unless_less", SMALL, ("branch_i64_ge_s", pop, pop, THERE))


def call(arity: int) -> Instruction:
    """A call with so many arguments."""
    return Instruction(f"call with {arity}", ("call", push, A, VM, *[pop] * arity))


INSTRUCTIONS: dict[int, Instruction | Prefix] = {
    Op.PUSH: PUSH,
    Op.GET: Instruction("get", ("move", push, LOCALS[A])),
    Op.SET: Instruction("set", ("move", LOCALS[A], pop)),
    Op.ADD: ADD,
    Op.MUL: MUL,
    Op.ITEM: ITEM,
    Op.UNLESS_LESS: UNLESS_LESS,
    Op.JUMP: Instruction("jump", ("jump", THERE)),
    Op.LOOP: Instruction("loop", ("jump", THERE)),
    Op.CALL: Prefix(Page(Field(2), {arity: call(arity) for arity in range(MOST_PARAMETERS + 1)}, length=4), length=0),
    Op.RETURN: Instruction("return", ("ret", pop)),
}


def load(path: str) -> tuple[Any, Table]:
    """The library that cnp has built of ops/vm.c, and the table of instructions that are made of it."""
    ops = cnp.load(path, semantics=MEANINGS)
    page = Page(Field(0), INSTRUCTIONS, length=4)
    return ops, Table(page, parameters=[VM, LOCALS], stack=STACK, functions=ops.Function)
