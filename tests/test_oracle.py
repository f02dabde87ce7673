"""Placements are also checked against clang's own compilation of the op's body.

The bodies of all value ops become one shared object of plain C functions: no preserve_none, no holes, no stencils.
Each is called on every pair of edge values, and the code of the same op must find the same in several
placements of its operands. Neither side knows the reference semantics.
"""

from __future__ import annotations

import ctypes
import itertools
import platform
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from machines import Machine
from trials import EDGES, Value, pack, to_f32

from cnp.build.clang import Clang, find_clang
from cnp.build.ops import CONTROL_SOURCE, SourceOp, read_sources
from cnp.errors import BuildError, Trap, TrapKind
from cnp.ir import Function
from cnp.ir.optable import default_ops
from cnp.stencil.model import Shape
from cnp.target import target_named
from cnp.target.record import arguments
from cnp.types import Type

STENCILS = Path(__file__).parent.parent / "stencils"
TARGET = target_named(platform.machine())
ROWS = {name: row for name, row in default_ops().by_name.items() if row.shape == Shape.VALUE}
KEEPS_NAN = ("neg", "abs", "copysign", "reinterpret")

C_TYPES: dict[Type, Any] = {
    Type.i32: ctypes.c_int32,
    Type.i64: ctypes.c_int64,
    Type.f32: ctypes.c_float,
    Type.f64: ctypes.c_double,
}
_random = random.Random(1)
MORE_FLOATS = [3.5, -3.5, 1e30, -5e-324, 1.5e-45, -1e-38, 2.0**-1022, 1.7976931348623157e308, 3.4028234663852886e38]
MORE_FLOATS += [_random.uniform(-1e6, 1e6) for _ in range(4)]
VALUES: dict[Type, list[Any]] = {
    Type.i32: EDGES[Type.i32] + [_random.randrange(-(2**31), 2**31) for _ in range(4)],
    Type.i64: EDGES[Type.i64] + [_random.randrange(-(2**63), 2**63) for _ in range(4)],
    Type.f32: EDGES[Type.f32] + [to_f32(each) for each in MORE_FLOATS],
    Type.f64: EDGES[Type.f64] + MORE_FLOATS,
}

Outcome = bytes | TrapKind
"""The bits of a result, or why there is none."""


# -- clang's side


def compile_bodies(clang: Clang, ops: Sequence[SourceOp], directory: Path) -> ctypes.CDLL:
    """One shared object with a function for each op. The flags are those of the core, which is C of the same sources
    that may lie anywhere."""
    text = [f'#include "{source}"\n' for source in sorted({each.source for each in ops})]
    for op in ops:
        types = [each for each in op.operands if each is not None]
        parameters = "".join(f"{type} {name}, " for type, name in zip(types, "abc"))
        given = "".join(f"{name}, " for _, name in zip(types, "abc"))
        text.append(
            f'__attribute__((visibility("default"))) {op.result} oracle_{op.name}({parameters}int *trap) {{\n'
            f"    enum trap kind = NO_TRAP;\n    {op.result} result = {op.name}({given}&kind);\n"
            f"    *trap = kind;\n    return result;\n}}\n"
        )
    source, made = directory / "oracle.c", directory / "oracle.so"
    source.write_text("".join(text))
    flags = [*arguments(TARGET.core_flags), f'-DCNP_TARGET_HEADER="{TARGET.header}"', "-I", ".", "-shared", "-nostdlib"]
    clang.run(clang.arguments(TARGET, [*flags, str(source), "-o", str(made)]), STENCILS)
    return ctypes.CDLL(str(made))


Oracle = dict[str, Callable[..., Outcome]]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """What clang makes of each value op, by method."""
    try:
        clang = find_clang()
    except BuildError as error:
        pytest.skip(f"NOT TESTED: against clang's own code: {error}")
    files = sorted(each.name for each in STENCILS.glob("*.c") if each.name != CONTROL_SOURCE)
    methods = {row.method for row in ROWS.values()}
    ops = [each for each in read_sources(clang, TARGET, STENCILS, files).ops if each.name in methods]
    library = compile_bodies(clang, ops, tmp_path_factory.mktemp("oracle"))
    return {each.name: _callable(library, each) for each in ops}


def _callable(library: ctypes.CDLL, op: SourceOp) -> Callable[..., Outcome]:
    result, kind = op.result, ctypes.c_int()
    assert result is not None
    function = getattr(library, f"oracle_{op.name}")
    function.restype = C_TYPES[result]
    function.argtypes = [*[C_TYPES[each] for each in op.operands if each is not None], ctypes.POINTER(ctypes.c_int)]
    where = ctypes.byref(kind)

    def call(*values: Value) -> Outcome:
        found = function(*values, where)
        return TrapKind(kind.value) if kind.value else bits(op.name, result, found)

    return call


