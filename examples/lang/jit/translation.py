"""Values on their way between Python and compiled code: what is represented how, and back."""

from __future__ import annotations

import math
from typing import Any

from ..values import Array
from . import arrays
from .kinds import BOOL, ELEMENTS, FLOAT, IDENTICAL, INT, OTHER, Kind, Known

SENTINEL = -0x6A7B2C1D
"""An i64 result that says: look whether Python keeps another. NaN says so of floats."""
NOTHING = object()
"""Python keeps no result."""


class Translation:
    """`kept`: values that compiled code knows by number, or that must not die before it ends. `odd`: a result of
    another kind than the callee was compiled for, on its way to the caller."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.odd: Any = NOTHING

    def inward(self, value: Any) -> tuple[Kind, Any]:
        """A value's kind, and how it is represented (None if it is not)."""
        cls = type(value)
        if cls is int:
            if -(2**63) <= value < 2**63:
                return INT, value
        elif cls is float:
            return FLOAT, value
        elif cls is bool:
            return BOOL, int(value)
        elif value is None or isinstance(value, IDENTICAL):
            return Known(value), None
        elif cls is Array:
            kind = arrays.pack(value)
            if kind is not None:
                return kind, arrays.address_of(value)
        self.kept.append(value)
        return OTHER, len(self.kept) - 1

    def outward(self, kind: Kind, value: Any) -> Any:
        """What a represented value is to the guest."""
        if kind is INT or kind is FLOAT:
            return value
        if kind is BOOL:
            return bool(value)
        if kind is OTHER:
            return self.kept[value]
        if kind in ELEMENTS:
            return arrays.array_at(value)
        assert isinstance(kind, Known)
        return kind.value

    def give(self, kind: Kind | None, value: Any, *, aside: bool) -> Any:
        """A callee's result for compiled code that expects a kind. One that does not fit is kept by Python, and so is
        any that is to be put `aside`."""
        if not aside:
            if kind is OTHER or kind in ELEMENTS:
                self.kept.append(value)  # nobody else may know it
            found, represented = self.inward(value)
            if found == kind:
                return 0 if represented is None else represented
        self.odd = value
        return math.nan if kind is FLOAT else SENTINEL

    def take(self, kind: Kind | None, value: Any) -> Any:
        """What a call returned that gave `value`: the result that Python keeps, if there is one."""
        odd, self.odd = self.odd, NOTHING
        if odd is not NOTHING:
            return odd
        assert kind is not None
        return self.outward(kind, value)
