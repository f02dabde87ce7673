"""What programs compute with. Numbers, strings, booleans and nil are Python's own; arrays and functions are here."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from .bytecode import Prototype


class Cell:
    """A variable that functions within its own have captured. `final`: only its declaration assigns it.

    `memory` is set once compiled code has taken to it: see jit/cells.py."""

    __slots__ = ("final", "memory", "value")
    memory: array[int]

    def __init__(self, value: object, final: int) -> None:
        self.value = value
        self.final = final


class Closure:
    """A function with the variables that it has captured."""

    __slots__ = ("cells", "prototype")

    def __init__(self, prototype: Prototype, cells: list[Cell]) -> None:
        self.prototype = prototype
        self.cells = cells


class Builtin:
    """A function of Python's. `arity` None: any number of arguments. `native`: a function of ctypes, of doubles and
    64-bit integers, that compiled code calls in its place."""

    __slots__ = ("arity", "call", "name", "native")

    def __init__(self, name: str, arity: int | None, call: Callable[..., object], native: Any = None) -> None:
        self.name = name
        self.arity = arity
        self.call = call
        self.native = native


class Array:
    """`items` is a list; or an array.array of numbers or jit.arrays.Rows, which only the methods change.

    `header` is where compiled code finds items that are no list, `past` what headers there were, with what they lead
    to."""

    __slots__ = ("__weakref__", "header", "items", "past", "refused")

    def __init__(self, items: Any) -> None:
        self.items = items
        self.header: array[int] | None = None  # address, length
        self.past: list[object] = []
        self.refused = 0  # how often it could not be what compiled code takes

    def store(self, index: int, value: object) -> None:
        """items[index] = value."""
        if type(self.items) is not array or not _fits(self.items, value):
            self._turn()
        self.items[index] = value

    def push(self, value: object) -> None:
        """Append."""
        items = self.items
        if type(items) is not list and not (_fits(items, value) if type(items) is array else items.admits(value)):
            self._turn()
            items = self.items
        items.append(value)
        header = self.header
        if header is not None:
            header[0], header[1] = items.buffer_info()

    def pop(self) -> object:
        """Take off the last. IndexError if there is none."""
        if type(self.items) is not array:
            self._turn()
        value = self.items.pop()
        if self.header is not None:
            self.header[0], self.header[1] = self.items.buffer_info()
        return value

    def _turn(self) -> None:
        """Back to a list."""
        if type(self.items) is list:
            return
        if self.header is not None:
            self.header[1] = 0  # compiled code that knows it finds nothing in range, and leaves
            self.past.append((self.header, self.items if type(self.items) is not array else None))
            self.header = None
        self.items = list(self.items)
        self.refused += 1


def _fits(items: array[Any], value: Any) -> bool:
    if items.typecode == "d":
        return type(value) is float
    return type(value) is int and -(2**63) <= value < 2**63


TYPE_NAMES = {int: "int", float: "float", bool: "bool", str: "string", type(None): "nil", Array: "array"}


def type_name(value: object) -> str:
    """What programs call the type of a value."""
    return TYPE_NAMES.get(type(value), "function")


def show(value: object) -> str:
    """A value as print shows it."""
    if value is None:
        return "nil"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, Array):
        return _show_array(value, set())
    if isinstance(value, Closure):
        return f"<fn {value.prototype.name}>"
    if isinstance(value, Builtin):
        return f"<fn {value.name}>"
    return str(value)


def _show_array(value: Array, within: set[int]) -> str:
    if id(value) in within or len(within) > 100:
        return "[...]"
    within.add(id(value))
    shown = [_show_array(each, within) if isinstance(each, Array) else show(each) for each in value.items]
    within.discard(id(value))
    return f"[{', '.join(shown)}]"
