"""Captured variables where compiled code finds them: their cells' numbers in memory, and the ops for them.

Memory is two words: the kind of the number that the second is, 0 if the value is with Python."""

from __future__ import annotations

from array import array
from typing import Any

import cnp
from cnp import i64

from ..values import Cell
from .arrays import address_of
from .kinds import BOOL, ELEMENTS, FLOAT, INT, Kind

_TAGS = {INT: 1, BOOL: 2, FLOAT: 3}
_held: Any = Cell.__dict__["value"]


class SharedCell(Cell):
    """A cell whose number is in memory. A cell becomes one, and stays it."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        tag, bits = self.memory
        if tag == 0:
            return _held.__get__(self)
        if tag == _TAGS[FLOAT]:
            return array("d", array("q", [bits]).tobytes())[0]
        return bits if tag == _TAGS[INT] else bool(bits)

    @value.setter
    def value(self, value: Any) -> None:
        put(self.memory, value)
        _held.__set__(self, value)


def put(memory: array[int], value: Any) -> None:
    """Write a number and what kind it is, or that it is none."""
    if type(value) is float:
        memory[0], memory[1] = _TAGS[FLOAT], array("q", array("d", [value]).tobytes())[0]
    elif type(value) is bool or (type(value) is int and -(2**63) <= value < 2**63):
        memory[0], memory[1] = _TAGS[BOOL if type(value) is bool else INT], value
    else:
        memory[0] = 0


def share(cell: Cell) -> int:
    """Have a cell's number in memory: the address."""
    if type(cell) is not SharedCell:
        cell.memory = array("q", [0, 0])
        put(cell.memory, cell.value)
        cell.__class__ = SharedCell
    return cell.memory.buffer_info()[0]


def get_cell(f: cnp.Function, d: cnp.Register, cell: Any, kind: Kind, out: cnp.Label) -> None:
    """d = the number; leaves if it is of another kind. An array is there to stay."""
    if kind in ELEMENTS:
        f.i64_const(d, address_of(cell.value))
        return
    address, tag = share(cell), f.reg(i64)
    f.i64_load(tag, address)
    f.branch_i64_ne(tag, _TAGS[kind], out)
    load = f.f64_load if kind is FLOAT else f.i64_load
    load(d, address + 8)


def set_cell(f: cnp.Function, cell: Any, value: Any, kind: Kind) -> None:
    """The variable = value."""
    address = share(cell)
    f.i64_store(_TAGS[kind], address)
    store = f.f64_store if kind is FLOAT else f.i64_store
    store(value, address + 8)
