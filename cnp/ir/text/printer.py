"""Turns functions into the text form, from which `parse` gives back the same functions.

Side exits and callbacks are printed, for people: `parse` refuses them, since text has no name for a Python object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cnp.ir.callback import Callback
from cnp.ir.function import Extern, Function, Label, Register, callee_function, callee_signature
from cnp.ir.optable import Code, Operand, Role
from cnp.ir.signature import label_name, op_name, operands_of, register_index, register_name
from cnp.ir.text.lexer import is_plain_name
from cnp.ir.text.module import Module
from cnp.ir.text.numbers import print_number
from cnp.types import Type

if TYPE_CHECKING:
    from cnp.ir.function import Callee

_NAMES_A_LINE = 12


def print_function(function: Function) -> str:
    """The text of one function, which ends in a line end. Callees are printed by name only.

    A function that is not well formed is printed as well, with <what does not belong> in angle brackets.
    """
    return "\n".join(_Printer(function, {}).lines()) + "\n"


def print_module(functions: Iterable[Function] | Mapping[str, Function]) -> str:
    """The text of functions and of everything they call, functions in the given order, then as they are called.

    Where two have one name, the later is printed with a number added to its own.
    """
    order = list(functions.values() if isinstance(functions, Mapping) else functions)
    externs = list(functions.externs.values()) if isinstance(functions, Module) else []
    _add_callees(order, externs)
    names: dict[int | Extern, str] = {}
    taken: set[str] = set()
    # First what is known by nothing but its name.
    for callee in (*[each for each in externs if each.address is None], *order, *externs):
        if _key(callee) in names:
            continue
        names[_key(callee)] = name = _unique(callee.name, taken)
        taken.add(name)
    lines = [_extern_line(each, names[each]) for each in externs]
    callbacks = {id(each): each for f in order for each in f.callees if isinstance(each, Callback)}
    lines += map(_callback_line, callbacks.values())
    parts = ["".join(f"{each}\n" for each in lines)] if lines else []
    parts += ["\n".join(_Printer(each, names).lines()) + "\n" for each in order]
    return "\n".join(parts)


def _add_callees(order: list[Function], externs: list[Extern]) -> None:
    """Add to `order` every function that one of them calls, directly or not, and to `externs` the externs."""
    seen = {id(each) for each in order}
    for function in order:  # which grows
        for callee in function.callees:
            called = callee_function(callee)
            if called is not None and id(called) not in seen:
                seen.add(id(called))
                order.append(called)
            if isinstance(callee, Extern) and callee not in externs:
                externs.append(callee)


def _key(callee: Callee) -> int | Extern:
    """Functions and callbacks are the same if they are one object, externs if they are equal."""
    if isinstance(callee, Callback):
        return id(callee)
    return callee if isinstance(callee, Extern) else id(callee_function(callee))


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}.{number}"
    return candidate


def _quoted(name: str) -> str:
    return name if is_plain_name(name) else json.dumps(name)


def _callback_line(callee: Callback) -> str:
    result = f" -> {callee.result}" if callee.result is not None else ""
    return f"callback {_quoted(callee.name)}({', '.join(map(str, callee.params))}){result}"


def _extern_line(callee: Extern, name: str) -> str:
    result = f" -> {callee.result}" if callee.result is not None else ""
    place = f" = {callee.address:#x}" if callee.address is not None else ""
    return f"extern {_quoted(name)}({', '.join(map(str, callee.params))}){result}{place}"


class _Printer:
    """Prints one function; `names` has what its callees are called where that is not their own name."""

    def __init__(self, function: Function, names: Mapping[int | Extern, str]) -> None:
        self.function = function
        self.names = names

    def lines(self) -> Iterator[str]:
        function = self.function
        name = self.names.get(id(function), function.name)
        typed = zip(range(len(function.params)), function.parameter_types)
        params = ", ".join(f"{register_name(function, index)}: {type}" for index, type in typed)
        result = f" -> {function.result}" if function.result is not None else ""
        yield f"func {_quoted(name)}({params}){result}"
        yield from self._registers()
        yield from self._labels()
        for index, each in function.exits.items():
            point = repr(each.point).replace("\n", " ")
            yield f"  exit {label_name(function, index)} ({', '.join(map(self._value, each.values))}) ; {point}"
        for op in function.ops:
            yield self._op(op)
        yield "end"

    def _registers(self) -> Iterator[str]:
        function = self.function
        own = list(enumerate(function.register_types))[len(function.params) :]
        for type, group in groupby(own, key=lambda each: each[1]):
            names = [register_name(function, index) for index, _ in group]
            for start in range(0, len(names), _NAMES_A_LINE):
                yield f"  reg {', '.join(names[start : start + _NAMES_A_LINE])}: {type}"

    def _labels(self) -> Iterator[str]:
        """Declare the labels where reading the ops alone would number them otherwise."""
        function = self.function
        used = [each.code & 0xFFFFFFFF for op in function.ops for each in _in_text_order(op) if isinstance(each, Label)]
        mentioned = list(dict.fromkeys(used))
        if mentioned != list(range(function._label_count)):
            names = [label_name(function, index) for index in range(function._label_count)]
            for start in range(0, len(names), _NAMES_A_LINE):
                yield f"  label {', '.join(names[start : start + _NAMES_A_LINE])}"

    def _op(self, op: tuple[Any, ...]) -> str:
        expected = operands_of(self.function, op)
        if op[0] == Code.PLACE and len(op) == 2:
            return f"{self._value(op[1])}:"
        name = op_name(self.function, op[0])
        name = name if expected is not None else f"<{name}>"
        operands = list(expected or ())
        operands += [Operand(Role.SOURCE, "")] * (len(op) - 1 - len(operands))
        values = [self._value(value, operand.type) for value, operand in zip(op[1:], operands)]
        if op[0] == Code.CALL and len(op) >= 3:
            callee = self._callee(op[2])
            return f"  call {values[0] + ', ' if op[1] is not None else ''}{callee}({', '.join(values[2:])})"
        if op[0] == Code.TABLE and len(op) >= 3:
            return f"  branch_table {values[0]}, [{', '.join(values[2:])}], {values[1]}"
        if operands and operands[-1].role is Role.OFFSET and op[-1] == 0 and len(op) == 1 + len(operands):
            values.pop()
        return f"  {name} {', '.join(values)}".rstrip()

    def _callee(self, number: Any) -> str:
        if not isinstance(number, int) or not 0 <= number < len(self.function.callees):
            return f"<{number!r}>"
        callee = self.function.callees[number]
        signature = callee_signature(callee)
        own = signature[0] if signature else repr(callee)
        return _quoted(self.names.get(_key(callee), own))

    def _value(self, value: Any, type: Type | None = None) -> str:
        function = self.function
        if isinstance(value, Register):
            index = register_index(function, value)
            return repr(value) if index is None else register_name(function, index)
        if isinstance(value, Label):
            own = value.code >> 32 == function._serial
            return label_name(function, value.code & 0xFFFFFFFF) if own else repr(value)
        return print_number(value, type) or f"<{value!r}>"


def _in_text_order(op: tuple[Any, ...]) -> tuple[Any, ...]:
    """A branch_table's default comes last in the text."""
    return (*op[3:], op[2]) if op[0] == Code.TABLE and len(op) >= 3 else op[1:]


def print_op(function: Function, op: tuple[Any, ...]) -> str:
    """The text of one op of a function, as it stands in print_function."""
    return _Printer(function, {})._op(op)
