"""Random programs do the same as compiled code as on the reference interpreter, and damaged ones are refused for the
same reason by both verifiers.

Hypothesis drives them, always the same way. CNP_LONG=1 tries ten times as many, CNP_SEED=<first> other seeds, and
CNP_PROGRAMS=<n> as many as wanted.
"""

from __future__ import annotations

import os
import random
from unittest import mock

import pytest
from guest_support import NATIVE, machine_names
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from machines import Machine
from random_externs import EXTERNS
from random_outcomes import Outcome, actual, agree, expected, goes_wrong, reduce, text
from random_programs import Generator, Program

from cnp.backends import native
from cnp.errors import TrapKind, VerifyError
from cnp.ir import Function, Label, Register, verify_message
from cnp.ir.optable import Code, default_ops
from cnp.ir.verifier import Finding, VerifyCode, find
from cnp.types import Type

LONG = os.environ.get("CNP_LONG") == "1"
PROGRAMS = int(os.environ.get("CNP_PROGRAMS", 100_000 if LONG else 10_000))
CHUNK = 200
CHUNKS = PROGRAMS // CHUNK
SHRINKABLE = max(100, PROGRAMS // 100)
FIRST = int(os.environ.get("CNP_SEED", 0))


SETTINGS = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def _chunks() -> list[tuple[str, int]]:
    """Another machine than this one gets a fifth of them."""
    return [(name, n) for name in machine_names() for n in range(CHUNKS if name == NATIVE else CHUNKS // 5)]


@pytest.mark.parametrize(("machine", "chunk"), _chunks(), indirect=["machine"])
def test_random_programs(machine: Machine, chunk: int) -> None:
    """Hypothesis chooses seeds. A lesser seed is no smaller a program, so what goes wrong is reduced op by op."""
    ran: set[int] = set()

    @settings(SETTINGS, max_examples=CHUNK, phases=[Phase.generate])
    @given(st.integers(0, 2**40))
    def run(number: int) -> None:
        seed = FIRST + number * CHUNKS + chunk
        program = Generator(seed, machine=machine).program()
        wanted = expected(program)
        assume(wanted is not None)  # it takes too long: another one in its place
        assert wanted is not None
        ran.add(seed)
        if number % 4 == 0:
            program = Generator(seed, True, machine=machine).program()
        found = _difference(program, wanted)
        if found is not None:
            smaller = text(reduce(Generator(seed, machine=machine).program()))
            pytest.fail(f"seed {seed}: expected {wanted}, got {found}; reduced:\n{smaller}", pytrace=False)

    run()
    assert len(ran) == CHUNK


@settings(SETTINGS, max_examples=SHRINKABLE)
@given(st.randoms(use_true_random=False))
def test_random_programs_that_shrink(source: random.Random) -> None:
    """Hypothesis makes every choice, and so can make a program that goes wrong smaller: at a hundred times the cost of
    a seed."""
    program = Generator(0, source=source).program()
    wanted = expected(program)
    found = None if wanted is None else _difference(program, wanted)
    assert found is None, f"expected {wanted}, got {found}:\n{text(program)}"


def _difference(program: Program, wanted: Outcome) -> Outcome | None:
    """What compiled code makes of the program if that is not what is wanted."""
    for pins in (None, program.pins):
        found = actual(program, pins)
        if not agree(wanted, found):
            return found
    return None


def test_differences_are_found() -> None:
    program = _program(1)
    wanted = expected(program)
    assert wanted is not None
    assert _difference(program, wanted) is None
    assert _difference(program, (*wanted[:-1], b"")) is not None


def test_programs_are_varied() -> None:
    """Every op and every way to end occurs."""
    seen: set[int] = set()
    ends: set[object] = set()
    for seed in range(600):
        program = Generator(seed).program()
        seen.update(op[0] for each in program.functions for op in each.ops)
        wanted = expected(program)
        ends.add(wanted and wanted[:2][wanted[0] == "traps"])
    rows = default_ops()
    assert not [rows.by_name[name].name for name in rows.by_name if rows.by_name[name].code not in seen]
    assert seen >= {int(each) for each in Code}
    assert ends >= {"returns", *list(TrapKind)[:4]}


def test_a_program_is_the_same_every_time() -> None:
    for seed in range(50):
        assert text(Generator(seed).program()) == text(Generator(seed).program())


def test_reduction_keeps_what_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(program: Program) -> bool:
        names = {op[0] for op in program.functions[0].ops}
        return not find(program.functions[0]).code and default_ops().by_name["i64.rotl"].code in names

    monkeypatch.setattr("random_outcomes.goes_wrong", fails)
    program = next(each for each in map(_program, range(200)) if fails(each))
    before = len(program.functions[0].ops)
    reduced = reduce(program)
    assert fails(reduced)
    assert len(reduced.functions[0].ops) < min(before, 12)


def _program(seed: int) -> Program:
    return Generator(seed).program()


def test_nothing_goes_wrong_in_a_child() -> None:
    assert not goes_wrong(_program(1))


# -- the two verifiers


class _Found(Exception):
    pass


def native_finding(function: Function) -> Finding:
    """What the core's verifier says about one function."""

    def report(_: Function, code: int, op: int, operand: int) -> Exception:
        return _Found(VerifyCode(code), op, operand)

    with mock.patch.object(verify_message, "message", report):
        try:
            native.compile(function)
        except _Found as found:
            return Finding(*found.args)
    return Finding(VerifyCode.OK)


def damage(function: Function, r: random.Random) -> None:
    """Put something that may not be there in a random place, or take something away."""
    ops = function._ops
    number = r.randrange(len(ops))
    op = list(ops[number])
    kind = r.randrange(8)
    if kind == 0:
        del ops[number]
        return
    if kind == 1:
        ops.insert(r.randrange(len(ops)), ops[number])
        return
    if kind == 2:
        op.insert(r.randrange(1, len(op) + 1), r.choice(_values(function, r)))
    elif kind == 3 and len(op) > 1:
        del op[r.randrange(1, len(op))]
    elif kind == 4:
        op[0] = r.choice((r.randrange(400), *Code, 0xFEFF, 2**40, -1))
    elif kind == 5:
        del ops[number:]
        return
    elif len(op) > 1:
        op[r.randrange(1, len(op))] = r.choice(_values(function, r))
    ops[number] = tuple(op)


def _values(function: Function, r: random.Random) -> list[object]:
    other = Function("other", [Type.i32], None)
    beyond, placeless, past = object.__new__(Register), function.label(), object.__new__(Label)
    beyond.code = function._serial << 32 | len(function._types)
    past.code = function._serial << 32 | function._label_count + 5
    own = object.__new__(Register)
    own.code = function._serial << 32 | r.randrange(len(function._types))
    return [
        *(own, own, own, beyond, other.params[0], other.label(), placeless, past, None, "1", b"1", []),
        *(True, 1.0, 1e300, float("nan"), float("inf"), 3.5e38),
        *(0, -1, 2**31, -(2**31), 2**31 - 1, -(2**31) - 1, 2**32 - 1, 2**32, 2**63),
        *(2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400, object(), function.reg(r.choice(list(Type)))),
    ]


@pytest.mark.parametrize("chunk", range(20))
def test_both_verifiers_agree_on_damaged_functions(chunk: int) -> None:
    codes = set()
    for seed in range(chunk * 100, chunk * 100 + 100):
        r = random.Random(seed)
        program = Generator(seed).program()
        for function in program.functions[:1]:
            for _ in range(5):
                kept = list(function._ops)
                for _ in range(r.choice((1, 1, 2, 5))):
                    if function._ops:
                        damage(function, r)
                wanted = find(function)
                found = native_finding(function)
                assert found == wanted, f"seed {seed}: {_explain(function, wanted, found)}"
                codes.add(wanted.code)
                function._ops[:] = kept
    assert len(codes) > 8


def _explain(function: Function, wanted: Finding, found: Finding) -> str:
    ops = {each.op: function._ops[each.op] for each in (wanted, found) if each.op < len(function._ops)}
    return f"expected {wanted!r}, found {found!r}: {ops}"


def test_messages_of_the_native_back_end() -> None:
    f = Function("f", [Type.i32], Type.i32)
    f.i64_add(f.reg(Type.i64), f.params[0], 1)
    f.ret(0)
    with pytest.raises(VerifyError, match=r"function 'f', op 0 \(i64.add\), operand a: found register %0 of type i32"):
        native.compile(f)
    assert EXTERNS
