"""Equal values of a block are computed once, and what is linear in a loop's counter is advanced with it: nobody can
tell but by the clock."""

from __future__ import annotations

import random

import pytest
from agreement import check, check_calls, ops_in_order
from guest_support import NATIVE
from loop_programs import crowded, program
from machines import Machine

from cnp.ir import Function
from cnp.ir.optable import default_ops

ROWS = default_ops().by_name

# The loops of test_hoisting count n down; w, here, is a second counter.
BODIES = {
    "a sum of a multiple": "i64.mul t, n, k; i64.add t, t, m; i64.add acc, acc, t",
    "a shift": "i64.shl t, n, 3; i64.add t, k, t; i64.xor acc, acc, t",
    "a shift by all": "i64.shl t, n, 64; i64.add t, k, t; i64.shl u, n, -1; i64.add u, u, k; i64.xor acc, t, u",
    "a difference": "i64.sub t, n, k; i64.mul t, t, m; i64.xor acc, acc, t",
    "a difference from something steady": "i64.sub t, k, n; i64.mul t, t, m; i64.xor acc, acc, t",
    "a long chain": "i64.mul t, w, k; i64.add t, t, m; i64.shl t, t, 3; i64.sub t, t, k; i64.mul t, 7, t; "
    "i64.add acc, acc, t",
    "a multiple by one and by zero": "i64.mul t, w, 1; i64.mul u, t, 0; i64.add u, u, k; i64.add v, u, 0; "
    "i64.add acc, acc, v",
    "a first value that is the other operand": "i64.mul t, w, k; i64.add u, t, k; i64.add v, u, u; i64.xor acc, acc, v",
    "twice the counter": "i64.add t, n, n; i64.mul t, t, k; i64.add acc, acc, t",
    "a square": "i64.mul t, n, n; i64.add t, t, k; i64.add acc, acc, t",
    "a product of two counters": "i64.mul t, n, w; i64.add t, t, k; i64.add acc, acc, t",
    "two counters": "i64.mul t, n, k; i64.add t, t, m; i64.mul u, w, k; i64.add u, u, m; i64.sub t, t, u; "
    "i64.add acc, acc, t",
    "one part needed twice": "i64.mul t, n, k; i64.add u, t, m; i64.sub v, t, m; i64.xor u, u, v; i64.add acc, acc, u",
    "every part needed": "i64.mul t, n, k; i64.xor acc, acc, t; i64.add u, t, m; i64.xor acc, acc, u; "
    "i64.shl v, u, 2; "
    "i64.add acc, acc, v",
    "the counter goes on first": "i64.sub n, n, 0; i64.add w, w, 5; i64.mul t, w, k; i64.add t, t, m; "
    "i64.add acc, acc, t",
    "the counter goes on in between": "i64.mul t, w, k; i64.add w, w, 5; i64.add t, t, m; i64.add acc, acc, t",
    "the counter goes on before the use": "i64.mul t, w, k; i64.add t, t, m; i64.add w, w, 5; i64.add acc, acc, t",
    "the counter goes on between uses": "i64.mul t, w, k; i64.add t, t, m; i64.add acc, acc, t; i64.add w, w, 5; "
    "i64.xor acc, acc, t",
    "two parts, of which one is late": "i64.mul t, w, k; i64.add u, t, m; i64.add v, t, 3; i64.add acc, acc, u; "
    "i64.add w, w, 5; i64.xor acc, acc, v",
    "the counter goes on by much": "i64.mul t, w, k; i64.add t, t, m; i64.add w, w, 0x4000000000000001; "
    "i64.add acc, acc, t",
    "the counter goes back by much": "i64.mul t, w, 5; i64.add t, t, m; i64.sub w, w, -0x8000000000000000; "
    "i64.add acc, acc, t",
    "the counter goes on by what is no constant": "i64.mul t, w, k; i64.add t, t, m; i64.add w, w, m; "
    "i64.add acc, acc, t",
    "the counter goes on twice": "i64.mul t, w, k; i64.add t, t, m; i64.add w, w, 5; i64.add acc, acc, t; "
    "i64.add w, w, 1",
    "the counter goes on sometimes": "i64.mul t, w, k; i64.add t, t, m; i64.add acc, acc, t; branch i64.eq n, 2, @1; "
    "i64.add w, w, 5; @1:",
    "the counter is set": "i64.mul t, w, k; i64.add t, t, m; i64.add w, w, 5; i64.add acc, acc, t; "
    "branch i64.ne n, 2, @1; "
    "i64.const w, 77; @1:",
    "the counter is a call's": "i64.mul t, w, k; i64.add t, t, m; i64.add acc, acc, t; call w, g(w)",
    "the counter, steadily": "i64.mul t, w, k; i64.add t, t, m; i64.add acc, acc, t",
    "a steady part that changes": "i64.mul t, n, k; i64.add t, t, m; i64.add acc, acc, t; i64.add k, k, 1",
    "a steady part that changes first": "i64.add k, k, 1; i64.mul t, n, k; i64.add t, t, m; i64.add acc, acc, t",
    "in one register with others": "i64.mul t, n, k; i64.add t, t, m; i64.add acc, acc, t; i64.xor t, acc, 5; "
    "i64.add t, t, n; i64.mul t, t, k; i64.xor acc, acc, t; i64.shl t, n, 2; i64.add t, m, t; i64.add acc, acc, t",
    "part of it overwritten": "i64.mul t, n, k; i64.add u, t, m; move t, acc; i64.add t, t, u; i64.add acc, acc, t",
    "used in the next round": "i64.add acc, acc, s; i64.mul t, n, k; i64.add s, t, m",
    "used in another block": "i64.mul t, n, k; i64.add t, t, m; branch i64.eq n, 2, @1; i64.add acc, acc, 5; @1: "
    "i64.add acc, acc, t",
    "in both of two blocks": "branch i64.eq n, 2, @1; i64.mul t, n, k; i64.add u, t, m; i64.add acc, acc, u; "
    "jump @2; @1: "
    "i64.mul v, n, k; i64.add z, v, m; i64.xor acc, acc, z; @2:",
    "sometimes": "branch i64.ne n, 2, @1; i64.mul t, n, k; i64.add t, t, m; i64.add acc, acc, t; @1:",
    "an argument of a call": "i64.mul t, n, k; i64.add t, t, m; call u, g(t); i64.add acc, acc, u; i64.add acc, acc, t",
    "an index of a table": "i64.shl t, n, 1; i64.and t, t, 3; i32.wrap_i64 c, t; branch_table c, [@1, @2], @1; @1: "
    "i64.add acc, acc, 5; @2: i64.shl t, n, 1; i64.add t, t, k; i64.add acc, acc, t",
    "addresses": "i64.and v, k, 15; i64.add v, v, n; i64.shl t, v, 3; i64.add t, b, t; i64.load u, t; "
    "i64.add acc, acc, u; "
    "i64.shl t, v, 3; i64.add t, b, t; i64.store acc, t; i64.shl t, v, 2; i64.add t, t, b; i64.store32 acc, t, 4",
    "addresses that overlap": "i64.shl t, n, 3; i64.add t, b, t; i64.load u, t; i64.store acc, t, 8; i64.shl t, n, 3; "
    "i64.add t, b, t; i64.load v, t, 8; i64.add acc, u, v; i64.store acc, t",
    "words, which are no multiples": "i32.wrap_i64 c, w; i32.mul c, c, 0x40000001; i32.add c, c, 9; "
    "i64.extend_i32_u t, c; "
    "i64.add acc, acc, t",
    "a word that counts": "i32.add e, e, 0x40000000; i32.shl c, e, 1; i32.add c, c, 7; i64.extend_i32_s t, c; "
    "i64.add acc, acc, t",
    "many": "; ".join(f"i64.mul t, n, {7 + 2 * n}; i64.add t, t, {n}; i64.xor acc, acc, t" for n in range(40)),
    "many that are one": "; ".join(
        f"i64.mul t, n, k; i64.add t, t, m; i64.mul acc, acc, {n}; i64.xor acc, acc, t" for n in range(9)
    ),
    "equal": "i64.xor t, acc, k; i64.xor u, acc, k; i64.add acc, t, u",
    "equal, of constants": "i64.xor t, acc, 9; i64.xor u, acc, 9; i64.xor v, acc, 8; i64.add t, t, u; "
    "i64.sub acc, t, v",
    "equal, in one register": "i64.xor t, acc, k; i64.mul acc, t, 3; i64.add acc, acc, 1; move acc, s; "
    "i64.xor t, acc, k; "
    "i64.xor u, acc, k; i64.add s, t, u; i64.mul acc, s, t",
    "equal, and changed in between": "i64.xor t, acc, k; i64.add t, t, 1; i64.xor u, acc, k; i64.add acc, t, u",
    "equal, of what changed": "i64.xor t, acc, k; i64.add acc, acc, t; i64.xor u, acc, k; i64.add acc, acc, u",
    "equal, of what it changed itself": "move t, acc; i64.xor t, t, k; i64.add acc, acc, t; i64.xor t, t, k; "
    "i64.add acc, acc, t",
    "equal, in the other order": "i64.sub t, acc, k; i64.sub u, k, acc; i64.mul acc, t, u",
    "equal, of a word and a long one": "i32.wrap_i64 c, acc; i32.xor d, c, 5; i64.xor t, acc, 5; i32.xor c, c, 5; "
    "i64.extend_i32_u u, c; i64.extend_i32_s v, d; i64.add acc, t, u; i64.xor acc, acc, v",
    "equal conditions": "i64.lt_s c, acc, k; i64.lt_s d, acc, k; i32.add e, e, c; branch i32.nez d, @1; "
    "i64.add acc, acc, 5; @1: "
    "i64.add acc, acc, 3",
    "equal loads stay": "i64.load t, b, 8; i64.add t, t, 1; i64.store t, b, 8; i64.load u, b, 8; i64.add acc, t, u",
    "equal divisions stay": "i64.or v, n, 1; i64.div_s t, acc, v; i64.div_s u, acc, v; i64.sub acc, t, u; "
    "i64.add acc, acc, k",
    "equal around a trap": "i64.xor t, acc, k; i64.store t, b, 8; i64.div_u v, t, n; i64.xor u, acc, k; "
    "i64.add acc, v, u",
    "equal around a call": "i64.xor t, acc, k; call v, g(t); i64.xor u, acc, k; i64.add acc, v, u",
    "equal in another block": "i64.xor t, acc, k; i64.add s, s, t; @1: i64.xor u, acc, k; i64.add acc, s, u",
    "equal floats": "f64.convert_i64_s x, n; f64.mul y, x, 0.1; i64.reinterpret_f64 t, y; f64.mul x, x, 0.1; "
    "i64.reinterpret_f64 u, x; i64.xor acc, acc, t; i64.add acc, acc, u",
    "equal, and far": "i64.xor t, acc, k; move v, acc; " + "i64.mul v, v, 3; " * 70 + "i64.xor u, acc, k; "
    "i64.add acc, u, v; i64.add acc, acc, t",
}
SHAPES = {
    "do while": "branch i64.le_s n, 0, done; head: {body}; {count}; branch i64.gt_s n, 0, head; done:",
    "while": "head: branch i64.le_s n, 0, done; {body}; {count}; jump head; done:",
    "counted first": "branch i64.le_s n, 0, done; head: {count}; {body}; branch i64.gt_s n, 0, head; done:",
    "counted in the middle": "branch i64.le_s n, 0, done; head: {body}; {count}; {body}; branch i64.gt_s n, 0, head; "
    "done:",
    "entered at the bottom": "jump test; head: {body}; {count}; test: branch i64.gt_s n, 0, head",
    "entered in two places": "branch i64.eq n, 2, middle; head: branch i64.le_s n, 0, done; {body}; middle: {count}; "
    "{body}; "
    "jump head; done:",
    "out of the middle": "head: branch i64.le_s n, 0, done; {body}; branch i64.eq n, 3, done; {count}; jump head; "
    "done:",
    "a loop around": "i64.const z, 3; again: i64.const n, 2; i64.add k, k, z; head: {body}; {count}; "
    "branch i64.gt_s n, 0, head; "
    "i64.sub z, z, 1; branch i64.gt_s z, 0, again",
    "a start that is known": "branch i64.gt_s n, 9, done; i64.const n, 4; head: {body}; {count}; "
    "branch i64.gt_s n, 0, head; done:",
}
FIRST = "i64.const w, 1"


