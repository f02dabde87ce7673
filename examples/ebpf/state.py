"""What is known of registers and of the context before an instruction, and what is known where either of two may be."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from . import room
from .memory import STACK


class What(Enum):
    """What is known of a register. `region` and `offset` of a Value belong to the kinds that name them."""

    UNSET = "not written"
    ANY = "a number"
    LENGTH = "the length of the context"
    POINTER = "a pointer"  # region; offset from its start (from r10 for the stack), None if that is not known
    VALUE = "a map value"  # region; offset from the start of one value
    MAYBE = "a map value or null"  # region; offset: the call it comes from
    MAP = "a map"  # offset: its number


class Value(NamedTuple):
    """What one register holds."""

    what: What
    region: int = 0
    offset: int | None = None


UNSET, ANY, LENGTH = Value(What.UNSET), Value(What.ANY), Value(What.LENGTH)


class State(NamedTuple):
    """Registers, how many bytes the context is known to have, and what is known of how many are left."""

    registers: tuple[Value, ...]
    checked: int
    rooms: room.Rooms

    def having(self, register: int, value: Value) -> State:
        """The state with one register changed."""
        return self._replace(registers=(*self.registers[:register], value, *self.registers[register + 1 :]))


def join(a: Value, b: Value) -> Value:
    if a == b:
        return a
    if What.UNSET in (a.what, b.what):
        return UNSET
    pointers = (What.POINTER, What.VALUE, What.MAYBE)
    if a.what in pointers and b.what in pointers and a.region == b.region:
        return Value(What.POINTER, a.region)
    return ANY


def join_states(a: State | None, b: State) -> State:
    if a is None:
        return b
    registers = tuple(map(join, a.registers, b.registers))
    return State(registers, min(a.checked, b.checked), room.joined(a.rooms, b.rooms))


def abroad(value: Value) -> Value:
    """A value in another function, whose r10 is another and which knows nothing of this one's calls."""
    if value.what is What.MAYBE or (value.what is What.POINTER and value.region == STACK):
        return Value(What.POINTER, value.region)
    return value
