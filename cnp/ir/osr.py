"""A function and a label of it -> a function that goes on there: entry in the middle of a loop that already runs."""

from __future__ import annotations

import struct
from bisect import bisect_left
from itertools import chain, compress

from cnp.errors import UserError
from cnp.ir.callback import SideExit
from cnp.ir.function import Function, Label, Register, _new
from cnp.ir.optable import PLACE
from cnp.ir.signature import label_name, register_index, register_name
from cnp.ir.verifier import TERMINATORS
from cnp.types import Type, ptr

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence
    from typing import Any

    Load = tuple[int, int, int, int]
    """Code of the op, registers by index of the function that is made, offset."""

_SIZE = 8  # bytes of a value in the buffer
_FORMATS = ("i4x", "q", "f4x", "d")  # by type, as are
_LOADS = ("i32.load", "i64.load", "f32.load", "f64.load")


class Live:
    """The registers that a function made by `entered_at` loads from its buffer."""

    __slots__ = ("_names", "_pack", "_types")

    def __init__(self, names: Sequence[str], types: Sequence[int]) -> None:
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
                self._check(function, name, Type(type), value)
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
    reached = function._reached_from(label)
    names, types = [], bytearray()
    loads: list[Load] = []
    by_name = function.op_table.by_name
    codes = [by_name[each].code for each in _LOADS]
    for each in live:
        index = register_index(function, each)
        if index is None:
            accepted = "a register of this function"
            raise UserError(f"function {function.name!r} cannot be entered with {each!r}; accepted: {accepted}")
        type = function._types[index]
        loads.append((codes[type], 1 + index, 0, len(loads) * _SIZE))
        names.append(register_name(function, index))
        types.append(type)
    own = label_name(function, label.code & 0xFFFFFFFF)
    made = function.__class__(name or f"{function.name} at {own}", [ptr], function.result)
    made._types += function._types
    made._label_count = function._label_count
    made._register_names = {index + 1: name for index, name in function._register_names.items()}
    made._label_names = dict(function._label_names)
    made._taken_names = set(function._taken_names)
    made._callees = list(function._callees)
    made._cells = list(function._cells)
    made._known_callees = dict(function._known_callees)
    made._exits = reached.exits(made)
    reached.copy_to(made, loads)
    made._live = Live(names, types)
    return made


class Reached:
    """The ops that control may reach from a label, for a function that has a register more in front.

    UserError for a label that is placed nowhere.
    """

    __slots__ = ("_function", "_label", "_numbers", "_start")

    def __init__(self, function: Function, label: Label) -> None:
        places = _places(function)
        if own_label(function, label) is None or label.code not in places:
            raise unplaced(function, label)
        self._function = function
        self._label = label
        self._start = places[label.code]
        self._numbers = _reached(function, self._start, places)

    def exits(self, made: Function) -> MutableMapping[int, SideExit]:
        """All of the function, as those of `made`."""
        copy = _Copy(made)
        known: dict[int, tuple[Any, ...]] = {}  # values by the old ones, which exits of bytecode share
        moved = {}
        for index, each in self._function.exits.items():
            values = known.get(id(each.values))
            if values is None:
                values = known[id(each.values)] = tuple([copy.operand(value) for value in each.values])
            moved[index] = SideExit(each.handler, each.point, values)
        return moved

    def copy_to(self, made: Function, loads: Sequence[Load]) -> None:
        """Make the ops those of `made`, behind `loads`."""
        copy = _Copy(made)
        for code, register, base, offset in loads:
            made._emit((code, copy.register(register), copy.register(base), offset))
        if self._numbers[0] != self._start:
            made.jump(copy.operand(self._label))
        made._take_places(self._function, len(made._ops), self._numbers)
        ops = self._function.ops
        for op in copy.ops([ops[number] for number in self._numbers]):
            made._emit(op)


class _Copy:
    """Operands of one function as those of another, which has a register more in front."""

    def __init__(self, made: Function) -> None:
        self._first_code = made._first_code

    def register(self, index: int) -> Register:
        register: Register = _new(Register)
        register.code = self._first_code + index
        return register

    def ops(self, ops: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Many at once, which have few different registers and labels."""
        try:
            values = set(chain.from_iterable(ops))
        except TypeError:  # something that cannot be an operand, as whoever compiles them is told
            return [tuple(map(self.operand, op)) for op in ops]
        moved = {each: self.operand(each) for each in values if each.__class__ is Register or each.__class__ is Label}
        return [tuple(map(moved.get, op, op)) for op in ops]  # faster than any function of our own for each operand

    def operand(self, value: Any) -> Any:
        if value.__class__ is Register:
            return self.register((value.code & 0xFFFFFFFF) + 1)
        if value.__class__ is not Label:
            return value
        label: Label = _new(Label)
        label.code = self._first_code + (value.code & 0xFFFFFFFF)
        return label


def own_label(function: Function, label: Any) -> int | None:
    """The index of a label of `function`, None for anything else."""
    if label.__class__ is not Label or label.code >> 32 != function._serial:
        return None
    index: int = label.code & 0xFFFFFFFF
    return index


def unplaced(function: Function, label: Any) -> UserError:
    """What is wrong with it."""
    accepted = "a label that a place op of it puts somewhere"
    return UserError(f"function {function.name!r} cannot be entered at {label!r}; accepted: {accepted}")


def _places(function: Function) -> dict[int, int]:
    """The numbers of the place ops, by the codes of their labels."""
    ops = enumerate(function.ops)
    return {op[-1].code: number for number, op in ops if op[0] == PLACE and op[-1].__class__ is Label}


def _reached(function: Function, start: int, places: Mapping[int, int]) -> list[int]:
    """The numbers of the ops that control may reach from op `start`, in order."""
    ops = function.ops
    # What leads to labels has one as its last operand. Between two of these ops, which are few, each leads to the next.
    ends = [k for k, op in enumerate(ops) if op[0] in TERMINATORS or (op[-1].__class__ is Label and op[0] != PLACE)]
    seen, work = bytearray(len(ops)), [start]
    while work:
        number = work.pop()
        while number < len(ops) and not seen[number]:
            following = bisect_left(ends, number)
            end = ends[following] if following < len(ends) else len(ops) - 1
            was_seen = seen[end]
            seen[number : end + 1] = b"\1" * (end + 1 - number)
            if was_seen:
                break
            work += [places[each.code] for each in ops[end] if each.__class__ is Label and each.code in places]
            if ops[end][0] in TERMINATORS:
                break
            number = end + 1
    return list(compress(range(len(ops)), seen))
