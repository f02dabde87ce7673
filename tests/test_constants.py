"""Constants in registers: every target makes any of them, and AArch64 with the moves that it takes and no more."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from machines import Machine

from cnp.ir import Function
from cnp.stencil.sources import library_path
from cnp.target.immediate import logical_immediate
from cnp.types import Type

i32, i64 = Type.i32, Type.i64
HALVES = (0, 0xFFFF, 0x1234)
WIDE = [
    sum(half << 16 * number for number, half in enumerate(halves)) for halves in itertools.product(HALVES, repeat=4)
]
"""All combinations of halfwords that are zeros, ones, or neither."""


def signed(value: int, bits: int) -> int:
    return value - (value >> bits - 1 << bits)


def test_constants_of_zeros_and_ones_are_what_they_are(machine: Machine) -> None:
    choose = random.Random(7)
    values = [signed(each, 64) for each in WIDE]
    numbers = [signed(each & 0xFFFFFFFF, 32) for each in WIDE]
    for several in (values[start : start + 9] for start in range(0, len(values), 9)):
        f = Function("constants", params=[i64], result=i64)
        (x,) = f.params
        t, total = f.reg(i64), f.reg(i64)
        f.i64_const(total, 1)
        expected, given = 1, choose.getrandbits(62)
        for value in several:
            f.i64_const(t, value)
            f.i64_mul(total, total, 31)
            f.i64_xor(total, total, t)
            f.i64_sub(t, x, value)
            f.i64_add(total, total, t)
            expected = ((expected * 31 ^ value) + given - value) % (1 << 64)
        f.ret(total)
        assert machine.compile(f)(given) == signed(expected, 64)
    for number in dict.fromkeys(numbers):
        f = Function("constant", params=[], result=i32)
        f.ret(number)
        assert machine.compile(f)() == number


def moves(value: int) -> list[str]:
    """The instructions of AArch64 code that gives a constant, without the return."""
    f = Function("constant", params=[], result=i64)
    f.ret(signed(value, 64))
    lines = f.compile(target="aarch64").disassemble().splitlines()
    found = [re.search(r"\b(mov|movz|movn|movk|orr|ldr)\b", line.partition(";")[0]) for line in lines]
    return [each[1] for each in found if each is not None]


@pytest.mark.parametrize("value", WIDE, ids=hex)
def test_a_constant_takes_as_many_moves_as_it_has_halfwords(value: int) -> None:
    if not library_path("aarch64").exists():
        pytest.skip("NOT TESTED: no library for aarch64 is built")
    pytest.importorskip("capstone")
    halves = [value >> 16 * number & 0xFFFF for number in range(4)]
    needed = max(min(sum(half != other for half in halves) for other in (0, 0xFFFF)), 1)
    if logical_immediate(value, 64) is not None:
        needed = 1
    if needed == 4:
        assert moves(value) == ["ldr"], "from the pool"
    else:
        assert len(moves(value)) == needed
