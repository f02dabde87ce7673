"""Interprets a function in plain Python: the meaning that every other back end is tested against.

Each op is decoded once to a step, a closure over a list of registers. Calls keep a stack of frames of their own, so
that guest recursion is limited by `depth` and not by Python's.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cnp.errors import CnpError, Trap, TrapKind, Unsupported, UserError
from cnp.ir.callback import Callback, SideExit
from cnp.ir.function import CalledOp, Extern, Function, Register, callee_function, callee_signature, unlinked
from cnp.ir.optable import CALL, PLACE, Code, OpTable, Role, comparison_of, public_name
from cnp.ir.semantics import LOADS, SEMANTICS, STORES, TrapSignal, load, store
from cnp.ir.signature import as_signed, normalised, op_name, operands_of, rounded
from cnp.ir.verifier import check_number, verify
from cnp.stencil.model import Shape
from cnp.types import Type

if TYPE_CHECKING:
    from cnp.ir.function import Callee
    from cnp.ir.optable import OpRow

DEPTH = 10_000
"""How many calls may be open before a call traps with STACK_OVERFLOW."""

RANGES = {
    Type.i32: "i32 (-2**31 to 2**31 - 1)",
    Type.i64: "i64 (-2**63 to 2**63 - 1)",
    Type.f32: "f32 (magnitude below 2**128)",
}
"""What a value from Python must fit, as the core's messages say it."""

Value = int | float | None
Registers = list[Any]


class OutOfFuel(CnpError):
    """The interpreter executed as many ops as it was allowed to."""


class _Call(NamedTuple):
    """What a step returns to have a frame pushed."""

    function: Function
    d: int | None
    sources: list[int]


class _Outward(NamedTuple):
    """What a step returns to have Python code called, whose errors are its own."""

    function: Callable[..., Any]
    sources: list[int]
    described: str
    result: Type | None
    d: int | None
    returns: bool
    """Its result is the function's."""


class _Return(NamedTuple):
    """What a step returns to have its frame popped."""

    value: Value


Step = Callable[[Registers], int | _Call | _Outward | _Return | None]
"""Returns None to go on, or the number of the step to go on at, or a call or return."""


class Program(NamedTuple):
    """A decoded function: a step an op, then one a side exit. Constants live in registers past the function's own, so
    that every source is an index."""

    function: Function
    steps: list[Step]
    constants: Registers


class Frame:
    """One open call."""

    __slots__ = ("d", "position", "program", "registers")

    def __init__(self, program: Program, arguments: Sequence[Any]) -> None:
        self.program = program
        self.registers: Registers = list(arguments)
        self.registers += [None] * (len(program.function._types) - len(arguments))
        self.registers += program.constants
        self.position = 0
        self.d: int | None = None  # where the result of the call it waits for goes


class Interpreter:
    """Runs functions, decoding each at its first call.

    `depth` limits open calls; `fuel` limits the ops executed by all calls together (None: no limit).
    """

    def __init__(self, depth: int = DEPTH, fuel: int | None = None) -> None:
        self.depth = depth
        self.fuel = fuel
        self._programs: dict[int, Program] = {}

    def program(self, function: Function) -> Program:
        """The decoded form of a function, as it was when first asked for. VerifyError if it is not well formed."""
        program = self._programs.get(id(function))
        if program is None:
            program = self._programs[id(function)] = decode(function)  # which keeps the function and so its id
        return program

    def run(self, function: Function, arguments: Sequence[Any]) -> Value:
        """Call `function` with values as registers hold them: integers signed, an f32 rounded.

        Trap where it traps, OutOfFuel when the fuel is used up.
        """
        stack = [Frame(self.program(function), arguments)]
        while True:
            frame = stack[-1]
            outcome = self._advance(frame)
            if isinstance(outcome, _Call):
                if len(stack) >= self.depth:
                    raise Trap(TrapKind.STACK_OVERFLOW, outcome.function.name, 0)
                frame.d = outcome.d
                stack.append(Frame(self.program(outcome.function), [frame.registers[s] for s in outcome.sources]))
                continue
            if isinstance(outcome, _Outward):
                value = outcome.function(*[frame.registers[s] for s in outcome.sources])
                value = from_python(outcome.described, outcome.result, value)
                if not outcome.returns:
                    if outcome.d is not None:
                        frame.registers[outcome.d] = value
                    continue
            else:
                value = outcome.value
            stack.pop()
            if not stack:
                return value
            caller = stack[-1]
            if caller.d is not None:
                caller.registers[caller.d] = value

    def _advance(self, frame: Frame) -> _Call | _Outward | _Return:
        """Execute a frame's ops up to its next call or return, or its side exit."""
        steps, registers = frame.program.steps, frame.registers
        while True:
            if self.fuel is not None:
                if self.fuel <= 0:
                    raise OutOfFuel(f"out of fuel in function {frame.program.function.name!r} at op {frame.position}")
                self.fuel -= 1
            number = frame.position
            try:
                outcome = steps[number](registers)
            except TrapSignal as signal:
                raise self._trap(frame, signal.kind) from None
            except RecursionError:  # a callee outside the interpreter that called back into it, over and over
                raise self._trap(frame, TrapKind.STACK_OVERFLOW) from None
            if isinstance(outcome, int):
                frame.position = outcome
                continue
            frame.position = number + 1
            if outcome is not None:
                return outcome

    def _trap(self, frame: Frame, kind: TrapKind | int) -> Trap:
        function = frame.program.function
        return Trap(kind, function.name, frame.position, op_name(function, function.ops[frame.position][0]))