@pytest.mark.parametrize("body", BODIES)
def test_what_a_loop_computes(machine: Machine, body: str) -> None:
    """In loops of every shape on this machine, in every third on others."""
    for number, shape in enumerate(SHAPES.values(), list(BODIES).index(body)):
        if machine.name != NATIVE and number % 3:
            continue
        f, base = program(shape, BODIES[body], FIRST), machine.middle - 64
        calls = [[base, 3, -7, 2**40 + 1], [base, 0, 3, 5], [base, 4, 2**63 - 1, -(2**63)]]
        check_calls(machine, f, calls[:1] if number % 3 else calls, pins=[])
        if number % 3 == 0:
            check(machine, crowded(f"{FIRST}; {shape}", BODIES[body]), [machine.middle - 64, 3, -7, 5], pins=[])


def test_random_loops(machine: Machine) -> None:
    """Few registers, so that they are overwritten while they are needed."""
    for seed in range(250 if machine.name == NATIVE else 80):
        r = random.Random(seed)
        f = program(
            r.choice(list(SHAPES.values())), _random_body(r), f"i64.const t, 3; i64.const u, 4; move v, k; {FIRST}"
        )
        check(
            machine,
            f,
            [machine.middle, r.randrange(5), r.choice((3, -1, 2**62 + 1)), r.choice((8, 2**63 - 1))],
            pins=[],
        )


