"""Listings of every target that a library is built for: what its instructions hold is read back as the values that were
put into them. They decode nothing, so they need no disassembler."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import LIBRARY

import cnp
from cnp import f32, f64, i32, i64
from cnp.ir.text import parse
from cnp.stencil.library import Library
from cnp.stencil.model import Shape
from cnp.stencil.naming import form_size, placement_name
from cnp.stencil.sources import library_path
from cnp.stencil.words import Form
from cnp.target import TARGETS
from cnp.tools import listing

PROGRAMS = Path(__file__).parent / "programs"
BUILT = [name for name in TARGETS if library_path(name).exists()]

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")
each_target = pytest.mark.parametrize("target", BUILT)


def rows(f: cnp.Function, target: str) -> list[listing.Row]:
    return listing.rows(f.compile(target=target, trace=True), decode=False)


def shown(f: cnp.Function, target: str) -> list[str]:
    """All that is shown of holes."""
    return [hole for row in rows(f, target) for hole in row.holes]


def function(*params: Any, result: Any = i64) -> cnp.Function:
    return cnp.Function("it", params=list(params), result=result)


WIDE = [
    *(0x123456789ABCDEF0, -0x123456789ABCDEF0, 0x7FFFFFFFFFFFFFFF, -0x8000000000000000, 0xFFFF0000FFFF, 0x8000),
    *(0x12345678, -0x12345678, 0x7FFFFFFF, -0x80000000, 0x100000000, 0xFFFF, 0x10000, -0x10000, -0x10001, 0x12340000),
    *(0xFF00FF00FF00FF, 0xFFF000, 0x7FFFFFFE, -0x1000, 0x5555555555555555, 1 << 40),
]
NARROW = [1, -1, 5, -5, 100, 127, -127, 128, -128, 255, 256, 2047, 2048, -2048, -2049, 4094, 4095, -4094, -4095]


def named(text: str) -> int:
    """The number behind `name=`."""
    return int(text.partition("=")[2], 0)


def same(found: int, value: int, bits: int) -> bool:
    return (found - value) % (1 << bits) == 0


@each_target
@pytest.mark.parametrize(
    "op", ["i64_add", "i64_sub", "i64_and", "i64_or", "i64_xor", "i64_mul", "i64_rotl", "i64_shl", "i64_shr_s"]
)
def test_the_immediate_of_an_op_is_shown(target: str, op: str) -> None:
    for value in [7, 45] if "rot" in op or "sh" in op else [*NARROW, *WIDE]:
        if op == "i64_mul" and (abs(value) & (abs(value) - 1) == 0 or abs(value) in (5, 255)):
            continue  # which is another op then
        f = function(i64)
        d = f.reg(i64)
        getattr(f, op)(d, f.params[0], value)
        f.ret(d)
        found = [each for each in shown(f, target) if each.startswith("immediate_")]
        wanted = (
            [value, -value] if op in ("i64_add", "i64_sub") else [value, 64 - value] if op == "i64_rotl" else [value]
        )
        assert any(same(named(each), number, 64) for each in found for number in wanted), (value, found)


@each_target
@pytest.mark.parametrize("value", [*NARROW, *WIDE])
def test_constants_are_shown_as_one_value(target: str, value: int) -> None:
    f = function()
    d = f.reg(i64)
    f.i64_const(d, value)
    f.ret(d)
    (found,) = [each for each in shown(f, target) if each.startswith("immediate_")]
    low_half = same(named(found), value, 32) and 0 < value < 1 << 32  # a hole of 32 bits that the processor extends
    assert named(found) == value or low_half


@each_target
@pytest.mark.parametrize("value", [1.1, -1e300, 5e-324, 3.0])
def test_floats_are_shown_as_their_bits(target: str, value: float) -> None:
    f = function(f64, result=f64)
    d = f.reg(f64)
    f.f64_mul(d, f.params[0], value)
    f.ret(d)
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    assert [named(each) for each in shown(f, target) if each.startswith("immediate_")] == [bits]


@each_target
def test_offsets_of_loads_and_stores_are_shown(target: str) -> None:
    for type, load, store in (
        (i64, "i64_load", "i64_store"),
        (f32, "f32_load", "f32_store"),
        (i32, "i32_load8_u", "i32_store8"),
    ):
        for offset in (1, -1, 8, -8, 255, -256, 257, 4095, 4096, 32760, 32768, 0x12345678, -0x12345678):
            f = function(i64, result=type)
            d = f.reg(type)
            getattr(f, load)(d, f.params[0], offset)
            getattr(f, store)(d, f.params[0], offset)
            f.ret(d)
            assert [each for each in shown(f, target) if each.startswith("offset")] == [f"offset={offset:+d}"] * 2


@each_target
def test_slots_are_shown(target: str) -> None:
    """What lives across a call lies in the frame."""
    f = cnp.Function("it", params=[i64] * 6, result=i64)
    callee = function(i64)
    callee.ret(callee.params[0])
    d = f.reg(i64)
    f.call(d, callee, f.params[0])
    for each in f.params:
        f.i64_add(d, d, each)
    f.ret(d)
    found = [each for each in shown(f, target) if each.startswith("slot_")]
    assert found and all(re.fullmatch(r"slot_[abcd]=\+\d+", each) for each in found)
    assert {named(each) % 8 for each in found} == {0}
    assert {named(each) for each in found} <= {8 * n for n in range(8)}


@each_target
def test_jumps_and_exits_lead_to_rows(target: str) -> None:
    for program in sorted(PROGRAMS.glob("*.cnp")):
        for f in parse(program.read_text(), program.name).values():
            made = f.compile(target=target, trace=True)
            found = listing.rows(made, decode=False)
            starts = {f"{row.offset:04x}" for row in found}
            for row in found:
                for hole in row.holes:
                    name, _, value = hole.partition("=")
                    if name in ("target", "exit", "table"):
                        assert value in starts, (program.name, row)
                    if name == "callee":
                        assert re.fullmatch(r"[a-z_]\w*", value), (program.name, row)
                    if name == "library" and not value.startswith("constant"):
                        assert value.startswith("cnp_"), (program.name, row)
            assert sum("library=cnp_trap" in row.holes for row in found) <= 1


def sizes_of(library: Library, index: int) -> list[int]:
    """Of a stencil, and of its short form."""
    stencil = library.stencil(index)
    return [stencil.size, *([library.stencil(stencil.short_form).size] if stencil.short_form else [])]


@each_target
def test_branches_near_and_far_are_traced(target: str) -> None:
    """A branch that does not reach is longer, on some machines by an instruction."""
    f = function(i64, i64)
    a, b = f.params
    head, near, end = f.label(), f.label(), f.label()
    f.place(head)
    f.branch_i64_gt_s(a, b, end)
    f.branch_i64_eq(a, 5, near)
    for _ in range(270_000):  # beyond what the short form reaches on any machine
        f.i64_add(a, a, b)
    close = len(f.ops)
    f.branch_i64_eq(a, 6, near)
    f.i64_add(a, a, b)
    f.place(near)
    f.branch_i64_lt_u(a, b, head)
    f.place(end)
    f.ret(a)
    made, library = f.compile(target=target, trace=True), Library.open(library_path(target))
    part = listing.part_of(made)
    assert len(made.code) == len(f.compile(target=target).code)
    sizes = {index: sizes_of(library, index) for index in {index for _, index, _ in part.traces}}
    is_short: dict[int, bool] = {}
    ends = [offset for _, _, offset in part.traces[1:]] + [part.code_end]
    for (op, index, offset), after in zip(part.traces, ends):
        assert after - offset in sizes[index], library.placement_name(index)
        is_short.setdefault(op, after - offset != sizes[index][0])
    assert not is_short[1] and not is_short[2] and is_short[close]


@each_target
def test_calls_and_traps_are_named(target: str) -> None:
    module = parse((PROGRAMS / "mutual_recursion.cnp").read_text(), "mutual_recursion.cnp")
    assert "callee=odd" in shown(module["even"], target) and "callee=even" in shown(module["odd"], target)
    traps = parse((PROGRAMS / "traps.cnp").read_text(), "traps.cnp")
    found = shown(traps["divide"], target)
    assert {"trap_place=integer_divide_by_zero", "trap_place=integer_overflow", "library=cnp_trap"} <= set(found)


def number_of(found: Iterable[str], name: str) -> int:
    (value,) = (named(each) for each in found if each.startswith(name + "="))
    return value


@each_target
def test_frames_are_shown(target: str) -> None:
    module = parse((PROGRAMS / "deep_recursion.cnp").read_text(), "deep_recursion.cnp")
    for f in module.values():
        made = f.compile(target=target, trace=True)
        for row in listing.rows(made, decode=False):
            if row.stencil in ("call_small_frame", "call_large_frame"):
                assert (
                    number_of(row.holes, "frame_size") == -number_of(row.holes, "minus_frame_size") == made.frame_size
                )


@each_target
def test_what_is_behind_the_code_is_listed(target: str) -> None:
    module = parse((PROGRAMS / "branch_table.cnp").read_text(), "branch_table.cnp")
    made = module["name"].compile(target=target, trace=True)
    (table,) = [each for each in shown(module["name"], target) if each.startswith("table=")]
    last = listing.rows(made, decode=False)[-1]
    assert last.stencil == "jump table" and f"table={last.offset:04x}" == table
    assert last.offset + 4 * 4 == len(made.code)


# ---- what the libraries have

_CONSTANT_SHIFT = {
    "i32_div_u_magic",
    "i32_rem_u_magic",
    "i32_div_s_magic_two",
    "i64_div_s_magic_two",
}  # have none to patch


@each_target
def test_every_immediate_has_its_hole(target: str) -> None:
    """A stencil without one would compute with the number that it was compiled with."""
    with Library.open(library_path(target)) as library:
        known = {name: low < high or pattern > 0 for name, low, high, _, pattern in library.classes}
        holes: dict[int, set[str]] = {}
        checked = 0
        for op in library.ops:
            offset = {Shape.LOAD: "b", Shape.STORE: "c"}.get(Shape(op.shape))
            for form in Form:
                for index in range(form_size(library, op, form)) if op.forms >> form & 1 else ():
                    stencil = library.placements[op.bases[form] + index]
                    if not stencil:
                        continue
                    if stencil not in holes:
                        holes[stencil] = {each.value.name for each in library.stencil(stencil).holes}
                    name = placement_name(library, op, form, index)
                    for letter, where in re.findall(r" ([abc])=(\w+)", name):
                        if known.get(where) and not (letter == "b" and op.method in _CONSTANT_SHIFT):
                            wanted = "OFFSET" if letter == offset else f"IMMEDIATE_{letter.upper()}"
                            assert wanted in holes[stencil], name
                            checked += 1
        assert checked > 1000
