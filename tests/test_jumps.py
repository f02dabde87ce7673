"""Programs that jump where they like, through overlapping loops: what the reference interpreter reads must be live."""

from __future__ import annotations

import random
from typing import Any

import pytest
from conftest import LIBRARY

from cnp import i64
from cnp.ir import Function, Label, Register
from cnp.ir.text import print_function

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

_FUEL = 60  # jumps, and then the program ends


class Spaghetti:
    """A row of parts. Each begins by defining registers of its own, which all ways to later blocks lead through; from
    its other blocks control goes anywhere in this part and those in front of it."""

    def __init__(self, seed: int, exits: bool) -> None:
        self.r = random.Random(seed)
        self.exits = exits
        self.f = Function("spaghetti", [i64, i64], i64)
        self.registers: list[Register] = list(self.f.params)
        self.labels: list[Label] = []
        self.left: list[Any] = []

    def make(self) -> Function:
        f, r = self.f, self.r
        self.fuel, self.done = f.reg(i64), f.label()
        f.i64_const(self.fuel, _FUEL)
        common = [f.reg(i64) for _ in range(r.randrange(1, 25))]  # more than there are hardware registers
        for number, each in enumerate(common):
            f.i64_const(each, number * 7919)
        self.registers += common
        for _ in range(r.randrange(1, 5)):
            self.part()
        f.place(self.done)
        for each in common:
            f.i64_mul(f.params[0], f.params[0], 31)
            f.i64_add(f.params[0], f.params[0], each)
        f.ret(f.params[0])
        return f

    def part(self) -> None:
        f, r = self.f, self.r
        if r.random() < 0.8:  # else the part's first block may be the head of a loop
            f.i64_xor(f.params[1], f.params[1], 5)
        own = [f.reg(i64) for _ in range(r.randrange(4))]
        labels = [f.label() for _ in range(r.randrange(1, 7))]
        first = r.choice((labels[0], None))
        for number, each in enumerate(own):
            if first is not None and number == 0:
                f.place(first)
            f.i64_add(each, r.choice(self.registers), number)
        if first is not None and not own:
            f.place(first)
        self.registers += own
        self.labels += labels
        for number, label in enumerate(labels):
            if number or first is None:
                f.place(label)
            self.block()
        if r.random() < 0.5:  # of no use behind the part, as temporaries are
            del self.registers[len(self.registers) - len(own) :]

    def block(self) -> None:
        f, r = self.f, self.r
        for _ in range(r.randrange(5)):
            d, a, b = (r.choice(self.registers) for _ in range(3))
            getattr(f, r.choice(("i64_add", "i64_xor", "i64_sub")))(d, a, r.choice((b, r.randrange(100))))
        if self.exits and r.random() < 0.6:
            values = r.sample(self.registers, r.randrange(len(self.registers) + 1))
            f.branch_i64_eq(self.fuel, r.randrange(_FUEL), f.exit(self.leave, len(values), values))
        f.i64_sub(self.fuel, self.fuel, 1)
        f.branch_i64_le_s(self.fuel, 0, self.done)
        if r.random() < 0.8:
            f.branch_i64_lt_s(r.choice(self.registers), r.choice(self.registers), r.choice(self.labels))
        if r.random() < 0.1:
            f.jump(r.choice(self.labels))

    def leave(self, point: int, values: tuple[Any, ...]) -> int:
        self.left.append((point, values))
        return point


@pytest.mark.parametrize("exits", [False, True])
@pytest.mark.parametrize("first", range(0, 400, 100))
def test_values_live_as_long_as_somebody_reads_them(first: int, exits: bool) -> None:
    left = 0
    for seed in range(first, first + 100):
        spaghetti = Spaghetti(seed, exits)
        f = spaghetti.make()
        compiled, reference = f.compile(), f.compile(backend="reference")
        for arguments in ((0, 1), (2**40, -3), (seed, -seed)):
            spaghetti.left.clear()
            found = compiled(*arguments), list(spaghetti.left)
            spaghetti.left.clear()
            wanted = reference(*arguments), list(spaghetti.left)
            assert found == wanted, (seed, arguments, print_function(f))
            left += bool(wanted[1])
    assert left > 20 if exits else not left
