"""Packs the ops of a function into words, as an author of a front end without Python would."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from cnp.ir import Function, Label, Register
from cnp.ir.optable import Operand, Role
from cnp.ir.packed import CONSTANT, NO_OPERAND, Packed, PackedFunction, bits_of
from cnp.ir.signature import operands_of


def pack(function: Function) -> Packed:
    """The ops of a function that is well formed."""
    words: list[int] = []
    constants: list[int] = []
    for op in function.ops:
        words.append(op[0] | len(op) - 1 << 16)
        words += [_word(each, operand, constants) for each, operand in zip(op[1:], operands_of(function, op) or ())]
    return Packed(struct.pack(f"<{len(words)}I", *words), struct.pack(f"<{len(constants)}Q", *constants))


def packed(functions: Sequence[Function]) -> list[PackedFunction]:
    """The same functions, made of packed words; they call one another."""
    made = [PackedFunction(each.name, each.parameter_types, each.result) for each in functions]
    instead = {id(old): new for old, new in zip(functions, made)}
    for old, new in zip(functions, made):
        new._types[:] = old._types
        new._label_count = old._label_count
        new._callees += [instead.get(id(each), each) for each in old.callees]
        new._packed = pack(old)
    return made


def _word(value: Any, operand: Operand, constants: list[int]) -> int:
    if value is None:
        return NO_OPERAND
    if isinstance(value, (Register, Label)):
        return value.code & 0xFFFFFFFF
    if operand.role is Role.CALLEE:
        return int(value)
    if operand.role is Role.OFFSET:
        return int(value.__index__()) & 0xFFFFFFFF
    assert operand.type is not None
    constants.append(bits_of(operand.type, value))
    return CONSTANT | len(constants) - 1
