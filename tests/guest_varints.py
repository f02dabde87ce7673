"""A guest whose instructions say how long they are: varints, fields behind them, tables of targets, alignment."""

from __future__ import annotations

import random

from guest_machines import FUEL, Guest, OutOfFuel, remainder, signed

from cnp import i32, i64
from cnp.bytecode import (
    Align,
    Field,
    Instruction,
    Page,
    Prefix,
    Registers,
    Table,
    Target,
    Targets,
    Variable,
    Varint,
    pop,
    push,
)

LOCALS = Registers(i64, 16, "local", initial=0)
STACK = Registers(i64, 8, "stack")
INDEX, WIDE, HELD = Variable(i32), Variable(i64), Variable(i64)

NUMBER, LOCAL = Varint(signed=True), Varint(32)
BEHIND = Field(1, 16, order="big")  # a byte, which is nothing, then the number
EXTENDED = Field(1, extended=True)
BY = Target(Varint(32, signed=True, bias=1), "start")
TO = Target(Varint(21, signed=True), "end")
COUNT = Varint(16)
PLACES = Targets(Varint(28), COUNT, relative_to="zero")
OTHERWISE = Target(Varint(28), "zero")
DEFAULT = Target(Field(0, 32, order="big", signed=True))
LOW, BEHIND_HIGH = Field(0, 32, order="big", signed=True), Field(0, 32, order="big", signed=True, bias=1)
CASES = Targets(Field(0, 32, order="big", signed=True), BEHIND_HIGH, less=LOW)
_WIDE, _RARE = 0xE0, 0xE1

TABLE = Table(
    Page(
        Field(0),
        {
            0x01: Instruction("push", ("i64_const", push, NUMBER), then=[NUMBER]),
            0x02: Instruction("get", ("move", push, LOCALS[LOCAL]), then=[LOCAL]),
            0x03: Instruction("set", ("move", LOCALS[LOCAL], pop), then=[LOCAL]),
            0x04: Instruction(
                "add_number", ("i64_add", LOCALS[LOCAL], LOCALS[LOCAL], NUMBER), then=[LOCAL, Varint(7), NUMBER]
            ),
            0x05: Instruction("xor", ("i64_xor", LOCALS[LOCAL], LOCALS[LOCAL], BEHIND), then=[LOCAL, BEHIND]),
            0x06: Instruction(
                "sum", ("i64_const", WIDE, EXTENDED), ("i64_add", push, WIDE, NUMBER), length=2, then=[NUMBER]
            ),
            0x10: Instruction("add", ("i64_add", push, pop, pop)),
            0x11: Instruction("sub", ("i64_sub", push, pop, pop)),
            0x12: Instruction("remainder", ("i64_rem_u", push, pop, pop)),
            0x30: Instruction("jump", ("jump", BY), then=[BY.field]),
            0x31: Instruction("if", ("branch_i64_nez", pop, TO), then=[TO.field]),
            0x33: Instruction("return", ("ret", pop)),
            0x40: Instruction(
                "br_table",
                ("i32_wrap_i64", INDEX, pop),
                ("branch_table", INDEX, OTHERWISE, PLACES),
                then=[COUNT, PLACES, OTHERWISE.field],
            ),
            0x41: Instruction(
                "tableswitch",
                ("i64_sub", HELD, pop, LOW),
                ("i32_wrap_i64", INDEX, HELD),
                ("branch_table", INDEX, DEFAULT, DEFAULT, CASES),  # the first case, too, goes on there
                then=[Align(4), DEFAULT.field, LOW, BEHIND_HIGH, CASES],
            ),
            _WIDE: Prefix(None, 2, collects=Field(1)),
            _RARE: Prefix(
                Page(Field(0), {0x00: Instruction("far", ("i64_const", push, NUMBER), then=[NUMBER])}, length=1)
            ),
        },
        length=1,
    ),
    parameters=[LOCALS],
    stack=STACK,
)


def leb(code: bytes, at: int, is_signed: bool) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    number = shift = 0
    while True:
        byte = code[at]
        number, shift, at = number | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return (number - (1 << shift) if is_signed and byte & 0x40 else number), at


def leb_bytes(number: int, least: int = 1) -> bytes:
    """A number that is so as a signed one and, if it is not negative, as an unsigned one; padded to some bytes."""
    made = bytearray()
    while not -0x40 <= number < 0x40 or len(made) + 1 < least:
        made.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes(made) + bytes([number & 0x7F])


def big(code: bytes, at: int) -> int:
    """The big-endian 32 bits there."""
    return int.from_bytes(code[at : at + 4], "big", signed=True)


