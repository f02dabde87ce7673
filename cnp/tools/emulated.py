"""Functions compiled for another target, as Python callables: arguments and results go to and from an Emulator."""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Any

from cnp.backends import native
from cnp.backends.foreign import ForeignFunction
from cnp.backends.reference import convert
from cnp.errors import UserError
from cnp.ir.function import Function
from cnp.ir.reference import from_python
from cnp.runtime.buffer import Buffer
from cnp.runtime.code import Part
from cnp.runtime.layout import SideExit
from cnp.runtime.outward import Entry
from cnp.stencil.library import Library
from cnp.tools.emulator import Emulator
from cnp.types import NO_TYPE, PointerType, Type

_BOXED = 0xFFFFFFFF << 32
"""The upper half of a float register that holds an f32, where the C convention says what it is."""


class EmulatedFunction:
    """A compiled function that runs in an Emulator, called as native code is, some thousand times slower.

    Buffers have to be arrays of the emulator's, since it sees no other memory. Crash if its process dies.
    """

    def __init__(self, emulator: Emulator, compiled: ForeignFunction) -> None:
        self.emulator = emulator
        self.compiled = compiled
        self.entry = load(emulator, compiled)
        """The address of the code, there."""

    @property
    def function(self) -> Function:
        """What was compiled."""
        return self.compiled.function

    @property
    def code(self) -> bytes:
        """The machine code."""
        return self.compiled.code

    def __call__(self, *arguments: Any) -> int | float | None:
        function = self.function
        name, types = function.name, function.parameter_types
        if len(arguments) != len(types):
            raise TypeError(f"{name}() takes exactly {len(types)} arguments ({len(arguments)} given)")
        integers: list[int] = []
        floats: list[int] = []
        buffers: list[Buffer] = []
        try:
            for number, (type, value) in enumerate(zip(types, arguments), 1):
                each = convert(name, number, type, value, buffers)
                plain = Type.i64 if isinstance(type, PointerType) else type
                (floats if plain.is_float else integers).append(as_register(self.emulator.library, plain, each))
            number = self.compiled.parts[0].number
            trap, integer, float_ = self.emulator.run(self.entry, integers, floats, number=number)
            self.emulator.raise_again()
        finally:
            for buffer in buffers:
                buffer.release()
        if trap:
            native.raise_trap(trap)
        return from_register(function.result, integer, float_)


def as_register(library: Library, type: Type, value: int | float) -> int:
    """A value as it lies in a register where the C convention says what is in all of it."""
    if type == Type.f64:
        (word,) = struct.unpack("<Q", struct.pack("<d", value))
        return int(word)
    if type == Type.f32:
        (word,) = struct.unpack("<I", struct.pack("<f", value))
        return int(word) | _BOXED
    if type == Type.i32 and not library.limits["extends_signs"]:
        return int(value) & 0xFFFFFFFF
    return int(value)


def from_register(type: Type | None, integer: int, float_: int) -> int | float | None:
    """A result out of the register that it is in."""
    if type is None:
        return None
    formats = {Type.i32: ("<I", "<i"), Type.i64: ("<Q", "<q"), Type.f32: ("<I", "<f"), Type.f64: ("<Q", "<d")}
    bits, value = formats[type]
    word = float_ if type.is_float else integer
    (result,) = struct.unpack(value, struct.pack(bits, word & (1 << 8 * struct.calcsize(bits)) - 1))
    return result  # type: ignore[no-any-return]


def load(emulator: Emulator, compiled: ForeignFunction) -> int:
    """Put an image, and those that it calls, into an emulator: the address of its first function."""
    if compiled.target != emulator.library.target:
        raise UserError(f"{compiled!r} is not for {emulator.library.target}, which the emulator runs")
    routines = {name: emulator.routine(name) for name in emulator.library.exports}
    called = {id(each.symbol): each.symbol for each in compiled.relocations if isinstance(each.symbol, ForeignFunction)}
    loaded = {number: load(emulator, each) for number, each in called.items()}
    alignment = max(part.alignment for part in compiled.parts)
    if compiled.leads_out:
        while True:
            first = emulator.allocate(0)
            image, parts = compiled.linked_to(emulator, routines, loaded)
            address = emulator.place(image, alignment)
            if address >= first:  # else the room started over behind the records
                break
        for part in parts:
            _answer(emulator, part)
        return address
    address = emulator.allocate(len(compiled.image), alignment)
    emulator.write(address, compiled.linked(address, routines, loaded))
    return address


def _answer(emulator: Emulator, part: Part) -> None:
    """Have the handlers of a function's side exits, and its callbacks, called here."""
    for row, values, taken, name in part.exits.described() if part.exits is not None else ():
        emulator.on_record(ctypes.addressof(row), functools.partial(_leave, emulator, row, values, taken, name))
    for entry in part.callbacks:
        emulator.on_record(ctypes.addressof(entry.row), functools.partial(_call_back, emulator, entry))


def _leave(emulator: Emulator, row: SideExit, values: Any, taken: Any, name: str) -> tuple[int, int]:
    """Call the handler of a side exit that is being taken: its result, as an integer and as a float in registers."""
    given = [
        each if to.is_constant else from_register(Type(to.type), to.constant, to.constant)
        for to, each in zip(values, taken.values)
    ]
    result = None if row.result_type == NO_TYPE else Type(row.result_type)
    return _result(emulator, name, result, taken.handler(taken.point, tuple(given)))


def _call_back(emulator: Emulator, entry: Entry) -> tuple[int, int]:
    """The same of a callback."""
    integers, floats = map(iter, emulator.arguments)
    given = [
        from_register(type, 0, next(floats)) if type.is_float else from_register(type, next(integers), 0)
        for type in entry.params
    ]
    return _result(emulator, entry.name, entry.result, entry.function(*given))


def _result(emulator: Emulator, name: str, type: Type | None, given: Any) -> tuple[int, int]:
    value = from_python(name, type, given)
    if type is None or value is None:
        return 0, 0
    word = as_register(emulator.library, type, value) % 2**64
    return (0, word) if type.is_float else (word, 0)
