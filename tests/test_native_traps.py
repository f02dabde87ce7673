"""Traps of native code: which kinds there are, and what they say."""

from __future__ import annotations

from typing import Any

import pytest
from trap_programs import OP_NAMES, caught, recursion, trapping

from cnp import Function, TrapKind, i64


@pytest.mark.parametrize("kind", OP_NAMES, ids=lambda kind: kind.name)
class TestKinds:
    def test_where_and_why(self, kind: TrapKind) -> None:
        trap = caught(trapping(kind).compile())
        name = f"traps_{kind.name.lower()}"
        assert (trap.kind, trap.function, trap.op) == (kind, name, 1)
        assert kind.name.lower().replace("_", " ") in str(trap)
        assert name in str(trap)
        assert OP_NAMES[kind] in str(trap)

    def test_as_the_reference_says(self, kind: TrapKind) -> None:
        assert str(caught(trapping(kind).compile())) == str(caught(trapping(kind).compile(backend="reference")))

    @pytest.mark.parametrize("precompiled", [False, True])
    def test_in_nested_calls(self, kind: TrapKind, precompiled: bool) -> None:
        callee: Any = trapping(kind)
        for depth in range(5):
            f = Function(f"level_{depth}", [], i64)
            d = f.reg(i64)
            f.call(d, callee.compile() if precompiled else callee)
            f.ret(d)
            callee = f
        trap = caught(callee.compile())
        assert (trap.kind, trap.function, trap.op) == (kind, f"traps_{kind.name.lower()}", 1)

    def test_after_a_trap_all_goes_on(self, kind: TrapKind) -> None:
        g, ordinary = trapping(kind).compile(), recursion().compile()
        for _ in range(100):
            assert caught(g).kind == kind
            assert ordinary(100) == 5050


def test_op_numbers_are_large() -> None:
    f = Function("long", [i64], i64)
    for _ in range(100_000):
        f.i64_add(f.params[0], f.params[0], 1)
    f.unreachable()
    trap = caught(lambda: f.compile()(0))
    assert (trap.function, trap.op) == ("long", 100_000)
