"""Every op in every placement does what the reference semantics say, and nothing else."""

from __future__ import annotations

import functools
import itertools
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import test_frames
from expectations import same
from machines import Machine, Shared, Used
from sample_functions import FAR
from trials import (
    EDGES,
    BranchTrial,
    StoreTrial,
    TableTrial,
    Trial,
    Value,
    arrangements,
    shared_values_agree,
)

from cnp.errors import TrapKind
from cnp.ir import Function, Register
from cnp.ir.optable import comparison_of, default_ops
from cnp.ir.semantics import SEMANTICS, TrapSignal, load, store
from cnp.stencil.layout import SectionName
from cnp.stencil.model import OpFlag, Shape
from cnp.types import NO_TYPE, Type

ROWS = default_ops().by_name
KEEPS_NAN = ("neg", "abs", "copysign", "reinterpret", "load", "move", "select", "const")
DIVISIONS = [f"i{bits}.{op}_{sign}" for bits in (32, 64) for op in ("div", "rem") for sign in "su"]
DIVISORS = [2, 3, 5, 6, 7, 9, 10, 11, 12, 25, 60, 100, 125, 625, 641, 1000, 65535, 65537, 10**9, 0x7FFFFFFF, 0x7FFFFFFD]
MORE_DIVISORS = [*range(1, 70), *DIVISORS, *(1 << n for n in range(7, 31)), *(0x55555555, 0x3FFFFFFF, 0x40000001)]
OFFSETS = [0, 8, 127, -127, 128, -128, 0x12345678, 0x7FFFFFFF, -0x7FFFFFFF]

SAMPLES: dict[Type, tuple[Value, Value]] = {
    Type.i32: (-5, 7),
    Type.i64: (2**40, -(2**50)),
    Type.f32: (0.5, -2.5),
    Type.f64: (0.1, -0.2),
}

REPLACED = {f"i{bits}_{op}" for bits in (32, 64) for op in ("sub", "rotr")}
"""Ops whose stencils with an immediate nothing chooses: the core turns `a - 5` into `a + -5`."""


def shape(name: str) -> Shape:
    return Shape(ROWS[name].shape)


def of_shape(wanted: Shape) -> list[str]:
    return [name for name in ROWS if shape(name) == wanted]


def types_of(name: str) -> tuple[Type | None, list[Type]]:
    row = ROWS[name]
    return None if row.result_type == NO_TYPE else Type(row.result_type), [Type(each) for each in row.operand_types]