def bits(name: str, type: Type, value: Value) -> bytes:
    """Of a result. One NaN is as good as another, but where an op acts on the sign bit only."""
    if value != value and not any(each in name for each in KEEPS_NAN):
        return b"NaN"
    return pack(type, value)


# -- cnp's side


@dataclass(frozen=True)
class Placement:
    """Numbers of registers, 255 for a slot of the frame."""

    name: str
    d: int
    a: int
    b: int


PLACEMENTS = [
    Placement("all registers distinct", 0, 1, 2),
    Placement("all registers distinct, d high", 7, 5, 6),
    Placement("all registers distinct, b high", 2, 3, 7),
    Placement("d is a", 3, 3, 4),
    Placement("d is b", 5, 6, 5),
    Placement("all in the frame", 255, 255, 255),
    Placement("d in the frame", 255, 4, 3),
    Placement("a in the frame", 1, 255, 5),
    Placement("b in the frame", 5, 1, 255),
]
IMMEDIATES = [Placement("b an immediate", 1, 2, 255), Placement("b an immediate, d is a", 4, 4, 255)]
IMMEDIATES += [Placement("b an immediate, the rest in the frame", 255, 255, 255)]


def compile_op(
    machine: Machine, name: str, placement: Placement, immediate: Value | None = None
) -> Callable[..., Outcome] | None:
    """A function of the op's operands, with `immediate` for the second. None if the op has no such placement: two
    register files, or one operand only."""
    row = ROWS[name]
    result, sources = Type(row.result_type), [Type(each) for each in row.operand_types]
    is_float = [result.is_float, *[each.is_float for each in sources]]
    pins = [placement.d, placement.a, placement.b]
    for number, pin in enumerate(pins[1:], 1):
        shared = pin == placement.d != 255
        if shared and (number > len(sources) or is_float[number] != is_float[0]):
            return None
    f = Function(name, sources if immediate is None else sources[:1], result)
    placed = bytearray([255] * len(f.params))
    operands: list[Any] = []
    for param, type, pin in zip(f.params, sources, pins[1:]):
        operands.append(f.reg(type))
        placed.append(pin)
        f.move(operands[-1], param)
    same = next((each for each, t, pin in zip(operands, sources, pins[1:]) if t is result and pin == pins[0]), None)
    if same is None or placement.d == 255:
        d = f.reg(result)
        placed.append(placement.d)
    else:
        d = same
    getattr(f, row.method)(d, *operands, *([] if immediate is None else [immediate]))
    f.ret(d)
    compiled = machine.compile(f, pins=bytes(placed))

    def call(*values: Value) -> Outcome:
        try:
            return bits(name, result, compiled(*values))
        except Trap as trap:
            return trap.kind

    return call


def check(name: str, found: Callable[..., Outcome], wanted: Sequence[tuple[Sequence[Value], Outcome]], how: str) -> int:
    for values, outcome in wanted:
        got = found(*values)
        assert got == outcome, f"{name}{tuple(values)}, {how}: {got!r}, of clang {outcome!r}"
    return len(wanted)


@pytest.mark.parametrize("name", ROWS)
def test_value_op(machine: Machine, name: str, oracle: Oracle) -> None:
    row = ROWS[name]
    sources = [Type(each) for each in row.operand_types]
    clangs = oracle[row.method]
    tuples = machine.some(list(itertools.product(*[VALUES[each] for each in sources])), 60)
    wanted = [(each, clangs(*each)) for each in tuples]
    count = 0
    for placement in PLACEMENTS:
        found = compile_op(machine, name, placement)
        if found is not None:
            count += check(name, found, wanted, placement.name)
    assert count >= 6 * len(wanted)
    if len(sources) == 1:
        return
    for b in machine.some(VALUES[sources[1]], 8):
        of_b = [((a,), clangs(a, b)) for a in machine.some(VALUES[sources[0]], 8)]
        for placement in IMMEDIATES:
            found = compile_op(machine, name, placement, b)
            if found is not None:
                assert check(name, found, of_b, f"{placement.name}: {b!r}")


def test_every_public_value_op_has_a_body_of_its_own(oracle: Oracle) -> None:
    assert set(oracle) == {row.method for row in ROWS.values()}
    assert len(oracle) >= 140


def test_the_check_notices_what_is_wrong(machine: Machine, oracle: Oracle) -> None:
    values = list(itertools.product(VALUES[Type.i64], repeat=2))
    wanted = [(each, oracle["i64_sub"](*each)) for each in values]
    found = compile_op(machine, "i64.add", PLACEMENTS[0])
    assert found is not None
    with pytest.raises(AssertionError, match=r"i64\.add\(0, 1\), .* of clang"):
        check("i64.add", found, wanted, PLACEMENTS[0].name)
    assert oracle["i64_div_s"](1, 0) == TrapKind.INTEGER_DIVIDE_BY_ZERO
    assert oracle["i64_div_s"](-(2**63), -1) == TrapKind.INTEGER_OVERFLOW
