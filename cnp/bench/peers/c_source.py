"""Descriptions -> C, a local variable for every register and a statement for every op."""

from __future__ import annotations

import math
import struct

from cnp.bench.peers.c_ops import BITS, CHECKED, HELPED, HELPERS, PRELUDE, STATEMENTS, TYPES, UNCHECKED
from cnp.bench.peers.description import Constant, Description, External, Group
from cnp.types import Type


def translate(group: Group) -> str:
    """The text of a file in which every function of the group has its symbol."""
    text = [PRELUDE]
    if any(not each.names.isdisjoint(HELPED) for each in group):
        text.append(HELPERS)
    elif any(_lacks_literal(constant) for each in group for constant in each.constants):
        text.append(BITS)
    if any(each.callees for each in group):
        text += [f"{declaration(each)};\n" for each in group]
    for each in group:
        _append_function(text, each, group)
    return "".join(text)


def declaration(description: Description) -> str:
    """Of a function, with the names of its parameters."""
    types = [TYPES[each.register_type] for each in description.parameters]
    parameters = ",".join(f"{type} r{number}" for number, type in enumerate(types))
    return f"{_result(description)} {description.symbol}({parameters or 'void'})"


def _result(function: Description | External) -> str:
    return "void" if function.result is None else TYPES[function.result]


def _append_function(text: list[str], description: Description, group: Group) -> None:
    registers = [f"r{number}" for number in range(len(description.registers))]
    table = [
        *registers,
        *map(_literal, description.constants),
        *(f"l{number}" for number in range(description.labels)),
        *(_callee(each, group) for each in description.callees),
        "",
    ]
    append, statements = text.append, STATEMENTS
    append(f"{declaration(description)}{{\n")
    first = len(description.parameters)
    for name, type in zip(registers[first:], description.registers[first:]):
        append(f"{TYPES[type]} {name};\n")
    for name, places, pick in description.ops:
        statement = statements.get(name)
        if statement is not None:
            append(statement(*pick(table)))
        elif name == "call":
            append(_call(*pick(table)))
        else:
            divide = UNCHECKED if _is_safe_divisor(description, places[2]) else CHECKED
            append(divide[name](*pick(table)))
    append("}\n")


def _call(d: str, callee: str, *arguments: str) -> str:
    return f"{d}{'=' if d else ''}{callee}({','.join(arguments)});\n"


def _callee(callee: int | External, group: Group) -> str:
    if isinstance(callee, int):
        return group[callee].symbol
    parameters = ",".join(TYPES[each] for each in callee.parameters)
    return f"(({_result(callee)}(*)({parameters or 'void'})){callee.address}ull)"


def _is_safe_divisor(description: Description, place: int) -> bool:
    """Whether this is a constant other than 0 and -1."""
    number = place - len(description.registers)
    return number >= 0 and description.constants[number].value not in (0, -1)


def _lacks_literal(constant: Constant) -> bool:
    value = constant.value
    return constant.type.is_float and (not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0))


def _literal(constant: Constant) -> str:
    type, value = constant.type, constant.value
    if isinstance(value, int):
        return f"{value % 2**32}u" if type is Type.i32 else f"{value % 2**64}ull"
    if _lacks_literal(constant):
        code, bits = ("f", "I") if type is Type.f32 else ("d", "Q")
        return f"{type}_of_bits({struct.unpack(f'<{bits}', struct.pack(f'<{code}', value))[0]}ull)"
    return f"({value.hex()}{'f' if type is Type.f32 else ''})"
