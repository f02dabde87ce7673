"""Sums, shifts and comparisons that become part of the instruction that needs them: nobody can tell the difference."""

from __future__ import annotations

import collections
import itertools
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest
from agreement import FRAME, check, check_calls, emitted, placements
from machines import FLOAT, INTEGER, Machine
from trials import EDGES

from cnp.ir import Function, Register
from cnp.ir.optable import comparison_of, default_ops
from cnp.ir.semantics import SEMANTICS
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


@pytest.mark.parametrize("scale", [None, 0, 1, 2, 3, 4, 63, 64, 65, 66, -1], ids=str)
@pytest.mark.parametrize("name", [*LOADS, *STORES])
def test_base_and_shifted_index(machine: Machine, name: str, scale: int | None) -> None:
    by = 0 if scale is None else scale % 64
    for number, (offset, order) in enumerate(itertools.product(OFFSETS, (False, True))):
        a = Access(name)
        shifted = a.shifted(scale)
        a.access(a.sum(shifted, a.base) if order else a.sum(a.base, shifted), offset)
        index = INDICES[number % len(INDICES)]
        arguments = [signed(machine.middle - offset - (index << by)), index, VALUES[a.type]]
        if a.is_load and not a.type.is_float:
            arguments[2] = 0
        check(machine, a.f, arguments, pins=a.pins(machine, number))


def test_every_stencil_of_an_address_takes_part(machine: Machine) -> None:
    """Of accesses, and of sums whose second summand is shifted."""
    if machine.is_native and os.environ.get("CNP_LONG") != "1":
        pytest.skip("takes a minute: CNP_LONG=1")
    seen: set[int] = set()

    def see(f: Function, *pins: int) -> None:
        alive = [each for each in pins[:2] if each != FRAME]
        if len(alive) == len(set(alive)):
            seen.update(stencil for _, stencil in machine.stencils(f, pins=bytes(pins)))

    integers, floats = (
        [*(range(count) if machine.is_native else [each[-1] for each in machine.target.register_groups(type)]), FRAME]
        for type, count in zip((i64, f64), machine.registers)
    )
    others, thirds = (
        integers if machine.is_native else [*(each - by for each in integers if each != FRAME), FRAME] for by in (1, 2)
    )
    for scale in (None, 1, 2, 3):
        for name, offset, is_constant in itertools.product((*LOADS, *STORES), (0, 5), (False, True)):
            a = Access(name)
            a.access(a.sum(a.base, a.shifted(scale)), offset, 7 if is_constant and a.type.is_integer else None)
            for base, index, value in itertools.product(integers, others, floats if a.type.is_float else thirds):
                unshifted = [] if scale is None else [FRAME]
                see(a.f, base, index, FRAME if value in (base, index) and not a.type.is_float else value, *unshifted)
        for type in (i32, i64):
            f = Function("sum", [type, type], type)
            t, d = f.reg(type), f.reg(type)
            getattr(f, f"{type}_shl")(t, f.params[1], scale or 0)
            getattr(f, f"{type}_add")(d, f.params[0], t)
            f.ret(d)
            for base, index, result in itertools.product(integers, others, integers):
                see(f, base, index, FRAME, result)
    for type, times in itertools.product((i32, i64), (3, 5, 9)):
        f = Function("times", [type], type)
        d = f.reg(type)
        getattr(f, f"{type}_mul")(d, f.params[0], times)
        f.ret(d)
        for pins in itertools.product(integers, others):
            seen.update(stencil for _, stencil in machine.stencils(f, pins=bytes(pins)))
    missing = sorted(
        (row.method, machine.library.placement_name(each))
        for row in machine.library.ops
        for family in row.families
        for each in machine.library.family(family)
        if each and each not in seen and row.method != "i32_add"  # for multiples only: both summands are in one place
    )
    assert not missing, [(n, *each) for each, n in collections.Counter(missing).items()]


