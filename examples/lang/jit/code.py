"""The cnp function that a version becomes: its registers, its ways out, and what small things are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import cnp
from cnp import f64, i64

from .kinds import FLOAT, Kind, Known
from .version import Version

Source: TypeAlias = Any
"""A register, or a number in its place: an int or a float, as the kind says."""
EXACT = 1 << 53
"""Up to here, and from minus that, every integer is a float."""


def type_of(kind: Kind) -> cnp.Type:
    """The type of the register for a represented kind."""
    return f64 if kind is FLOAT else i64


class Point:
    """Where compiled code leaves. `registers` are those of the guest that are live and represented, in the order of the
    values after the depth; `known` the others. `target`: the register for the result of the call that was left."""

    __slots__ = ("callee", "known", "pc", "registers", "target", "version")

    def __init__(
        self,
        version: Version,
        pc: int,
        registers: tuple[tuple[int, Kind], ...],
        known: tuple[tuple[int, object], ...],
        target: int | None,
        callee: Kind | None,
    ) -> None:
        self.version = version
        self.pc = pc
        self.registers = registers
        self.known = known
        self.target = target
        self.callee = callee


class Code:
    """One version's function under construction. `leave` is called with a point's number in `points`, and values."""

    def __init__(
        self,
        version: Version,
        leave: Callable[[int, tuple[Any, ...]], Any],
        points: list[Point],
        live: Sequence[list[int]],
    ) -> None:
        self.version = version
        self.prototype = version.prototype
        self.function = version.function
        self.kinds: dict[int, Kind] = {}  # before the present step
        self._leave = leave
        self._points = points
        self._live = live
        self._registers: dict[tuple[int, bool], cnp.Register] = {}
        self._ways_out: dict[int, cnp.Label] = {}
        self._begin()

    def _begin(self) -> None:
        f, context = self.function, [(each, kind) for each, kind in self.version.context if kind.represented]
        if self.version.pc == 0:
            self.depth = f.params[0]
            for (each, kind), parameter in zip(context, f.params[1:]):
                self._registers[each, kind is FLOAT] = parameter
            return
        self.depth = f.reg(i64)  # a loop is entered with everything in memory
        f.i64_load(self.depth, f.params[0])
        for number, (each, kind) in enumerate(context, 1):
            load = f.f64_load if kind is FLOAT else f.i64_load
            load(self.register(each, kind), f.params[0], 8 * number)

    # Operands.

    def register(self, number: int, kind: Kind) -> cnp.Register:
        """The cnp register of a guest register."""
        key = number, kind is FLOAT
        if key not in self._registers:
            self._registers[key] = self.function.reg(type_of(kind))
        return self._registers[key]

    def value(self, number: int, kind: Kind) -> Source:
        """A guest register, or the number that is the constant in its place."""
        constant = number - self.prototype.registers
        if constant < 0:
            return self.register(number, kind)
        value = self.prototype.constants[constant]
        return value if kind is FLOAT else int(value)  # type: ignore[call-overload]

    def real(self, number: int, kind: Kind) -> Source:
        """A number as a float, rounded if it has to be."""
        value = self.value(number, kind)
        if kind is FLOAT:
            return value
        if isinstance(value, int):
            return float(value)
        made = self.function.reg(f64)
        self.function.f64_convert_i64_s(made, value)
        return made

    def exact(self, number: int, kind: Kind) -> Source:
        """A number as a float that is the same; leaves if there is none."""
        value, f = self.value(number, kind), self.function
        if isinstance(value, cnp.Register) and kind is not FLOAT:
            moved = f.reg(i64)
            f.i64_add(moved, value, EXACT)
            f.branch_i64_gt_u(moved, 2 * EXACT, self.out())
        elif isinstance(value, int) and not -EXACT <= value <= EXACT:
            f.jump(self.out())
        return self.real(number, kind)

    # Ways out.

    def at(self, pc: int, kinds: dict[int, Kind]) -> None:
        """What follows belongs to this instruction."""
        self.pc = pc
        self.kinds = kinds
        self._ways_out = {}

    def out(self, target: int | None = None, callee: Kind | None = None) -> cnp.Label:
        """Where to jump to leave the present instruction to the interpreter, as if it had not begun; or, with a target,
        as if the call that it is had returned what Python keeps."""
        pc = self.pc + (target is not None)
        if pc not in self._ways_out:
            live = [(each, self.kinds[each]) for each in self._live[pc] if each in self.kinds and each != target]
            registers = tuple([(each, kind) for each, kind in live if kind.represented])
            known = tuple([(each, kind.value) for each, kind in live if isinstance(kind, Known)])
            self._points.append(Point(self.version, pc, registers, known, target, callee))
            values = [self.depth, *(self.register(each, kind) for each, kind in registers)]
            self._ways_out[pc] = self.function.exit(self._leave, len(self._points) - 1, values)
        return self._ways_out[pc]
