"""Turns what Python raised at an instruction into what is said of the program."""

from __future__ import annotations

from typing import Any

from . import bytecode as bc
from .bytecode import Prototype
from .errors import RuntimeFault
from .values import Array, Builtin, Closure, type_name

_WORDS = {
    bc.ADD: "add {} and {}", bc.SUB: "subtract {} and {}", bc.MUL: "multiply {} and {}", bc.DIV: "divide {} by {}",
    bc.FLOOR_DIV: "divide {} by {}", bc.MOD: "divide {} by {}", bc.AND: "& {} and {}", bc.OR: "| {} and {}",
    bc.XOR: "^ {} and {}", bc.SHL: "shift {} by {}", bc.SHR: "shift {} by {}",
}  # fmt: skip
_ORDERS = frozenset((bc.LT, bc.LE, bc.JUMP_LT, bc.JUMP_NOT_LT, bc.JUMP_LE, bc.JUMP_NOT_LE))


class BadArgument(ValueError):
    """Raised by built-in functions; its text is what is said."""


def explain(error: Exception, prototype: Prototype, regs: list[Any], pc: int) -> RuntimeFault:
    """The fault at instruction `pc`, which has not changed `regs`. Raises what is no fault of the program's."""
    op, a, b, c = prototype.code[pc]
    if op in (bc.HOT, bc.RUN, bc.ENTER):
        raise error
    return RuntimeFault(prototype.lines[pc], _message(error, op, a, b, c, regs))


def _message(error: Exception, op: int, a: int, b: int, c: int, regs: list[Any]) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, RecursionError):
        return "too many calls within one another"
    if isinstance(error, BadArgument):
        return str(error)
    if op == bc.CALL:
        return _of_call(error, regs[b], regs[b + 1 : b + 1 + c])
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    if isinstance(error, OverflowError):
        return "the number is too large"
    if op in (bc.INDEX, bc.STORE):
        if op == bc.STORE and isinstance(regs[a], str):
            return "cannot store into string"
        return _of_index(*((regs[b], regs[c]) if op == bc.INDEX else (regs[a], regs[b])))
    if isinstance(error, ValueError):
        return "negative shift"
    if op in _WORDS:
        return "cannot " + _WORDS[op].format(type_name(regs[b]), type_name(regs[c]))
    if op in _ORDERS:
        return f"cannot compare {type_name(regs[b])} and {type_name(regs[c])}"
    if op == bc.NEG:
        return f"cannot negate {type_name(regs[b])}"
    if op == bc.FOR_PREPARE:
        return f"for goes from int to int, not from {type_name(regs[a])} to {type_name(regs[a + 1])}"
    raise error  # a mistake in this machine, not in the program


def _of_call(error: Exception, callee: object, arguments: list[object]) -> str:
    if isinstance(callee, Closure):
        return _arguments(callee.prototype.name, callee.prototype.arity, len(arguments))
    if not isinstance(callee, Builtin):
        return f"cannot call {type_name(callee)}"
    if callee.arity not in (None, len(arguments)):
        return _arguments(callee.name, callee.arity or 0, len(arguments))
    shown = ", ".join(map(type_name, arguments))
    if isinstance(error, OverflowError):
        return f"{callee.name}({shown}): the number is too large"
    return f"{callee.name} does not take ({shown})" if not isinstance(error, ValueError) else f"{callee.name}: {error}"


def _arguments(name: str, arity: int, given: int) -> str:
    return f"{name} takes {arity} argument{'s' * (arity != 1)}, not {given}"


def _of_index(array: object, index: object) -> str:
    if not isinstance(array, (Array, str)):
        return f"cannot index {type_name(array)}"
    if type(index) is not int:
        return f"an index is an int, not {type_name(index)}"
    length = len(array) if isinstance(array, str) else len(array.items)
    return f"index {index} is out of range for length {length}"
