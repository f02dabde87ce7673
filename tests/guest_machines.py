"""Two small guests, one of registers and one of a stack: their tables, a plain interpreter of each, random programs."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cnp import DataCell, i64
from cnp.bytecode import Exit, Field, Instruction, Page, Prefix, Registers, Table, Target, Variable, peek, pop, push
from cnp.bytecode.instruction import read

MASK = 2**64 - 1
FUEL = 200
"""Backward jumps that an interpreter takes before it gives a program up."""


def signed(value: int) -> int:
    """The i64 of the low 64 bits."""
    return (value & MASK ^ 1 << 63) - (1 << 63)


class OutOfFuel(Exception):
    """A program that takes too long."""


class Trapped(Exception):
    """A division by zero, in the instruction at this offset."""


def remainder(a: int, b: int, at: int) -> int:
    """That of unsigned ones, by the instruction at an offset."""
    if not b:
        raise Trapped(at)
    return signed((a & MASK) % (b & MASK))


@dataclass(frozen=True)
class Guest:
    """A table, what its programs mean, and how to make one that ends in most cases."""

    table: Table
    run: Callable[..., int]
    program: Callable[[random.Random], bytes]


class Run(NamedTuple):
    """A program, what it is called with, and what an interpreter makes of it."""

    seed: int
    code: bytes
    arguments: list[int]
    wanted: int


def runs(guest: Guest, seeds: int = 400) -> Iterator[Run]:
    """Random programs, without those that take too long: most are left."""
    ran = 0
    for seed in range(seeds):
        r = random.Random(seed)
        code = guest.program(r)
        arguments = [r.choice((0, 1, -1, 5, 2**63 - 1, -(2**63))) for _ in range(2)]
        try:
            wanted = guest.run(code, arguments)
        except OutOfFuel:
            continue
        yield Run(seed, code, arguments, wanted)
        ran += 1
    assert 8 * ran > 5 * seeds


def damaged(guest: Guest, r: random.Random) -> bytes:
    """A program with something else in some places, a bit flipped, a jump put in, or cut off."""
    code = bytearray(guest.program(r))
    for _ in range(r.choice((1, 1, 2, 4))):
        at, kind = r.randrange(len(code)), r.randrange(8)
        if kind == 0:
            del code[at + 1 :]
        elif kind == 1:
            code[at:at] = bytes([r.choice(code)])
        elif kind == 2:
            jump = r.choice((0x10, 0x11, 0x30, 0x31))
            code[at : at + 4] = struct.pack("<BBh", jump, r.randrange(9), r.randrange(-9, 9))
        elif kind < 5:
            code[at] ^= 1 << r.randrange(8)
        else:
            code[at] = r.choice((r.randrange(256), r.choice(code)))
    return bytes(code)


def dividing(guest: Guest, r: random.Random) -> bytes:
    """A program with remainders, which may trap, in place of half of its additions."""
    code = bytearray(guest.program(r))
    opcodes = {each.name: op for op, each in guest.table.page.instructions.items() if isinstance(each, Instruction)}
    for at in [each.start for each in read(guest.table.page, bytes(code))]:
        if code[at] == opcodes["add"] and r.random() < 0.5:
            code[at] = opcodes["remainder"]
    return bytes(code)


# -- registers: words of four bytes, as in many a virtual machine

A, B, C = Field(1), Field(2), Field(3)
IMMEDIATE = Field(2, 16, signed=True)
BY = Target(Field(2, 16, signed=True, scale=4), "end")
FAR = Target(Field(1, 24, signed=True, scale=4), "start")
FILE = Registers(i64, 8, initial=0)

WORDS = Table(
    Page(
        Field(0),
        {
            0x00: Instruction("move", ("move", FILE[A], FILE[B])),
            0x01: Instruction("set", ("i64_const", FILE[A], IMMEDIATE)),
            0x02: Instruction("add", ("i64_add", FILE[A], FILE[B], FILE[C])),
            0x03: Instruction("sub", ("i64_sub", FILE[A], FILE[B], FILE[C])),
            0x04: Instruction("xor_immediate", ("i64_xor", FILE[A], FILE[A], IMMEDIATE)),
            0x05: Instruction("shift", ("i64_shl", FILE[A], FILE[B], Field(3, 6))),
            0x06: Instruction("remainder", ("i64_rem_u", FILE[A], FILE[B], FILE[C])),
            0x10: Instruction("jump", ("jump", FAR)),
            0x11: Instruction("less", ("branch_i64_lt_s", FILE[A], FILE[0], BY)),
            0x12: Instruction("zero", ("branch_i64_eqz", FILE[A], BY)),
            0x20: Instruction("return", ("ret", FILE[A])),
        },
        length=4,
    ),
    parameters=[FILE],
)


def run_words(code: bytes, arguments: list[int], at: int = 0) -> int:
    """What the words mean; from an offset on, with all registers."""
    r, fuel = [*arguments, *[0] * (8 - len(arguments))], FUEL
    while True:
        op, a, b, c = code[at : at + 4]
        (immediate,) = struct.unpack("<h", code[at + 2 : at + 4])
        before, at = at, at + 4
        if op == 0x00:
            r[a] = r[b]
        elif op == 0x01:
            r[a] = immediate
        elif op == 0x02:
            r[a] = signed(r[b] + r[c])
        elif op == 0x03:
            r[a] = signed(r[b] - r[c])
        elif op == 0x04:
            r[a] ^= immediate
        elif op == 0x05:
            r[a] = signed(r[b] << (c & 63))
        elif op == 0x06:
            r[a] = remainder(r[b], r[c], before)
        elif op == 0x10:
            far = int.from_bytes(code[before + 1 : before + 4], "little", signed=True)
            at = before + 4 * far
        elif (op == 0x11 and r[a] < r[0]) or (op == 0x12 and not r[a]):
            at += 4 * immediate
        elif op == 0x20:
            return r[a]
        if at <= before:
            fuel -= 1
            if not fuel:
                raise OutOfFuel


def random_words(r: random.Random) -> bytes:
    """A program of up to forty instructions that returns in its last."""
    count = r.randrange(1, 40)
    made = []
    for number in range(count):
        op = r.choice((0x00, 0x01, 0x02, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x12, 0x20))
        a, target = r.randrange(8), r.randrange(count + 1)
        if op == 0x10:
            made.append(bytes([op]) + (target - number).to_bytes(3, "little", signed=True))
        elif op in (0x11, 0x12):
            made.append(struct.pack("<BBh", op, a, target - number - 1))
        elif op in (0x01, 0x04):
            made.append(struct.pack("<BBh", op, a, r.randrange(-(2**15), 2**15)))
        else:
            made.append(bytes([op, a, r.randrange(8), r.randrange(8 if op in (0x02, 0x03) else 256)]))
    return b"".join(made) + bytes([0x20, r.randrange(8), 0, 0])


# -- a stack: bytes, big-endian operands, a prefix that widens them, and a page of its own for rarer ones

LOCALS = Registers(i64, 16, "local", initial=0)
STACK = Registers(i64, 8, "stack")
HELD = Variable(i64)
LOCAL = Field(1, extended=True)
NUMBER = Field(1, signed=True, extended=True)
PLACE = Target(Field(1, 16, order="big"), "zero")
_WIDE, _RARE = 0xE0, 0xE1

BYTES = Table(
    Page(
        Field(0),
        {
            0x01: Instruction("push", ("i64_const", push, NUMBER), length=2),
            0x02: Instruction("get", ("move", push, LOCALS[LOCAL]), length=2),
            0x03: Instruction("set", ("move", LOCALS[LOCAL], pop), length=2),
            0x10: Instruction("add", ("i64_add", push, pop, pop)),
            0x11: Instruction("sub", ("i64_sub", push, pop, pop)),
            0x12: Instruction("double", ("i64_add", peek(0), peek(0), peek(0))),
            0x13: Instruction("remainder", ("i64_rem_u", push, pop, pop)),
            0x30: Instruction("jump", ("jump", PLACE), length=3),
            0x31: Instruction("if", ("branch_i64_nez", pop, PLACE), length=3),
            0x32: Instruction(
                "clamp",  # a label of its own
                ("branch_i64_ge_s", peek(0), 0, "done"),
                ("i64_const", peek(0), 0),
                ("place", "done"),
            ),
            0x33: Instruction("return", ("ret", pop)),
            0x34: Instruction("try", ("branch_i64_nez", peek(0), PLACE), ("move", HELD, pop), length=3),
            _WIDE: Prefix(None, 2, collects=Field(1)),
            _RARE: Prefix(
                Page(
                    Field(0),
                    {
                        0x00: Instruction("dup", ("move", push, peek(0)), length=1),
                        0x01: Instruction(
                            "swap",
                            ("move", HELD, peek(0)),
                            ("move", peek(0), peek(1)),
                            ("move", peek(1), HELD),
                            length=1,
                        ),
                        0x02: Instruction("nop", length=1),
                    },
                )
            ),
        },
        length=1,
    ),
    parameters=[LOCALS],
    stack=STACK,
)


def run_bytes(code: bytes, arguments: list[int], at: int = 0) -> int:
    """What the bytes mean; from an offset on, with all locals and then what is on the stack."""
    local, stack, fuel = [*arguments[:16], *[0] * (16 - len(arguments))], arguments[16:], FUEL
    while True:
        start, wide, bits = at, 0, 0
        while code[at] == _WIDE:
            wide, bits, at = wide << 8 | code[at + 1], bits + 8, at + 2
        op = code[at]
        operand = wide << 8 | code[at + 1] if op < 0x10 else 0
        at += 2 if op < 0x10 else 3 if op in (0x30, 0x31, 0x34) else 1
        place = int.from_bytes(code[at - 2 : at], "big")
        if op == 0x01:
            half = 1 << (bits + 7)
            stack.append((operand ^ half) - half)
        elif op == 0x02:
            stack.append(local[operand])
        elif op == 0x03:
            local[operand] = stack.pop()
        elif op in (0x10, 0x11, 0x13):
            b, a = stack.pop(), stack.pop()
            stack.append(remainder(a, b, start) if op == 0x13 else signed(a + b if op == 0x10 else a - b))
        elif op == 0x12:
            stack[-1] = signed(2 * stack[-1])
        elif op == 0x30 or (op == 0x31 and stack.pop()) or (op == 0x34 and stack[-1]):
            at = place
        elif op == 0x32:
            stack[-1] = max(stack[-1], 0)
        elif op == 0x33:
            return stack.pop()
        elif op == 0x34:
            stack.pop()
        elif op == _RARE:
            rare, at = code[at], at + 1
            if rare == 0x00:
                stack.append(stack[-1])
            elif rare == 0x01:
                stack[-1], stack[-2] = stack[-2], stack[-1]
        if at <= start:
            fuel -= 1
            if not fuel:
                raise OutOfFuel


def random_bytes(r: random.Random) -> bytes:
    """A program of blocks, each of which begins and ends with nothing on the stack; the last returns."""
    made = bytearray()
    jumps: list[int] = []
    starts: list[int] = []
    for _ in range(r.randrange(1, 8)):
        starts.append(len(made))
        for _ in range(r.randrange(0, 4)):
            _statement(r, made)
        if r.random() < 0.7:
            made += r.choice((bytes([0x02, r.randrange(4), 0x31]), b"\x30"))
            jumps.append(len(made))
            made += b"\0\0"
    starts.append(len(made))
    for at in jumps:
        target = r.choice([each for each in starts if each > at] if r.random() < 0.7 else starts)
        made[at : at + 2] = target.to_bytes(2, "big")
    return bytes(made) + bytes([0x02, r.randrange(4), 0x33])


def _statement(r: random.Random, made: bytearray) -> None:
    """local = an expression; or, where another is not zero, that."""
    if r.random() < 0.2:
        place = len(made) + 7
        made += bytes([0x02, r.randrange(4), 0x34, *place.to_bytes(2, "big"), 0x01, r.randrange(256)])
    else:
        depth = 0
        for _ in range(r.randrange(1, 8)):
            depth += _step(r, made, depth)
        made += b"\x10" * (depth - 1)
    made += bytes([0x03, r.randrange(4)])


def _step(r: random.Random, made: bytearray, depth: int) -> int:
    """An instruction for a stack that has `depth` values; returns by how much it grows."""
    if depth < 1 or (depth < 7 and r.random() < 0.5):
        prefixes = b"".join(bytes([_WIDE, r.randrange(256)]) for _ in range(r.choice((0, 0, 0, 1, 2, 4))))
        made += prefixes + bytes([0x01, r.randrange(256)]) if r.random() < 0.5 else bytes([0x02, r.randrange(4)])
        return 1
    if depth < 7 and r.random() < 0.2:
        made += bytes([_RARE, 0x00])
        return 1
    made += r.choice((b"\x12", b"\x32", bytes([_RARE, 0x02]), *[bytes([_RARE, 0x01])] * (depth > 1)))
    if depth > 1 and r.random() < 0.5:
        made += r.choice((b"\x10", b"\x11"))
        return -1
    return 0


# -- the same with a guard in front of most instructions, behind which nothing is greater than a limit


def guarded(guest: Guest, limit: int | DataCell) -> Guest:
    """It leaves with what `run` goes on with."""
    held = Variable(i64)
    top, leave = (FILE[A], Exit(FILE)) if guest is REGISTER_GUEST else (peek(0), Exit(LOCALS, STACK))
    guard: list[tuple[object, ...]] = [("branch_i64_gt_s", top, limit, leave)]
    if isinstance(limit, DataCell):
        guard = [("load_cell", held, limit), ("branch_i64_gt_s", top, held, leave)]

    def page(of: Page) -> Page:
        made = {}
        for opcode, each in of.instructions.items():
            if isinstance(each, Prefix):
                made[opcode] = each if each.page is None else Prefix(page(each.page), each.length)
            else:
                is_guarded = each.name not in ("jump", "push", "get", "nop")
                made[opcode] = Instruction(each.name, *(guard if is_guarded else ()), *each.ops, length=each.length)
        return Page(of.opcode, made, of.length)

    stack = STACK if guest is STACK_GUEST else None
    parameters = [FILE if stack is None else LOCALS]
    return Guest(Table(page(guest.table.page), parameters=parameters, stack=stack), guest.run, guest.program)


REGISTER_GUEST = Guest(WORDS, run_words, random_words)
STACK_GUEST = Guest(BYTES, run_bytes, random_bytes)