def _random_body(r: random.Random) -> str:
    ops = []
    for _ in range(r.randrange(4, 14)):
        d = r.choice("tuv")
        a, b = r.choice("nnwwtuvkm"), r.choice("tuvkmnw12")
        op = r.choice(("add", "add", "add", "mul", "sub", "shl", "xor"))
        ops.append(f"i64.shl {d}, {a}, {r.randrange(4)}" if op == "shl" else f"i64.{op} {d}, {a}, {b}")
        if r.random() < 0.5:
            ops.append(f"i64.{r.choice(('add', 'xor'))} acc, acc, {r.choice('tuv')}")
        if r.random() < 0.1:
            ops.append(f"i64.add w, w, {r.randrange(-2, 9)}")
    at = r.randrange(len(ops))
    if r.random() < 0.3:
        ops[at:at] = ["branch i64.eq n, 2, @1"]
        ops.append("@1: i64.add acc, acc, 1")
    return "; ".join(ops)


# -- what is computed where


def _numbers(f: Function, op: str) -> list[int]:
    return [number for number, each in enumerate(f.ops) if each[0] == ROWS[op].code]


def test_a_multiple_of_the_counter_takes_no_multiplication(machine: Machine) -> None:
    f = program("do while", "i64.xor acc, acc, 5; i64.mul t, n, k; i64.add u, t, m; i64.sub acc, acc, u")
    order = ops_in_order(machine, f)
    assert order.index(_numbers(f, "i64.mul")[0]) < order.index(_numbers(f, "i64.xor")[0])


