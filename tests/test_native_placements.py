"""Every op in every placement does what the reference semantics say, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from native_support import (
    EDGES,
    MEMORY,
    BranchTrial,
    StoreTrial,
    TableTrial,
    Trial,
    Value,
    arrangements,
    shared_values_agree,
)

from cnp.errors import TrapKind
from cnp.ir import Function
from cnp.ir.optable import comparison_of, default_ops
from cnp.ir.semantics import SEMANTICS, TrapSignal, load, store
from cnp.stencil.model import Shape
from cnp.types import NO_TYPE, Type

ROWS = default_ops().by_name
KEEPS_NAN = ("neg", "abs", "copysign", "reinterpret", "load", "move", "select", "const")
DIVISIONS = [f"i{bits}.{op}_{sign}" for bits in (32, 64) for op in ("div", "rem") for sign in "su"]
DIVISORS = [3, 5, 6, 7, 9, 10, 11, 12, 25, 60, 100, 125, 625, 641, 1000, 65535, 65537, 10**9, 0x7FFFFFFF, 0x7FFFFFFD]
MORE_DIVISORS = [*range(1, 70), *DIVISORS, *(1 << n for n in range(7, 31)), *(0x55555555, 0x3FFFFFFF, 0x40000001)]
OFFSETS = [0, 8, 127, -127, 128, -128, 0x12345678, 0x7FFFFFFF, -0x7FFFFFFF]


def shape(name: str) -> Shape:
    return Shape(ROWS[name].shape)


def of_shape(wanted: Shape) -> list[str]:
    return [name for name in ROWS if shape(name) == wanted]


def types_of(name: str) -> tuple[Type | None, list[Type]]:
    row = ROWS[name]
    return None if row.result_type == NO_TYPE else Type(row.result_type), [Type(each) for each in row.operand_types]


def tuples_of(sources: Sequence[Type]) -> list[tuple[Value, ...]]:
    """Tuples in which every edge value of every type stands at every position."""
    edges = [EDGES[each] for each in sources]
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
    kind: type[Trial],
    name: str,
    emit: Any,
    result: Type | None,
    sources: Sequence[Type],
    meaning: Callable[..., Value],
    tuples: Sequence[tuple[Value, ...]],
    constants: Sequence[Sequence[bool]] | None = None,
    traps: TrapKind | None = None,
) -> Iterator[Trial]:
    """Of one op: every choice of constants, every arrangement of the rest."""
    exact = any(each in name for each in KEEPS_NAN)
    for constant in constants or list(itertools.product((False, True), repeat=len(sources))):
        for places in arrangements(result, sources, constant):
            values = list(dict.fromkeys(shared_values_agree(places, each, sources) for each in tuples))
            values = [each for each in values if trap_of(meaning, each) == traps]
            for some in [values[:1]] if traps else [values]:
                if some:
                    yield kind(name, emit, result, sources, places, constant, some, meaning, exact)


def run(all_trials: Iterator[Trial]) -> int:
    count = sum(each.run() for each in all_trials)
    assert count
    return count


def emit_method(method: str) -> Any:
    def emit(f: Function, d: Any, operands: list[Any]) -> None:
        getattr(f, method)(d, *operands)

    return emit


@pytest.mark.parametrize("name", of_shape(Shape.VALUE))
def test_value_op(name: str) -> None:
    result, sources = types_of(name)
    run(trials(Trial, name, emit_method(ROWS[name].method), result, sources, SEMANTICS[name], tuples_of(sources)))


TRAPPING = [
    (name, kind)
    for name in of_shape(Shape.VALUE)
    for kind in TrapKind
    if any(trap_of(SEMANTICS[name], each) == kind for each in itertools.product(*[EDGES[t] for t in types_of(name)[1]]))
]


@pytest.mark.parametrize(("name", "kind"), TRAPPING, ids=lambda each: each if isinstance(each, str) else each.name)
def test_traps(name: str, kind: TrapKind) -> None:
    result, sources = types_of(name)
    tuples = [
        each for each in itertools.product(*[EDGES[t] for t in sources]) if trap_of(SEMANTICS[name], each) == kind
    ]
    tuples += [(-1, -1), (0, 0)] if len(sources) == 2 else []  # for places that operands share
    emit = emit_method(ROWS[name].method)
    all_trials = trials(Trial, name, emit, result, sources, SEMANTICS[name], tuples, traps=kind)
    count = 0
    for trial in all_trials:
        count += trial.run_traps(kind)
    assert count


@pytest.mark.parametrize("name", DIVISIONS)
def test_division_by_a_constant(name: str) -> None:
    result, sources = types_of(name)
    edges = EDGES[sources[0]]
    tuples = [(edges[(7 * i + k) % len(edges)], d) for i, d in enumerate(DIVISORS) for k in range(2)]
    emit = emit_method(ROWS[name].method)
    run(trials(Trial, name, emit, result, sources, SEMANTICS[name], tuples, [(False, True)]))


@pytest.mark.parametrize("name", of_shape(Shape.LOAD))
def test_load(name: str) -> None:
    result, _ = types_of(name)
    data = np.frombuffer(b"\x00" * 8 + bytes([0x81, 0x92, 0xA3, 0x34, 0x45, 0xD6, 0x67, 0xF0, 0x7B] * 8), np.uint8)
    start = data.ctypes.data + 8
    for offset in OFFSETS:

        def emit(f: Function, d: Any, operands: list[Any], offset: int = offset) -> None:
            getattr(f, ROWS[name].method)(d, *operands, offset)

        tuples = [((start + each - offset + 2**63) % 2**64 - 2**63,) for each in (0, 1, 5, 16)]
        run(
            trials(
                Trial, name, emit, result, [Type.i64], lambda base, o=offset: load(name, (base + o) % 2**64), tuples
            )
        )


@pytest.mark.parametrize("name", of_shape(Shape.STORE))
def test_store(name: str) -> None:
    _, (type, *_) = types_of(name)
    for offset in OFFSETS:

        def emit(f: Function, d: Any, operands: list[Any], offset: int = offset) -> None:
            getattr(f, ROWS[name].method)(*operands, offset)

        def meaning(value: Value, base: int, offset: int = offset) -> int:
            store(name, (base + offset) % 2**64, value)
            return 0

        bases = [(MEMORY + each - offset + 2**63) % 2**64 - 2**63 for each in (0, 1, -5, 3)]
        values = EDGES[type][offset % 3 :: 3]
        tuples = [(value, bases[n % 4]) for n, value in enumerate(values)]
        run(trials(StoreTrial, name, emit, None, [type, Type.i64], meaning, tuples))


@pytest.mark.parametrize("name", of_shape(Shape.BRANCH))
def test_branch(name: str) -> None:
    _, sources = types_of(name)
    holds = SEMANTICS[comparison_of(ROWS[name])]

    def emit(f: Function, d: Any, operands: list[Any]) -> None:
        *values, (label,) = operands
        getattr(f, ROWS[name].method)(*values, label)

    run(trials(BranchTrial, name, emit, None, sources, lambda *v: 0 if holds(*v) else 1, tuples_of(sources)))


def test_branch_table() -> None:
    def emit(f: Function, d: Any, operands: list[Any]) -> None:
        index, labels = operands
        f.branch_table(index, labels[:3], labels[3])

    tuples = [(each,) for each in dict.fromkeys([0, 1, 2, 3, 4, *EDGES[Type.i32]])]
    run(trials(TableTrial, "branch_table", emit, None, [Type.i32], lambda i: i if 0 <= i < 3 else 3, tuples))


@pytest.mark.parametrize("type", list(Type), ids=str)
def test_move(type: Type) -> None:
    tuples = [(each,) for each in EDGES[type]]
    run(trials(Trial, "move", lambda f, d, o: f.move(d, *o), type, [type], lambda a: a, tuples))


@pytest.mark.parametrize("type", list(Type), ids=str)
def test_const(type: Type) -> None:
    tuples = [(each,) for each in EDGES[type]]
    emit = emit_method(f"{type}_const")
    run(trials(Trial, "const", emit, type, [type], lambda a: a, tuples, [(True,)]))


@pytest.mark.parametrize("constants", list(itertools.product((False, True), repeat=3)), ids=str)
@pytest.mark.parametrize("type", list(Type), ids=str)
def test_select(type: Type, constants: tuple[bool, ...]) -> None:
    sources = [type, type, Type.i32]
    tuples = [*tuples_of(sources)[::3], *((a, b, 0) for a, b, _ in tuples_of(sources)[::4])]
    emit = emit_method("select")
    run(trials(Trial, "select", emit, type, sources, lambda a, b, c: a if c else b, tuples, [constants]))
