"""Random programs that are left by side exits: in loops, in callees, in recursion, with many values of all types."""

from __future__ import annotations

import ctypes
import math
import random
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import cnp
from cnp import f32, f64, i32, i64
from cnp.ir import Function, Register
from cnp.ir.reference import OutOfFuel
from cnp.types import Type

MEMORY = 16  # words that programs read
FUEL = 100_000  # ops for which the reference interpreter runs a program


def _scribbler() -> Function:
    """Compiled code that writes all over the frame stack behind the innermost frame, and all over the registers."""
    f = Function("scribble", [i64], i64)
    (depth,) = f.params
    values, done = [f.reg(i64) for _ in range(30)], f.label()
    for number, each in enumerate(values):
        f.i64_add(each, depth, 0x5555_0000 + number)
    f.branch_i64_eqz(depth, done)
    f.i64_sub(depth, depth, 1)
    f.call(depth, f, depth)
    for each in values:
        f.i64_xor(depth, depth, each)
    f.place(done)
    f.ret(depth)
    return f


class Log:
    """What Python code was given, and the results it gave; it runs compiled code of its own."""

    def __init__(self, machine: Any = None) -> None:
        """`machine`: where that code runs, if not here."""
        self.calls: list[Any] = []
        self._scribble = _scribbler().compile() if machine is None else machine.compile(_scribbler())

    def answer(self, point: Any, values: tuple[Any, ...], result: Type) -> Any:
        self._scribble(3)
        self.calls.append((point, tuple(shown(each) for each in values)))
        number = (point * 7919 + len(self.calls)) % 1000
        return float(number) if result.is_float else number

    def handler(self, result: Type) -> Any:
        return lambda point, values: self.answer(point, values, result)

    def callback(self, point: int, params: list[Type], result: Type) -> cnp.Callback:
        return cnp.callback(lambda *values: self.answer(point, values, result), params, result)


def shown(value: Any) -> Any:
    """What compares equal where a value is the same: all NaNs are one, and -0.0 is not 0.0."""
    return ("nan" if math.isnan(value) else value.hex()) if isinstance(value, float) else value