# -- decoding

# Names of their own, because an enum member costs a lookup each time it is named.
_DESTINATION, _OFFSET, _LABEL = Role.DESTINATION, Role.OFFSET, Role.LABEL
_LOAD, _STORE, _BRANCH = Shape.LOAD, Shape.STORE, Shape.BRANCH


def decode(function: Function) -> Program:
    """Turn every op into a step. VerifyError if the function is not well formed, Unsupported for an op that has no
    meaning in Python, which an extension library's may lack."""
    verify(function)
    constants: Registers = []
    labels = {op[1].code: number for number, op in enumerate(function.ops) if op[0] == PLACE}
    labels |= {function._first_code + label: len(function.ops) + k for k, label in enumerate(function.exits)}
    steps = [_decode(function, op, labels, constants) for op in function.ops]
    steps += [_exit_step(function, each) for each in function.exits.values()]
    return Program(function, steps, constants)


def _decode(function: Function, op: tuple[Any, ...], labels: dict[int, int], constants: Registers) -> Step:
    d: int | None = None
    sources: list[int] = []
    targets: list[int] = []
    offset = 0
    for operand, value in zip(operands_of(function, op) or (), op[1:]):
        role = operand.role
        if value.__class__ is Register:
            if role is _DESTINATION:
                d = value.code & 0xFFFFFFFF
            else:
                sources.append(value.code & 0xFFFFFFFF)
        elif role is _LABEL:
            if op[0] != PLACE:
                targets.append(labels[value.code])
        elif role is _OFFSET:
            offset = value.__index__()
        elif operand.type is not None and role is not _DESTINATION:  # else a callee, or a result that is not wanted
            constants.append(normalised(operand.type, value))
            sources.append(len(function._types) + len(constants) - 1)
    if op[0] == CALL:
        return _call_step(function.callees[op[2]], d, sources)
    if op[0] in _IR_STEPS:
        return _IR_STEPS[op[0]](d, sources, targets)
    table = function.op_table
    return _row_step(table, table.rows[op[0]], d, sources, targets, offset)


def _row_step(table: OpTable, row: OpRow, d: int | None, sources: list[int], targets: list[int], offset: int) -> Step:
    shape = row.shape
    if shape == _LOAD and row.name in LOADS:
        return _load_step(row.name, d, sources[0], offset)
    if shape == _STORE and row.name in STORES:
        return _store_step(row.name, sources, offset)
    meaning = meaning_of(table, row)
    if shape == _LOAD:
        return _assign(d, lambda r: meaning(as_signed(Type.i64, r[sources[0]] + offset)))
    if shape == _STORE:
        return _assign(None, lambda r: meaning(as_signed(Type.i64, r[sources[1]] + offset), r[sources[0]]))
    if shape == _BRANCH:
        return lambda r: targets[0] if meaning(*[r[s] for s in sources]) else None
    return _assign(d, lambda r: meaning(*[r[s] for s in sources]))


def meaning_of(table: OpTable, row: OpRow) -> Callable[..., Any]:
    """What an op means: from operand values to a result as registers hold it. Unsupported if nobody has said so."""
    name = comparison_of(row) if row.shape == _BRANCH else row.name
    if name in SEMANTICS:
        return SEMANTICS[name]
    meaning = table.meanings.get(name)
    if meaning is None:
        raise Unsupported(
            f"the reference interpreter does not know op {name}; say what it means: "
            f"ops.define({name!r}, function), with what cnp.load gave as ops"
        )
    if row.shape == _STORE:
        return lambda *values: meaning(*values) and None
    if row.shape == _BRANCH:
        return meaning
    type = Type(row.result_type)

    def compute(*values: Any) -> int | float:
        result = meaning(*values)
        if check_number(type, result):
            raise UserError(f"the meaning of op {public_name(row)} gave {result!r} for {values}; accepted: {type}")
        return normalised(type, result)

    return compute


def _assign(d: int | None, compute: Callable[[Registers], Any]) -> Step:
    def step(r: Registers) -> None:
        value = compute(r)
        if d is not None:
            r[d] = value

    return step


