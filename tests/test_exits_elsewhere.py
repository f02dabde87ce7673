"""Side exits and callbacks on other machines: handlers are here, and see what the reference interpreter shows them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from exit_programs import Entering, Log, memory, run, runs, shown
from machines import Machine

import cnp
from cnp import Function, f32, f64, i32, i64
from cnp.ir.text import print_function


@pytest.fixture
def elsewhere(machine: Machine) -> Machine:
    if machine.is_native:
        pytest.skip("native code has its own tests")
    return machine


class EnteringElsewhere(Entering):
    """Loops that go on there."""

    machine: Machine

    def go_on(self, entered: Function, values: tuple[Any, ...]) -> Any:
        packed = entered.pack(values)
        buffer = self.machine.array(len(packed))
        buffer[:] = bytearray(packed)
        return self.machine.compile(entered)(buffer.ctypes.data)


def found(machine: Machine, program: Function, log: Log, arguments: tuple[Any, ...]) -> Any:
    log.calls.clear()
    return shown(machine.compile_for_buffers(program)(*arguments)), list(log.calls)


def test_handlers_see_what_the_reference_interpreter_shows_them(elsewhere: Machine) -> None:
    taken, log = 0, Log(elsewhere)
    for seed, program, arguments, wanted in runs(range(40), log):
        taken += bool(wanted[1])
        assert found(elsewhere, program, log, arguments) == wanted, (seed, print_function(program))
    assert taken > 10


def test_loops_go_on_where_they_were_left(elsewhere: Machine) -> None:
    entered, log = 0, Log(elsewhere)
    for seed in range(80):
        r, arguments = random.Random(seed), (0, memory(seed), 1.5, seed % 8)
        undisturbed = EnteringElsewhere(seed, log, -1, "")
        wanted = run(undisturbed.program(), log, arguments, backend="reference")
        generator = EnteringElsewhere(seed, log, r.randrange(1, 5), "")
        generator.machine = elsewhere
        assert found(elsewhere, generator.program(), log, arguments) == wanted, seed
        entered += generator.entries
    assert entered > 10


def test_what_is_put_behind_a_frame_may_be_out_of_reach(elsewhere: Machine) -> None:
    """Registers and the number of the exit, where instructions reach the frame itself."""
    reached = elsewhere.tables.slot_reach // 8
    for count in range(reached - 64, reached + 64, 8):
        f = Function("f", [i64], i64)
        values = [f.reg(i64) for _ in range(count)]
        for number, each in enumerate(values):
            f.i64_add(each, f.params[0], number)
        f.branch_i64_eqz(f.params[0], f.exit(lambda point, left: point - sum(left), 7, values))
        for each in values:
            f.i64_add(f.params[0], f.params[0], each)
        f.ret(f.params[0])
        call, total = elsewhere.compile(f), count * (count - 1) // 2
        assert [call(0), call(1)] == [7 - total, 1 + count + total], count


def test_results_of_all_types(elsewhere: Machine) -> None:
    for type, value in ((i32, -5), (i64, -(2**63)), (f32, 0.25), (f64, -1e300), (None, None)):
        f = Function("f", [i64], type)
        f.jump(f.exit(lambda point, values, value=value: value, 1, [*f.params, 7]))
        g = Function("g", [i64], type)
        d = None if type is None else g.reg(type)
        g.call(d, cnp.callback(lambda x, value=value: value, [i64], type), *g.params)
        g.ret(d)
        for each in (f, g):
            result = elsewhere.compile(each)(3)
            assert result == value and result.__class__ is value.__class__


def test_callbacks_are_given_what_c_is_given(elsewhere: Machine) -> None:
    """More than there are registers for, of all types and in any order."""
    types = [i32, f64, i64, f32] * 4
    random.Random(5).shuffle(types)
    seen: list[Any] = []
    f = Function("f", [i64, f64], i32)
    n, x = f.params
    values, d = [f.reg(type) for type in types], f.reg(i32)
    for number, (type, each) in enumerate(zip(types, values)):
        (f.f64_add if type is f64 else f.i64_add if type is i64 else getattr(f, f"{type}_const"))(
            each, *([n if type is i64 else x, -number] if type in (i64, f64) else [-number])
        )
    f.call(d, cnp.callback(lambda *given: seen.append(given) or -3, types, i32), *values)
    f.ret(d)
    assert elsewhere.compile(f)(2**40, 0.5) == -3
    first = {i64: 2**40, f64: 0.5}
    assert seen == [tuple(first.get(type, 0) - number for number, type in enumerate(types))]


def test_what_goes_wrong_in_a_handler_is_raised(elsewhere: Machine) -> None:
    gives: Any = None

    def handler(point: Any, values: tuple[Any, ...]) -> Any:
        return gives(values)

    def fails(values: tuple[Any, ...]) -> int:
        raise KeyError(values)

    inner, f = Function("inner", [i64], i64), Function("f", [i64], i64)
    inner.jump(inner.exit(handler, 12, inner.params))
    d = f.reg(i64)
    f.call(d, inner, f.params[0])
    f.i64_add(d, d, f.params[0])
    f.ret(d)
    traps = Function("traps", [], i64)
    traps.unreachable()
    call, trapping = elsewhere.compile(f), elsewhere.compile(traps)
    for _ in range(2):
        gives = fails
        with pytest.raises(KeyError, match="7"):
            call(7)
        gives = lambda values: 2**63  # noqa: E731
        with pytest.raises(OverflowError, match=r"the handler of exit 12 of function 'inner' gave .*; accepted: i64"):
            call(7)
        gives = lambda values: trapping()  # noqa: E731
        with pytest.raises(cnp.Trap, match="unreachable in function 'traps'"):
            call(7)
        gives = lambda values: call(values[0] - 1) if values[0] else 0  # noqa: E731
        assert call(100) == 100 * 101 // 2