CONSTANTS = [0, 1, -1, 127, -128, 2**31 - 1, -(2**31), -(2**31) + 1, 2**31, 2**32 - 1, 2**40, -(2**63), 2**63 - 1]


@pytest.mark.parametrize("name", ["i32.load", "f64.load", "i64.store8", "f32.store"])
@pytest.mark.parametrize("chain", [1, 2, 3])
def test_constant_summands(machine: Machine, name: str, chain: int) -> None:
    for number, (constant, offset) in enumerate(itertools.product(CONSTANTS, OFFSETS)):
        a = Access(name)
        address: Any = a.base
        for step in range(chain):
            address = a.sum(constant, address) if (number + step) % 2 else a.sum(address, constant)
        a.access(address, offset)
        check(
            machine,
            a.f,
            [signed(machine.middle - offset - chain * constant), 7, VALUES[a.type]],
            pins=a.pins(machine, number, 3),
        )


@pytest.mark.parametrize("name", ["i32.load16_u", "i64.store"])
@pytest.mark.parametrize("inner", [False, True])
def test_a_constant_and_an_index(machine: Machine, name: str, inner: bool) -> None:
    """base + index + constant, in either order: one of both sums is part of the access."""
    for number, (constant, offset, scale) in enumerate(itertools.product(CONSTANTS, OFFSETS[::2], (None, 1, 3))):
        a = Access(name)
        if inner:
            address = a.sum(a.sum(a.base, constant), a.shifted(scale))
        else:
            address = a.sum(a.sum(a.base, a.shifted(scale)), constant)
        a.access(address, offset)
        where = machine.middle - offset - constant - (-9 << (scale or 0))
        check(machine, a.f, [signed(where), -9, VALUES[a.type]], pins=a.pins(machine, number, 2))


