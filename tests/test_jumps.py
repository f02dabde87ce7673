"""Programs that jump where they like, through overlapping loops: what the reference interpreter reads must be live."""

from __future__ import annotations

import random
from typing import Any

import pytest
from conftest import LIBRARY
from packing import packed

from cnp import f64, i32, i64
from cnp.ir import Function, Label, Register
from cnp.ir.packed import register_of
from cnp.ir.text import print_function

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

_FUEL = 60  # jumps, and then the program ends


def _leaf() -> Function:
    f = Function("leaf", [i64, i64], i64)
    f.i64_xor(f.params[0], f.params[0], f.params[1])
    f.i64_add(f.params[0], f.params[0], 3)
    f.ret(f.params[0])
    return f


class Spaghetti:
    """A row of parts. Each begins by defining registers of its own, which all ways to later blocks lead through; from
    its other blocks control goes anywhere in this part and those in front of it."""

    def __init__(self, seed: int, exits: bool) -> None:
        self.r = r = random.Random(seed)
        self.exits = exits
        self.tables, self.calls = r.random() < 0.5, r.random() < 0.3
        self.f = Function("spaghetti", [i64, i64], i64)
        self.integers: list[Register] = list(self.f.params)
        self.floats: list[Register] = []
        self.labels: list[Label] = []
        self.left: list[Any] = []
        self.leaf = _leaf()

    def make(self) -> Function:
        f, r = self.f, self.r
        self.fuel, self.done = f.reg(i64), f.label()
        f.i64_const(self.fuel, _FUEL)
        for number in range(r.randrange(1, 25)):  # more than there are hardware registers
            self.integers.append(each := f.reg(i64))
            f.i64_const(each, number * 7919)
        for number in range(r.choice((0, 3, 20))):
            self.floats.append(each := f.reg(f64))
            f.f64_const(each, number * 1.5 - 3)
        common = list(self.integers)
        for _ in range(r.randrange(1, 5)):
            self.part()
        f.place(self.done)
        bits = f.reg(i64)
        for each in [*common, *self.floats]:
            if each in self.floats:
                f.i64_reinterpret_f64(bits, each)
            f.i64_mul(f.params[0], f.params[0], 31)
            f.i64_add(f.params[0], f.params[0], bits if each in self.floats else each)
        f.ret(f.params[0])
        return f

    def part(self) -> None:
        f, r = self.f, self.r
        own = [f.reg(i64) for _ in range(r.randrange(4))]
        labels = [f.label() for _ in range(r.randrange(1, 7))]
        is_first_a_head = r.random() < 0.5  # of loops: the part begins with it
        if is_first_a_head:
            f.place(labels[0])
        for number, each in enumerate(own):
            f.i64_add(each, r.choice(self.integers), number)
        self.integers += own
        self.labels += labels
        for number, label in enumerate(labels):
            if number or not is_first_a_head:
                f.place(label)
            self.block()
        if r.random() < 0.5:  # of no use behind the part, as temporaries are
            del self.integers[len(self.integers) - len(own) :]

    def block(self) -> None:
        f, r = self.f, self.r
        for _ in range(r.randrange(5)):
            d, a, b = (r.choice(self.integers) for _ in range(3))
            getattr(f, r.choice(("i64_add", "i64_xor", "i64_sub", "i64_shl")))(d, a, r.choice((b, r.randrange(100))))
            if self.floats and r.random() < 0.3:
                f.f64_add(*(r.choice(self.floats) for _ in range(3)))
        if self.calls and r.random() < 0.2:
            f.call(r.choice((r.choice(self.integers), None)), self.leaf, *r.choices(self.integers, k=2))
        if self.exits and r.random() < 0.6:
            f.branch_i64_eq(self.fuel, r.randrange(_FUEL), self.exit())
        f.i64_sub(self.fuel, self.fuel, 1)
        f.branch_i64_le_s(self.fuel, 0, self.done)
        if self.tables and r.random() < 0.2:
            index = f.reg(i32)
            f.i32_wrap_i64(index, r.choice(self.integers))
            targets = [*r.choices(self.labels, k=r.randrange(1, 5)), self.exit() if self.exits else self.done]
            f.branch_table(index, targets, r.choice(self.labels))
        elif r.random() < 0.8:
            f.branch_i64_lt_s(r.choice(self.integers), r.choice(self.integers), r.choice(self.labels))
        if r.random() < 0.1:
            f.jump(r.choice(self.labels))

    def exit(self) -> Label:
        known = [*self.integers, *self.floats]
        values = [*self.r.sample(known, self.r.randrange(len(known) + 1)), 7]
        return self.f.exit(self.leave, len(values), values)

    def leave(self, point: int, values: tuple[Any, ...]) -> int:
        self.left.append((point, values))
        return point

    def outcome(self, compiled: Any, *arguments: Any) -> Any:
        self.left.clear()
        return compiled(*arguments), list(self.left)


@pytest.mark.parametrize("exits", [False, True])
@pytest.mark.parametrize("first", range(0, 400, 100))
def test_values_live_as_long_as_somebody_reads_them(first: int, exits: bool) -> None:
    left = 0
    for seed in range(first, first + 100):
        spaghetti = Spaghetti(seed, exits)
        f = spaghetti.make()
        reference = f.compile(backend="reference")
        others = [f.compile(), f.compile(safepoints=False)]
        if not exits and not spaghetti.calls:
            others.append(packed([f])[0].compile())
        for arguments in ((0, 1), (2**40, -3), (seed, -seed)):
            wanted = spaghetti.outcome(reference, *arguments)
            for each in others:
                assert spaghetti.outcome(each, *arguments) == wanted, (seed, arguments, print_function(f))
            left += bool(wanted[1])
    assert left > 20 if exits else not left


@pytest.mark.parametrize("first", range(0, 200, 100))
def test_and_so_they_do_if_a_program_is_entered_in_its_middle(first: int) -> None:
    for seed in range(first, first + 100):
        spaghetti = Spaghetti(seed, exits=True)
        f = spaghetti.make()
        live = [register_of(f, number) for number in range(len(f.register_types))]
        entered = f.entered_at(spaghetti.r.choice(spaghetti.labels), live)
        values = [float(number) if type.is_float else number * 3 for number, type in enumerate(f.register_types)]
        values[spaghetti.fuel.code - f.params[0].code] = _FUEL // 2
        wanted = spaghetti.outcome(entered.compile(backend="reference"), bytearray(entered.pack(values)))
        found = spaghetti.outcome(entered.compile(), bytearray(entered.pack(values)))
        assert found == wanted, (seed, print_function(entered))
