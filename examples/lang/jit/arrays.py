"""Arrays where compiled code finds them: what they become in memory.

A header is two words: the address of the first element, and how many there are."""

from __future__ import annotations

from array import array
from weakref import ref

from ..values import Array
from .kinds import FLOATS, INTS, ROWS, Kind

_REFUSALS = 2  # of an array, after which it stays a list
_arrays: dict[int, ref[Array]] = {}  # by the address of the header; arrays take themselves out


class Rows(list[Array]):
    """The items of an array of arrays of numbers. `addresses` are those of their headers: its elements in memory."""

    __slots__ = ("addresses",)
    addresses: array[int]

    def admits(self, value: object) -> bool:
        """Whether an array may follow."""
        return type(value) is Array and _pack_row(value) is _packed_kind(self[0])

    def append(self, value: Array) -> None:
        super().append(value)
        self.addresses.append(address_of(value))

    def buffer_info(self) -> tuple[int, int]:
        """Where the addresses are, and how many, as array.array says it."""
        return self.addresses.buffer_info()


def pack(value: Array) -> Kind | None:
    """Turn an array of numbers of one kind, or of such arrays, into memory, if it is not yet; None if it is neither."""
    if type(value.items) is not list:
        return _packed_kind(value)
    if not value.items or value.refused >= _REFUSALS:
        return None
    if type(value.items[0]) is Array:
        return _pack_rows(value)
    return _pack_numbers(value)


def _packed_kind(value: Array) -> Kind:
    items = value.items
    if value.header is None:  # made as it is
        _give_header(value)
    if type(items) is Rows:
        return ROWS[_packed_kind(items[0])]
    return FLOATS if items.typecode == "d" else INTS


def _pack_numbers(value: Array) -> Kind | None:
    code = {int: "q", float: "d"}.get(type(value.items[0])) if value.items else None
    if code is None:
        return None
    try:
        if len(set(map(type, value.items))) > 1:
            raise OverflowError
        value.items = array(code, value.items)
    except OverflowError:
        value.refused += 1
        return None
    _give_header(value)
    return FLOATS if code == "d" else INTS


def _pack_row(value: Array) -> Kind | None:
    if type(value.items) is Rows:
        return None
    return _pack_numbers(value) if type(value.items) is list else _packed_kind(value)


def _pack_rows(value: Array) -> Kind | None:
    kind = None
    for each in value.items:
        before, kind = kind, _pack_row(each) if type(each) is Array else None
        if kind is None or before not in (None, kind):
            value.refused += 1
            return None
    rows = Rows(value.items)
    rows.addresses = array("q", [address_of(each) for each in rows])
    value.items = rows
    _give_header(value)
    assert kind is not None
    return ROWS[kind]


def _give_header(value: Array) -> None:
    value.header = array("q", value.items.buffer_info())
    address = address_of(value)

    def forget(dead: ref[Array]) -> None:
        if _arrays.get(address) is dead:
            del _arrays[address]

    _arrays[address] = ref(value, forget)


def address_of(value: Array) -> int:
    """The address of a packed array's header."""
    assert value.header is not None
    return value.header.buffer_info()[0]


def array_at(address: int) -> Array:
    """The array whose header is, or once was, at an address."""
    found = _arrays[address]()
    assert found is not None  # whoever knows the address keeps it
    return found
