"""Makes random programs that are well formed and end, runs them on a back end, and reduces those that go wrong.

A program is a few functions that call one another and C. Every one takes an address of memory and a depth, which
calls count down and which ends the recursion at 0. NaNs are made 0 before anything can see their bits, since one NaN
is as good as another.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import math
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from guest_support import NATIVE
from machines import C_FUNCTIONS, MEMORY_SIZE, Machine, machine_named
from trials import EDGES

import cnp
from cnp.errors import Crash, Trap, TrapKind, VerifyError
from cnp.ir import Extern, Function, Register, reference
from cnp.ir.optable import default_ops
from cnp.ir.reference import Interpreter, OutOfFuel
from cnp.ir.semantics import LOADS, STORES, TrapSignal, signed
from cnp.ir.verifier import find
from cnp.stencil.model import OpFlag, Shape
from cnp.types import Type

FUEL = 20_000

i32, i64, f32, f64 = Type


# -- what programs call in C


def _mix(*values: Any) -> int:
    """A number that depends on every argument and on its position; of a float, on no more than its sign."""
    total = 0
    for each in values:
        total = (total * 31 + (int(each > 0) if isinstance(each, float) else each)) % 2**64
    return total


_C: dict[Type, Any] = {i32: ctypes.c_int32, i64: ctypes.c_int64, f32: ctypes.c_float, f64: ctypes.c_double}
_callbacks: list[Any] = []


def _callback(name: str, params: list[Type], result: Type | None) -> Extern:
    def called(*values: Any) -> Any:
        mixed = _mix(*values)
        if result is None:
            return None
        return (
            float(mixed % 1000)
            if result.is_float
            else (mixed + 2 ** (result.bits - 1)) % 2**result.bits - 2 ** (result.bits - 1)
        )

    made = ctypes.CFUNCTYPE(None if result is None else _C[result], *[_C[each] for each in params])(called)
    _callbacks.append(made)
    return cnp.extern(ctypes.cast(made, ctypes.c_void_p).value or 0, params, result, name)


def _library(name: str, params: list[Type], result: Type) -> Extern:
    library = ctypes.CDLL(ctypes.util.find_library("m") if result.is_float else None)
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    return cnp.extern(address, params, result, name)


EXTERNS = [
    _library("abs", [i32], i32),
    _library("labs", [i64], i64),
    _library("labs", [i64], i32),  # which leaves something in the upper half of the register
    _library("fabs", [f64], f64),
    _library("sqrt", [f64], f64),
    _library("floorf", [f32], f32),
    _library("fmax", [f64, f64], f64),
    _library("ldexp", [f64, i32], f64),
    _callback("mix_nothing", [], i32),
    _callback("mix_void", [i64, f32], None),
    _callback("mix_three", [i32, f32, i64], f32),
    _callback("mix_six", [i64, i32, i64, i32, i64, i32], i32),
    _callback("mix_seven", [i64, i32, i64, i32, i64, i32, i32], i64),
    _callback("mix_eight", [i32, i64, f64, f32, i64, i32, i64, i32, i64, f64, i32], i64),
    _callback("mix_all", [*[f64, i64] * 4, *[f32, i32] * 4], f64),
]
"""Of this machine."""


def externs(machine: Machine) -> list[Extern]:
    """C functions that programs may call."""
    return EXTERNS if machine.is_native else [machine.extern(name) for name in C_FUNCTIONS]


# -- making them

_ROWS = default_ops().by_name
_TRAPS = ("div_", "rem_", "trunc_f")
_SEES_BITS = ("reinterpret_f", "copysign")


def _rows(shape: Shape) -> list[str]:
    return [name for name, row in _ROWS.items() if row.shape == shape]


_VALUES = {
    type: [
        name
        for name in _rows(Shape.VALUE)
        if _ROWS[name].result_type == type and not any(each in name for each in _TRAPS)
    ]
    for type in Type
}
_TRAPPING = [name for name in _rows(Shape.VALUE) if any(each in name for each in _TRAPS) and "sat" not in name]
_BRANCHES = _rows(Shape.BRANCH)
_INTEGER_BRANCHES = [name for name in _BRANCHES if "branch i" in name]
_COMPARISONS = [name for name in _rows(Shape.VALUE) if _ROWS[name].flags & OpFlag.COMPARISON]


@dataclass
class Program:
    """Functions, the first of which is called, and what it is called with. `options` are for compile."""

    seed: int
    functions: list[Function]
    arguments: list[Any]
    memory: bytes
    options: dict[str, Any]
    pins: bytes
    """Another way to place the registers of the first function: most in the frame, a few in registers of their own."""
    machine: Machine


class _Scope:
    """Registers that every path to here has assigned."""

    def __init__(self) -> None:
        self.registers: dict[Type, list[Register]] = {type: [] for type in Type}


class Generator:
    """Makes the program of a seed, or of the choices of `source`. `precompile` makes callees compiled functions, where
    no two call each other."""

    def __init__(
        self,
        seed: int,
        precompile: bool = False,
        source: random.Random | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.machine = machine_named(NATIVE) if machine is None else machine
        self.externs = externs(self.machine)
        self.random = random.Random(seed) if source is None else source
        self.seed = seed
        self.cyclic = self.random.random() < 0.5
        self.precompile = precompile and not self.cyclic
        self.functions: list[Function] = []
        self.callees: list[Any] = []

    def program(self) -> Program:
        r = self.random
        for number in range(r.choice((1, 1, 2, 3))):
            params = [i64, i32, *r.choices(list(Type), k=r.choice((0, 0, 1, 2, 3, 4, 6)))]
            self.functions.append(Function(f"f{number}", params, r.choice((*Type, None))))
        self.callees = list(self.functions)
        for number in reversed(range(len(self.functions))):
            self._fill(number)
            if self.precompile and number:
                self.callees[number] = self.machine.callee(self.functions[number])
        entry = self.functions[0]
        arguments = [
            self.machine.address,
            r.randrange(1, 4),
            *[self._argument(each) for each in entry.parameter_types[2:]],
        ]
        options = {"nogil": r.random() < 0.2, "safepoints": r.random() < 0.8}
        memory = r.randbytes(MEMORY_SIZE)
        return Program(self.seed, self.functions, arguments, memory, options, self._pins(entry), self.machine)

    def _pins(self, f: Function) -> bytes:
        r, pins = self.random, [255] * len(f.register_types)
        for is_float, count in enumerate(self.machine.registers):
            registers = [number for number, type in enumerate(f.register_types) if type.is_float == is_float]
            chosen = r.sample(registers, min(len(registers), r.randrange(count + 1)))
            for number, hardware in zip(chosen, r.sample(range(count), len(chosen))):
                pins[number] = hardware
        return bytes(pins)

    def _argument(self, type: Any) -> Any:
        return self.random.choice(EDGES[type])

    # one function

    def _fill(self, number: int) -> None:
        r, f = self.random, self.functions[number]
        self.f, self.number, self.scope, self.loops = f, number, _Scope(), 0
        self.base, self.depth = f.params[:2]
        self.fixed = {self.base.code, self.depth.code}
        self.steady: dict[Type, list[Register]] = {type: [] for type in Type}
        self.budget = r.choice((3, 10, 25, 60))
        self.calls = r.choice((0, 1, 3)) if len(self.functions) > 1 or self.cyclic else 0
        for register, type in zip(f.params, f.register_types):
            self.scope.registers[type].append(register)
        bottom = f.label()
        f.branch_i32_le_s(self.depth, 0, bottom)
        if r.random() < 0.3:
            for _ in range(r.randrange(10, 41)):
                self._constant(r.choice(list(Type)))
        else:
            for type in Type:
                self._constant(type)
        self._statements(self.budget)
        self._observe()
        self._return()
        f.place(bottom)
        f.ret(*([] if f.result is None else [self._number(f.result)]))

    def _observe(self) -> None:
        """Store what is left, so that every value matters to the end."""
        for type in Type:
            for register in self.scope.registers[type]:
                if register.code not in self.fixed and self.random.random() < 0.8:
                    self._store(f"{type}.store", register)

    def _return(self) -> None:
        result = self.f.result
        self.f.ret(*([] if result is None else [self._source(result)]))

    # operands

    def _number(self, type: Type) -> Any:
        r = self.random
        if type.is_integer and r.random() < 0.4:
            return r.choice((r.randrange(-200, 200), r.getrandbits(31), 1 << r.randrange(type.bits)))
        return r.choice(EDGES[type])

    def _source(self, type: Type, constants: float = 0.2) -> Any:
        known, steady = self.scope.registers[type], self.steady[type]
        if not known or self.random.random() < constants:
            return self._number(type)
        if steady and self.random.random() < 0.3:
            return self.random.choice(steady)
        return self.random.choice(known[-6:] if self.random.random() < 0.5 else known)

    def _destination(self, type: Type) -> Register:
        known = [each for each in self.scope.registers[type] if each.code not in self.fixed]
        if known and (self.random.random() < 0.5 or sum(map(len, self.scope.registers.values())) > 42):
            return self.random.choice(known)
        return self.f.reg(type)

    def _defined(self, type: Type, register: Register) -> None:
        if register not in self.scope.registers[type]:
            self.scope.registers[type].append(register)

    def _constant(self, type: Type) -> None:
        register = self.f.reg(type)
        getattr(self.f, f"{type}_const")(register, self._number(type))
        self._defined(type, register)

    def _not_nan(self, type: Type, value: Any) -> Any:
        """A register or number like value, but 0 for a NaN."""
        if not isinstance(value, Register):
            return 0.0 if math.isnan(value) else value
        is_number, clean = self.f.reg(i32), self.f.reg(type)
        getattr(self.f, f"{type}_eq")(is_number, value, value)
        self.f.select(clean, value, 0.0, is_number)
        return clean

    # statements

    def _statements(self, count: int) -> None:
        for _ in range(count):
            self._statement()

    @contextlib.contextmanager
    def _inner(self) -> Iterator[None]:
        """What is assigned in here may not be afterwards."""
        kept = {type: list(known) for type, known in self.scope.registers.items()}
        yield
        self.scope.registers = kept

    def _statement(self) -> None:
        kinds: list[tuple[Callable[[], None], int]] = [
            (self._value, 40),
            (self._trapping, 10),
            (self._copy, 8),
            (self._memory, 10),
            (self._invariant, 8 if self.loops else 0),
            (self._shifted_sum, 3),
            (self._choice, 3),
            (self._if, 6),
            (self._loop, 4 if self.loops < 3 else 0),
            (self._nest, 0.4 if not self.loops else 0),
            (self._table, 2),
            (self._call, 6 if self.calls and self.loops < 2 else 0),
            (self._extern, 3),
            (self._leave, 1),
            (self._safepoint, 1),
        ]
        self.random.choices([each for each, _ in kinds], [weight for _, weight in kinds])[0]()

    def _apply(self, name: str, constants: float = 0.2) -> None:
        row = _ROWS[name]
        operands = [self._source(Type(each), constants) for each in row.operand_types]
        if any(each in name for each in _SEES_BITS):
            last = Type(row.operand_types[-1])
            operands[-1] = self._not_nan(last, operands[-1])
        d = self._destination(Type(row.result_type))
        getattr(self.f, row.method)(d, *operands)
        self._defined(Type(row.result_type), d)

    def _value(self) -> None:
        self._apply(self.random.choice(_VALUES[self.random.choice((i32, i32, i64, i64, f32, f64))]))

    def _trapping(self) -> None:
        r, name = self.random, self.random.choice(_TRAPPING)
        if r.random() < 0.1:
            self._apply(name)
            return
        row = _ROWS[name]
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
        getattr(self.f, _ROWS[name].method)(d, base, offset)
        self._defined(type, d)

    def _store(self, name: str, value: Any) -> None:
        type = Type[STORES[name][1]]
        if type.is_float:
            value = self._not_nan(type, value)
        base, offset = self._place()
        getattr(self.f, _ROWS[name].method)(value, base, offset)

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
            self._apply(r.choice(_VALUES[type]), 0.3)
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

    # control

    def _condition(self) -> Register:
        """Of a comparison, perhaps reversed."""
        r, f = self.random, self.f
        row = _ROWS[r.choice(_COMPARISONS)]
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
        row = _ROWS[self.random.choice(_BRANCHES)]
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

    # calls

    def _call(self) -> None:
        f = self.f
        first = 0 if self.cyclic else self.number + 1
        if first >= len(self.functions):
            return
        self.calls -= 1
        number = self.random.randrange(first, len(self.functions))
        callee = self.functions[number]
        depth = f.reg(i32)
        f.i32_sub(depth, self.depth, 1)
        others = callee.register_types[2 : len(callee.params)]
        arguments = [self.base, depth, *[self._source(each) for each in others]]
        self._do_call(self.callees[number], callee.result, arguments)

    def _extern(self) -> None:
        callee = self.random.choice(self.externs)
        arguments = [self._source(each) for each in callee.params]
        if callee.name == "fmax":  # of two zeros C may return either
            self.f.f64_add(wide := self.f.reg(f64), self._not_nan(f64, arguments[1]), 1e-300)
            arguments[1] = wide
        self._do_call(callee, callee.result, arguments)

    def _do_call(self, callee: Any, result: Type | None, arguments: list[Any]) -> None:
        d = None if result is None or self.random.random() < 0.2 else self._destination(result)
        self.f.call(d, callee, *arguments)
        if d is not None and result is not None:
            self._defined(result, d)


# -- running them

Outcome = tuple[Any, ...]


def _run(call: Callable[[], Any], memory: bytes, machine: Machine) -> Outcome:
    ctypes.memmove(machine.address, memory, MEMORY_SIZE)
    try:
        found: Outcome = ("returns", call())
    except Trap as trap:
        found = ("traps", trap.kind, trap.function, trap.op)
    return (*found, ctypes.string_at(machine.address, MEMORY_SIZE))


def expected(program: Program, interpreter: Interpreter | None = None) -> Outcome | None:
    """What the reference interpreter makes of a program. None if it takes too long. An interpreter that has run the
    program before knows its functions."""
    interpreter, machine = interpreter or Interpreter(200), program.machine
    interpreter.fuel = FUEL
    try:
        with mock.patch.object(reference, "_c_function", machine.call_c):
            found = _run(lambda: interpreter.run(program.functions[0], program.arguments), program.memory, machine)
    except (OutOfFuel, TrapSignal):
        return None
    return None if found[:2] == ("traps", TrapKind.STACK_OVERFLOW) else found


def actual(program: Program, pins: bytes | None = None, compiled: Any = None) -> Outcome:
    """What compiled code makes of it: it is compiled here unless it has been already."""
    if compiled is None:
        compiled = program.machine.compile(program.functions[0], pins=pins, **program.options)
    return _run(lambda: compiled(*program.arguments), program.memory, program.machine)


def agree(a: Outcome, b: Outcome) -> bool:
    """The same, but that one NaN is as good as another."""
    both_nan = all(isinstance(each[1], float) and math.isnan(each[1]) for each in (a, b))
    same_value = both_nan or repr(a[1]) == repr(b[1])
    return a[0] == b[0] and same_value and a[2:] == b[2:]


def text(program: Program) -> str:
    """The functions, with the numbers that op numbers in traps mean."""
    from cnp.ir.text import print_function

    shown = f"pins {list(program.pins)}\n"
    shown += "\n".join(str(print_function(each)) for each in program.functions)
    return f"seed {program.seed}, arguments {program.arguments}, {program.options}\n{shown}"


# -- reducing what goes wrong


def in_a_child(check: Callable[[], bool]) -> bool:
    """Whether check() is true, or the process that it runs in dies."""
    child = os.fork()
    if not child:
        os._exit(not check())
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0


def goes_wrong(program: Program) -> bool:
    """Whether the native code does something else, or dies. False for a program that is not well formed."""
    if any(find(each).code for each in program.functions):
        return False

    def differs() -> bool:
        try:
            wanted = expected(program)
            return wanted is not None and not all(agree(wanted, actual(program, pins)) for pins in (None, program.pins))
        except (VerifyError, OverflowError):
            return False

    if program.machine.is_native:
        return in_a_child(differs)
    if in_a_child(lambda: expected(program) is None):
        return False  # it stores anywhere, so that the interpreter dies, too
    try:
        return differs()
    except Crash:
        program.machine.start()
        return True


def reduce(program: Program) -> Program:
    """Leave out ops as long as the program goes wrong. Changes its functions."""
    shrunk = True
    while shrunk:
        shrunk = False
        for f in program.functions:
            size = max(1, len(f._ops) // 2)
            while size:
                at = 0
                while at < len(f._ops):
                    kept = list(f._ops)
                    del f._ops[at : at + size]
                    if f._ops and goes_wrong(program):
                        shrunk = True
                    else:
                        f._ops[:] = kept
                        at += size
                size //= 2
    return program
