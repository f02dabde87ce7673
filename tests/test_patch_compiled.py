"""Immediates in what the core compiles, for every target: capstone reads the constant that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import LIBRARY
from hypothesis import given, settings
from hypothesis import strategies as st

import cnp
from cnp.stencil.sources import library_path
from cnp.target import TARGETS
from cnp.types import Type

capstone = pytest.importorskip("capstone")

i64 = Type.i64
Seen = tuple[str, list[int]]

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")
each_target = pytest.mark.parametrize(
    "target",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not (library_path(name).exists() and hasattr(capstone, target.capstone.split()[0])),
                reason=f"NOT TESTED: capstone does not read {name}, or no library for it is built",
            ),
        )
        for name, target in TARGETS.items()
    ],
)


def operand(each: Any) -> int | None:
    if each.type == capstone.CS_OP_IMM:
        return int(each.imm)
    return int(each.mem.disp) if each.type == capstone.CS_OP_MEM else None


def compiled(f: cnp.Function, target: str) -> tuple[bytes, list[Seen]]:
    """The code, and of every instruction its name with the numbers among its operands; a shift is one of them."""
    code = f.compile(target=target).code
    architecture, *modes = TARGETS[target].capstone.split()
    engine = capstone.Cs(getattr(capstone, architecture), sum(getattr(capstone, mode) for mode in modes))
    engine.detail = True
    found = []
    for each in engine.disasm(code, 0):
        numbers = [number for number in map(operand, each.operands) if number is not None]
        shifts = [it.shift.value for it in each.operands if hasattr(it, "shift") and it.shift.value]
        found.append((each.mnemonic, numbers + shifts))
    return code, found


def edges(target: str, loaded: bool | None = None) -> list[int]:
    """The ends of all classes of a target, and what is next to them."""
    classes = [each for each in TARGETS[target].classes if not each.pattern and loaded in (None, each.loaded)]
    found = [end + step for each in classes for end in (each.low, each.high) for step in (-each.scale, 0, each.scale)]
    rounding = [sign * 0x800 + step + (high << 12) for sign in (1, -1) for step in (-1, 0) for high in (0, 1, 0x7FFFF)]
    return sorted({each for each in found + rounding if -(1 << 63) <= each < 1 << 63})


def constants(target: str) -> st.SearchStrategy[int]:
    shifted = st.builds(lambda value, count: value >> count, st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 62))
    return st.sampled_from(edges(target)) | shifted


def built(emit: Callable[[cnp.Function, Any], None], *params: Any) -> cnp.Function:
    f = cnp.Function("it", params=list(params), result=i64)
    d = f.reg(i64)
    emit(f, d)
    f.ret(d)
    return f


def evaluated(code: bytes, found: list[Seen]) -> set[int]:
    """Numbers of 64 bits that the code makes of its immediates, instruction by instruction; and what lies behind it."""
    made, value = set(), 0
    for name, numbers in found:
        name = name.removeprefix("c.")
        if name in ("xor", "mv"):
            value = 0
        elif name in ("mov", "movabs", "movz", "li", "orr") and numbers:
            value = numbers[0] << sum(numbers[1:])
        elif name == "movn":
            value = ~(numbers[0] << sum(numbers[1:]))
        elif name == "movk":
            start = sum(numbers[1:])
            value = value & ~(0xFFFF << start) | numbers[0] << start
        elif name == "lui":
            value = (numbers[0] & 0xFFFFF) << 12
            value -= (value & 1 << 31) << 1
        elif name == "addi" and numbers:
            value += numbers[0]
        elif name == "addiw" and numbers:
            value = (value + numbers[0] + (1 << 31)) % (1 << 32) - (1 << 31)
        made.add(value % (1 << 64))
    return made | {int.from_bytes(code[at : at + 8], "little") for at in range(0, len(code) - 7, 4)}


def checked(target: str, check: Callable[[int], None]) -> None:
    for value in edges(target):
        check(value)
    settings(max_examples=150, deadline=None, database=None, derandomize=True)(given(constants(target))(check))()


@each_target
def test_a_constant_is_what_its_instructions_make(target: str) -> None:
    def check(value: int) -> None:
        code, found = compiled(built(lambda f, d: f.i64_const(d, value)), target)
        assert value % (1 << 64) in evaluated(code, found), (value, found)

    checked(target, check)


@each_target
@pytest.mark.parametrize("op", ["i64_add", "i64_sub", "i64_and", "i64_xor", "i64_or"])
def test_an_operand_is_in_the_code(target: str, op: str) -> None:
    def check(value: int) -> None:
        if abs(value) < 2:
            return  # other instructions
        code, found = compiled(built(lambda f, d: getattr(f, op)(d, f.params[0], value), i64), target)
        shown = {number for _, numbers in found for number in numbers}
        opposite = -value in shown and op in ("i64_add", "i64_sub")
        assert value in shown or opposite or {value % (1 << 64), -value % (1 << 64)} & evaluated(code, found), (
            value,
            found,
        )

    checked(target, check)


@each_target
@pytest.mark.parametrize("op", ["i64_shl", "i64_shr_u", "i64_shr_s", "i64_rotl", "i64_rotr"])
def test_a_count_is_in_the_code(target: str, op: str) -> None:
    def check(count: int) -> None:
        _, found = compiled(built(lambda f, d: getattr(f, op)(d, f.params[0], count), i64), target)
        shown = {number for _, numbers in found for number in numbers}
        assert shown & ({count, 64 - count} if "rot" in op else {count}), (count, found)

    for count in range(1, 64):
        check(count)


@each_target
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_an_offset_is_in_the_code(target: str, bits: int) -> None:
    load, store = ("i64_load", "i64_store") if bits == 64 else (f"i64_load{bits}_u", f"i64_store{bits}")

    def stored(f: cnp.Function, d: Any, offset: int) -> None:
        getattr(f, store)(f.params[0], f.params[0], offset)
        f.move(d, f.params[0])

    def check(value: int) -> None:
        if not -(1 << 31) < value < 1 << 31 or not value:
            return
        for emit in (lambda f, d: getattr(f, load)(d, f.params[0], value), lambda f, d: stored(f, d, value)):
            code, found = compiled(built(emit, cnp.ptr), target)
            shown = {number for _, numbers in found for number in numbers}
            made = evaluated(code, found)
            halves = any((high + low - value) % (1 << 64) == 0 for high in made for low in (0, *shown))
            assert value in shown or halves, (value, found)

    checked(target, check)
