"""What loops would compute again and again is computed once, in front of them: nobody can tell but by the clock."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from agreement import check, check_calls, emitted
from guest_support import NATIVE, machine_names
from loop_programs import BODIES, SHAPES, crowded, program
from machines import Machine
from trials import EDGES

from cnp.errors import TrapKind
from cnp.ir import Function
from cnp.ir.optable import default_ops
from cnp.stencil.model import OpFlag, Shape
from cnp.types import Type

i32, i64, f32, f64 = Type
ROWS = default_ops().by_name


def _shapes_and_bodies() -> list[tuple[str, str, str]]:
    """Every pair on this machine, every eighth on others."""
    pairs = [(shape, body) for shape, body in itertools.product(enumerate(SHAPES), enumerate(BODIES))]
    return [
        (name, shape, body)
        for name in machine_names()
        for (m, shape), (n, body) in pairs
        if name == NATIVE or (m + n) % 8 == 0
    ]


@pytest.mark.parametrize(("machine", "shape", "body"), _shapes_and_bodies(), indirect=["machine"])
def test_shapes_of_loops(machine: Machine, shape: str, body: str) -> None:
    f = program(shape, BODIES[body])
    base = machine.middle - 64
    check_calls(machine, f, [[base, 0, 3, 5], [base, 1, 3, 5], [base, 2, -7, 2**40 + 1], [base, 6, 3, 5]], pins=[])
    check_calls(machine, crowded(shape, BODIES[body]), [[base, rounds, -7, 5] for rounds in (0, 3)], pins=[])


def nest(depth: int, body: str, tests_first: bool) -> str:
    lines = body
    for level in range(depth):
        count = f"n{level}"
        if tests_first:
            lines = (
                f"i64.const {count}, 2; h{level}: branch i64.le_s {count}, 0, d{level}; i64.mul u, k, {level + 2}; "
                f"i64.add acc, acc, u; {lines}; i64.sub {count}, {count}, 1; jump h{level}; d{level}:"
            )
        else:
            lines = (
                f"i64.const {count}, 2; h{level}: {lines}; i64.mul u, k, {count}; i64.xor acc, acc, u; "
                f"i64.mul u, k, m; "
                f"i64.add acc, acc, u; i64.sub {count}, {count}, 1; branch i64.gt_s {count}, 0, h{level}"
            )
    return f"reg {', '.join(f'n{level}' for level in range(depth))}: i64; {lines}"


STRAIGHT = [name for name, lines in BODIES.items() if "@" not in lines]


@pytest.mark.parametrize("depth", range(1, 7))
@pytest.mark.parametrize("tests_first", [False, True])
def test_nests(machine: Machine, depth: int, tests_first: bool) -> None:
    for name in STRAIGHT:
        if len(BODIES[name]) < 600:
            check(machine, program(nest(depth, BODIES[name], tests_first), ""), [machine.middle - 64, 2, 3, 5], pins=[])


@pytest.mark.parametrize("depth", range(1, 7))
def test_what_each_level_of_a_nest_has_to_itself(machine: Machine, depth: int) -> None:
    """An op of every level's counter and every outer one's, in the innermost loop and in between."""
    lines = "; ".join(f"i64.mul t, n{level}, k; i64.add acc, acc, t" for level in range(depth))
    lines += "; " + "; ".join(f"i64.xor t, n{n}, n{(n + 1) % depth}; i64.add acc, acc, t" for n in range(depth))
    for tests_first in (False, True):
        f = program(nest(depth, lines, tests_first), "")
        check_calls(machine, f, [[machine.middle, 2, 3, 5], [machine.middle, 2, -(2**63), 2**63 - 1]], pins=[])


# -- what is moved, and what is not


def _is_in_front(machine: Machine, f: Function, op: str, marker: str = "i64.load") -> bool:
    """Whether the code of the last op of a name comes before that of the last marker."""
    code, mark = ROWS[op].code, ROWS[marker].code
    numbers = dict.fromkeys(number for number, _ in emitted(machine, f) if number < len(f.ops))  # others have no op
    order = [f.ops[number][0] for number in numbers]
    last = {each: n for n, each in enumerate(order)}
    return last[code] < last[mark]


LOAD = "i64.load u, b, 8; i64.add acc, acc, u; "
MUL = "i64.mul t, k, m; i64.sub acc, acc, t"
HOISTED = {
    "do while": ("do while", MUL),
    "while": ("while", MUL),
    "while, with a condition": ("while, with a condition", MUL),
    "by a jump": ("entered by a jump to the bottom", MUL),
    "by a jump to the middle": ("entered by a jump to the middle", MUL),
    "conditional": ("do while", "branch i64.eq n, 2, @1; i64.mul t, k, m; i64.sub acc, acc, t; @1:"),
    "in one register with others": (
        "do while",
        "i64.xor t, acc, m; i64.sub acc, acc, t; i64.mul t, k, m; i64.sub acc, acc, t",
    ),
    "with a call": ("do while", "call t, g(k); i64.mul t, k, m; i64.sub acc, acc, t"),
}
SPLIT = {
    "before": "i64.mul acc, acc, 3; i64.add t, k, n; i64.shl t, t, 3; i64.add t, b, t; i64.load u, t; "
    "i64.xor acc, acc, u",
    "after": "i64.mul acc, acc, 3; i64.add t, k, n; i64.sub w, b, k; i64.shl t, t, 3; i64.add t, w, t; i64.load u, t; "
    "i64.xor acc, acc, u",
}
"""The base is made before or after the sum that makes the index."""

STAYS = {
    "two entries": ("entered in two places", MUL),
    "two jumps": ("entered in two places, by two jumps", MUL),
    "a table's entries": ("entered by a table", MUL),
    "changes": ("do while", "i64.mul t, k, m; i64.sub acc, acc, t; i64.add k, k, 1"),
    "changes before": ("do while", "i64.add k, k, 1; i64.mul t, k, m; i64.sub acc, acc, t"),
    "elsewhere": ("do while", "i64.sub acc, acc, s; i64.mul s, k, m"),
    "a call's doing": ("do while", "i64.mul t, k, m; i64.sub acc, acc, t; call k, g(k)"),
}


@pytest.mark.parametrize("name", HOISTED)
def test_hoisted(machine: Machine, name: str) -> None:
    shape, body = HOISTED[name]
    assert _is_in_front(machine, program(shape, LOAD + body), "i64.mul")


@pytest.mark.parametrize("name", STAYS)
def test_not_hoisted(machine: Machine, name: str) -> None:
    shape, body = STAYS[name]
    assert not _is_in_front(machine, program(shape, LOAD + body), "i64.mul")


@pytest.mark.parametrize("name", SPLIT)
def test_the_steady_part_of_an_index_joins_the_base(machine: Machine, name: str) -> None:
    f = program("do while", SPLIT[name])
    check(machine, f, [machine.middle, 4, 3, 5], pins=[])
    if not machine.target.indexed_offsets:  # there is no instruction whose index could be split
        return
    numbers = [number for number, _ in emitted(machine, f) if number < len(f.ops)]
    first_in_loop = next(n for n, op in enumerate(f.ops) if op[0] == ROWS["i64.mul"].code)
    steady = first_in_loop + (1 if name == "before" else 2)  # the index's sum, or the base: a sum behind it stays
    assert numbers.index(steady) < numbers.index(first_in_loop)


def _trapping() -> list[str]:
    return [name for name, row in ROWS.items() if row.shape == Shape.VALUE and row.flags & OpFlag.MAY_TRAP]


@pytest.mark.parametrize("name", _trapping())
def test_what_may_trap_is_not_moved(machine: Machine, name: str) -> None:
    """In front of a loop of no rounds it would trap; in a loop it traps after what comes before it."""
    row = ROWS[name]
    types = [Type(each) for each in row.operand_types]
    f = Function("f", [i64, i64, *types], i64)
    b, n, *operands = f.params
    d, head, done = f.reg(Type(row.result_type)), f.label(), f.label()
    f.place(head)
    f.branch_i64_le_s(n, 0, done)
    f.i64_store(n, b, 0)
    getattr(f, row.method)(d, *operands)
    f.i64_sub(n, n, 1)
    f.jump(head)
    f.place(done)
    f.ret(n)
    bad: list[Any] = [float("nan")] if types[0].is_float else [7, 0]
    never, twice = check_calls(machine, f, [[machine.address, rounds, *bad] for rounds in (0, 2)], pins=[])
    assert never == ("returns", 0)
    assert twice[0] == "traps"
    assert twice[1] in (TrapKind.INTEGER_DIVIDE_BY_ZERO, TrapKind.INVALID_CONVERSION_TO_INTEGER)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.shape == Shape.VALUE])
def test_every_op_in_a_loop(machine: Machine, name: str) -> None:
    """Twice, with an op that makes operands change in between, and with a constant for each operand."""
    row = ROWS[name]
    types, result = [Type(each) for each in row.operand_types], Type(row.result_type)
    r = random.Random(name)
    for constant in (None, *range(len(types))):
        f = Function("f", [i64, i64, *types], None)
        b, n, *params = f.params
        operands: list[Any] = list(params)
        if constant is not None:
            operands[constant] = r.choice([each for each in EDGES[types[constant]] if each == each and each])
        d, e, head = f.reg(result), f.reg(result), f.label()
        f.place(head)
        getattr(f, row.method)(d, *operands)
        if result.is_float:
            is_number = f.reg(i32)
            getattr(f, f"{result}_eq")(is_number, d, d)
            f.select(d, d, 0.0, is_number)
        getattr(f, f"{result}_store")(d, b, 8)
        getattr(f, row.method)(e, *operands)
        if result.is_float:
            getattr(f, f"{result}_eq")(is_number, e, e)
            f.select(e, e, 0.0, is_number)
        getattr(f, f"{result}_store")(e, b, 16)
        f.i64_sub(n, n, 1)
        f.branch_i64_gt_s(n, 0, head)
        f.ret()
        numbers = {type: [each for each in EDGES[type] if each == each] for type in types}
        calls = [[machine.address, 2, *[r.choice(numbers[type]) for type in types]] for _ in range(3)]
        check_calls(machine, f, calls, pins=[])
