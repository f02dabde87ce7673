"""Callbacks and side exits as the core wants them described: the ways from compiled code to Python."""

from __future__ import annotations

import ctypes

from cnp.runtime.layout import NO_POSITION, Callback, GuestExits, SideExit, SideExitValue
from cnp.runtime.reservation import reserve
from cnp.types import NO_TYPE, Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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

        @property
        def result(self) -> Type | None: ...

        @property
        def exits(self) -> Mapping[int, Left]: ...

    class Home(Protocol):
        """Where code will run, if that is not this process: memory that both see, and the core there."""

        host_address: int

        def allocate(self, size: int, alignment: int) -> int: ...
        def commit(self, address: int, size: int) -> None: ...
        def routine(self, name: str) -> int: ...

    ExitPlace = tuple[Any, int, list[tuple[Any, Type | None, Any]]]

_ALIGNMENT = 16  # of a function
_CALLBACKS = 2  # of Core.make_entry: for an integer result, then for a float


def _is_float(type: Type | None) -> bool:
    return type is not None and type.is_float


class Entry:
    """The few instructions that compiled code calls as a C function, and that call a callable of the host's.

    `home` is where they will run, with the library's `tables`: None for this process.
    """

    __slots__ = ("_reservation", "address", "function", "name", "params", "result", "row")

    def __init__(self, core: Core, callback: Called, home: Home | None = None, tables: Any = None) -> None:
        self.function, self.params, self.result = callback.function, callback.params, callback.result
        self.name = callback.described
        self.row = row = _array(Callback, 1, home)[0]
        row.host, row.function, row.name = (home or core).host_address, id(self.function), id(self.name)
        row.result_type = NO_TYPE if self.result is None else self.result
        row.n_parameters = len(self.params)
        row.parameter_type[: len(self.params)] = self.params
        which, description = _CALLBACKS + _is_float(self.result), ctypes.addressof(row)
        if home is None:
            block = core.make_entry(which, description)
            self._reservation = reserve(core, block)
            self.address = block.executable_address
        else:
            library = ctypes.addressof(tables)
            size = core.emit_entry(library, which, description, None, 0)
            self.address = home.allocate(size, _ALIGNMENT)
            core.emit_entry(library, which, description, self.address, self.address)
            home.commit(self.address, size)


def entry_of(core: Core, callback: Called) -> Entry:
    """The way to a callback from this process, made when it is first needed."""
    found: Entry | None = callback.native.get(core)
    if found is None:
        found = callback.native[core] = Entry(core, callback)
    return found


class SideExits:
    """The side exits of one compiled function, whose registers are of `types`. `home` is where it will run: None for
    this process.
    """

    __slots__ = ("_exits", "_kept", "_name", "address", "count", "routine")

    def __init__(self, core: Core, function: Leaving, types: bytes, home: Home | None) -> None:
        self._exits = function.exits
        self._name = function.name
        self.count = len(self._exits)
        host = (home or core).host_address
        common = SideExit(host=host, result_type=NO_TYPE if function.result is None else function.result)
        self.routine = (home or core).routine("cnp_leave_float" if _is_float(function.result) else "cnp_leave_integer")
        self._kept: list[Any] = []  # what the rows point to
        if home is None and getattr(self._exits, "is_as_found", False):
            self.address = self._describe_all(core, types, common, self._exits)
        else:
            self.address = self._describe_each(core, types, common, home)

    def _describe_each(self, core: Core, types: bytes, common: SideExit, home: Home | None) -> int:
        """Row by row. Returns where they are."""
        rows = _array(SideExit, self.count, home)
        self._kept.append(rows)
        known: dict[int, Any] = {}  # rows of values by the values they are of, which exits of bytecode share
        for row, (label, each) in zip(rows, self._exits.items()):
            name, point = each.described(self._name), each.point
            values = known.get(id(each.values))
            if values is None:
                values = known[id(each.values)] = _array(SideExitValue, len(each.values), home)
                for to, value in zip(values, each.values):
                    _fill_in(to, value, types, core.register_type)
            self._kept += (values, name, point, each)
            row.host, row.handler, row.point, row.name = common.host, id(each.handler), id(point), id(name)
            row.values, row.n_values, row.label = ctypes.addressof(values), len(values), label
            row.result_type = common.result_type
        return ctypes.addressof(rows)

    def _describe_all(self, core: Core, types: bytes, common: SideExit, exits: Any) -> int:
        """The same by the core, from what a walk has found of bytecode: nothing is made of each in Python."""
        common.handler, common.name = id(exits.handler), id(self._name)
        found = GuestExits(exits.rows, self.count, *exits.passed_on, types, exits.first, exits.stack, 0, common)
        source = ctypes.addressof(found)
        n_values = core.describe_exits(source, None, None)
        size = self.count * ctypes.sizeof(SideExit)
        memory = ctypes.c_char.from_buffer(bytearray(size + n_values * ctypes.sizeof(SideExitValue)))
        address = ctypes.addressof(memory)
        core.describe_exits(source, address, address + size)
        self._kept += (memory, exits)
        return address

    @property
    def rows(self) -> Any:
        """Of each what the core is told, and says."""
        return (SideExit * self.count).from_address(self.address)

    def described(self) -> list[tuple[SideExit, Any, Left, str]]:
        """Of each its row, those of its values, what it is, and what messages call it."""
        return [(row, _values(row), each, each.described(self._name)) for row, each in self._pairs()]

    def places(self) -> list[ExitPlace]:
        """What the core found out: see NativeFunction.exits."""
        return [
            (each.point, row.position, [_place(*pair) for pair in zip(_values(row), each.values)])
            for row, each in self._pairs()
            if row.position != NO_POSITION
        ]

    def _pairs(self) -> Iterator[tuple[SideExit, Left]]:
        return zip(self.rows, self._exits.values())


def _values(row: SideExit) -> Any:
    return (SideExitValue * row.n_values).from_address(row.values)


def _array(row: type, count: int, home: Home | None) -> Any:
    array: Any = row * count  # type: ignore[operator]
    if home is None:
        return array()
    address = home.allocate(ctypes.sizeof(array), ctypes.alignment(row))
    ctypes.memset(address, 0, ctypes.sizeof(array))
    return array.from_address(address)


def _fill_in(row: SideExitValue, value: Any, types: bytes, register_type: Any) -> None:
    if value.__class__ is register_type:
        row.reg = value.code & 0xFFFFFFFF
        row.type = types[row.reg]
    else:
        row.constant, row.is_constant = id(value), 1


def _place(row: SideExitValue, value: Any) -> tuple[Any, Type | None, Any]:
    if row.is_constant:
        return None, None, value
    type = Type(row.type)
    place = f"{'f' if type.is_float else 'r'}{row.place}" if row.place >= 0 else f"frame+{row.slot}"
    return value, type, place
