"""Functions whose ops become part of others, and what they are tried with."""

from __future__ import annotations

import random
from typing import Any

from agreement import FRAME
from machines import FLOAT, INTEGER, Machine

from cnp.ir import Function, Register
from cnp.ir.optable import default_ops
from cnp.ir.text import parse
from cnp.stencil.model import Shape
from cnp.types import Type

i32, i64, f32, f64 = Type
ROWS = default_ops().by_name
LOADS = [name for name, row in ROWS.items() if row.shape == Shape.LOAD]
STORES = [name for name, row in ROWS.items() if row.shape == Shape.STORE]
OFFSETS = [0, 1, -1, 127, -127, 128, -128, 0x12345678, 0x7FFFFFFF, -0x7FFFFFFF]
INDICES = [5, -3, 0, 2**40 + 1, -(2**61) - 1, 2**63 - 1, -(2**63)]
VALUES: dict[Type, Any] = {i32: -0x12345678, i64: 0x1122334455667788, f32: -1.5, f64: 0.1}


def signed(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def value_type(row: Any) -> Type:
    return Type(row.result_type if row.shape == Shape.LOAD else row.operand_types[0])


class Access:
    """A function of a base, an index and a value that reads or writes what is at their sum."""

    def __init__(self, name: str, result: bool = True) -> None:
        self.row = ROWS[name]
        self.type = value_type(self.row)
        self.is_load = self.row.shape == Shape.LOAD
        self.f = Function(name, [i64, i64, self.type], self.type if self.is_load else None)
        self.base, self.index, self.value = self.f.params
        self.temporaries: list[Register] = []

    def temporary(self) -> Register:
        self.temporaries.append(self.f.reg(i64))
        return self.temporaries[-1]

    def shifted(self, scale: int | None) -> Register:
        if scale is None:
            return self.index
        d = self.temporary()
        self.f.i64_shl(d, self.index, scale)
        return d

    def sum(self, a: Any, b: Any) -> Register:
        d = self.temporary()
        self.f.i64_add(d, a, b)
        return d

    def access(self, address: Any, offset: int, value: Any = None) -> None:
        if self.is_load:
            getattr(self.f, self.row.method)(self.value, address, offset)
            self.f.ret(self.value)
        else:
            getattr(self.f, self.row.method)(self.value if value is None else value, address, offset)
            self.f.ret()

    def pins(self, machine: Machine, seed: int, count: int = 12) -> list[bytes]:
        """Base, index and value in every register and in the frame, the temporaries in others or in the frame."""
        r = random.Random(seed)
        places = [*range(machine.registers[INTEGER]), FRAME]
        turns = [r.sample(places, len(places)) for _ in range(2)]
        result = []
        for number in range(count):
            base, index, value = (
                each[(seed + number) * step % len(places)] for each, step in zip((*turns, places), (1, 5, 7))
            )
            if index == base:
                index = FRAME
            if self.type.is_float:
                value = FRAME if value >= machine.registers[FLOAT] else value
            elif value in (base, index):  # all three are alive at the entry
                value = FRAME
            taken = (base, index) if self.type.is_float else (base, index, value)
            free = [each for each in range(machine.registers[INTEGER]) if each not in taken]
            others = r.sample(free, len(self.temporaries)) if number % 3 else [FRAME] * len(self.temporaries)
            result.append(bytes([base, index, value, *others]))
        return result


# -- who else is in the place, and who else needs the value

HEAD = """
func f(b: i64, i: i64, v: i64) -> i64
  reg s, t, u, w, x: i64
  reg c, e: i32
  reg g: f64
  label out, on, back
"""


def from_lines(lines: str) -> Function:
    body = lines.replace(": ", ":\n").replace(";", "\n")
    # In text "i64.move d, s" is "move d, s".
    body = body.replace("i64.move", "move")
    text = f"func g(n: i64) -> i64\n  i64.mul n, n, 3\n  ret n\nend\n{HEAD}{body}\nend\n"
    return list(parse(text).values())[1]
