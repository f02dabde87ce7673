"""A function and a label of it -> a function that goes on there: entry in the middle of a loop that already runs."""

from __future__ import annotations

import struct

from cnp.errors import UserError
from cnp.ir.callback import SideExit
from cnp.ir.function import Function, Label, Register
from cnp.ir.optable import Code
from cnp.ir.signature import label_name, register_index, register_name, type_of
from cnp.ir.verifier import TERMINATORS, labels_of
from cnp.types import Type, ptr

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_SIZE = 8  # bytes of a value in the buffer
_FORMATS = {Type.i32: "i4x", Type.i64: "q", Type.f32: "f4x", Type.f64: "d"}


class Live:
    """The registers that a function made by `entered_at` loads from its buffer."""

    __slots__ = ("_names", "_pack", "_types")

    def __init__(self, names: Sequence[str], types: Sequence[Type]) -> None:
        self._names = names
        self._types = types
        self._pack = struct.Struct("<" + "".join([_FORMATS[each] for each in types])).pack

    def pack(self, function: str, values: Iterable[Any]) -> bytes:
        """The buffer: see Function.pack."""
        given = tuple(values)
        if len(given) != len(self._types):
            wanted = f"{len(self._types)} values ({', '.join(self._names)})"
            raise UserError(f"function {function!r} is entered with {wanted}, not {len(given)}")
        try:
            return self._pack(*given)
        except (struct.error, OverflowError):
            for name, type, value in zip(self._names, self._types, given):
                self._check(function, name, type, value)
            raise

    @staticmethod
    def _check(function: str, name: str, type: Type, value: Any) -> None:
        wrong = f"function {function!r}: {value!r} cannot be register {name}; accepted: {type}"
        try:
            struct.pack(f"<{_FORMATS[type]}", value)
        except OverflowError:
            raise OverflowError(wrong) from None
        except struct.error:
            is_number = hasattr(value, "__index__") and type.is_integer
            raise (OverflowError(wrong) if is_number else TypeError(wrong)) from None


def entered_at(function: Function, label: Label, live: Sequence[Register], name: str) -> Function:
    """What Function.entered_at does."""
    start = _placed_at(function, label)
    names, types = [], []
    for each in live:
        type, index = type_of(function, each), register_index(function, each)
        if type is None or index is None:
            accepted = "a register of this function"
            raise UserError(f"function {function.name!r} cannot be entered with {each!r}; accepted: {accepted}")
        names.append(register_name(function, index))
        types.append(type)
    own = label_name(function, label.code & 0xFFFFFFFF)
    made = function.__class__(name or f"{function.name} at {own}", [ptr], function.result)
    copy = _Copy(function, made)
    for number, (each, type) in enumerate(zip(live, types)):
        code = made.op_table.by_name[f"{type}.load"].code
        made._emit((code, copy.operand(each), made.params[0], number * _SIZE))
    reached = _reached(function, start)
    if reached[0] != start:
        made.jump(copy.operand(label))
    made._take_places(function, len(made._ops), reached)
    for index in reached:
        made._emit(tuple([copy.operand(each) for each in function.ops[index]]))
    made._live = Live(names, types)
    return made


class _Copy:
    """Operands of one function as those of another, which has a register more in front."""

    def __init__(self, function: Function, made: Function) -> None:
        self.registers = [made.reg(each) for each in function.register_types]
        self.labels = [made.label() for _ in range(function._label_count)]
        made._register_names = {index + 1: name for index, name in function._register_names.items()}
        made._label_names = dict(function._label_names)
        made._taken_names = set(function._taken_names)
        made._callees = list(function._callees)
        made._cells = list(function._cells)
        made._known_callees = dict(function._known_callees)
        known: dict[int, tuple[Any, ...]] = {}  # values by the old ones, which exits of bytecode share
        for index, each in function.exits.items():
            values = known.get(id(each.values))
            if values is None:
                values = known[id(each.values)] = tuple([self.operand(value) for value in each.values])
            made._exits[index] = SideExit(each.handler, each.point, values)

    def operand(self, value: Any) -> Any:
        if value.__class__ is Register:
            return self.registers[value.code & 0xFFFFFFFF]
        return self.labels[value.code & 0xFFFFFFFF] if value.__class__ is Label else value


def _placed_at(function: Function, label: Any) -> int:
    for number, op in enumerate(function.ops):
        if op[0] == Code.PLACE and op[1:] and op[1].__class__ is Label is label.__class__ and op[1].code == label.code:
            return number
    accepted = "a label that a place op of it puts somewhere"
    raise UserError(f"function {function.name!r} cannot be entered at {label!r}; accepted: {accepted}")


def _reached(function: Function, start: int) -> list[int]:
    """The numbers of the ops that control may reach from op `start`, in order."""
    ops = function.ops
    targets = {op[1].code: number for number, op in enumerate(ops) if op[0] == Code.PLACE}
    seen, work = {start}, [start]
    while work:
        number = work.pop()
        successors = [targets[label] for _, label in labels_of(ops[number]) if label in targets]
        if ops[number][0] not in TERMINATORS and number + 1 < len(ops):
            successors.append(number + 1)
        for each in successors:
            if each not in seen:
                seen.add(each)
                work.append(each)
    return sorted(seen)
