"""Makes random programs that are well formed and end.

A program is a few functions that call one another and C. Every one takes an address of memory and a depth, which
calls count down and which ends the recursion at 0. NaNs are made 0 before anything can see their bits, since one NaN
is as good as another.
"""

from __future__ import annotations

import functools
import itertools
import random
from dataclasses import dataclass
from typing import Any

from guest_support import NATIVE
from machines import MEMORY_SIZE, Machine, machine_named
from random_control import Control
from random_externs import externs
from random_values import Scope
from trials import EDGES

from cnp.ir import Function, Register
from cnp.types import Type

i32, i64, f32, f64 = Type


_KINDS = (
    *("_value", "_trapping", "_copy", "_memory", "_invariant", "_shifted_sum", "_choice", "_if", "_loop", "_nest"),
    *("_table", "_call", "_extern", "_leave", "_safepoint"),
)
"""Of statements: the methods that make them."""


@functools.cache
def _weights(loops: int, has_calls: bool) -> list[float]:
    """How often each kind is made within so many loops, as sums."""
    invariant, loop, nest = 8 if loops else 0, 4 if loops < 3 else 0, 0 if loops else 0.4
    call = 6 if has_calls and loops < 2 else 0
    return [*itertools.accumulate((40, 10, 8, 10, invariant, 3, 3, 6, loop, nest, 2, call, 3, 1, 1))]


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


class Generator(Control):
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

    def _fill(self, number: int) -> None:
        r, f = self.random, self.functions[number]
        self.f, self.number, self.scope, self.loops = f, number, Scope(), 0
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

    # statements

    def _statements(self, count: int) -> None:
        for _ in range(count):
            self._statement()

    def _statement(self) -> None:
        (kind,) = self.random.choices(_KINDS, cum_weights=_weights(min(self.loops, 3), self.calls > 0))
        getattr(self, kind)()

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
