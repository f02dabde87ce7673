"""Sums and shifts that become part of the instruction that needs them: nobody can tell the difference."""

from __future__ import annotations

import collections
import itertools
import os
from typing import Any

import pytest
from agreement import FRAME, check, placements
from folding_programs import INDICES, LOADS, OFFSETS, ROWS, STORES, VALUES, Access, signed, value_type
from machines import INTEGER, Machine

from cnp.ir import Function
from cnp.types import Type

i32, i64, f32, f64 = Type


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
