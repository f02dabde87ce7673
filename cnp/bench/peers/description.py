"""Functions -> plain data that every peer is given the same of: a name and a few numbers for each op.

The numbers index a table that each peer fills with what it has for registers, constants, labels and callees: strings,
values of an IR, or cnp's own objects. So every peer, cnp included, goes through the same list in the same way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from cnp.ir.function import Extern, Function, Register, callee_function
from cnp.ir.optable import Operand, Role
from cnp.ir.signature import normalised, op_name, operands_of
from cnp.types import ParameterType, Type

Op = tuple[str, tuple[int, ...], Callable[[Sequence[Any]], Sequence[Any]]]
"""A public name ("i64.add", "branch i64.lt_s", "call"), places in the table, in the order of the method's operands, and
what picks these places out of a table.

branch_table has index, default, labels; call has destination, callee, arguments; loads and stores have an offset.
"""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number as a register of its type holds it: an integer signed, an f32 rounded."""

    type: Type
    value: int | float


@dataclass(frozen=True, slots=True)
class External:
    """A C function."""

    address: int
    parameters: tuple[Type, ...]
    result: Type | None


@dataclass(frozen=True, slots=True)
class Description:
    """One function of a group. The table holds registers, constants, labels and callees in this order, then None."""

    name: str
    symbol: str  # an identifier that no other function of the group has
    parameters: tuple[ParameterType, ...]  # the first registers
    result: Type | None
    registers: tuple[Type, ...]
    constants: tuple[Constant, ...]
    labels: int
    callees: tuple[int | External, ...]  # the position of a function in its group, or one in C
    ops: tuple[Op, ...]
    names: frozenset[str]  # of the ops

    @property
    def first_label(self) -> int:
        """Where labels start in the table."""
        return len(self.registers) + len(self.constants)

    @property
    def first_callee(self) -> int:
        """Where callees start in the table."""
        return self.first_label + self.labels


Group = Sequence[Description]
"""Functions that call no function outside."""


def describe(functions: Iterable[Function]) -> Group:
    """The functions, which must be well formed, and behind them all others that they reach by calls."""
    found: dict[int, Function] = {id(each): each for each in functions}
    waiting = list(found.values())
    while waiting:
        for callee in map(callee_function, waiting.pop().callees):
            if callee is not None and id(callee) not in found:
                found[id(callee)] = callee
                waiting.append(callee)
    numbers = {key: number for number, key in enumerate(found)}
    return [_Describer(function, number, numbers).description() for number, function in enumerate(found.values())]


class _Describer:
    def __init__(self, function: Function, number: int, numbers: dict[int, int]) -> None:
        self._function = function
        self._number = number
        self._numbers = numbers
        self._registers = function.register_types
        self._constants: dict[tuple[Type, bytes], int] = {}
        self._values: list[Constant] = []

    def description(self) -> Description:
        function = self._function
        wanted = [(op, operands_of(function, op) or ()) for op in function.ops]
        for op, operands in wanted:
            for operand, value in zip(operands, op[1:]):
                self._add_constant(operand, value)
        places = [tuple(self._places(op, operands)) for op, operands in wanted]
        names = [op_name(function, op[0]) for op in function.ops]
        return Description(
            name=function.name,
            symbol=f"function_{self._number}",
            parameters=tuple(function.parameter_types),
            result=function.result,
            registers=tuple(self._registers),
            constants=tuple(self._values),
            labels=function._label_count,
            callees=tuple(map(self._callee, function.callees)),
            ops=tuple(zip(names, places, map(_picker, places))),
            names=frozenset(names),
        )

    def _add_constant(self, operand: Operand, value: Any) -> None:
        key = _key(operand, value)
        if key is not None and key not in self._constants:
            self._constants[key] = len(self._registers) + len(self._values)
            self._values.append(Constant(key[0], normalised(key[0], value)))

    def _places(self, op: Sequence[Any], operands: Sequence[Operand]) -> Iterable[int]:
        first_label = len(self._registers) + len(self._values)
        first_callee = first_label + self._function._label_count
        for operand, value in zip(operands, op[1:]):
            key = _key(operand, value)
            if key is not None:
                yield self._constants[key]
            elif operand.role is Role.LABEL:
                yield first_label + (value.code & 0xFFFFFFFF)
            elif operand.role is Role.CALLEE:
                yield first_callee + value
            else:
                yield -1 if value is None else value.code & 0xFFFFFFFF

    def _callee(self, callee: Any) -> int | External:
        if isinstance(callee, Extern):
            return External(callee.address or 0, callee.params, callee.result)
        return self._numbers[id(callee_function(callee))]


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))  # of a single place it makes no tuple


_READ = frozenset([Role.SOURCE, Role.CONSTANT, Role.ARGUMENT, Role.OFFSET])


def _key(operand: Operand, value: Any) -> tuple[Type, bytes] | None:
    """What tells a constant from others, None for an operand that is none."""
    if operand.role not in _READ or isinstance(value, Register):
        return None
    type = Type.i64 if operand.type is None else operand.type
    number = normalised(type, value)
    return type, struct.pack("<q" if type.is_integer else "<d", number)
