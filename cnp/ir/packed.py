"""Ops as packed words, which the core reads without Python: see struct request in stencils/core/layout.h."""

from __future__ import annotations

import struct

from cnp.ir.function import Function, Label, Register, _new, register_coded
from cnp.ir.optable import Code, Role
from cnp.ir.signature import operands_of
from cnp.types import Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from cnp.ir.optable import Operand
    from cnp.types import ParameterType

CONSTANT = 0x80000000
NO_OPERAND = 0xFFFFFFFF
_BEYOND = 1e300
"""What stands for the bits of an f32 that are too many."""
_CUT_OFF = -1
"""The code of an op whose operands are not all there."""


class Packed:
    """The ops of a function. `words` are unsigned and of 32 bits, `constants` of 64, both in the machine's order."""

    __slots__ = ("constants", "words")

    def __init__(self, words: bytes, constants: bytes) -> None:
        self.words = words
        self.constants = constants


NO_OPS = Packed(b"", b"")


class PackedFunction(Function):
    """A function that was made as packed words. They become tuples when somebody asks for its ops or adds one.

    Whoever makes it gives it registers and labels, and then its `_packed`.
    """

    __slots__ = ()

    def __init__(self, name: str, params: Iterable[ParameterType] = (), result: Type | None = None) -> None:
        self._begin(name, params, result)  # and __getattr__ is asked for what is not there
        self._packed = NO_OPS

    def __getattr__(self, name: str) -> Any:
        if name == "_ops":
            self._ops = unpack(self)
            return self._ops
        if name == "params":
            self.params = self._parameters()
            return self.params
        if name == "_emit":
            self._emit = self._ops.append
            self._packed = None  # there will be more ops
            return self._emit
        return super().__getattr__(name)  # type: ignore[misc]  # stubs have the ops' names instead


def unpack(function: Function) -> list[tuple[Any, ...]]:
    """The tuples of a function's words. Words that make no op make a tuple with which the same is wrong."""
    packed = function._packed
    assert packed is not None
    words = memoryview(packed.words).cast("I")
    constants = memoryview(packed.constants).cast("Q")
    ops = []
    at = 0
    while at < len(words):
        code, end = words[at] & 0xFFFF, at + 1 + (words[at] >> 16)
        is_whole = end <= len(words)
        ops.append((code, *_operands(function, code, words[at + 1 : end], constants)) if is_whole else (_CUT_OFF,))
        at = end
    return ops


def _operands(function: Function, code: int, words: memoryview, constants: memoryview) -> list[Any]:
    # Of a call its second operand says what the others are, of a move or select its first.
    found: list[Any] = list(words)
    if code in (Code.MOVE, Code.SELECT) and found and not found[0] & CONSTANT:
        found[0] = register_of(function, found[0])
    expected = operands_of(function, (code, *found)) or ()
    for index, (word, operand) in enumerate(zip(words, expected)):
        found[index] = _operand(function, word, operand, constants)
    return found


def _operand(function: Function, word: int, operand: Operand, constants: Sequence[int]) -> Any:
    if operand.role is Role.CALLEE:
        return word
    if operand.role is Role.OFFSET:
        return word - (word >> 31 << 32)
    if operand.role is Role.LABEL:
        return word if word & CONSTANT else label_of(function, word)
    if not word & CONSTANT:
        return register_of(function, word)
    if operand.role is Role.DESTINATION:
        return None if word == NO_OPERAND else word
    index = word & ~CONSTANT
    return _constant(constants[index], operand.type) if index < len(constants) else None


def _constant(bits: int, type: Type | None) -> Any:
    if type is Type.f64:
        return struct.unpack("<d", struct.pack("<Q", bits))[0]
    if type is Type.f32:
        return _BEYOND if bits >> 32 else struct.unpack("<f", struct.pack("<I", bits))[0]
    return bits - (bits >> 63 << 64)


def bits_of(type: Type, value: Any) -> int:
    """The bits of a constant, as words want them, of a number that may stand for a value of the type."""
    if type.is_float:
        number = struct.pack("<d" if type is Type.f64 else "<f", value)
        return int.from_bytes(number, "little")
    return int(value.__index__()) & 0xFFFFFFFFFFFFFFFF


def register_of(function: Function, index: int) -> Register:
    """A register by its index, which the function has."""
    return register_coded(function._first_code + index)


def label_of(function: Function, index: int) -> Label:
    """A label by its index, which the function has."""
    label: Label = _new(Label)
    label.code = function._first_code + index
    return label