@pytest.mark.parametrize(
    "body",
    [
        "i64.xor acc, acc, 5; i64.mul t, n, k; i64.sub acc, acc, t",  # one op for another
        "i64.xor acc, acc, 5; i64.add n, n, 3; i64.mul t, n, k; i64.add u, t, m; i64.sub acc, acc, u",
        "i64.xor acc, acc, 5; i64.mul t, acc, k; i64.add u, t, m; i64.sub acc, acc, u",
    ],
)
def test_what_is_multiplied_in_the_loop(machine: Machine, body: str) -> None:
    f = program("do while", body)
    order = ops_in_order(machine, f)
    assert order.index(_numbers(f, "i64.mul")[0]) > order.index(_numbers(f, "i64.xor")[0])


def test_equal_ops_are_one(machine: Machine) -> None:
    f = program("do while", "i64.xor t, acc, 77; i64.sub acc, acc, t; i64.mul t, t, 3; i64.xor acc, acc, t")
    assert set(_numbers(f, "i64.xor")) <= set(ops_in_order(machine, f))
    f = program("do while", "i64.mul t, acc, 77; i64.mul u, acc, 77; i64.sub acc, u, t; i64.sub acc, acc, k")
    kept, gone = _numbers(f, "i64.mul")
    assert kept in ops_in_order(machine, f)
    assert gone not in ops_in_order(machine, f)
