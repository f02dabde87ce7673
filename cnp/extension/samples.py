"""Operands that an op is tried on, and what is left behind by running it."""

from __future__ import annotations

import ctypes
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnp.errors import Trap, TrapKind, UserError
from cnp.ir.semantics import TrapSignal
from cnp.ir.signature import normalised
from cnp.ir.verifier import check_number
from cnp.types import Type

Value = int | float
LETTERS = "abcdefgh"
"""What operands are called, in order."""
_INTEGERS = (0, 1, -1, 2, 7, 63, 64, 127, 128, -127, -128, -129, 255, 256, 32767, 65535)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1.5, -2.5, math.inf, -math.inf, math.nan, 2.0**31, -(2.0**63), 2.0**64, 1e300)
_FLOATS_32 = (*_FLOATS[:-1], 2.0**100)


@dataclass
class Outcome:
    """What running an op leaves behind."""

    value: Value | None  # the result, or
    trap: TrapKind | None
    memory: tuple[bytes, ...]

    def __str__(self) -> str:
        memory = "".join(f", memory {each.hex(' ')}" for each in self.memory)
        return (f"trap {self.trap.name}" if self.trap else repr(self.value)) + memory

    def same(self, other: Outcome) -> bool:
        """Any NaN is as good as any other."""
        if self.trap != other.trap or self.memory != other.memory:
            return False
        mine, theirs = self.value, other.value
        if isinstance(mine, float) and isinstance(theirs, float):
            both_nan = math.isnan(mine) and math.isnan(theirs)
            return both_nan or (mine == theirs and math.copysign(1, mine) == math.copysign(1, theirs))
        return mine == theirs


@dataclass
class Sample:
    """Operands, in the order of the C parameters, and what the meaning says of them."""

    given: Sequence[Any]  # as the user wrote them
    values: tuple[Value, ...]
    memories: list[tuple[Any, bytes]]  # buffer, and what is in it to begin with
    expected: Outcome

    @classmethod
    def of(cls, name: str, types: Sequence[Type], given: Sequence[Any], meaning: Callable[..., Any]) -> Sample:
        """UserError for a wrong number or kind of operands."""
        if len(given) != len(types):
            raise UserError(f"op {name}: a sample of {len(given)} operands; accepted: {len(types)}")
        values: list[Value] = []
        memories = []
        for type, each in zip(types, given):
            if isinstance(each, (bytes, bytearray)):
                buffer = (ctypes.c_char * max(len(each), 1))()
                memories.append((buffer, bytes(each)))
                each = ctypes.addressof(buffer)
            if check_number(type, each):
                raise UserError(f"op {name}: {each!r} in a sample; accepted: {type}")
            values.append(normalised(type, each))
        result = cls(given, tuple(values), memories, Outcome(None, None, ()))
        result.expected = result.run(meaning, values)
        return result

    def run(self, call: Callable[..., Any], values: Sequence[Value]) -> Outcome:
        """What a call leaves behind, memory being as given when it begins."""
        for buffer, content in self.memories:
            ctypes.memmove(buffer, content, len(content))
        value: Value | None = None
        trap = None
        try:
            value = call(*values)
        except TrapSignal as signal:
            trap = signal.kind
        except Trap as raised:
            trap = raised.kind
        return Outcome(value, trap, tuple(ctypes.string_at(buffer, len(content)) for buffer, content in self.memories))


def samples_of(types: Sequence[Type], count: int, seed: int) -> Iterator[tuple[Value, ...]]:
    """Edge values of every operand, each with many of another's, and `count` random ones."""
    edges = [_edges(each) for each in types]
    most = max(map(len, edges))
    for step in (1, 3, 5):  # every edge of one operand meets many of another
        for n in range(most):
            yield tuple(each[(n * step**k + k) % len(each)] for k, each in enumerate(edges))
    for n in range(most):
        yield tuple(each[n % len(each)] for each in edges)
    chosen = random.Random(seed)
    for _ in range(count):
        yield tuple(_random(each, chosen) for each in types)


def _edges(type: Type) -> list[Value]:
    if type.is_float:
        return list(_FLOATS_32 if type == Type.f32 else _FLOATS)
    half = 1 << (type.bits - 1)
    return [*_INTEGERS, half - 1, -half, -half + 1, 0x12345678, 0x7FFFFFFF, -0x7FFFFFFF]


def _random(type: Type, chosen: random.Random) -> Value:
    if type.is_float:
        return normalised(type, chosen.choice((chosen.uniform(-2, 2), chosen.gauss(0, 1e6))))
    return chosen.getrandbits(chosen.randint(1, type.bits)) - (1 << (type.bits - 1)) * chosen.randint(0, 1)
