"""The operands of random programs: numbers, and the registers that every path to a place has assigned."""

from __future__ import annotations

import math
import random
from typing import Any

from trials import EDGES

from cnp.ir import Function, Register
from cnp.ir.optable import default_ops
from cnp.stencil.model import OpFlag, Shape
from cnp.types import Type

i32, i64, f32, f64 = Type

ROWS = default_ops().by_name
_TRAPS = ("div_", "rem_", "trunc_f")


def _rows(shape: Shape) -> list[str]:
    return [name for name, row in ROWS.items() if row.shape == shape]


VALUES = {
    type: [
        name
        for name in _rows(Shape.VALUE)
        if ROWS[name].result_type == type and not any(each in name for each in _TRAPS)
    ]
    for type in Type
}
TRAPPING = [name for name in _rows(Shape.VALUE) if any(each in name for each in _TRAPS) and "sat" not in name]
BRANCHES = _rows(Shape.BRANCH)
SEE_BITS = frozenset(name for name in ROWS if "reinterpret_f" in name or "copysign" in name)
"""The ops that tell one NaN from another."""
SIGNATURES = {
    name: (ROWS[name].method, [Type(each) for each in ROWS[name].operand_types], Type(ROWS[name].result_type))
    for name in _rows(Shape.VALUE)
}
"""Of ops with a value: method, types of the operands, type of the result."""
COMPARISONS = [name for name in _rows(Shape.VALUE) if ROWS[name].flags & OpFlag.COMPARISON]


class Scope:
    """Registers that every path to here has assigned."""

    def __init__(self) -> None:
        self.registers: dict[Type, list[Register]] = {type: [] for type in Type}


class Values:
    """The state of a function that is being made, and the operands of its ops."""

    f: Function
    random: random.Random
    scope: Scope
    fixed: set[int]
    """The codes of registers that keep their values."""
    steady: dict[Type, list[Register]]
    """Those that have values which do not change in this loop."""

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