def run(code: bytes, arguments: list[int], at: int = 0) -> int:
    """What the bytes mean; from an offset on, with all locals and then what is on the stack."""
    local, stack, fuel = [*arguments[:16], *[0] * (16 - len(arguments))], arguments[16:], FUEL
    while True:
        start, wide = at, 0
        while code[at] == _WIDE:
            wide, at = wide << 8 | code[at + 1], at + 2
        op, at = code[at], at + 1
        if op == _RARE:
            op, at = 0x01, at + 1
        if op == 0x01:
            number, at = leb(code, at, True)
            stack.append(number)
        elif op in (0x02, 0x03, 0x04, 0x05):
            number, at = leb(code, at, False)
            if op == 0x02:
                stack.append(local[number])
            elif op == 0x03:
                local[number] = stack.pop()
            elif op == 0x04:
                added, at = leb(code, leb(code, at, False)[1], True)
                local[number] = signed(local[number] + added)
            else:
                local[number] ^= code[at + 1] << 8 | code[at + 2]
                at += 3
        elif op == 0x06:
            number, after = leb(code, at + 1, True)
            stack.append(signed((wide << 8 | code[at]) + number))
            at = after
        elif op in (0x10, 0x11, 0x12):
            b, a = stack.pop(), stack.pop()
            stack.append(remainder(a, b, start) if op == 0x12 else signed(a + b if op == 0x10 else a - b))
        elif op == 0x30:
            at = start + leb(code, at, True)[0] + 1
        elif op == 0x31:
            number, at = leb(code, at, True)
            at += number if stack.pop() else 0
        elif op == 0x33:
            return stack.pop()
        elif op == 0x40:
            count, at = leb(code, at, False)
            index, place = stack.pop() % 2**32, 0
            for _ in range(min(index, count) + 1):
                place, at = leb(code, at, False)
            at = place
        else:
            at += -at % 4
            index = (stack.pop() - big(code, at + 4)) % 2**32 - 1
            is_case = 0 <= index <= big(code, at + 8) - big(code, at + 4)
            at = start + big(code, at + 12 + 4 * index if is_case else at)
        if at <= start:
            fuel -= 1
            if not fuel:
                raise OutOfFuel


class _Assembler:
    """A program whose jumps go to the beginnings of its blocks."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.made = bytearray()
        self.starts: list[int] = []
        self._jumps: list[tuple[int, int, bool, int]] = []  # place, bytes, whether in LEB128, what it is relative to

    def jump(self, size: int, base: int, is_leb: bool = True) -> None:
        """A number for a place that is not known yet."""
        self._jumps.append((len(self.made), size, is_leb, base))
        self.made += bytes(size)

    def finish(self) -> bytes:
        """Blocks that a jump leads back to are rarer."""
        for at, size, is_leb, base in self._jumps:
            later = [each for each in self.starts if each > at]
            place = self.r.choice(later if self.r.random() < 0.8 else self.starts) - base
            self.made[at : at + size] = leb_bytes(place, size) if is_leb else place.to_bytes(4, "big", signed=True)
        return bytes(self.made)

    def push(self) -> None:
        """A value to the stack."""
        r = self.r
        number = r.choice((r.randrange(-9, 9), r.randrange(-(2**63), 2**63), r.choice((2**63 - 1, -(2**63)))))
        kind = r.randrange(5)
        if kind == 0:
            self.made += b"\x01" + leb_bytes(number, r.choice((1, 1, 3, 10)))
        elif kind == 1:
            self.made += bytes([_RARE, 0x00]) + leb_bytes(number)
        elif kind == 2:
            for _ in range(r.randrange(3)):
                self.made += bytes([_WIDE, r.randrange(256)])
            self.made += bytes([0x06, r.randrange(256)]) + leb_bytes(number)
        else:
            self.made += b"\x02" + self.local()

    def local(self) -> bytes:
        """Which local: few of them."""
        return leb_bytes(self.r.randrange(4), self.r.choice((1, 2, 5)))

    def statement(self) -> None:
        """Something that leaves the stack as it was."""
        kind = self.r.randrange(4)
        if kind == 0:
            self.made += b"\x04" + self.local() + b"\x05" + leb_bytes(self.r.randrange(-(2**20), 2**20))
        elif kind == 1:
            self.made += b"\x05" + self.local() + self.r.randbytes(3)
        else:
            self.push()
            for _ in range(self.r.randrange(4)):
                self.push()
                self.made += self.r.choice((b"\x10", b"\x11"))
            self.made += b"\x03" + self.local()

    def end(self) -> None:
        """Of a block."""
        start = len(self.made)
        kind, count = self.r.randrange(5), self.r.choice((0, 1, 2, 3, 40))
        if kind == 0:
            self.made += b"\x30"
            self.jump(5, start + 1)
        elif kind == 1:
            self.made += b"\x02" + self.local() + b"\x31"
            self.jump(3, len(self.made) + 3)
        elif kind == 2:
            self.index(count)
            self.made += b"\x40" + leb_bytes(count, self.r.choice((1, 3)))
            for _ in range(count + 1):
                self.jump(4, 0)
        elif kind == 3:
            self.index(count)
            start, low = len(self.made), self.r.randrange(-3, 3)
            self.made += b"\x41"
            self.made += bytes(-len(self.made) % 4)
            self.jump(4, start, False)
            self.made += low.to_bytes(4, "big", signed=True) + (low + count - 1).to_bytes(4, "big", signed=True)
            for _ in range(count):
                self.jump(4, start, False)

    def index(self, count: int) -> None:
        """One that is in the table in most cases."""
        self.made += b"\x01" + leb_bytes(self.r.randrange(-4, count + 4))


def random_program(r: random.Random) -> bytes:
    """A program of blocks, each of which begins and ends with nothing on the stack; the last returns."""
    made = _Assembler(r)
    for _ in range(r.randrange(1, 8)):
        made.starts.append(len(made.made))
        for _ in range(r.randrange(0, 4)):
            made.statement()
        made.end()
    made.starts.append(len(made.made))
    made.made += b"\x02" + made.local() + b"\x33"
    return made.finish()


VARINT_GUEST = Guest(TABLE, run, random_program)
