"""Statements of random programs that choose a way: branches, loops, tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from random_statements import Statements
from random_values import BRANCHES, COMPARISONS, ROWS

from cnp.ir import Register
from cnp.types import Type

i32, i64, f32, f64 = Type


class Control(Statements):
    """Blocks of statements, and the ways between them."""

    def _condition(self) -> Register:
        """Of a comparison, perhaps reversed."""
        r, f = self.random, self.f
        row = ROWS[r.choice(COMPARISONS)]
        condition = self._destination(i32)
        getattr(f, row.method)(condition, *[self._source(Type(each)) for each in row.operand_types])
        if r.random() < 0.3:
            flipped = r.choice((condition, self._destination(i32)))
            getattr(f, r.choice(("i32_eqz", "i32_nez")))(flipped, condition)
            condition = flipped
        if r.random() < 0.2:
            self._defined(i32, condition)
        if r.random() < 0.1:
            self._disturb([each for each in self.scope.registers[i64] if each.code not in self.fixed])
        return condition

    def _choice(self) -> None:
        type = self.random.choice(list(Type))
        condition = self._condition()
        a, b = self._source(type, 0.3), self._source(type, 0.3)
        d = self._destination(type)
        self.f.select(d, a, b, condition)
        self._defined(type, d)

    def _branch(self, label: Any) -> None:
        if self.random.random() < 0.3:
            condition = self._condition()
            getattr(self.f, self.random.choice(("branch_i32_nez", "branch_i32_eqz")))(condition, label)
            return
        row = ROWS[self.random.choice(BRANCHES)]
        getattr(self.f, row.method)(*[self._source(Type(each)) for each in row.operand_types], label)

    def _block(self) -> None:
        with self._inner():
            self._statements(self.random.randrange(1, 6))

    def _if(self) -> None:
        f, other, end = self.f, self.f.label(), self.f.label()
        self._branch(other)
        if self.random.random() < 0.7:
            self._block()
        if self.random.random() < 0.5:
            f.jump(end)
            if self.random.random() < 0.1:
                self._block()  # which nothing reaches
            f.place(other)
            self._block()
        else:
            f.place(other)
        f.place(end)

    def _loop(self) -> None:
        may_do_nothing = (self._while, self._bottom_test)
        kind = self.random.choice((self._do_while, self._into_the_middle, self._latches, *may_do_nothing))
        counter = self.f.reg(self.random.choice((i32, i64)))
        self.fixed.add(counter.code)
        with self._inner(), self._keeping():
            kind(counter, self.random.choice((1, 2, 3, 5, 9, *((0, 0) if kind in may_do_nothing else ()))))

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """A loop: some registers do not change in here."""
        fixed, steady = set(self.fixed), self.steady
        self.steady = {}
        for type, known in self.scope.registers.items():
            self.steady[type] = self.random.sample(known, min(len(known), self.random.randrange(1, 6)))
            self.fixed |= {each.code for each in self.steady[type]}
        self.loops += 1
        yield
        self.loops -= 1
        self.fixed, self.steady = fixed, steady

    def _nest(self) -> None:
        """Loops in loops of two rounds each, with little in them but what does not change."""
        f, depth = self.f, self.random.randrange(2, 7)
        counters = [f.reg(self.random.choice((i32, i64))) for _ in range(depth)]
        heads = [f.label() for _ in range(depth)]
        self.fixed |= {each.code for each in counters}
        with self._inner(), self._keeping():
            for counter, head in zip(counters, heads):
                self._count(counter, "const", 2)
                if self.random.random() < 0.5:
                    self._invariant()
                f.place(head)
                for _ in range(self.random.randrange(2)):
                    self.random.choice((self._invariant, self._memory, self._value))()
            self._invariant()
            for counter, head in reversed([*zip(counters, heads)]):
                if self.random.random() < 0.3:
                    self.random.choice((self._invariant, self._memory))()
                self._count(counter, "sub", 1)
                getattr(f, f"branch_{self._type(counter)}_nez")(counter, head)

    def _latches(self, counter: Register, count: int) -> None:
        """Several jumps back."""
        f, head = self.f, self.f.label()
        self._count(counter, "const", count)
        f.place(head)
        for _ in range(self.random.randrange(2, 4)):
            self._block()
            self._count(counter, "sub", 1)
            getattr(f, f"branch_{self._type(counter)}_gt_s")(counter, 0, head)

    def _bottom_test(self, counter: Register, count: int) -> None:
        """Entered by a jump to the test, or past it."""
        f, head, test, past = self.f, self.f.label(), self.f.label(), self.f.label()
        self._count(counter, "const", count)
        if self.random.random() < 0.2:
            self._branch(past)
        f.jump(test)
        f.place(head)
        self._block()
        f.place(test)
        if self.random.random() < 0.5:
            self._block()
        self._count(counter, "sub", 1)
        getattr(f, f"branch_{self._type(counter)}_ge_s")(counter, 0, head)
        f.place(past)

    def _type(self, register: Register) -> Type:
        return self.f.register_types[register.code & 0xFFFFFFFF]

    def _count(self, counter: Register, op: str, value: int) -> None:
        type = self._type(counter)
        if op == "const":
            getattr(self.f, f"{type}_const")(counter, value)
            self._defined(type, counter)
        else:
            getattr(self.f, f"{type}_{op}")(counter, counter, value)

    def _do_while(self, counter: Register, count: int) -> None:
        f, head, again = self.f, self.f.label(), self.f.label()
        self._count(counter, "const", count)
        f.place(head)
        self._block()
        if self.random.random() < 0.3:  # continue
            self._branch(again)
            self._block()
        f.place(again)
        self._count(counter, "sub", 1)
        getattr(f, f"branch_{self._type(counter)}_nez")(counter, head)

    def _while(self, counter: Register, count: int) -> None:
        f, head, done = self.f, self.f.label(), self.f.label()
        self._count(counter, "const", 0)
        f.place(head)
        getattr(f, f"branch_{self._type(counter)}_ge_{self.random.choice('su')}")(counter, count, done)
        self._block()
        if self.random.random() < 0.3:  # break
            self._branch(done)
            self._block()
        self._count(counter, "add", 1)
        f.jump(head)
        f.place(done)

    def _into_the_middle(self, counter: Register, count: int) -> None:
        f, head, middle = self.f, self.f.label(), self.f.label()
        self._count(counter, "const", count)
        self._branch(middle)
        f.place(head)
        self._block()
        f.place(middle)
        self._block()
        self._count(counter, "sub", 1)
        getattr(f, f"branch_{self._type(counter)}_gt_s")(counter, 0, head)

    def _table(self) -> None:
        f, r = self.f, self.random
        labels, end = [f.label() for _ in range(r.randrange(1, 6))], f.label()
        index: Any = self._source(i32)
        if isinstance(index, Register) and r.random() < 0.8:
            small = f.reg(i32)
            f.i32_and(small, index, 7)
            index = small
        f.branch_table(index, r.choices(labels, k=r.randrange(0, 7)), r.choice([*labels, end]))
        for label in labels:
            f.place(label)
            self._block()
            if r.random() < 0.7:
                f.jump(end)
        f.place(end)

    def _leave(self) -> None:
        past = self.f.label()
        self._branch(past)
        if self.random.random() < 0.3:
            self.f.unreachable()
        else:
            self._return()
        self.f.place(past)
