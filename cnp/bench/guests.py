"""Guests with bytecode of any length, of registers, with guards, and of a stack; and the same by a loop in Python.
Those of varints are in `guest_varints`."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from cnp import Function, Label, i64
from cnp.bench.guest_varints import VARINTS, python_varints, varints
from cnp.bytecode import Exit, Field, Instruction, Page, Registers, Table, Target, pop, push

_FILE = Registers(i64, 16, initial=0)
_A, _B, _C = Field(1), Field(2), Field(3)
_NUMBER = Field(2, 16, signed=True)
_STACK = Registers(i64, 8)

WORDS = Table(
    Page(
        Field(0),
        {
            1: Instruction("add", ("i64_add", _FILE[_A], _FILE[_B], _FILE[_C])),
            2: Instruction("xor", ("i64_xor", _FILE[_A], _FILE[_B], _FILE[_C])),
            3: Instruction("add_number", ("i64_add", _FILE[_A], _FILE[_A], _NUMBER)),
            4: Instruction(
                "less", ("branch_i64_lt_s", _FILE[_A], _FILE[0], Target(Field(2, 16, signed=True, scale=4), "end"))
            ),
            5: Instruction("return", ("ret", _FILE[_A])),
        },
        length=4,
    ),
    parameters=[_FILE],
)
"""Four bytes an instruction: one op each, every eighth a branch."""

NOTHING = 2**31 - 1
"""What guards leave for: it stands for what is no number."""

_GUARD = ("branch_i64_eq", _FILE[_B], NOTHING, Exit(_FILE))
GUARDED = Table(
    Page(
        Field(0),
        {
            1: Instruction("add", _GUARD, ("i64_add", _FILE[_A], _FILE[_B], _FILE[_C])),
            2: Instruction("xor", _GUARD, ("i64_xor", _FILE[_A], _FILE[_B], _FILE[_C])),
            3: Instruction("add_number", ("i64_add", _FILE[_A], _FILE[_A], _NUMBER)),
            4: Instruction(
                "less", ("branch_i64_lt_s", _FILE[_A], _FILE[0], Target(Field(2, 16, signed=True, scale=4), "end"))
            ),
            5: Instruction("return", ("ret", _FILE[_A])),
        },
        length=4,
    ),
    parameters=[_FILE],
)
"""The same, but six of eight instructions have a guard, which leaves with all registers."""

_LOOP = 64
"""Instructions from the end of one loop of `looping` to that of the next, half of which are in it."""

BYTES = Table(
    Page(
        Field(0),
        {
            0: Instruction("push", ("i64_const", push, Field(1, signed=True)), length=2),
            1: Instruction("get", ("move", push, _FILE[_A]), length=2),
            2: Instruction("set", ("move", _FILE[_A], pop), length=2),
            3: Instruction("add", ("i64_add", push, pop, pop)),
            4: Instruction("xor", ("i64_xor", push, pop, pop)),
            5: Instruction("return", ("ret", pop)),
        },
        length=1,
    ),
    parameters=[_FILE],
    stack=_STACK,
)
"""One or two bytes an instruction."""


def words(count: int) -> bytes:
    """So many instructions for WORDS. Branches lead at most eight of them ahead."""
    r, made = random.Random(count), bytearray()
    for number in range(count - 1):
        a, b, c = (r.randrange(1, 16) for _ in range(3))
        if number % 8 == 7:
            made += struct.pack("<BBh", 4, a, min(r.randrange(8), count - 2 - number))
        elif number % 4 == 3:
            made += struct.pack("<BBh", 3, a, r.randrange(-1000, 1000))
        else:
            made += bytes([1 + number % 2, a, b, c])
    return bytes(made + b"\x05\x01\0\0")


def looping(count: int) -> bytes:
    """So many instructions for GUARDED: those of `words` without register 15, but for two that make each loop.

    It counts up to the argument in the first one, and is as large from then on.
    """
    made = bytearray(words(count).replace(b"\x0f", b"\x0e"))
    for end in range(_LOOP, count - 1, _LOOP):
        made[4 * end - 8 : 4 * end] = struct.pack("<BBhBBh", 3, 15, 1, 4, 15, -_LOOP // 2)
    return bytes(made)


def python_words(code: bytes, guarded: bool = False) -> Function:
    """The same function, by a loop."""
    f = Function("guest", [i64], i64)
    file = [*f.params, *(f.reg(i64) for _ in range(15))]
    for register in file[1:]:
        f.i64_const(register, 0)
    targets: dict[int, Label] = {}
    for at in range(0, len(code), 4):
        if code[at] == 4:
            place = at + 4 + 4 * int.from_bytes(code[at + 2 : at + 4], "little", signed=True)
            if place not in targets:
                targets[place] = f.label()
    for at in range(0, len(code), 4):
        op, a, b, c = code[at : at + 4]
        if at in targets:
            f.place(targets[at])
        if guarded and op <= 2:
            f.branch_i64_eq(file[b], NOTHING, f.exit(leave, at, file))
        if op == 1:
            f.i64_add(file[a], file[b], file[c])
        elif op == 2:
            f.i64_xor(file[a], file[b], file[c])
        elif op == 3:
            f.i64_add(file[a], file[a], int.from_bytes(code[at + 2 : at + 4], "little", signed=True))
        elif op == 4:
            place = at + 4 + 4 * int.from_bytes(code[at + 2 : at + 4], "little", signed=True)
            f.branch_i64_lt_s(file[a], file[0], targets[place])
        else:
            f.ret(file[a])
    return f


def python_guarded(code: bytes) -> Function:
    """The same with guards."""
    return python_words(code, guarded=True)


def leave(offset: int, _: tuple[int | float, ...]) -> int:
    """Where guards lead."""
    return offset


def stack_bytes(count: int) -> bytes:
    """So many instructions for BYTES, which are fours: a local is set to the sum or the like of two others."""
    r, made = random.Random(count), bytearray()
    for number in range((count - 2) // 4):
        a, b, c = (r.randrange(1, 16) for _ in range(3))
        made += bytes([1, a, 1, b, 3 + number % 2, 2, c])
    made += bytes([0, 7]) * ((count - 2) % 4)
    return bytes(made + bytes([1, 1, 5]))


def python_bytes(code: bytes) -> Function:
    """The same function, by a loop."""
    f = Function("guest", [i64], i64)
    file = [*f.params, *(f.reg(i64) for _ in range(15))]
    stack = [f.reg(i64) for _ in range(8)]
    for register in file[1:]:
        f.i64_const(register, 0)
    at = depth = 0
    while at < len(code):
        op = code[at]
        if op == 0:
            f.i64_const(stack[depth], code[at + 1] - (code[at + 1] >> 7 << 8))
            at, depth = at + 2, depth + 1
        elif op == 1:
            f.move(stack[depth], file[code[at + 1]])
            at, depth = at + 2, depth + 1
        elif op == 2:
            depth -= 1
            f.move(file[code[at + 1]], stack[depth])
            at += 2
        elif op == 3 or op == 4:
            depth -= 1
            (f.i64_add if op == 3 else f.i64_xor)(stack[depth - 1], stack[depth - 1], stack[depth])
            at += 1
        else:
            f.ret(stack[depth - 1])
            at += 1
    return f


@dataclass(frozen=True, slots=True)
class Guest:
    """A table, programs for it, and who else makes functions of them."""

    table: Table
    program: Callable[[int], bytes]
    by_hand: Callable[[bytes], Function]


GUESTS = {
    "registers": Guest(WORDS, words, python_words),
    "guards": Guest(GUARDED, looping, python_guarded),
    "stack": Guest(BYTES, stack_bytes, python_bytes),
    "varints": Guest(VARINTS, varints, python_varints),
}