class Generator:
    """Makes a function, and callees of it that have side exits, too."""

    def __init__(self, seed: int, log: Log) -> None:
        self.r = random.Random(seed)
        self.log = log
        self.points = 0

    def program(self) -> Function:
        callees: list[Function] = []
        for number in range(self.r.randrange(3)):
            callees.append(self.function(f"callee_{number}", callees, self.r.randrange(2, 8)))
        return self.function("main", callees, self.r.randrange(4, 16))

    def function(self, name: str, callees: list[Function], size: int) -> Function:
        r = self.r
        self.f = f = Function(name, [i64, cnp.ptr, f64, i32], r.choice([i64, i64, f64, i32, f32]))
        depth, self.memory, x, n = f.params
        self.registers: dict[Type, list[Register]] = {i64: [depth], f64: [x], i32: [n], f32: []}
        self.depth, self.callees = depth, callees
        for type in Type:
            for _ in range(r.choice([1, 2, 3, 6, 12])):
                d = f.reg(type)
                self.constant(d, type)
                self.registers[type].append(d)
        self.fixed: set[int] = {depth.code}
        self.begin()
        for _ in range(size):
            self.statement(2)
        f.ret(r.choice(self.registers[f.result]))
        return f

    def constant(self, d: Register, type: Type) -> None:
        value = self.r.choice([0, 1, -1, 7, 1000, 2**31 - 1, self.r.randrange(-(2**31), 2**31)])
        getattr(self.f, f"{type}_const")(d, float(value) if type.is_float else value)

    def any(self, type: Type) -> Register:
        return self.r.choice(self.registers[type])

    def destination(self, type: Type) -> Register:
        free = [each for each in self.registers[type] if each.code not in self.fixed]
        return self.r.choice(free) if free else self.f.reg(type)

    def statement(self, loops: int) -> None:
        r = self.r
        kinds = [self.arithmetic] * 8 + [self.load] * 3 + [self.guard] * 4 + [self.passed_on] * 2
        kinds += [self.test, self.table, self.condition]
        if loops:
            kinds += [lambda: self.loop(loops - 1)] * 2
        kinds += [self.call, self.call_python]
        r.choice(kinds)()

    def arithmetic(self) -> None:
        r, f = self.r, self.f
        type = r.choice(list(Type))
        op = r.choice(["add", "sub", "mul"] + (["and", "xor", "shl", "shr_s"] if type.is_integer else ["min", "div"]))
        b: Any = float(r.randrange(9)) if type.is_float else r.choice([1, 3, 5, 99])
        b = self.any(type) if r.random() < 0.7 else b
        getattr(f, f"{type}_{op}")(self.destination(type), self.any(type), b)

    def load(self) -> None:
        """memory[(a & mask) + b], by ways that fold into the load or do not."""
        r, f = self.r, self.f
        index, address = f.reg(i64), f.reg(i64)
        f.i64_and(index, self.any(i64), MEMORY - 2)
        if r.random() < 0.3:
            self.registers[i64].append(index)
        f.i64_shl(address, index, 3)
        f.i64_add(address, self.memory, address)
        if r.random() < 0.3:
            self.guard(extra=[index] if r.random() < 0.5 else [])
        f.i64_load(self.destination(i64), address, r.choice([0, 8]))

    def passed_on(self) -> None:
        """What nothing but an exit needs: mostly the same in every round of a loop."""
        value = self.f.reg(i64)
        self.f.i64_mul(value, self.any(i64), self.r.choice([12345, 7]))
        self.guard(extra=[value])

    def exit(self, extra: Any = ()) -> Any:
        r = self.r
        self.points += 1
        every = [each for type in Type for each in self.registers[type]]
        count = r.choice([0, 1, 3, len(every) // 2, len(every)])
        values: list[Any] = r.sample(every, count) + list(extra)
        if r.random() < 0.2:
            values += [self.any(i64), 5, 2.5]
        return self.f.exit(self.log.handler(self.f.result), self.points, values)

    def compare(self, to: Any) -> None:
        """A branch that is seldom taken, mostly."""
        r, f = self.r, self.f
        type = r.choice(list(Type))
        limit: Any = r.choice([self.any(type), -1000.0 if type.is_float else -100, 0])
        op = r.choice(["lt", "eq"]) if type.is_float else r.choice(["lt_s", "eq", "lt_s"])
        getattr(f, f"branch_{type}_{op}")(self.any(type), limit, to)

    def guard(self, extra: Any = ()) -> None:
        out = self.exit(extra)
        for _ in range(self.r.choice([1, 1, 2])):
            self.compare(out)

    def test(self) -> None:
        """A condition that is computed first."""
        f, condition = self.f, self.f.reg(i32)
        f.i64_lt_s(condition, self.any(i64), self.any(i64))
        shown = [condition] if self.r.random() < 0.3 else []
        (f.branch_i32_nez if self.r.random() < 0.3 else f.branch_i32_eqz)(condition, self.exit(shown))

    def table(self) -> None:
        f, on = self.f, self.f.label()
        labels = [on] * 6 + [self.exit()]
        self.r.shuffle(labels)
        index = f.reg(i32)
        f.i32_and(index, self.any(i32), 7)
        f.branch_table(index, labels, on if self.r.random() < 0.8 else self.exit())
        f.place(on)

    def condition(self) -> None:
        """Around a jump to an exit, or to it by way of a jump."""
        f, on = self.f, self.f.label()
        self.compare(on)
        if self.r.random() < 0.5:
            self.arithmetic()
        if self.r.random() < 0.2:
            f.jump(self.exit())
        f.place(on)

    def loop(self, loops: int) -> None:
        r, f = self.r, self.f
        counter, again, done = f.reg(i64), f.label(), f.label()
        f.i64_const(counter, r.randrange(1, 5))
        outside = {type: list(each) for type, each in self.registers.items()}
        self.registers[i64].append(counter)
        self.fixed.add(counter.code)
        f.place(again)
        self.head(again)
        tests_first = r.random() < 0.5
        if tests_first:
            f.branch_i64_le_s(counter, 0, self.exit() if r.random() < 0.2 else done)
        if r.random() < 0.3:  # a head that is a guard
            self.guard()
        for _ in range(r.randrange(1, 5)):
            self.statement(loops)
        f.i64_sub(counter, counter, 1)
        if tests_first:
            f.jump(again)
        else:
            f.branch_i64_gt_s(counter, 0, again)
        f.place(done)
        self.registers = outside

    def begin(self) -> None:
        """What is done where a function begins."""

    def head(self, again: Any) -> None:
        """What is done where a loop begins."""

    def call_python(self) -> None:
        r, f = self.r, self.f
        self.points += 1
        params = [type for type in Type for _ in range(r.randrange(5))]
        r.shuffle(params)
        result = r.choice(list(Type))
        callee = self.log.callback(self.points, params, result)
        f.call(self.destination(result), callee, *[self.any(each) for each in params])

    def call(self) -> None:
        r, f = self.r, self.f
        callee = r.choice([*self.callees, f])
        less, on = f.reg(i64), f.label()
        f.branch_i64_le_s(self.depth, 0, on)
        f.i64_sub(less, self.depth, 1)
        result = callee.result
        f.call(self.destination(result), callee, less, self.memory, self.any(f64), self.any(i32))
        f.place(on)


class Entering(Generator):
    """The same programs, whose main function is left in round `when` of its loops, to go on in the same place."""

    def __init__(self, seed: int, log: Log, when: int, backend: str) -> None:
        super().__init__(seed, log)
        self.when = when
        self.backend = backend
        self.entries = 0

    def go_on(self, entered: Function, values: tuple[Any, ...]) -> Any:
        return entered.compile(backend=self.backend)(entered.pack(values))

    def begin(self) -> None:
        self.trip = self.f.reg(i64)
        self.f.i64_const(self.trip, 0)

    def guard(self, extra: Any = ()) -> None:
        if self.r.random() < 0.3:  # else few programs come as far as to their loops
            super().guard(extra)

    test = Generator.arithmetic

    def head(self, again: Any) -> None:
        if self.f.name != "main":
            return
        f = self.f
        own = [each for type in Type for each in self.registers[type] if each not in f.params]
        live = [*f.params, self.trip, *own]

        def enter(point: Any, values: tuple[Any, ...]) -> Any:
            self.entries += 1
            return self.go_on(f.entered_at(again, live), values)

        f.i64_add(self.trip, self.trip, 1)
        leave = f.exit(enter, 0, live)
        f.branch_i64_eq(self.trip, self.when, leave)


def run(function: Function, log: Log, arguments: tuple[Any, ...], **options: Any) -> Any:
    """What a call gives and what handlers saw."""
    log.calls.clear()
    compiled = function.compile(**options)
    result = compiled(*arguments)
    return shown(result), list(log.calls)


class Run(NamedTuple):
    """A program that ends, how it is called, and what the reference interpreter makes of that, as `run` gives it."""

    seed: int
    program: Function
    arguments: tuple[Any, ...]
    wanted: Any


def runs(seeds: Iterable[int], log: Log) -> Iterator[Run]:
    """The programs of the seeds, without those that take too long."""
    for seed in seeds:
        program = Generator(seed, log).program()
        arguments = (seed % 4, memory(seed), 1.5, seed % 8)
        reference = program.compile(backend="reference")
        reference.interpreter.fuel = FUEL
        log.calls.clear()
        try:
            result = reference(*arguments)
        except OutOfFuel:
            continue
        yield Run(seed, program, arguments, (shown(result), list(log.calls)))


def memory(seed: int) -> Any:
    r = random.Random(seed)
    return (ctypes.c_int64 * MEMORY)(*[r.randrange(-1000, 1000) for _ in range(MEMORY)])
