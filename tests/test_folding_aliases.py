"""What is folded where others are in the same place, or need the value, too."""

from __future__ import annotations

import pytest
from agreement import check_calls, emitted
from folding_programs import LOADS, ROWS, STORES, Access, from_lines, value_type
from machines import Machine

from cnp.ir import Function
from cnp.types import Type

i32, i64, f32, f64 = Type

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
