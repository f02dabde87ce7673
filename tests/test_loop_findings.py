"""What is wrong in a function with loops is found where it is."""

from __future__ import annotations

import random

import pytest
from loop_programs import BODIES, SHAPES, on_lines, program
from test_random import native_finding

from cnp.ir import Function
from cnp.ir.optable import default_ops
from cnp.ir.text import parse
from cnp.ir.verifier import Finding, VerifyCode, find
from cnp.types import Type

i32, i64, f32, f64 = Type
ROWS = default_ops().by_name


# -- what is wrong is found where it is


def _same_findings(f: Function, what: str) -> Finding:
    wanted = find(f)
    found = native_finding(f)
    assert found == wanted, f"{what}: expected {wanted}, found {found}: {f.ops[wanted.op]}"
    return wanted


@pytest.mark.parametrize("shape", SHAPES)
def test_an_op_is_missing(shape: str) -> None:
    """Each op in turn: its result may then be used before it is made, its label be unbound, or the end be reached."""
    codes = set()
    for name, body in BODIES.items():
        if len(body) > 600:
            continue
        f = program(shape, body)
        for number in range(len(f.ops)):
            op = f._ops.pop(number)
            codes.add(_same_findings(f, f"{name}, without op {number}").code)
            f._ops.insert(number, op)
    assert codes >= {VerifyCode.OK, VerifyCode.UNBOUND_LABEL, VerifyCode.USE_BEFORE_DEFINITION}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_operand_is_wrong(shape: str) -> None:
    """Each operand in turn is something else: never assigned, of another type, of another function, a label."""
    r = random.Random(shape)
    other = Function("other", [i64], None)
    codes = set()
    for name, body in BODIES.items():
        if len(body) > 300:
            continue
        f = program(shape, body)
        never = {type: f.reg(type) for type in Type}
        for number, op in enumerate(f.ops):
            for operand in range(1, len(op)):
                instead = r.choice(
                    [never[i64], never[i64], never[i32], never[f64], other.params[0], f.label(), None, 1.5]
                )
                f._ops[number] = (*op[:operand], instead, *op[operand + 1 :])
                codes.add(_same_findings(f, f"{name}, operand {operand} of op {number}").code)
                f._ops[number] = op
    assert len(codes) >= 6


FOLDED = {
    "a base": "i64.add t, {}, i; i64.load u, t; ret u",
    "an index": "i64.add t, i, {}; i64.load u, t; ret u",
    "what is shifted": "i64.shl t, {}, 3; i64.add t, t, i; i64.load u, t; ret u",
    "a base of what is shifted": "i64.shl t, i, 3; i64.add t, t, {}; i64.load u, t; ret u",
    "a sum of a constant": "i64.add t, {}, 3; i64.load u, t; ret u",
    "an address": "i64.add t, i, 3; i64.load u, {}; ret t",
    "a stored value": "i64.add t, i, i; i64.store {}, t; ret i",
    "a compared value": "i64.lt_s c, {}, i; branch i32.nez c, out; out: ret i",
    "another compared value": "i64.lt_s c, i, {}; branch i32.eqz c, out; out: ret i",
    "a value compared for a select": "i64.eqz c, {}; select t, i, i, c; ret t",
    "a value that is selected": "i64.eqz c, i; select t, i, {}, c; ret t",
    "another value that is selected": "i64.eqz c, i; select t, {}, i, c; ret t",
    "a sum of a shift": "i64.shl t, {}, 2; i64.add t, i, t; ret t",
    "a dead sum": "i64.add t, {}, i; i64.load t, i; ret t",
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("others", [0, 1, 2])
def test_an_undefined_operand_of_what_is_folded(name: str, others: int) -> None:
    """At the op that has it, although that op has no code, and where others are undefined, the first."""
    lines = FOLDED[name].format("w")
    before = ["", "branch i64.eqz i, on; i64.const w, 8; on: ", "branch i64.eqz i, on; i64.add x, w, w; on: "][others]
    body = on_lines(f"i64.const w, 9; {before}{lines}")
    f = parse(f"func f(i: i64) -> i64\nreg t, u, w, x: i64\nreg c: i32\n{body}\nend").popitem()[1]
    del f._ops[0]
    assert _same_findings(f, name).code == VerifyCode.USE_BEFORE_DEFINITION


class _Counting:
    """A constant that counts how often it is read."""

    def __init__(self) -> None:
        self.count = 0

    def __index__(self) -> int:
        self.count += 1
        return 5


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_well_formed_is_compiled_once(shape: str) -> None:
    """The core begins again, and leaves everything where it was, when it has moved ops so that a register is used
    before it is made. Only what nothing reaches may make it do so."""
    for name, body in BODIES.items():
        f = program(shape, body)
        constant = _Counting()
        f._ops.insert(0, (ROWS["i64.add"].code, f.params[0], f.params[0], constant))
        f.compile()
        assert constant.count == 1 or name == "undefined where nothing reaches", name
