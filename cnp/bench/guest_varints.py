"""A guest whose operands are varints, behind prefixes in a quarter of its instructions; and the same by a loop in
Python."""

from __future__ import annotations

import random

from cnp import Function, Label, i64
from cnp.bytecode import Field, Instruction, Page, Prefix, Registers, Table, Target, Varint

_FILE = Registers(i64, 16, initial=0)
_A, _B, _C, _NUMBER = Varint(), Varint(), Varint(), Varint(signed=True)
_THERE = Target(Varint(signed=True), "end")
_ADD, _ADD_NUMBER, _XOR_NUMBER, _LESS, _RETURN, _WIDE, _RARE = 1, 2, 3, 4, 5, 0xE0, 0xE1
_XOR = 1  # on the page behind _RARE

VARINTS = Table(
    Page(
        Field(0),
        {
            _ADD: Instruction("add", ("i64_add", _FILE[_A], _FILE[_B], _FILE[_C]), then=[_A, _B, _C]),
            _ADD_NUMBER: Instruction("add_number", ("i64_add", _FILE[_A], _FILE[_A], _NUMBER), then=[_A, _NUMBER]),
            _XOR_NUMBER: Instruction(
                "xor_number", ("i64_xor", _FILE[_A], _FILE[_A], Field(1, extended=True)), length=2, then=[_A]
            ),
            _LESS: Instruction("less", ("branch_i64_lt_s", _FILE[_A], _FILE[0], _THERE), then=[_A, _THERE.field]),
            _RETURN: Instruction("return", ("ret", _FILE[_A]), then=[_A]),
            _WIDE: Prefix(length=2, collects=Field(1)),
            _RARE: Prefix(
                Page(
                    Field(0),
                    {_XOR: Instruction("xor", ("i64_xor", _FILE[_A], _FILE[_B], _FILE[_C]), then=[_A, _B, _C])},
                    length=1,
                )
            ),
        },
        length=1,
    ),
    parameters=[_FILE],
)
"""Two to six bytes an instruction: one op each, every eighth a branch, as in `guests.WORDS`."""


def varints(count: int) -> bytes:
    """So many instructions for VARINTS. Branches lead at most eight of them ahead."""
    r = random.Random(count)
    made = [bytes([_RETURN, 1])]  # from the last one on: how far a branch leads depends on what is behind it
    for number in reversed(range(count - 1)):
        a, b, c = (r.randrange(1, 16) for _ in range(3))
        if number % 8 == 7:
            ahead = sum(map(len, made[len(made) - min(r.randrange(8), len(made) - 1) :]))
            made.append(bytes([_LESS, a]) + _leb(ahead))
        elif number % 8 == 5:
            made.append(bytes([_WIDE, r.randrange(256), _XOR_NUMBER, r.randrange(256), a]))
        elif number % 8 == 3:
            made.append(bytes([_ADD_NUMBER, a]) + _leb(r.randrange(-(2**20), 2**20) >> r.choice((0, 7, 14))))
        else:
            made.append(bytes([_RARE, _XOR, a, b, c] if number % 8 == 1 else [_ADD, a, b, c]))
    return b"".join(reversed(made))


def python_varints(code: bytes) -> Function:
    """The same function, by a loop."""
    f = Function("guest", [i64], i64)
    file = [*f.params, *(f.reg(i64) for _ in range(15))]
    for register in file[1:]:
        f.i64_const(register, 0)
    targets: dict[int, Label] = {}  # all lead ahead
    at = 0
    while at < len(code):
        if at in targets:
            f.place(targets[at])
        wide = 0
        while code[at] == _WIDE:
            wide, at = wide << 8 | code[at + 1], at + 2
        op, at = code[at], at + 1
        if op in (_RARE, _ADD):
            at += op == _RARE
            a, at = _unsigned(code, at)
            b, at = _unsigned(code, at)
            c, at = _unsigned(code, at)
            (f.i64_add if op == _ADD else f.i64_xor)(file[a], file[b], file[c])
        elif op == _ADD_NUMBER:
            a, at = _unsigned(code, at)
            number, at = _signed(code, at)
            f.i64_add(file[a], file[a], number)
        elif op == _XOR_NUMBER:
            number = wide << 8 | code[at]
            a, at = _unsigned(code, at + 1)
            f.i64_xor(file[a], file[a], number)
        elif op == _LESS:
            a, at = _unsigned(code, at)
            ahead, at = _signed(code, at)
            if at + ahead not in targets:
                targets[at + ahead] = f.label()
            f.branch_i64_lt_s(file[a], file[0], targets[at + ahead])
        else:
            a, at = _unsigned(code, at)
            f.ret(file[a])
    return f


def _leb(number: int) -> bytes:
    """A signed number in LEB128."""
    made = bytearray()
    while not -0x40 <= number < 0x40:
        made.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes([*made, number & 0x7F])


def _unsigned(code: bytes, at: int) -> tuple[int, int]:
    """The number in LEB128 that begins there, and where it ends."""
    number = shift = 0
    while True:
        byte = code[at]
        number, shift, at = number | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return number, at


def _signed(code: bytes, at: int) -> tuple[int, int]:
    number, end = _unsigned(code, at)
    sign = 1 << 7 * (end - at) - 1
    return (number ^ sign) - sign, end
