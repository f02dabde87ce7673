"""Statements of random programs that control goes through: values, copies, memory, what loops do not change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from machines import MEMORY_SIZE
from random_values import ROWS, SEE_BITS, SIGNATURES, TRAPPING, VALUES, Values

from cnp.ir import Register
from cnp.ir.semantics import LOADS, STORES, signed
from cnp.types import Type

i32, i64, f32, f64 = Type


class Statements(Values):
    """Those without a choice of ways. A Generator has the others, and says which come how often."""

    @contextlib.contextmanager
    def _inner(self) -> Iterator[None]:
        """What is assigned in here may not be afterwards."""
        kept = {type: list(known) for type, known in self.scope.registers.items()}
        yield
        self.scope.registers = kept

    def _apply(self, name: str, constants: float = 0.2) -> None:
        method, types, result = SIGNATURES[name]
        operands = [self._source(each, constants) for each in types]
        if name in SEE_BITS:
            operands[-1] = self._not_nan(types[-1], operands[-1])
        d = self._destination(result)
        getattr(self.f, method)(d, *operands)
        self._defined(result, d)

    def _value(self) -> None:
        self._apply(self.random.choice(VALUES[self.random.choice((i32, i32, i64, i64, f32, f64))]))

    def _trapping(self) -> None:
        r, name = self.random, self.random.choice(TRAPPING)
        if r.random() < 0.1:
            self._apply(name)
            return
        row = ROWS[name]
        type = Type(row.operand_types[-1])
        if type.is_integer:
            b = r.choice((r.randrange(2, 100), 1 << r.randrange(1, 31), r.randrange(3, 2**31), self._odd(type)))
            operands = [self._source(type), b]
        else:
            operands = [self._number(type) % 1000.0 if r.random() < 0.5 else 12.75]
            operands = [each if each == each else 1.5 for each in operands]
        d = self._destination(Type(row.result_type))
        getattr(self.f, row.method)(d, *operands)
        self._defined(Type(row.result_type), d)

    def _odd(self, type: Type) -> Any:
        """A register that holds no divisor of 0, and -1 but rarely."""
        odd = self.f.reg(type)
        getattr(self.f, f"{type}_or")(odd, self._source(type), 1)
        return odd

    def _copy(self) -> None:
        type = self.random.choice(list(Type))
        a, b, condition = self._source(type, 0.3), self._source(type, 0.3), self._source(i32, 0.1)
        d = self._destination(type)
        if self.random.random() < 0.5:
            self.f.move(d, a)
        else:
            self.f.select(d, a, b, condition)
        self._defined(type, d)

    def _safepoint(self) -> None:
        self.f.safepoint()

    def _memory(self) -> None:
        if self.random.random() < 0.5:
            name = self.random.choice(list(STORES))
            self._store(name, self._source(Type[STORES[name][1]]))
            return
        name = self.random.choice(list(LOADS))
        base, offset = self._place()
        type = Type[LOADS[name][2]]
        d = self._destination(type)
        getattr(self.f, ROWS[name].method)(d, base, offset)
        self._defined(type, d)

    def _store(self, name: str, value: Any) -> None:
        type = Type[STORES[name][1]]
        if type.is_float:
            value = self._not_nan(type, value)
        base, offset = self._place()
        getattr(self.f, ROWS[name].method)(value, base, offset)

    def _place(self) -> tuple[Any, int]:
        r = self.random
        offset = r.randrange(MEMORY_SIZE - 8)
        if r.random() < 0.6:
            return self.base, offset
        if r.random() < 0.2:
            return self.machine.address + offset + 1000, -1000
        return self._sum(r.randrange(100))

    def _sum(self, offset: int) -> tuple[Any, int]:
        """An address made of base, shifted index and constants. Temporaries may be registers that hold something, and
        operands may change before the sum is used."""
        r, f = self.random, self.f
        scale = r.choice((0, 0, 0, 1, 1, 2, 2, 3, 3, 4))
        index, base = self._temporary(), self.base
        f.i64_and(index, self._source(i64), 95 >> scale)
        if r.random() < 0.2:  # around zero
            f.i64_sub(index, index, 64 >> scale)
            offset += 64
        if r.random() < 0.3:  # the index is a sum itself
            summand, total = self._temporary(index), self._temporary(index)
            f.i64_and(summand, self._source(i64), 31 >> scale)
            if r.random() < 0.3:
                f.i64_sub(base := self._temporary(index, summand, total), self.base, 8)
                offset += 8
            f.i64_add(total, *r.choice(((index, summand), (summand, index))))
            index = total
        if r.random() < 0.2:
            base, constant = self._temporary(index), self._number(i64)
            f.i64_add(base, self.base, constant)
            offset -= signed(constant, 64)
        shifted = index
        if scale or r.random() < 0.2:
            shifted = self._temporary(base)
            f.i64_shl(shifted, index, scale if r.random() < 0.9 else scale - 64)
        address = r.choice((base, shifted, self._temporary()))
        if address.code in self.fixed:
            address = self._temporary()
        f.i64_add(address, *r.choice(((base, shifted), (shifted, base))))
        self._defined(i64, address)
        if not -(2**31) < offset < 2**31 or r.random() < 0.1:
            f.i64_add(address, address, offset)
            offset = 0
        if r.random() < 0.2:
            self._disturb([each for each in (index, shifted, base) if each.code not in (*self.fixed, address.code)])
        return address, offset

    def _temporary(self, *taken: Register) -> Register:
        """A register for a part of an address: often one that was used before."""
        d = self._destination(i64)
        return self.f.reg(i64) if d in taken else d

    def _disturb(self, registers: list[Register]) -> None:
        """Something comes between a value and its use, and perhaps overwrites what the value was made of."""
        r, f = self.random, self.f
        kind = r.randrange(5)
        if kind == 0:
            f.safepoint()
        elif kind == 1:
            f.place(f.label())
        elif registers:
            d = r.choice(registers)
            if kind == 2:
                f.move(d, self._source(i64))
            else:
                f.i64_add(d, d, r.choice((1, -1, 8)))
            self._defined(i64, d)

    def _shifted_sum(self) -> None:
        r, f, type = self.random, self.f, self.random.choice((i32, i64))
        t, d = self._destination(type), self._destination(type)
        getattr(f, f"{type}_shl")(t, self._source(type, 0.05), r.choice((0, 1, 1, 2, 2, 3, 3, 4, 32, 33, 64, 65)))
        getattr(f, f"{type}_add")(d, *r.choice(((t, self._source(type)), (self._source(type), t))))
        for each in (t, d) if r.random() < 0.3 else (d,):
            self._defined(type, each)

    def _invariant(self) -> None:
        """Ops on values that do not change in this loop; what they make is used here, or may be elsewhere."""
        r, f = self.random, self.f
        everything, type = self.scope.registers, r.choice(list(Type))
        self.scope.registers = {each: list(registers) for each, registers in self.steady.items()}
        for _ in range(r.randrange(1, 4)):
            self._apply(r.choice(VALUES[type]), 0.3)
            if r.random() < 0.1:
                self._trapping()
        made, self.scope.registers = self.scope.registers, everything
        is_local = r.random() < 0.6
        for each, registers in made.items():
            for register in registers:
                if register in self.steady[each]:
                    continue
                if is_local:
                    d = self._destination(each)
                    getattr(f, f"{each}_add")(d, register, self._source(each))
                    self._defined(each, d)
                else:
                    self._defined(each, register)
