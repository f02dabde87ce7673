"""Reads the expected results out of a program's comments, and checks them on any back end.

    ; expect fib(10) = 55
    ; expect log(1)                                          runs to its end, no result
    ; expect div(1, 0) traps integer_divide_by_zero          and, if given: in div at 3
    ; expect fill(i64[0 * 3], 7) leaves i64[7, 7, 7]         one buffer after the other, as the call leaves them

A buffer is an element type (i8 u8 i16 u16 i32 u32 i64 u64 f32 f64) and its elements; `0 * 3` is three times 0.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cnp.errors import Trap, TrapKind
from cnp.ir import Function
from cnp.ir.text.numbers import parse_number
from cnp.types import Type

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.cnp"))

_EXPECT = re.compile(
    r"^\s*;\s*expect\s+(?P<name>[\w.]+)\((?P<arguments>.*?)\)"
    r"(?:\s*=\s*(?P<result>\S+))?"
    r"(?:\s+traps\s+(?P<trap>\w+)(?:\s+in\s+(?P<where>[\w.]+)\s+at\s+(?P<op>\d+))?)?"
    r"(?:\s+leaves\s+(?P<leaves>.*?))?\s*$"
)
_ARGUMENT = re.compile(r"\s*(?:(?P<element>[iuf]\d+)\[(?P<elements>[^\]]*)\]|(?P<number>[^,\s]+))\s*(?:,|$)")
_FORMATS = {"i8": "b", "u8": "B", "i16": "h", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q"}
_FORMATS |= {"f32": "f", "f64": "d"}


@dataclass
class Expectation:
    """One call and what it must do. Arguments that are buffers are fresh every time."""

    text: str
    name: str
    arguments: list[Any]
    result: int | float | None
    trap: TrapKind | None
    place: tuple[str, int] | None
    leaves: list[bytes] = field(default_factory=list)


def expectations(text: str) -> list[Expectation]:
    """Those in a program's comments; ValueError for a line that starts like one and cannot be read."""
    return [_expectation(line) for line in text.splitlines() if re.match(r"\s*;\s*expect\b", line)]


def check(expectation: Expectation, functions: dict[str, Function], compile: Callable[[Function], Any]) -> None:
    """Call the compiled function, and fail if anything is not as expected."""
    compiled = compile(functions[expectation.name])
    arguments = [bytearray(each) if isinstance(each, bytes) else each for each in expectation.arguments]
    if expectation.trap is not None:
        with pytest.raises(Trap) as caught:
            compiled(*arguments)
        assert caught.value.kind == expectation.trap, expectation.text
        if expectation.place is not None:
            assert (caught.value.function, caught.value.op) == expectation.place, expectation.text
    else:
        assert same(compiled(*arguments), expectation.result), expectation.text
    if expectation.leaves:
        assert [bytes(each) for each in arguments if isinstance(each, bytearray)] == expectation.leaves


def same(found: Any, expected: Any) -> bool:
    """Equal, and of one type; 0.0 is not -0.0, and any NaN is any other."""
    if isinstance(found, float) and isinstance(expected, float):
        both_nan = math.isnan(found) and math.isnan(expected)
        return both_nan or struct.pack("<d", found) == struct.pack("<d", expected)
    return type(found) is type(expected) and bool(found == expected)


def _expectation(line: str) -> Expectation:
    match = _EXPECT.match(line)
    if match is None:
        raise ValueError(f"unreadable expectation: {line}")
    return Expectation(
        line.strip("; "),
        match["name"],
        list(_values(match["arguments"])),
        parse_number(match["result"], Type.f64) if match["result"] else None,
        TrapKind[match["trap"].upper()] if match["trap"] else None,
        (match["where"], int(match["op"])) if match["where"] else None,
        list(_values(match["leaves"] or "")),
    )


def _values(text: str) -> Iterator[Any]:
    position = 0
    while text[position:].strip():
        match = _ARGUMENT.match(text, position)
        if match is None:
            raise ValueError(f"unreadable arguments: {text}")
        number, element, elements = match["number"], match["element"], match["elements"]
        yield parse_number(number, Type.f64) if number else _bytes(element, elements)
        position = match.end()


def _bytes(element: str, text: str) -> bytes:
    data = b""
    for item in filter(None, (each.strip() for each in text.split(","))):
        value, _, count = item.partition("*")
        data += struct.pack("<" + _FORMATS[element], parse_number(value.strip(), Type.f64)) * int(count or 1)
    return data
