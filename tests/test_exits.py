"""Side exits: whoever leads there, the handler gets what the registers held, and its result is the function's."""

from __future__ import annotations

import ctypes
import gc
import random
import weakref
from typing import Any

import pytest
from conftest import LIBRARY
from exit_programs import Entering, Log, memory, run, runs
from exit_ways import each_way

import cnp
from cnp import f32, f64, i32, i64
from cnp.ir.text import print_function
from cnp.types import Type

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


# -- random programs


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_handlers_see_what_the_reference_interpreter_shows_them(first: int) -> None:
    taken, log = 0, Log()
    for seed, program, arguments, wanted in runs(range(first, first + 30), log):
        taken += bool(wanted[1])
        in_the_frame = bytes([255] * len(program.register_types))
        for options in ({}, {"nogil": True}, {"safepoints": False}, {"pins": in_the_frame}):
            assert run(program, log, arguments, **options) == wanted, (seed, options, print_function(program))
    assert taken > 15


def test_loops_go_on_where_they_were_left() -> None:
    entered = 0
    for seed in range(80):
        log = Log()
        r = random.Random(seed)
        arguments = (0, memory(seed), 1.5, seed % 8)
        wanted = run(Entering(seed, log, -1, "native").program(), log, arguments)
        for backend in ("native", "reference"):
            generator = Entering(seed, log, r.randrange(1, 5), backend)
            assert run(generator.program(), log, arguments, backend=backend) == wanted, seed
            entered += generator.entries
    assert entered > 30


# -- what handlers get


@each_way
def test_values_of_all_types_in_registers_in_slots_and_constants(options: dict[str, Any]) -> None:
    f = cnp.Function("f", [i64, f64], i64)
    n, x = f.params
    values: list[Any] = []
    for number in range(20):  # more than there are registers
        for type in Type:
            register = f.reg(type)
            if type.is_float:
                getattr(f, f"{type}_const")(register, number + 0.5)
            else:
                getattr(f, f"{type}_const")(register, -number)
            values.append(register)
    f.f64_add(x, x, 0.25)
    seen: list[Any] = []
    out = f.exit(lambda *each: seen.append(each) or 5, ("place", 3), [n, x, *values, n, 7, 2.5, True])
    f.branch_i64_gt_s(n, 0, out)
    f.ret(n)
    g = f.compile(**options)
    assert g(-3, 1.0) == -3 and not seen
    assert g(2**62, 1.0) == 5
    numbers = [number + 0.5 if type.is_float else -number for number in range(20) for type in Type]
    assert seen == [(("place", 3), (2**62, 1.25, *numbers, 2**62, 7, 2.5, True))]
    assert [each.__class__ for each in seen[0][1][2:6]] == [int, int, float, float]
    assert seen[0][1][-1] is True


@each_way
def test_a_value_that_was_folded_into_its_branch_is_there(options: dict[str, Any]) -> None:
    f = cnp.Function("f", [i64, i64], i64)
    a, b = f.params
    less = f.reg(i32)
    f.i64_lt_s(less, a, b)
    f.branch_i32_nez(less, f.exit(lambda point, values: values[0] * 100 + values[1], 1, [less, a]))
    f.ret(b)
    g = f.compile(**options)
    assert (g(3, 4), g(4, 3)) == (103, 3)


@each_way
@pytest.mark.parametrize("only_there", [False, True])
def test_what_a_loop_computes_in_every_round_alike_is_there(options: dict[str, Any], only_there: bool) -> None:
    """Where an exit wants it, it is not renamed in front of the loop; the rest may be."""
    f = cnp.Function("f", [i64, i64], i64)
    n, a = f.params
    i, t, u, total = (f.reg(i64) for _ in range(4))
    head, done = f.label(), f.label()
    f.i64_const(i, 0)
    f.i64_const(t, -1)
    f.i64_const(total, 0)
    out = f.exit(lambda point, values: values[1] * 1000 + values[0], 1, [i, t])
    f.place(head)
    f.branch_i64_ge_s(i, n, done if only_there else out)
    f.i64_mul(t, a, 12345)
    f.i64_mul(u, a, 12345)
    f.i64_xor(u, u, 3)
    f.i64_add(total, total, u)
    f.branch_i64_gt_s(total, 10**9, out)
    f.i64_add(i, i, 1)
    f.jump(head)
    f.place(done)
    f.ret(total)
    g = f.compile(**options)
    assert g(0, 2) == (0 if only_there else -1000)
    assert g(5, 2) == (5 * (24690 ^ 3) if only_there else 24690 * 1000 + 5)
    assert g(10**6, 2) == 24690 * 1000 + next(k for k in range(10**6) if (24690 ^ 3) * (k + 1) > 10**9)


@each_way
def test_each_guard_of_a_block_leaves_with_what_is_there_then(options: dict[str, Any]) -> None:
    """What its registers hold afterwards is another's, and one exit has no values."""
    f = cnp.Function("f", [i64, i64], i64)
    n, a = f.params
    kept, changed, late = (f.reg(i64) for _ in range(3))

    def left(point: Any, values: tuple[Any, ...]) -> int:
        return sum(value * 1000**k for k, value in enumerate((point, *values)))

    f.i64_const(kept, 7)
    f.i64_add(changed, a, 1)
    f.branch_i64_eq(n, 1, f.exit(left, 1, []))
    with_both = f.exit(left, 2, [kept, changed])
    f.branch_i64_eq(n, 2, with_both)
    f.i64_add(changed, changed, 1)
    f.branch_i64_eq(n, 3, with_both)
    f.i64_mul(late, changed, 3)
    f.branch_i64_eq(n, 4, f.exit(left, 4, [late]))
    f.i64_add(late, late, n)
    f.i64_mul(changed, late, 5)
    f.branch_i64_eq(n, 5, f.exit(left, 5, [changed, late]))
    f.ret(late)
    g = f.compile(**options)
    assert [g(n, 20) for n in range(7)] == [66, 1, 21_007_002, 22_007_002, 66_004, 71_355_005, 72]


