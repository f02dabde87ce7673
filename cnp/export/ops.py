"""The op table of a library -> C: numbers and inline functions for users, rows for the builder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cnp.errors import UserError
from cnp.ir.optable import Operand, Role, comparison_of, operands_of_row, public_name
from cnp.stencil.model import OpFlag, Shape
from cnp.types import NO_TYPE, Type

if TYPE_CHECKING:
    from cnp.ir.optable import OpRow

_VOID = "CNP_VOID"


def named(rows: Iterable[OpRow]) -> list[OpRow]:
    """Those that users may name."""
    return [row for row in rows if not row.flags & OpFlag.HIDDEN]


def declarations(rows: Iterable[OpRow], header: str) -> str:
    """An enumerator and a function for each op, to be put into `header`. UserError for an op that has the name of
    something that the header declares."""
    taken = set(re.findall(r"\bcnp_\w+", header, re.IGNORECASE))
    mine = named(rows)
    for row in mine:
        for name in (f"cnp_{row.method}", _number(row)):
            if name in taken:
                raise UserError(f"op {row.name!r} would be {name} in C, which cnp.h has already: give it another name")
    numbers = "\n".join(f"    {_number(row)} = {row.code}," for row in mine).removesuffix(",")
    functions = "\n".join(_function(row) for row in mine)
    return f"enum cnp_opcode {{\n{numbers}\n}};\n\n{functions}\n"


def table(rows: Iterable[OpRow]) -> str:
    """What the builder knows of the ops, by number."""
    lines = []
    for row in named(rows):
        operands = operands_of_row(row)
        entries = ", ".join(f"{{{each.name.upper()}_OPERAND, {_type(each)}}}" for each in operands)
        lines.append(f'    [{row.code}] = {{"{public_name(row)}", {len(operands)}, {{{entries}}}}},')
    return "\n".join(
        (
            "static const struct operation operations[] = {",
            *lines,
            "};",
            "enum { N_OPERATIONS = sizeof operations / sizeof *operations };",
            "",
        )
    )


def _number(row: OpRow) -> str:
    return f"CNP_{row.method.upper()}"


def _type(operand: Operand) -> str:
    return _VOID if operand.type is None else f"CNP_{operand.type.name.upper()}"


def _function(row: OpRow) -> str:
    operands = operands_of_row(row)
    parameters = ", ".join(("cnp_function *f", *map(_parameter, operands)))
    values = ", ".join(map(_value, operands))
    call = f"cnp_op(f, {_number(row)}, operands, {len(operands)});"
    return "\n".join(
        (
            f"/* {_meaning(row)} */",
            f"static inline void cnp_{row.method}({parameters}) {{",
            f"    const cnp_value operands[{len(operands)}] = {{{values}}};",
            f"    {call}",
            "}",
        )
    )


def _meaning(row: OpRow) -> str:
    types = ", ".join(Type(each).name for each in row.operand_types)
    result = f" -> {Type(row.result_type).name}" if row.result_type != NO_TYPE else ""
    name = f"branch on {comparison_of(row)}" if row.shape == Shape.BRANCH else row.name
    return f"{name} ({types}){result}"


def _parameter(operand: Operand) -> str:
    if operand.role is Role.LABEL:
        return "cnp_label label"
    return "int32_t offset" if operand.role is Role.OFFSET else f"cnp_value {operand.name}"


def _value(operand: Operand) -> str:
    if operand.role is Role.LABEL:
        return "label.place"
    return "cnp_offset(offset)" if operand.role is Role.OFFSET else operand.name
