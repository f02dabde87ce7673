"""Every exception that cnp raises of its own: the user's mistake, the unsupported, the internal bug, and the trap."""

from __future__ import annotations

import enum


class CnpError(Exception):
    """The base of all of them."""


class UserError(CnpError, ValueError):
    """The caller asked for something that cannot be: the message says what was found and what is accepted."""


class VerifyError(UserError):
    """A function is not well formed; the message names the function, the op and the operand."""


class BytecodeError(UserError):
    """Guest bytecode is not well formed; the message names the function and the instruction.

    `offset` is that of the instruction, its prefixes included, in bytes.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        self.offset = offset
        super().__init__(message, offset)

    def __str__(self) -> str:
        return str(self.args[0])


class ParseError(UserError):
    """A text form could not be read; the message names file, line and column."""


class Unsupported(CnpError):
    """A correct request that this machine, target or back end cannot serve."""


class BuildError(CnpError):
    """A stencil library could not be built: the message names the op, its placement and the offending detail."""


class LibraryError(CnpError):
    """A stencil library is missing, damaged, or made for another version of cnp."""


class MissingExtra(CnpError, ImportError):
    """An optional package is not installed; the message says which `pip install` brings it."""


class CheckError(CnpError, AssertionError):
    """An op does not do what its reference semantics say: the message names op, operands, found and expected."""


class InternalError(CnpError):
    """A bug in cnp itself. Please report it with the function that provoked it (`print_function`)."""


class Crash(CnpError):
    """The process that ran compiled code for another machine died, or was stopped: the message says of what."""


class TrapKind(enum.IntEnum):
    """Why compiled code stopped. The values are those of `enum trap` in stencils/cnp.h."""

    UNREACHABLE = 1
    INTEGER_DIVIDE_BY_ZERO = 2
    INTEGER_OVERFLOW = 3
    INVALID_CONVERSION_TO_INTEGER = 4
    STACK_OVERFLOW = 5
    INTERRUPTED = 6
    OUT_OF_FUEL = 7
    MEMORY_FAULT = 8

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class Trap(CnpError):
    """Compiled or interpreted code stopped: `kind` says why, `function` and `op` where.

    `op` counts the ops of the function from 0, labels included; `op_name` is its public name where it is known.
    Fuel and memory faults belong to no op: there `function` is the one that was called, and `op` 0. `detail` says of a
    memory fault which signal it was, and at which address.
    """

    def __init__(self, kind: TrapKind | int, function: str, op: int, op_name: str = "", detail: str = "") -> None:
        self.kind = TrapKind(kind)
        self.function = function
        self.op = op
        self.op_name = op_name
        self.detail = detail
        super().__init__(self.kind, function, op, op_name, detail)  # again, so that pickle can rebuild it

    def __str__(self) -> str:
        if self.kind in (TrapKind.OUT_OF_FUEL, TrapKind.MEMORY_FAULT):
            detail = f" ({self.detail})" if self.detail else ""
            return f"{self.kind}{detail} in a call of function {self.function!r}"
        suffix = f" ({self.op_name})" if self.op_name else ""
        return f"{self.kind} in function {self.function!r} at op {self.op}{suffix}"
