"""What compiled code knows of a value: how it is represented, or which it is."""

from __future__ import annotations

from ..values import Builtin, Cell, Closure


class Kind:
    """How values of one kind are represented, if they are: as an f64 if it is FLOAT, else as an i64."""

    __slots__ = ("name", "represented")

    def __init__(self, name: str, *, represented: bool = True) -> None:
        self.name = name
        self.represented = represented

    def __repr__(self) -> str:
        return self.name


INT = Kind("int")  # that an i64 holds
BOOL = Kind("bool")  # 0 or 1
FLOAT = Kind("float")
INTS = Kind("ints")  # the address of the header of an array of such ints
FLOATS = Kind("floats")
ROWS = {INTS: Kind("rows of ints"), FLOATS: Kind("rows of floats")}
OTHER = Kind("other")  # the number of a value that Python keeps
NUMBERS = frozenset((INT, BOOL, FLOAT))
WHOLE = frozenset((INT, BOOL))
ELEMENTS = {INTS: INT, FLOATS: FLOAT, **{rows: row for row, rows in ROWS.items()}}


class Known(Kind):
    """One value that is not represented at all: a function, a cell, nil, a string that the program text has."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        super().__init__(f"known {value!r}", represented=False)
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


IDENTICAL = (Closure, Builtin, Cell)
"""Classes of values whose identity may be part of what code is compiled for."""
_OF_CLASS = {int: INT, float: FLOAT, bool: BOOL}


def of_constant(value: object) -> Kind:
    """The kind of a value that is part of the code."""
    if type(value) is int and not -(2**63) <= value < 2**63:
        return Known(value)
    return _OF_CLASS.get(type(value)) or Known(value)


def of_value(value: object) -> Kind | None:
    """The kind of a number, or None."""
    kind = of_constant(value)
    return None if isinstance(kind, Known) else kind