@each_way
def test_what_is_made_between_two_ways_to_an_exit_is_there(options: dict[str, Any]) -> None:
    """Although something else would read it alone, which it might be folded into."""
    f = cnp.Function("f", [i64, cnp.ptr], i64)
    n, memory = f.params
    address, loaded, less = f.reg(i64), f.reg(i64), f.reg(i32)
    f.move(address, memory)
    f.i32_const(less, 5)
    out = f.exit(lambda point, values: (values[0] - values[1]) * 10 + values[2], 1, [address, memory, less])
    f.branch_i64_eq(n, 1, out)
    f.i64_add(address, memory, 8)
    f.i64_load(loaded, address, 0)
    f.branch_i64_eq(n, 2, out)
    f.i64_lt_s(less, n, 4)
    f.branch_i32_nez(less, out)
    f.i64_add(address, memory, 16)
    f.i64_load(n, address, 0)
    f.i64_sub(n, n, loaded)
    f.ret(n)
    g, words = f.compile(**options), (ctypes.c_int64 * 3)(1000, 100, 700)
    assert [g(n, words) for n in (1, 2, 3, 4)] == [5, 85, 81, 600]


@each_way
def test_a_guard_behind_a_call_restores_what_it_leaves_with(options: dict[str, Any]) -> None:
    callee = cnp.Function("callee", [i64], i64)
    callee.i64_mul(callee.params[0], callee.params[0], 2)
    callee.ret(callee.params[0])
    f = cnp.Function("f", [i64, i64], i64)
    n, a = f.params
    values = [f.reg(i64) for _ in range(24)]
    for k, each in enumerate(values):
        f.i64_add(each, a, k)
    twice = f.reg(i64)
    f.call(twice, callee, n)
    f.branch_i64_eq(twice, 2, f.exit(lambda point, left: sum(left), 1, values[:12]))
    f.branch_i64_eq(twice, 4, f.exit(lambda point, left: sum(left) * 1000, 2, values[6:]))
    f.call(twice, callee, twice)
    f.branch_i64_eq(twice, 12, f.exit(lambda point, left: sum(left) * 100, 3, values[::2]))
    for each in values:
        f.i64_add(twice, twice, each)
    f.ret(twice)
    g = f.compile(**options)
    assert [g(n, 50) for n in range(1, 5)] == [666, (900 + sum(range(6, 24))) * 1000, 73_200, 16 + 1200 + 276]


def test_a_handler_may_hold_the_code() -> None:
    """A cycle, which the collector finds."""

    class Interpreter:
        code: Any

        def leave(self, point: int, values: tuple[int, ...]) -> int:
            return 5

    interpreter = Interpreter()
    f = cnp.Function("f", [i64], i64)
    f.jump(f.exit(interpreter.leave, 1))
    interpreter.code = f.compile()
    assert interpreter.code(1) == 5
    gone = weakref.ref(interpreter), weakref.ref(interpreter.code)
    del f, interpreter
    gc.collect()
    assert [each() for each in gone] == [None, None]


def test_values_outlive_compiled_code_that_the_garbage_collector_runs() -> None:
    """It may come, and run anything, as soon as there is a tuple for them."""
    f = cnp.Function("f", [f64] * 8, f64)
    f.jump(f.exit(lambda point, values: sum(values), 1, f.params))
    g, log = f.compile(), Log()

    def collecting(phase: str, details: Any) -> None:
        log.answer(1, (), i64)

    threshold = gc.get_threshold()
    gc.callbacks.append(collecting)
    gc.set_threshold(1)
    try:
        for _ in range(20):
            assert g(*[1.5 * each for each in range(8)]) == 42.0
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(collecting)
    assert log.calls


@each_way
@pytest.mark.parametrize(
    "type, given, wanted",
    [(i32, -5, -5), (i64, 2**63 - 1, 2**63 - 1), (f32, 0.1, 0.10000000149011612), (f64, 3, 3.0), (f64, 0.1, 0.1),
     (None, None, None), (i64, True, 1)],
)  # fmt: skip
def test_what_a_handler_gives_is_the_result(options: dict[str, Any], type: Any, given: Any, wanted: Any) -> None:
    f = cnp.Function("f", [i64], type)
    f.jump(f.exit(lambda point, values: given, 1, f.params))
    result = f.compile(**options)(1)
    assert result == wanted and result.__class__ is wanted.__class__


@each_way
@pytest.mark.parametrize(
    "type, given, error, accepted",
    [(i32, 2**31, OverflowError, r"i32 \(-2\*\*31 to 2\*\*31 - 1\)"), (i64, 2**63, OverflowError, "i64"),
     (i64, "x", TypeError, "i64"), (i64, 1.5, TypeError, "i64"), (f32, 1e300, OverflowError, "f32"),
     (f64, None, TypeError, "f64"), (f64, 10**400, OverflowError, "f64"), (None, 3, TypeError, "None")],
)  # fmt: skip
def test_a_wrong_result_is_named(options: dict[str, Any], type: Any, given: Any, error: Any, accepted: str) -> None:
    f = cnp.Function("f", [i64], type)
    f.jump(f.exit(lambda point, values: given, 12, f.params))
    with pytest.raises(error, match=f"the handler of exit 12 of function 'f' gave .*; accepted: {accepted}"):
        f.compile(**options)(1)
