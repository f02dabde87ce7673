"""Entries of packed functions, which the core makes: the same as those of tuples, op for op and exit for exit."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from guest_machines import REGISTER_GUEST, STACK_GUEST, Guest, guarded, runs
from packing import pack
from random_programs import Generator

from cnp import DataCell, Function, Label, UserError, VerifyError, i64
from cnp.backends import native
from cnp.bytecode.function import GuestFunction
from cnp.ir.optable import Code
from cnp.ir.packed import Packed, label_of, register_of
from cnp.ir.text import print_function
from cnp.runtime.scratch import SIZE


def _packed(function: Function) -> GuestFunction:
    """Each op is at the offset of its own number."""
    made = GuestFunction(function.name, function.parameter_types, function.result)
    made._types[:] = function._types
    made._label_count = function._label_count
    made._callees += function.callees
    made._packed = pack(function)
    made._offsets = struct.pack(f"={len(function.ops)}I", *range(len(function.ops)))
    return made


def _labels(function: Function) -> list[Label]:
    return [op[1] for op in function.ops if op[0] == Code.PLACE]


def test_random_programs() -> None:
    """Of every op there is: from each label of them the same function, and each op of it is where it was."""
    entries = 0
    for seed in range(12):
        for function in Generator(seed).program().functions:
            new, old = _packed(function), _with_tuples(_packed(function))
            for label in _labels(old):
                index, registers = label.code & 0xFFFFFFFF, range(0, len(old._types), 3)
                found, wanted = (
                    each.entered_at(label_of(each, index), [register_of(each, k) for k in registers])
                    for each in (new, old)
                )
                _compare(found, wanted)
                entries += 1
    assert entries > 30


def _with_tuples(function: GuestFunction) -> GuestFunction:
    """The same one, which is no longer packed."""
    assert function._emit is not None and function._packed is None
    return function


def _compare(found: Any, wanted: Any) -> None:
    assert found._packed is not None and wanted._packed is None
    assert _exits(found) == _exits(wanted)
    assert print_function(found) == print_function(wanted)
    assert found._offsets == wanted._offsets


@pytest.mark.parametrize("guest", [REGISTER_GUEST, STACK_GUEST], ids=["registers", "stack"])
def test_guests_with_exits(guest: Guest) -> None:
    """Labels by offset, and exits, also those of an entry of an entry, are the same as of one that has tuples."""
    table, compared = guarded(guest, DataCell()).table, 0
    for seed, code, *_ in runs(guest):
        if seed % 5:
            continue
        new, old = (table.function("f", [i64, i64], i64, code, handler=_left) for _ in range(2))
        _with_tuples(old)
        for offset in old._labels():
            pair = [_twice(each, offset) for each in (new, old)]
            for found, wanted in zip(*pair):
                _compare(found, wanted)
                compared += 1
            found, wanted = (each[0].compile() for each in pair)
            assert [_without_register(each) for each in found.exits] == [
                _without_register(each) for each in wanted.exits
            ]
        with pytest.raises(UserError, match="no jump leads to offset 4294967295;"):
            new.label_at(0xFFFFFFFF)
    assert compared > 20


def _twice(function: GuestFunction, offset: int) -> list[Any]:
    """Its entry at an offset, and an entry of that."""
    live = [register_of(function, each) for each in range(len(function._types))]
    entry: Any = function.entered_at(function.label_at(offset), live)
    live = [register_of(entry, each) for each in range(len(entry._types))]
    return [entry, entry.entered_at(entry.label_at(offset), live[1:])]


def _exits(function: GuestFunction) -> list[Any]:
    return [
        (label, each.point, [value.code & 0xFFFFFFFF for value in each.values])
        for label, each in function.exits.items()
    ]


def _without_register(exit: Any) -> Any:
    point, position, places = exit
    return point, position, [(value.code & 0xFFFFFFFF, type, place) for value, type, place in places]


def _left(point: int, _: tuple[Any, ...]) -> int:
    return point


def test_one_that_wants_more_scratch_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Than there is to begin with: no memory has grown before."""
    core = native.core()
    monkeypatch.setattr(core, "_free_scratch", [])
    f = Function("f", [i64], i64)
    top = f.label()
    f.place(top)
    for number in range(SIZE // 16):
        f.i64_xor(f.params[0], f.params[0], number)
    f.ret(f.params[0])
    found, wanted = (
        each.entered_at(label_of(each, 0), [register_of(each, 0)]) for each in (_packed(f), _with_tuples(_packed(f)))
    )
    assert [each.size > SIZE for each in core._free_scratch] == [True]
    _compare(found, wanted)


def test_words_that_make_no_ops() -> None:
    """Labels, operands and ops that are not there are an error of the entry, or it has no such label."""
    f = Function("f", [i64], i64)
    top = f.label()
    f.place(top)
    f.branch_i64_nez(f.params[0], top)
    f.ret(f.params[0])
    whole = pack(f).words
    for at in range(0, len(whole), 4):
        for word in (0, 1, 0x7FFFFFFE, 0x80000000, 0xFFFFFFFF, 0xFFFF0000, 0x0000FF00, 0x0003FF04):
            damaged = _packed(f)
            damaged._packed = Packed(whole[:at] + struct.pack("=I", word) + whole[at + 4 :], b"")
            try:
                entry = damaged.entered_at(label_of(damaged, 0), damaged.params)
                entry.compile()
            except UserError:
                pass
            if at == 0 or (at == 4 and word):
                with pytest.raises(UserError, match="cannot be entered at"):
                    damaged.entered_at(label_of(damaged, 0), damaged.params)


@pytest.mark.parametrize("operand", [[], {}, "1"])
def test_what_is_no_operand_is_told_when_the_entry_is_compiled(operand: Any) -> None:
    f = Function("f", [i64], i64)
    top = f.label("top")
    f.place(operand)
    f.place(top)
    f.i64_add(f.params[0], f.params[0], operand)
    f.jump(top)
    entry = f.entered_at(top, f.params)
    with pytest.raises(VerifyError, match=r"function 'f at top', op 2 \(i64.add\), operand b"):
        entry.compile()
    with pytest.raises(UserError, match="function 'f' cannot be entered at"):
        f.entered_at(operand, f.params)
