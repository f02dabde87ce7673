"""The machine with a compiler for what is hot."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import cnp
from cnp import i64, tiers
from cnp.bytecode import GuestFunction, Table

from .code import Function
from .machine import Machine
from .table import LOCALS, VM, Context
from .words import Words


def _tick() -> Callable[[], None]:
    f = cnp.Function("interpreter")
    f.safepoint()
    f.ret()
    return f.compile()  # type: ignore[no-any-return]


class TieredMachine(Machine):
    """A Machine that compiles functions and loops, by a table from `table.load`, once `policy` says so."""

    def __init__(
        self, table: Table, functions: Sequence[Function], items: Sequence[int] = (), policy: tiers.Policy | None = None
    ) -> None:
        super().__init__(functions, items)
        self.table = table
        self.policy = policy or tiers.Policy(calls=100, loops=1000, exits=10)
        self.lasting: list[int] = []  # large numbers that are items
        self.words = Words(self.lasting)
        self.context = Context((ctypes.c_int64 * len(items))(*map(self.words.word, items)), len(items))
        self.lasting += self.words.large
        self.assumption = cnp.Assumption("function 0 is not redefined")
        self.tick = _tick()  # of a budget, and Ctrl-C
        self.lock = threading.Lock()  # of what is called, and what it was compiled for
        self.tiers = {each: self.tier(each) for each in self.functions}
        self.cells = [self.cell(number) for number in range(len(self.functions))]

    # Into compiled code.

    def call(self, number: int, arguments: list[int]) -> int:
        self.tick()
        tier = self.tiers[self.functions[number]]
        code = tier.code or tier.called()
        if not code:
            return super().call(number, arguments)
        return self.run(code, self.context, *map(self.words.word, arguments))

    def loop(self, function: Function, at: int, local: list[int], stack: list[int]) -> int | None:
        self.tick()
        if stack:  # what is entered has none
            return None
        tier = self.tiers[function]
        enter = tier.entries.get(at) or tier.looped(at)
        if not enter:
            return None
        return self.run(enter, [ctypes.addressof(self.context), *map(self.words.word, local)])

    def run(self, code: Callable[..., int], *arguments: Any) -> int:
        """What compiled code returns."""
        words = self.words
        words.running += 1
        try:
            return words.number(code(*arguments))
        finally:
            words.running -= 1
            if not words.running:
                del words.large[len(self.lasting) :]  # there is no other word left

    # Out of it. Code keeps alive what it calls, and the machine has the code: only a weak reference leads back to it.

    def leave(self, function: Function, at: int, words: tuple[Any, ...]) -> int:
        """A guard has left compiled code: the interpreter goes on."""
        tier = self.tiers[function]
        given_up = tier.given_up
        tier.left()
        if tier.given_up > given_up:  # code that calls it calls the interpreter
            self.point(function, None)
        numbers = [self.words.number(word) for word in words]
        return self.words.word(self.interpret(function, at, numbers[: function.locals], numbers[function.locals :]))

    def cell(self, number: int) -> cnp.Cell:
        """Where compiled code finds a function: at first, code that calls the interpreter."""
        machine, function = ref(self), self.functions[number]

        def call(context: int, *words: int) -> int:
            self = _alive(machine)
            return self.words.word(self.call(number, [self.words.number(word) for word in words]))

        f = cnp.Function(function.name, _parameters(function), i64)
        f.call(f.params[0], cnp.callback(call, _parameters(function), i64), *f.params)
        f.ret(f.params[0])
        return cnp.Cell(function.name, _parameters(function), i64, f.compile())

    # What is compiled, and when.

    def tier(self, function: Function) -> tiers.Tiered:
        machine = ref(self)
        return tiers.Tiered(lambda point: _alive(machine).compile(function, point), self.policy)

    def translate(self, function: Function) -> GuestFunction:
        """A function of the guest as one of cnp's."""
        machine = ref(self)
        return self.table.function(
            function.name,
            _parameters(function),
            i64,
            function.code,
            callees=self.cells,
            cells=[self.assumption],
            handler=lambda at, words: _alive(machine).leave(function, at, words),
            sizes={LOCALS: function.locals},
        )

    def compile(self, function: Function, point: int | None) -> Any:
        """Code for a function, or to enter the loop at an offset of it."""
        f = self.translate(function)
        if point is not None:
            entry = f.entered_at(f.label_at(point), [*f.registers(VM), *f.registers(LOCALS)])
            code = entry.compile(nogil=True)
            return lambda values: code(entry.pack(values))
        code = f.compile(nogil=True)
        self.point(function, code)
        return code

    def point(self, function: Function, code: Any) -> None:
        """Have compiled code that calls a function call its code, or the interpreter, unless it has been redefined."""
        with self.lock:
            if function in self.functions:
                cell = self.cells[self.functions.index(function)]
                cell.set(code) if code else cell.reset()

    def replace(self, number: int, function: Function) -> None:
        with self.lock:
            former = self.functions[number]  # it may be running, and become hot once more
            self.tiers |= {each: self.tier(each) for each in (former, function)}
            super().replace(number, function)
            self.cells[number].reset()
            if number == 0:
                self.assumption.invalidate()
                self.assumption = cnp.Assumption("function 0 is not redefined again")


def _parameters(function: Function) -> list[Any]:
    return [cnp.writable_ptr, *[i64] * function.arity]


def _alive(machine: ref[TieredMachine]) -> TieredMachine:
    found = machine()
    assert found is not None  # it is running
    return found
