"""Runs random programs on the reference interpreter and compiled, compares, and reduces those that go wrong."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

from machines import MEMORY_SIZE, Machine
from random_programs import Program

from cnp.errors import Crash, Trap, TrapKind, VerifyError
from cnp.ir import reference
from cnp.ir.reference import Interpreter, OutOfFuel
from cnp.ir.semantics import TrapSignal
from cnp.ir.verifier import find

FUEL = 20_000


Outcome = tuple[Any, ...]


def _run(call: Callable[[], Any], memory: bytes, machine: Machine) -> Outcome:
    ctypes.memmove(machine.address, memory, MEMORY_SIZE)
    try:
        found: Outcome = ("returns", call())
    except Trap as trap:
        found = ("traps", trap.kind, trap.function, trap.op)
    return (*found, ctypes.string_at(machine.address, MEMORY_SIZE))


def expected(program: Program, interpreter: Interpreter | None = None) -> Outcome | None:
    """What the reference interpreter makes of a program. None if it takes too long. An interpreter that has run the
    program before knows its functions."""
    interpreter, machine = interpreter or Interpreter(200), program.machine
    interpreter.fuel = FUEL
    try:
        with mock.patch.object(reference, "_c_function", machine.call_c):
            found = _run(lambda: interpreter.run(program.functions[0], program.arguments), program.memory, machine)
    except (OutOfFuel, TrapSignal):
        return None
    return None if found[:2] == ("traps", TrapKind.STACK_OVERFLOW) else found


def actual(program: Program, pins: bytes | None = None, compiled: Any = None) -> Outcome:
    """What compiled code makes of it: it is compiled here unless it has been already."""
    if compiled is None:
        compiled = program.machine.compile(program.functions[0], pins=pins, **program.options)
    return _run(lambda: compiled(*program.arguments), program.memory, program.machine)


def agree(a: Outcome, b: Outcome) -> bool:
    """The same, but that one NaN is as good as another."""
    both_nan = all(isinstance(each[1], float) and math.isnan(each[1]) for each in (a, b))
    same_value = both_nan or repr(a[1]) == repr(b[1])
    return a[0] == b[0] and same_value and a[2:] == b[2:]


def text(program: Program) -> str:
    """The functions, with the numbers that op numbers in traps mean."""
    from cnp.ir.text import print_function

    shown = f"pins {list(program.pins)}\n"
    shown += "\n".join(str(print_function(each)) for each in program.functions)
    return f"seed {program.seed}, arguments {program.arguments}, {program.options}\n{shown}"


# -- reducing what goes wrong


def in_a_child(check: Callable[[], bool]) -> bool:
    """Whether check() is true, or the process that it runs in dies."""
    child = os.fork()
    if not child:
        os._exit(not check())
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0


def goes_wrong(program: Program) -> bool:
    """Whether the native code does something else, or dies. False for a program that is not well formed."""
    if any(find(each).code for each in program.functions):
        return False

    def differs() -> bool:
        try:
            wanted = expected(program)
            return wanted is not None and not all(agree(wanted, actual(program, pins)) for pins in (None, program.pins))
        except (VerifyError, OverflowError):
            return False

    if program.machine.is_native:
        return in_a_child(differs)
    if in_a_child(lambda: expected(program) is None):
        return False  # it stores anywhere, so that the interpreter dies, too
    try:
        return differs()
    except Crash:
        program.machine.start()
        return True


def reduce(program: Program) -> Program:
    """Leave out ops as long as the program goes wrong. Changes its functions."""
    shrunk = True
    while shrunk:
        shrunk = False
        for f in program.functions:
            size = max(1, len(f._ops) // 2)
            while size:
                at = 0
                while at < len(f._ops):
                    kept = list(f._ops)
                    del f._ops[at : at + size]
                    if f._ops and goes_wrong(program):
                        shrunk = True
                    else:
                        f._ops[:] = kept
                        at += size
                size //= 2
    return program