def _load_step(name: str, d: int | None, base: int, offset: int) -> Step:
    return _assign(d, lambda r: load(name, (r[base] + offset) % 2**64))


def _store_step(name: str, sources: list[int], offset: int) -> Step:
    value, base = sources
    return lambda r: store(name, (r[base] + offset) % 2**64, r[value])


def _place(d: int | None, sources: list[int], targets: list[int]) -> Step:
    return lambda r: None


def _jump(d: int | None, sources: list[int], targets: list[int]) -> Step:
    return lambda r: targets[0]


def _ret(d: int | None, sources: list[int], targets: list[int]) -> Step:
    return lambda r: _Return(r[sources[0]] if sources else None)


def _branch_table(d: int | None, sources: list[int], targets: list[int]) -> Step:
    default, *cases = targets

    def step(r: Registers) -> int:
        index = r[sources[0]] % 2**32
        return cases[index] if index < len(cases) else default

    return step


def _unreachable(d: int | None, sources: list[int], targets: list[int]) -> Step:
    def step(r: Registers) -> None:
        raise TrapSignal(TrapKind.UNREACHABLE)

    return step


def _copy(d: int | None, sources: list[int], targets: list[int]) -> Step:
    return _assign(d, lambda r: r[sources[0]])


def _select(d: int | None, sources: list[int], targets: list[int]) -> Step:
    a, b, condition = sources
    return _assign(d, lambda r: r[a] if r[condition] else r[b])


_IR_STEPS: dict[int, Callable[[int | None, list[int], list[int]], Step]] = {
    Code.PLACE: _place,
    Code.SAFEPOINT: _place,  # the interpreter itself is interruptible
    Code.JUMP: _jump,
    Code.RET: _ret,
    Code.TABLE: _branch_table,
    Code.TRAP: _unreachable,
    Code.MOVE: _copy,
    Code.SELECT: _select,
    Code.CONST32: _copy,
    Code.CONST64: _copy,
    Code.CONSTF32: _copy,
    Code.CONSTF64: _copy,
}


# -- calls


def _call_step(callee: Callee, d: int | None, sources: list[int]) -> Step:
    function = callee_function(callee)
    is_own = isinstance(callee, Function) or isinstance(getattr(callee, "interpreter", None), Interpreter)
    if function is not None and is_own:  # not yet compiled, or by this very back end
        call = _Call(function, d, sources)
        return lambda r: call
    if isinstance(callee, Callback):
        outward = _Outward(callee.function, sources, callee.described, callee.result, d, False)
        return lambda r: outward
    signature = callee_signature(callee)
    assert signature is not None
    result = signature[2]
    entry: Any = _c_function(callee) if isinstance(callee, Extern) else callee
    if isinstance(callee, CalledOp):
        entry = callee.meanings.get(callee.name, entry)

    def compute(r: Registers) -> Value:
        value = entry(*[r[s] for s in sources])
        if result is None:
            return None
        return as_signed(result, value) if result.is_integer else normalised(result, value)

    return _assign(d, compute)


def from_python(described: str, type: Type | None, value: Any) -> Value:
    """What a callback or the handler of a side exit gave, as a register holds it.

    The same conversions, with the same words, as in stencils/core/outward.c.
    """
    if type is None:
        if value is not None:
            raise TypeError(f"{described} gave {value!r}; accepted: None")
        return None
    accepted = f"{described} gave {value!r}; accepted: {RANGES.get(type, type)}"
    try:
        if type.is_float:
            return rounded(type, math.ldexp(value, 0))
        number = int(operator.index(value))
    except OverflowError:
        raise OverflowError(accepted) from None
    except TypeError:
        raise TypeError(accepted) from None
    if number != as_signed(type, number):
        raise OverflowError(accepted)
    return number


def _exit_step(function: Function, each: SideExit) -> Step:
    """Numbers are passed on as they are, so only registers are sources."""

    def handle(*registers: Any) -> Any:
        rest = iter(registers)
        values = [next(rest) if value.__class__ is Register else value for value in each.values]
        return each.handler(each.point, tuple(values))

    sources = [value.code & 0xFFFFFFFF for value in each.values if value.__class__ is Register]
    leave = _Outward(handle, sources, each.described(function.name), function.result, None, True)
    return lambda r: leave


_C_TYPES: dict[Type, Any] = {
    Type.i32: ctypes.c_int32,
    Type.i64: ctypes.c_int64,
    Type.f32: ctypes.c_float,
    Type.f64: ctypes.c_double,
}


def _c_function(callee: Extern) -> Any:
    """A C function that is called with the GIL held, since it may be one of Python's own."""
    if callee.address is None:
        raise Unsupported(unlinked(callee))
    result = None if callee.result is None else _C_TYPES[callee.result]
    return ctypes.PYFUNCTYPE(result, *[_C_TYPES[each] for each in callee.params])(callee.address)