@pytest.mark.parametrize("name", [*LOADS[:2], *STORES[:3]])
def test_sums_of_constants(machine: Machine, name: str) -> None:
    for offset in (0, 5, -128):
        a = Access(name)
        a.access(a.sum(machine.middle - 1000, 1000 - offset), offset)
        check(machine, a.f, [0, 0, VALUES[a.type]], pins=a.pins(machine, 1, 4))
        a = Access(name)
        d = a.temporary()
        a.f.i64_shl(d, machine.middle // 8, 3)
        a.access(a.sum(d, -offset + machine.middle % 8), offset)
        check(machine, a.f, [0, 0, VALUES[a.type]], pins=a.pins(machine, 2, 4))


IMMEDIATES = [0, 1, -1, 127, -127, 128, -128, -129, 255, 256, 32767, 32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1]
IMMEDIATES += [2**31, 2**40, -(2**63), 2**63 - 1]


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("scale", [None, 1, 2, 3])
def test_immediates_are_stored(machine: Machine, name: str, scale: int | None) -> None:
    type = value_type(ROWS[name])
    values = [each for each in IMMEDIATES if type is i64 or -(2**31) <= each < 2**32]
    if type.is_float:
        values = [0.0, -0.0, 1.0, -2.5, float("inf")]
    for number, (value, offset) in enumerate(itertools.product(values, (0, 1, -127, 128))):
        a = Access(name)
        a.access(a.sum(a.base, a.shifted(scale)), offset, value)
        arguments = [machine.middle - offset - (3 << (scale or 0)), 3, VALUES[type]]
        check(machine, a.f, arguments, pins=a.pins(machine, number, 3))


@pytest.mark.parametrize("type", [i32, i64], ids=str)
@pytest.mark.parametrize("scale", [*range(7), 31, 32, 33, 64, 65, -1])
@pytest.mark.parametrize("swapped", [False, True])
def test_shift_in_a_sum(machine: Machine, type: Type, scale: int, swapped: bool) -> None:
    half = 2 ** (type.bits - 1)
    for base, index in itertools.product((0, 5, -half, half - 1), (5, -3, 0, half // 2 + 1, half - 1, -half)):
        f = Function("sum", [type, type], i64)
        t, d, wide = f.reg(type), f.reg(type), f.reg(i64)
        getattr(f, f"{type}_shl")(t, f.params[1], scale)
        getattr(f, f"{type}_add")(d, *((t, f.params[0]) if swapped else (f.params[0], t)))
        if type is i32:
            f.i64_extend_i32_u(wide, d)
        else:
            f.move(wide, d)
        f.ret(wide)
        check(machine, f, [base, index], pins=[] if base else list(placements(machine, f)))


def test_shift_in_a_sum_of_words_in_the_frame(machine: Machine) -> None:
    """What the frame has behind a word is nobody's business."""
    for d, *places in itertools.product([*range(machine.registers[INTEGER]), FRAME], *[(FRAME, 0, 9)] * 2):
        if places[0] == places[1] != FRAME:
            continue
        f = Function("sum", [i64, i64], i64)
        a, b, t, s = (f.reg(i32) for _ in range(4))
        wide = f.reg(i64)
        f.i32_wrap_i64(a, f.params[0])
        f.i32_wrap_i64(b, f.params[1])
        f.i32_shl(t, b, 2)
        f.i32_add(s, t, a)
        f.i64_extend_i32_u(wide, s)
        f.ret(wide)
        pins = bytes([FRAME, FRAME, *places, FRAME, d, FRAME])
        check(machine, f, [-(2**63) + 2**31 - 1, -(2**40) - 7], pins=[pins])


# -- who else is in the place, and who else needs the value

HEAD = """
func f(b: i64, i: i64, v: i64) -> i64
  reg s, t, u, w, x: i64
  reg c, e: i32
  reg g: f64
  label out, on, back
"""

ALIASING = {
    "the destination is the base": "i64.add s, b, i;i64.load b, s;ret b",
    "the destination is the index": "i64.add s, b, i;i64.load i, s;ret i",
    "the destination is the sum": "i64.add s, b, i;i64.load s, s;ret s",
    "the sum overwrites the base": "i64.add b, b, i;i64.load x, b;ret x",
    "the sum overwrites the index": "i64.add i, b, i;i64.load x, i;ret x",
    "the sum overwrites the base, read again": "i64.add b, b, i;i64.load x, b;i64.sub b, b, 1;i64.add x, x, b;ret x",
    "a local sum overwrites its base": "i64.move s, b;i64.add s, s, i;i64.load x, s;ret x",
    "a local sum overwrites its index": "i64.move s, i;i64.add s, b, s;i64.load x, s;ret x",
    "a local sum overwrites its base, twice": "i64.move s, b;i64.add s, s, i;i64.add s, s, 8;i64.load x, s;ret x",
    "three constants": "i64.move s, b;i64.add s, s, 1;i64.add s, s, 2;i64.add s, s, 3;i64.load x, s;ret x",
    "the base is the index": "i64.shr_u t, b, 1;i64.add s, t, t;i64.load x, s;ret x",
    "the base is shifted, too": "i64.div_u t, b, 9;i64.shl u, t, 3;i64.add s, t, u;i64.load x, s;ret x",
    "the shift overwrites its operand": "i64.move t, i;i64.shl t, t, 3;i64.add s, b, t;i64.load x, s;ret x",
    "shift and sum overwrite": "i64.move t, i;i64.shl t, t, 3;i64.add t, b, t;i64.load t, t;ret t",
    "shift and sum overwrite, stored": "i64.move t, i;i64.shl t, t, 3;i64.add t, t, b;i64.store v, t;ret 0",
    "the shift twice": "i64.shl t, i, 1;i64.shr_u u, b, 1;i64.sub u, u, i;i64.shl u, u, 1;i64.add s, u, t;"
    "i64.load x, s;ret x",
    "twice the shifted": "i64.shr_u t, b, 2;i64.shl t, t, 1;i64.add s, t, t;i64.load x, s;ret x",
    "shifted by a register": "i64.const u, 3;i64.shl t, i, u;i64.add s, b, t;i64.load x, s;ret x",
    "a constant shifted": "i64.shl t, 3, 2;i64.add s, b, t;i64.load x, s;ret x",
    "a constant shifted by a register": "i64.shl t, 1, i;i64.add s, b, t;i64.load x, s;ret x",
    "the value is the base": "i64.add s, b, i;i64.store b, s;ret 0",
    "the value is the index": "i64.add s, b, i;i64.store i, s;ret 0",
    "the value is the sum": "i64.add s, b, i;i64.store s, s;ret 0",
    "the value is the unshifted index": "i64.shl t, i, 3;i64.add s, b, t;i64.store i, s;ret 0",
    "the value is the shifted index": "i64.shl t, i, 3;i64.add s, b, t;i64.store t, s;ret 0",
    "the value is the base, a byte": "i64.add s, b, i;i64.store8 b, s;ret 0",
    "base changes between": "i64.add s, b, i;i64.add b, b, 8;i64.load x, s;i64.sub b, b, s;i64.add x, x, b;ret x",
    "index changes between": "i64.add s, b, i;i64.const i, 77;i64.load x, s;i64.add x, x, i;ret x",
    "shifted changes between": "i64.shl t, i, 3;i64.add s, b, t;i64.const i, 77;i64.load x, s;i64.add x, x, i;ret x",
    "the shift changes between": "i64.shl t, i, 3;i64.add s, b, t;i64.const t, 77;i64.load x, s;i64.add x, x, t;ret x",
    "shifted changes before the sum": "i64.shl t, i, 3;i64.const i, 7;i64.add s, b, t;i64.load x, s;ret x",
    "shifted itself changes between": "i64.move t, i;i64.shl t, t, 2;i64.add s, b, t;i64.const t, 9;i64.load x, s;"
    "i64.add x, x, t;ret x",
    "the sum changes between": "i64.add s, b, i;i64.add s, s, v;i64.sub s, s, v;i64.load x, s;ret x",
    "changed and changed back": "i64.add s, b, i;i64.add b, b, 1;i64.sub b, b, 1;i64.load x, s;ret x",
    "a load changes the base": "i64.add s, b, i;i64.move x, b;i64.load b, b;i64.load x, s;i64.add x, x, b;ret x",
    "a call changes the base": "i64.add s, b, i;call b, g(b);i64.load x, s;i64.add x, x, b;ret x",
    "a call changes the index": "i64.add s, b, i;call i, g(i);i64.load x, s;i64.add x, x, i;ret x",
    "a call between": "i64.add s, b, i;call x, g(v);i64.load u, s;i64.add x, x, u;ret x",
    "a call with the sum": "i64.add s, b, i;call x, g(s);i64.load u, s;i64.sub x, x, s;i64.add x, x, u;ret x",
    "a call with the shift": "i64.shl t, i, 3;call x, g(t);i64.add s, b, t;i64.load u, s;i64.add x, x, u;ret x",
    "a trap between": "i64.add s, b, i;i64.div_u x, v, i;i64.load u, s;i64.add x, x, u;ret x",
    "a trap that happens": "i64.add s, b, i;i64.sub u, i, i;i64.div_u x, v, u;i64.store x, s;ret x",
    "a label between": "i64.add s, b, i;on: i64.load x, s;ret x",
    "a label between, jumped to": "i64.add s, b, i;branch i64.eq i, 1, on;i64.add s, s, 1;on: i64.load x, s;ret x",
    "a label between shift and sum": "i64.shl t, i, 3;on: i64.add s, b, t;i64.load x, s;ret x",
    "a safepoint between": "i64.add s, b, i;safepoint;i64.load x, s;ret x",
    "used twice": "i64.add s, b, i;i64.load x, s;i64.load u, s, 8;i64.add x, x, u;ret x",
    "loaded and stored": "i64.add s, b, i;i64.load x, s;i64.add x, x, 1;i64.store x, s;ret x",
    "used afterwards": "i64.add s, b, i;i64.load x, s;i64.sub s, s, b;i64.add x, x, s;ret x",
    "returned": "i64.add s, b, i;i64.store v, s;i64.sub s, s, b;ret s",
    "used in another block": "i64.add s, b, i;i64.load x, s;branch i64.eqz x, out;i64.sub s, s, b;i64.add x, x, s;"
    "out: ret x",
    "used before it is made again": "i64.add s, b, i;back: i64.load x, s;i64.add s, b, 3;i64.load u, s;"
    "i64.add v, v, u;i64.add i, i, 1;branch i64.lt_s i, 20, back;i64.add x, x, v;ret x",
    "only the second is needed elsewhere": "i64.add s, b, i;i64.load x, s;i64.add s, b, 3;i64.load u, s;"
    "branch i64.eq x, u, out;i64.sub s, s, b;i64.add x, x, s;out: ret x",
    "one register for many addresses": ";".join(
        f"i64.shl t, i, {n % 4};i64.add t, b, t;i64.load u, t, {n};i64.add x, x, u" for n in range(9)
    ).join(("i64.const x, 0;", ";ret x")),
    "one register for many stores": ";".join(
        f"i64.shl t, i, {n % 4};i64.add t, t, b;i64.store u, t, {8 * n};i64.add u, u, t" for n in range(9)
    ).join(("i64.const u, 5;", ";ret 0")),
    "the sum of sums": "i64.add s, b, i;i64.add t, v, 3;i64.add u, s, t;i64.sub w, u, v;i64.load x, w;ret x",
    "a sum in a sum": "i64.sub u, i, 8;i64.shl w, i, 1;i64.add s, b, u;i64.shl t, i, 2;i64.add s, s, w;"
    "i64.add s, s, t;i64.load x, s;ret x",
    "the shifted index of a sum in an address": "i64.shl t, i, 2;i64.add s, i, t;i64.add u, b, s;i64.load x, u;ret x",
    "one shift, two sums": "i64.shl t, i, 3;i64.add s, b, t;i64.add u, t, b;i64.load x, s;i64.load w, u;"
    "i64.add x, x, w;ret x",
    "dead sums": "i64.add s, b, i;i64.shl t, i, 3;i64.add s, b, t;i64.add s, b, 1;i64.load x, s;ret x",
    "dead shifts": "i64.shl t, i, 3;i64.add s, b, t;i64.load x, b;ret x",
    "the address of an address": "i64.store b, b, 8;i64.add s, b, 8;i64.load s, s;i64.add s, s, i;i64.load x, s;ret x",
    "a float": "i64.add s, b, i;f64.load g, s;i64.add s, b, i;f64.store g, s, 40;i64.reinterpret_f64 x, g;ret x",
    "the shift of the base": "i64.and u, b, -8;i64.shr_u u, u, 3;i64.shl t, u, 3;i64.add s, t, i;i64.load x, s;ret x",
    "both are shifted": "i64.shr_u u, b, 3;i64.shl u, u, 3;i64.shl t, i, 1;i64.add s, u, t;i64.load x, s;ret x",
    "a loaded index": "i64.store i, b, 8;i64.load t, b, 8;i64.shl t, t, 3;i64.add t, t, b;i64.load t, t;ret t",
    "the rest of the frame": "i64.add s, b, i;i64.load x, s;i64.mul u, x, x;i64.mul w, u, v;i64.add s, b, w;"
    "i64.sub s, s, w;i64.load t, s;i64.add x, x, t;i64.add x, x, u;i64.add x, x, w;ret x",
}


def from_lines(lines: str) -> Function:
    body = lines.replace(": ", ":\n").replace(";", "\n")
    # In text "i64.move d, s" is "move d, s".
    body = body.replace("i64.move", "move")
    text = f"func g(n: i64) -> i64\n  i64.mul n, n, 3\n  ret n\nend\n{HEAD}{body}\nend\n"
    return list(parse(text).values())[1]


@pytest.mark.parametrize("name", ALIASING)
def test_aliasing(machine: Machine, name: str) -> None:
    f = from_lines(ALIASING[name])
    check_calls(machine, f, [[machine.address + 40, index, 7] for index in (1, 5)], rounds=3)


# -- it does happen


def _names(machine: Machine, f: Function) -> list[str]:
    return [name for _, name in emitted(machine, f)]


@pytest.mark.parametrize("name", [*LOADS, *STORES])
def test_addresses_are_folded(machine: Machine, name: str) -> None:
    row = ROWS[name]
    bits = int("".join(each for each in row.method.split("_")[1] if each.isdigit()) or value_type(row).bits)
    scale = (bits // 8).bit_length() - 1
    a = Access(name)
    a.access(a.sum(a.base, a.shifted(scale or None)), 8 if machine.target.indexed_offsets > 1 else 0)
    names = [
        each for each in _names(machine, a.f) if "load" in each or "store" in each or "add" in each or "shl" in each
    ]
    is_folded = machine.target.indexed_offsets > 0 and not (value_type(row) is i32 and name.endswith("_s"))
    assert is_folded == (len(names) == 1 and names[0].endswith(f"index<<{scale}")), names


def test_constant_offsets_are_folded(machine: Machine) -> None:
    a = Access("i64.load")
    a.access(a.sum(a.base, 40), 8)
    assert not any("add" in each for each in _names(machine, a.f))


# -- conditions

COMPARISONS = {name: comparison_of(ROWS[name]) for name, row in ROWS.items() if row.shape == Shape.BRANCH}
COMPARISONS = {branch: name for branch, name in COMPARISONS.items() if name in ROWS}


def _pairs(types: Sequence[Type]) -> list[tuple[Any, ...]]:
    edges = [EDGES[each] for each in types]
    if len(edges) == 1:
        return [(each,) for each in edges[0]]
    n = len(edges[0])
    pairs = [(edges[0][k], edges[1][k * step % n]) for k in range(n) for step in (1, 3)]
    if types[0].is_float:
        nan = float("nan")
        pairs += [(nan, 1.0), (1.0, nan), (nan, nan), (0.0, -0.0), (-0.0, 0.0)]
    return pairs


CONSUMERS = ["branch nez", "branch eqz", "eqz, branch nez", "eqz, branch eqz", "select", "eqz, select", "nez, select"]


def consume(f: Function, condition: Register, how: str) -> None:
    """Return 11 or 22, depending on the condition."""
    *before, last = how.split(", ")
    for each in before:
        flipped = f.reg(i32)
        getattr(f, f"i32_{each}")(flipped, condition)
        condition = flipped
    if last == "select":
        d = f.reg(i64)
        f.select(d, 11, 22, condition)
        f.ret(d)
        return
    on = f.label()
    getattr(f, f"branch_i32_{last.split()[1]}")(condition, on)
    f.ret(22)
    f.place(on)
    f.ret(11)


@pytest.mark.parametrize("how", CONSUMERS)
@pytest.mark.parametrize("name", sorted(set(COMPARISONS.values())))
def test_conditions(machine: Machine, name: str, how: str) -> None:
    types = [Type(each) for each in ROWS[name].operand_types]
    f = Function("f", types, i64)
    condition = f.reg(i32)
    getattr(f, ROWS[name].method)(condition, *f.params)
    consume(f, condition, how)
    compiled = [machine.compile(f, pins=each) for each in (None, *placements(machine, f))]
    for values in machine.some(_pairs(types), 24):
        outcome = SEMANTICS[name](*values)
        flips = how.count("eqz")
        expected = 11 if bool(outcome) != bool(flips % 2) else 22
        assert [each(*values) for each in compiled] == [expected] * len(compiled), values


@pytest.mark.parametrize("how", CONSUMERS)
@pytest.mark.parametrize("name", sorted(set(COMPARISONS.values())))
def test_conditions_on_constants(machine: Machine, name: str, how: str) -> None:
    types = [Type(each) for each in ROWS[name].operand_types]
    pairs = _pairs(types)
    for values in pairs[:: max(1, len(pairs) // 8)]:
        for constant in itertools.product((False, True), repeat=len(types)):
            f = Function("f", types, i64)
            condition = f.reg(i32)
            operands = [value if c else p for value, c, p in zip(values, constant, f.params)]
            getattr(f, ROWS[name].method)(condition, *operands)
            consume(f, condition, how)
            check(machine, f, values, pins=list(placements(machine, f))[:3])


CONDITIONS = {
    "used twice": "i64.lt_s c, i, v;branch i32.nez c, out;i64.const x, 5;out: i64.extend_i32_u t, c;ret t",
    "used by two branches": "i64.lt_s c, i, v;branch i32.nez c, on;branch i32.eqz c, out;on: ret 1;out: ret 2",
    "used by a branch and a select": "i64.eqz c, i;select t, b, v, c;branch i32.nez c, on;ret t;on: ret 3",
    "used by two selects": "i64.eqz c, i;select t, b, v, c;select u, v, i, c;i64.sub t, t, u;ret t",
    "used twice by one select": "i32.wrap_i64 e, i;i32.eqz c, e;i64.extend_i32_u u, c;select t, u, v, c;ret t",
    "operand changes": "i64.lt_s c, i, v;i64.const i, 100;branch i32.nez c, on;ret 1;on: ret 2",
    "operand changes, select": "i64.eqz c, i;i64.const i, 100;select t, v, i, c;ret t",
    "operand changes in a call": "i64.lt_s c, i, v;call i, g(i);branch i32.nez c, on;ret i;on: ret 2",
    "call between": "i64.lt_s c, i, v;call x, g(i);branch i32.nez c, on;ret x;on: ret 2",
    "overwrites its operand": "i32.wrap_i64 c, i;i32.eqz c, c;branch i32.nez c, on;ret 1;on: ret 2",
    "overwrites its operand twice": "i32.wrap_i64 c, i;i32.eqz c, c;i32.eqz c, c;branch i32.nez c, on;ret 1;on: ret 2",
    "overwrites its operand, select": "i32.wrap_i64 c, i;i32.eqz c, c;select t, b, v, c;ret t",
    "overwrites its operand twice, select": "i32.wrap_i64 c, i;i32.eqz c, c;i32.eqz c, c;select t, v, i, c;ret t",
    "overwrites both": "i32.wrap_i64 c, i;i32.lt_s c, c, c;branch i32.eqz c, on;ret 1;on: ret 2",
    "all bits of an i64": "i64.shl t, i, 40;i64.nez c, t;select x, v, 3, c;ret x",
    "all bits of an i64, eqz": "i64.shl t, i, 40;i64.eqz c, t;select x, v, 3, c;ret x",
    "all bits of an i64, branch": "i64.shl t, i, 40;i64.eqz c, t;branch i32.eqz c, on;ret 1;on: ret 2",
    "the low half of an i64": "i64.shl t, i, 40;i32.wrap_i64 e, t;i32.nez c, e;select x, v, 3, c;ret x",
    "the low half of an i64, negative": "i64.sub t, 0, i;i32.wrap_i64 e, t;i32.nez c, e;select x, v, 3, c;ret x",
    "the condition is an operand": "i64.nez c, i;select x, i, v, c;ret x",
    "the condition is an operand, eqz": "i64.eqz c, i;select x, i, v, c;ret x",
    "the condition is the destination": "i64.nez c, i;select i, v, b, c;i64.sub i, i, b;ret i",
    "the condition is the destination, eqz": "i64.eqz c, i;select i, b, v, c;i64.sub i, i, b;ret i",
    "all are one": "i64.eqz c, i;select i, i, i, c;ret i",
    "i32 selected by itself": "i32.wrap_i64 c, i;i32.eqz e, c;select c, c, e, e;i64.extend_i32_s t, c;ret t",
    "a constant condition": "select t, i, v, 1;select u, i, v, 0;i64.shl u, u, 8;i64.add t, t, u;ret t",
    "a condition of a constant": "i32.eqz c, 0;select t, i, v, c;i64.eqz c, 5;select u, i, v, c;i64.shl u, u, 8;"
    "i64.add t, t, u;ret t",
    "a branch on a condition of a constant": "i64.nez c, 0x100000000;branch i32.nez c, on;ret 1;on: ret 2",
    "a branch on a constant": "branch i32.nez 0, out;branch i32.eqz 0, on;out: ret 1;on: ret 2",
    "a constant made in the block": "i32.const c, 1;i32.eqz e, c;select t, i, v, e;ret t",
    "the label before": "i64.lt_s c, i, v;on: branch i32.nez c, out;ret 1;out: ret 2",
    "floats": "f64.convert_i64_s g, i;f64.lt c, g, 3.0;i32.eqz c, c;branch i32.nez c, on;ret 1;on: ret 2",
    "not less with nan": "f64.div g, 0.0, 0.0;f64.lt c, g, 3.0;branch i32.eqz c, on;ret 1;on: ret 2",
    "a float in a select": "f64.convert_i64_s g, i;f64.lt c, g, 3.0;select t, i, v, c;ret t",
    "a select of floats": "f64.convert_i64_s g, i;i64.eqz c, i;select g, g, 2.5, c;i64.reinterpret_f64 t, g;ret t",
    "a comparison of addresses": "i64.add s, b, i;i64.lt_u c, s, b;branch i32.nez c, on;i64.load x, s;ret x;on: ret 2",
    "a comparison of what is loaded": "i64.add s, b, i;i64.load x, s;i64.lt_u c, x, v;branch i32.nez c, on;"
    "ret x;on: ret 2",
    "a loop on a condition": "back: i64.sub v, v, 1;i64.add i, i, v;i64.gt_s c, v, 0;branch i32.nez c, back;ret i",
    "a loop on the inverse": "back: i64.sub v, v, 1;i64.add i, i, v;i64.le_s c, v, 0;branch i32.eqz c, back;ret i",
    "a while loop on a condition": "back: i64.gt_s c, v, 0;branch i32.eqz c, out;i64.sub v, v, 1;i64.add i, i, v;"
    "jump back;out: ret i",
    "a while loop on floats": "f64.convert_i64_s g, v;back: f64.gt c, g, 0.5;branch i32.eqz c, out;f64.sub g, g, 1.0;"
    "i64.add i, i, 3;jump back;out: ret i",
    "a while loop on nan": "f64.sqrt g, -1.0;back: f64.lt c, g, 0.5;branch i32.eqz c, out;i64.add i, i, 3;"
    "jump back;out: ret i",
    "a dead condition": "i64.lt_s c, i, v;i64.gt_s c, i, v;branch i32.nez c, on;ret 1;on: ret 2",
    "around a jump": "i64.lt_s c, i, v;branch i32.nez c, on;jump out;on: ret 1;out: ret 2",
    "around a jump, inverted": "i64.lt_s c, i, v;branch i32.eqz c, on;jump out;on: ret 1;out: ret 2",
    "around a jump, a float inverted": "f64.convert_i64_s g, i;f64.ge c, g, 5.0;branch i32.eqz c, on;jump out;"
    "on: ret 1;out: ret 2",
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_that_others_need(machine: Machine, name: str) -> None:
    f = from_lines(CONDITIONS[name])
    check_calls(machine, f, [[machine.address + 40, index, 7] for index in (0, 1, 9)], rounds=2)


@pytest.mark.parametrize("how", CONSUMERS)
def test_conditions_are_folded(machine: Machine, how: str) -> None:
    f = Function("f", [i64, i64], i64)
    condition = f.reg(i32)
    if "select" in how:
        f.i64_eqz(condition, f.params[0])
    else:
        f.i64_lt_s(condition, *f.params)
    consume(f, condition, how)
    names = [name for _, name in emitted(machine, f)]
    steps = how.count(",")
    assert sum("lt_s d" in each or "eqz d" in each or "nez d" in each for each in names) == (steps if steps else 0)