def tuples_of(machine: Machine, sources: Sequence[Type]) -> list[tuple[Value, ...]]:
    """Tuples in which every edge value of every type stands at every position."""
    edges = [EDGES[each] + machine.class_edges(each) for each in sources]
    n = max(map(len, edges))
    steps = (1, 5, 11)
    return [tuple(each[(i * step + step // 2) % len(each)] for each, step in zip(edges, steps)) for i in range(n)]


def trap_of(meaning: Callable[..., Value], values: Sequence[Value]) -> TrapKind | None:
    try:
        meaning(*values)
    except TrapSignal as signal:
        return signal.kind
    return None


def trials(
    machine: Machine,
    kind: type[Trial],
    name: str,
    emit: Any,
    result: Type | None,
    sources: Sequence[Type],
    meaning: Callable[..., Value],
    tuples: Sequence[tuple[Value, ...]],
    constants: Sequence[tuple[bool, ...]] | None = None,
    traps: TrapKind | None = None,
    spare: int = 0,
) -> Iterator[Trial]:
    """Of one op: every choice of constants, every arrangement of the rest."""
    exact = any(each in name for each in KEEPS_NAN)
    used: Used = Counter()
    for constant in constants or list(itertools.product((False, True), repeat=len(sources))):
        for places in arrangements(result, sources, constant):
            values = list(dict.fromkeys(shared_values_agree(places, each, sources) for each in tuples))
            values = [each for each in values if trap_of(meaning, each) == traps]
            for some in [values[:1]] if traps else [values]:
                if some:
                    yield kind(
                        machine, name, emit, result, sources, places, constant, some, meaning, exact, spare, used
                    )  # fmt: skip


def run(all_trials: Iterator[Trial]) -> int:
    count = sum(each.run() for each in all_trials)
    assert count
    return count


def emit_method(method: str) -> Any:
    def emit(f: Function, d: Any, operands: list[Any]) -> None:
        getattr(f, method)(d, *operands)

    return emit


@pytest.mark.parametrize("name", of_shape(Shape.VALUE))
def test_value_op(machine: Machine, name: str) -> None:
    result, sources = types_of(name)
    emit, tuples = emit_method(ROWS[name].method), tuples_of(machine, sources)
    run(trials(machine, Trial, name, emit, result, sources, SEMANTICS[name], tuples))


def _kinds(name: str) -> list[TrapKind]:
    """How an op may trap."""
    found = {trap_of(SEMANTICS[name], each) for each in itertools.product(*[EDGES[t] for t in types_of(name)[1]])}
    return [kind for kind in TrapKind if kind in found]


TRAPPING = [(name, kind) for name in of_shape(Shape.VALUE) for kind in _kinds(name)]


@pytest.mark.parametrize(("name", "kind"), TRAPPING, ids=lambda each: each if isinstance(each, str) else each.name)
def test_traps(machine: Machine, name: str, kind: TrapKind) -> None:
    result, sources = types_of(name)
    tuples = [
        each for each in itertools.product(*[EDGES[t] for t in sources]) if trap_of(SEMANTICS[name], each) == kind
    ]
    tuples += [(-1, -1), (0, 0)] if len(sources) == 2 else []  # for places that operands share
    emit = emit_method(ROWS[name].method)
    all_trials = trials(machine, Trial, name, emit, result, sources, SEMANTICS[name], tuples, traps=kind)
    count = 0
    for trial in all_trials:
        count += trial.run_traps(kind)
    assert count


@pytest.mark.parametrize("spare", [0, 2])
@pytest.mark.parametrize("name", DIVISIONS)
def test_division_by_a_constant(machine: Machine, name: str, spare: int) -> None:
    """With every register in use, and with the scratch registers free, which the stencils then take."""
    result, sources = types_of(name)
    edges = EDGES[sources[0]]
    tuples = [(edges[(7 * i + k) % len(edges)], d) for i, d in enumerate(DIVISORS) for k in range(2)]
    emit = emit_method(ROWS[name].method)
    run(trials(machine, Trial, name, emit, result, sources, SEMANTICS[name], tuples, [(False, True)], spare=spare))


@pytest.mark.parametrize("name", of_shape(Shape.LOAD))
def test_load(machine: Machine, name: str) -> None:
    result, _ = types_of(name)
    data = machine.array(80)
    data[:] = np.frombuffer(b"\x00" * 8 + bytes([0x81, 0x92, 0xA3, 0x34, 0x45, 0xD6, 0x67, 0xF0, 0x7B] * 8), np.uint8)
    start = data.ctypes.data + 8
    for offset in dict.fromkeys([*OFFSETS, *machine.class_edges(Type.i64, 2**31)]):

        def meaning(base: Any, offset: int = offset) -> Value:
            return load(name, (base + offset) % 2**64)

        def emit(f: Function, d: Any, operands: list[Any], offset: int = offset) -> None:
            getattr(f, ROWS[name].method)(d, *operands, offset)

        tuples = [((start + each - offset + 2**63) % 2**64 - 2**63,) for each in (0, 1, 5, 16)]
        run(trials(machine, Trial, name, emit, result, [Type.i64], meaning, tuples))


@pytest.mark.parametrize("name", of_shape(Shape.STORE))
def test_store(machine: Machine, name: str) -> None:
    _, (type, *_) = types_of(name)
    for offset in dict.fromkeys([*OFFSETS, *machine.class_edges(Type.i64, 2**31)]):

        def emit(f: Function, d: Any, operands: list[Any], offset: int = offset) -> None:
            getattr(f, ROWS[name].method)(*operands, offset)

        def meaning(value: Value, base: int, offset: int = offset) -> int:
            store(name, (base + offset) % 2**64, value)
            return 0

        bases = [(machine.scratch_address + each - offset + 2**63) % 2**64 - 2**63 for each in (0, 1, -5, 3)]
        values = EDGES[type][offset % 3 :: 3]
        tuples = [(value, bases[n % 4]) for n, value in enumerate(values)]
        run(trials(machine, StoreTrial, name, emit, None, [type, Type.i64], meaning, tuples))


@pytest.mark.parametrize("name", of_shape(Shape.BRANCH))
def test_branch(machine: Machine, name: str) -> None:
    _, sources = types_of(name)
    holds = SEMANTICS[comparison_of(ROWS[name])]

    def emit(f: Function, d: Any, operands: list[Any]) -> None:
        *values, (label,) = operands
        getattr(f, ROWS[name].method)(*values, label)

    tuples = tuples_of(machine, sources)
    tuples += [each for each in itertools.product(*[EDGES[t][::5] for t in sources]) if each not in tuples]
    run(trials(machine, BranchTrial, name, emit, None, sources, lambda *v: 0 if holds(*v) else 1, tuples))


def test_branch_table(machine: Machine) -> None:
    def emit(f: Function, d: Any, operands: list[Any]) -> None:
        index, labels = operands
        f.branch_table(index, labels[:3], labels[3])

    tuples = [(each,) for each in dict.fromkeys([0, 1, 2, 3, 4, *EDGES[Type.i32]])]
    run(trials(machine, TableTrial, "branch_table", emit, None, [Type.i32], lambda i: i if 0 <= i < 3 else 3, tuples))


@pytest.mark.parametrize("type", list(Type), ids=str)
def test_move(machine: Machine, type: Type) -> None:
    tuples = [(each,) for each in EDGES[type]]
    run(trials(machine, Trial, "move", lambda f, d, o: f.move(d, *o), type, [type], lambda a: a, tuples))


@pytest.mark.parametrize("type", list(Type), ids=str)
def test_const(machine: Machine, type: Type) -> None:
    tuples = [(each,) for each in EDGES[type]]
    emit = emit_method(f"{type}_const")
    run(trials(machine, Trial, "const", emit, type, [type], lambda a: a, tuples, [(True,)]))


@pytest.mark.parametrize("constants", list(itertools.product((False, True), repeat=3)), ids=str)
@pytest.mark.parametrize("type", list(Type), ids=str)
def test_select(machine: Machine, type: Type, constants: tuple[bool, ...]) -> None:
    sources = [type, type, Type.i32]
    tuples = tuples_of(machine, sources)
    tuples = [*tuples[::3], *((a, b, 0) for a, b, _ in tuples[::4])]
    emit = emit_method("select")
    run(trials(machine, Trial, "select", emit, type, sources, lambda a, b, c: a if c else b, tuples, [constants]))


@pytest.mark.parametrize("places", list(itertools.product(("constant", "frame", "register"), repeat=2)), ids=str)
@pytest.mark.parametrize("type", list(Type), ids=str)
def test_the_result_of_a_select_in_its_conditions_slot(machine: Machine, type: Type, places: tuple[str, str]) -> None:
    """Slots, unlike registers, are shared by both register files: a condition that is not needed any more makes room
    for the result."""
    values = SAMPLES[type]
    for given, expected in ((1, values[0]), (0, values[1])):
        f = Function("choose", [Type.i32], type)
        condition = f.reg(Type.i32)
        sources = [value if place == "constant" else f.reg(type) for value, place in zip(values, places)]
        d = f.reg(type)
        for source, value in zip(sources, values):
            if isinstance(source, Register):
                f.move(source, value)
        f.move(condition, f.params[0])
        f.select(d, sources[0], sources[1], condition)
        for source in sources:  # they live on, so that their slots are not free
            f.select(d, d, source, 1)
        f.ret(d)
        pins = [255, 255, *(n if place == "register" else 255 for n, place in enumerate(places) if place != "constant")]
        compiled = machine.compile(f, pins=bytes(pins), trace=True)
        slots = [each[3] for each in machine.part(compiled).intervals]
        assert slots[1] == slots[-1] >= 0
        assert same(compiled(given), expected)


def test_safepoint(machine: Machine) -> None:
    """A loop of more rounds than lie between two polls, all of whose registers a poll must keep."""
    others, floats_of_all = (range(each) for each in machine.registers)
    f = Function("rounds", [Type.i64], Type.i64)
    n, total = f.params[0], f.reg(Type.i64)
    values = [f.reg(Type.i64) for _ in others]
    floats = [f.reg(Type.f64) for _ in floats_of_all]
    again = f.label()
    for number, each in enumerate([total, *values]):
        f.i64_mul(each, n, number)
    for number, each in enumerate(floats):
        f.f64_const(each, number + 0.5)
    f.place(again)
    f.i64_add(total, total, n)
    f.safepoint()
    f.i64_sub(n, n, 1)
    f.branch_i64_nez(n, again)
    for each in floats:
        f.i64_reinterpret_f64(n, each)
        values.append(f.reg(Type.i64))
        f.move(values[-1], n)
    for each in values:
        f.i64_mul(total, total, 31)
        f.i64_add(total, total, each)
    f.ret(total)
    pins = bytes([255, 255, *others, *floats_of_all, *[255] * len(floats)])
    for rounds in (1, 2, 8191, 8192, 8193, 20_000):
        result = rounds * (rounds + 1) // 2
        for number in range(len(others)):
            result = result * 31 + rounds * (number + 1)
        for number in floats_of_all:
            result = result * 31 + int.from_bytes(struct.pack("<d", number + 0.5), "little")
        expected = (result + 2**63) % 2**64 - 2**63
        for safepoints in (True, False):
            assert machine.compile(f, pins=pins, safepoints=safepoints)(rounds) == expected


@pytest.mark.parametrize("type", list(Type), ids=str)
def test_return(machine: Machine, type: Type) -> None:
    """A result comes from every place to where the caller looks for it."""
    given, constant = Function("give", [type], type), [Function("give", [], type) for _ in EDGES[type]]
    given.ret(given.params[0])
    for pin in range(-1, machine.registers[type.is_float]):
        compiled = machine.compile(given, pins=bytes([pin % 256]))
        for value in machine.some(EDGES[type], 8):
            assert same(compiled(value), value)
    for f, value in zip(constant, EDGES[type]):
        f.ret(value)
        assert same(machine.compile(f)(), value)


def test_the_trials_notice_what_is_wrong(machine: Machine) -> None:
    def wrong(f: Function, d: Any, operands: list[Any]) -> None:
        f.i32_sub(d, operands[0], operands[1])
        f.i32_add(d, d, 1)

    def clobbers(f: Function, d: Any, operands: list[Any]) -> None:
        f.i32_sub(d, operands[0], operands[1])
        f.i32_const(operands[0], 5)

    types, meaning = [Type.i32, Type.i32], SEMANTICS["i32.sub"]
    for emit in (wrong, clobbers):
        some = trials(
            machine, Trial, "i32.sub", emit, Type.i32, types, meaning, tuples_of(machine, types), [(False, False)]
        )
        with pytest.raises(AssertionError, match=r"of \d+; i32\.sub .*cell 0 of"):
            next(some).run()


@pytest.mark.parametrize(
    "name", ["i64.clz", "i64.add", "i32.eq", "f64.sqrt", "f32.sub", "f64.lt", "i64.trunc_sat_f64_s"]
)
def test_every_register_stands_in_every_place(machine: Machine, name: str) -> None:
    result, sources = types_of(name)
    emit, some = emit_method(ROWS[name].method), tuples_of(machine, sources)[1:2]
    seen: dict[int, set[int]] = {}
    for trial in trials(machine, Trial, name, emit, result, sources, SEMANTICS[name], some):
        for places in trial.registers():
            for operand, register in places.items():
                seen.setdefault(operand, set()).add(register)
    types = dict(enumerate([result, *sources]))
    assert {each: len(found) for each, found in seen.items()} == {
        each: machine.registers[type is not None and type.is_float] for each, type in types.items()
    }


def test_every_stencil_of_a_public_op_takes_part(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    if machine.is_native and os.environ.get("CNP_LONG") != "1":
        pytest.skip("takes a minute: CNP_LONG=1")
    seen: set[int] = set()

    def see(f: Function, **options: Any) -> None:
        seen.update(stencil for _, stencil in machine.stencils(f, **options))

    def trace(self: Trial, *_: object) -> int:
        for pins in self.pins():
            see(self.function, pins=pins)
        return 1

    def compile(f: Function, **options: Any) -> Any:
        see(f, **options)
        return was(f, **options)

    monkeypatch.setattr(Trial, "run", trace)
    if not machine.is_native:
        monkeypatch.setattr(machine, "choices", functools.partial(both_orders, machine))
    for name in of_shape(Shape.VALUE):
        test_value_op(machine, name)
    for name in DIVISIONS:
        test_division_by_a_constant(machine, name, 0)
        test_division_by_a_constant(machine, name, 2)
    for name in of_shape(Shape.LOAD):
        test_load(machine, name)
    for name in of_shape(Shape.STORE):
        test_store(machine, name)
    for name in of_shape(Shape.BRANCH):
        test_branch(machine, name)
    test_branch_table(machine)
    was = machine.compile
    monkeypatch.setattr(machine, "compile", compile)
    test_safepoint(machine)
    for type in Type:
        test_move(machine, type)
        for constants in itertools.product((False, True), repeat=3):
            test_select(machine, type, constants)
    for type in Type:
        test_frames.test_many_values(machine, FAR, [type])
        test_frames.test_moves_to_and_from_slots_out_of_reach(machine, type)
    missing = {method: names for method, names in unused(machine, seen).items() if method not in REPLACED}
    assert not missing, "\n".join(f"{len(names)} of {method}: {names}" for method, names in missing.items())


def both_orders(machine: Machine, places: Sequence[Shared], *_: object) -> Iterator[tuple[int, ...]]:
    """Registers of each combination of groups, the lowest first and the highest first: the core exchanges operands."""
    groups = [machine.target.register_groups(Type.f64 if is_float else Type.i64) for is_float, _ in places]
    for combination in itertools.product(*groups):
        for registers in (combination, [each[::-1] for each in combination]):
            chosen: list[int] = []
            for each, (is_float, _) in zip(registers, places):
                taken = {one for one, (kind, _) in zip(chosen, places) if kind == is_float}
                chosen.append(next(one for one in each if one not in taken))
            yield tuple(chosen)


def unused(machine: Machine, seen: set[int]) -> dict[str, list[str]]:
    """Names of the stencils of public ops that have not been seen although something might choose them, by method."""
    library = machine.library
    placements = np.frombuffer(bytes(library.section(SectionName.PLACEMENTS)), np.uint32)
    forms = [(each, form) for each in library.ops for form in range(len(each.bases)) if each.forms >> form & 1]
    starts = sorted((each.bases[form], each.method) for each, form in forms)
    found: dict[str, list[str]] = {}
    for (start, method), (end, _) in itertools.pairwise([*starts, (len(placements), "")]):
        stencils = sorted(set(placements[start:end].tolist()) - seen - {0})
        names = [library.placement_name(each) for each in stencils]
        if not machine.is_native:
            names = [each for each in names if not is_never_chosen(machine, method, each)]
        if names:
            found[method] = names
    return found


def is_never_chosen(machine: Machine, method: str, name: str) -> bool:
    """A library whose stencils are for all registers has room for some placements that the core has no use for."""
    row = machine.library.op_by_method[method]
    last = name.split("=")[-1]
    exchanged = row.flags & OpFlag.COMMUTATIVE and " a=slot b=" in name and last in ("r", "f", "d")
    of_words = row.shape == Shape.VALUE and Type.i32 in row.operand_types and Type.i64 not in row.operand_types
    too_wide = of_words and last == "I64"  # narrower classes take every word
    return bool(exchanged or too_wide)
