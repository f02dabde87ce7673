"""Callbacks and side exits as the core wants them described: the ways from compiled code to Python."""

from __future__ import annotations

import ctypes

from cnp.runtime.layout import NO_POSITION, Callback, SideExit, SideExitValue
from cnp.runtime.reservation import reserve
from cnp.types import NO_TYPE, Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    from cnp.runtime.core import Core

    class Called(Protocol):
        """What the run time must know of a callback."""

        function: Any
        result: Type | None
        native: dict[Any, Any]

        @property
        def params(self) -> Sequence[Type]: ...
        @property
        def described(self) -> str: ...

    class Left(Protocol):
        """The same of a side exit."""

        handler: Any
        point: Any

        @property
        def values(self) -> Sequence[Any]: ...
        def described(self, function: str) -> str: ...

    class Leaving(Protocol):
        """The same of a function that has some."""

        name: str
        result: Type | None

        @property
        def register_types(self) -> Sequence[Type]: ...
        @property
        def exits(self) -> Mapping[int, Left]: ...

    ExitPlace = tuple[Any, int, list[tuple[Any, Type | None, Any]]]

_CALLBACKS = 2  # of Core.make_entry: for an integer result, then for a float


def _is_float(type: Type | None) -> bool:
    return type is not None and type.is_float


class Entry:
    """The few instructions that compiled code calls as a C function, and that call a Python callable."""

    __slots__ = ("_callback", "_kept", "address")

    def __init__(self, core: Core, callback: Called) -> None:
        self._kept: tuple[Any, ...] = (callback.function, callback.described)
        function, name = self._kept
        result = NO_TYPE if callback.result is None else callback.result
        self._callback = Callback(core.host_address, id(function), id(name), result, len(callback.params))
        self._callback.parameter_type[: len(callback.params)] = callback.params
        which = _CALLBACKS + _is_float(callback.result)
        block = core.make_entry(which, ctypes.addressof(self._callback))
        self._kept += (reserve(core, block),)
        self.address = block.executable_address


def entry_of(core: Core, callback: Called) -> Entry:
    """The way to a callback, made when it is first needed."""
    found: Entry | None = callback.native.get(core)
    if found is None:
        found = callback.native[core] = Entry(core, callback)
    return found


class SideExits:
    """The side exits of one compiled function."""

    __slots__ = ("_kept", "_values", "routine", "rows")

    def __init__(self, core: Core, function: Leaving) -> None:
        exits = list(function.exits.items())
        types = function.register_types
        self.rows = (SideExit * len(exits))()
        self._values: list[Any] = []
        self._kept: list[tuple[Left, str]] = []  # what the rows point to
        self.routine = core.routine("cnp_leave_float" if _is_float(function.result) else "cnp_leave_integer")
        result = NO_TYPE if function.result is None else function.result
        known: dict[int, Any] = {}  # rows by the values they are of, which exits of bytecode share
        for row, (label, each) in zip(self.rows, exits):
            name = each.described(function.name)
            first = known.get(id(each.values))
            if first is None:
                values = known[id(each.values)] = (SideExitValue * len(each.values))()
                for to, value in zip(values, each.values):
                    _fill_in(to, value, types, core.register_type)
            else:
                values = type(first).from_buffer_copy(first)
            self._values.append(values)
            self._kept.append((each, name))
            row.host, row.handler, row.point, row.name = core.host_address, id(each.handler), id(each.point), id(name)
            row.values, row.n_values, row.label = ctypes.addressof(values), len(values), label
            row.result_type = result

    def places(self) -> list[ExitPlace]:
        """What the core found out: see NativeFunction.exits."""
        return [
            (each.point, row.position, [_place(*pair) for pair in zip(values, each.values)])
            for row, values, (each, _) in zip(self.rows, self._values, self._kept)
            if row.position != NO_POSITION
        ]


def _fill_in(row: SideExitValue, value: Any, types: Sequence[Type], register_type: Any) -> None:
    if value.__class__ is register_type:
        row.reg = value.code & 0xFFFFFFFF
        row.type = types[row.reg]
    else:
        row.constant = id(value)


def _place(row: SideExitValue, value: Any) -> tuple[Any, Type | None, Any]:
    if row.constant:
        return None, None, value
    type = Type(row.type)
    place = f"{'f' if type.is_float else 'r'}{row.place}" if row.place >= 0 else f"frame+{row.slot}"
    return value, type, place
