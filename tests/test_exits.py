"""Side exits: whoever leads there, the handler gets what the registers held, and its result is the function's."""

from __future__ import annotations

import ctypes
import gc
import random
import threading
import traceback
import weakref
from typing import Any

import pytest
from conftest import LIBRARY
from exit_programs import Entering, Log, memory, run, runs

import cnp
from cnp import f32, f64, i32, i64
from cnp.ir.text import parse, print_function
from cnp.ir.verifier import find
from cnp.types import Type

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

WAYS: list[dict[str, Any]] = [{"backend": "reference"}, {}, {"nogil": True}]
each_way = pytest.mark.parametrize("options", WAYS, ids=["reference", "native", "nogil"])


def keep(point: Any, values: tuple[Any, ...]) -> int:
    raise AssertionError("this exit is not taken")


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


# -- who leaves


def _callee(handler: Any) -> cnp.Function:
    """n + 1, or where n is 7 what the handler gives."""
    callee = cnp.Function("callee", [i64], i64)
    (n,) = callee.params
    callee.branch_i64_eq(n, 7, callee.exit(handler, "seven", [n]))
    callee.i64_add(n, n, 1)
    callee.ret(n)
    return callee


def _caller(callee: Any, live: int = 0) -> cnp.Function:
    """10 * callee(n) + n + 0 + 1 + ... + (live - 1)."""
    f = cnp.Function("caller", [i64], i64)
    (n,) = f.params
    values, result = [f.reg(i64) for _ in range(live)], f.reg(i64)
    for number, each in enumerate(values):
        f.i64_const(each, number)
    f.call(result, callee, n)
    f.i64_mul(result, result, 10)
    for each in [n, *values]:
        f.i64_add(result, result, each)
    f.ret(result)
    return f


@each_way
@pytest.mark.parametrize("live", [0, 5, 40])
def test_a_caller_goes_on_with_the_handlers_result(options: dict[str, Any], live: int) -> None:
    log = Log()
    f = _caller(_callee(lambda point, values: log.answer(1, values, i64) - 7919 - 1 + 50), live)
    g, more = f.compile(**options), sum(range(live))
    assert g(3) == 43 + more
    assert g(7) == 500 + 7 + more + 10 * ((7919 + 1) % 1000 - 7920)


def test_calls_of_calls_and_recursion() -> None:
    depth = cnp.Function("depth", [i64, i64], i64)
    n, limit = depth.params
    result = depth.reg(i64)
    depth.branch_i64_ge_s(n, limit, depth.exit(lambda point, values: sum(values), 1, [n, limit]))
    depth.i64_add(result, n, 1)
    depth.call(result, depth, result, limit)
    depth.i64_add(result, result, n)
    depth.ret(result)
    g = depth.compile()
    for limit_ in (0, 1, 500, 5000):
        assert g(0, limit_) == 2 * limit_ + sum(range(limit_))
    deeper = cnp.Function("deeper", [i64], i64)  # a handler that enters compiled code that is left, and so on
    (n,) = deeper.params
    deeper.branch_i64_le_s(n, 0, deeper.exit(lambda point, values: 0, 1, []))
    deeper.jump(deeper.exit(lambda point, values: 1 + h(values[0] - 1), 2, [n]))
    h = deeper.compile()
    assert h(100) == 100


@each_way
def test_exceptions_end_all_compiled_code_and_keep_their_traceback(options: dict[str, Any]) -> None:
    def fails(point: Any, values: tuple[Any, ...]) -> int:
        raise KeyError(point, values)

    f = _caller(_callee(fails), 12)
    g = f.compile(**options)
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            g(7)
        assert caught.value.args == ("seven", (7,))
        assert "fails" in [each.name for each in traceback.extract_tb(caught.value.__traceback__)]
        assert g(3) == 43 + sum(range(12))


@each_way
def test_a_trap_inside_a_handler_passes_through(options: dict[str, Any]) -> None:
    traps = cnp.Function("traps", [], None)
    traps.unreachable()
    inner = traps.compile(**options)
    f = _caller(_callee(lambda point, values: inner() or 5))
    g = f.compile(**options)
    with pytest.raises(cnp.Trap, match="unreachable in function 'traps'"):
        g(7)

    def catches(point: Any, values: tuple[Any, ...]) -> int:
        with pytest.raises(cnp.Trap):
            inner()
        return 5

    assert _caller(_callee(catches)).compile(**options)(7) == 57


def test_threads() -> None:
    g = _caller(_callee(lambda point, values: values[0] + threading.get_ident() % 1000), 20).compile(nogil=True)
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(200):
            found = g(7)
            if found != 10 * (7 + threading.get_ident() % 1000) + 7 + sum(range(20)) or g(1) != 21 + sum(range(20)):
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_a_call_from_c_raises() -> None:
    def fails(point: Any, values: tuple[Any, ...]) -> int:
        raise KeyError(point)

    g = _callee(fails).compile()
    assert g.ctypes(3) == 4
    with pytest.raises(KeyError, match="seven"):
        g.ctypes(7)
    without_gil: Any = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(g.address)
    caught: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", caught.append)
        assert without_gil(7) == 0
    assert [each.exc_type for each in caught] == [KeyError]


def test_a_thread_that_python_does_not_know() -> None:
    """Its exceptions are reported where they are raised."""

    def handler(point: Any, values: tuple[Any, ...]) -> int:
        seen.append(values[0])
        if values[0] < 0:
            raise KeyError(values[0])
        return 5

    f = cnp.Function("thread", [i64], i64)
    (n,) = f.params
    f.jump(f.exit(handler, 1, [n]))
    g = f.compile(nogil=True)
    seen: list[int] = []
    caught: list[Any] = []
    libc = ctypes.CDLL(None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", caught.append)
        for argument, wanted in ((3, 5), (-3, 0), (4, 5)):
            thread, result = ctypes.c_ulong(), ctypes.c_int64(-1)
            start = ctypes.c_void_p(g.address)
            assert not libc.pthread_create(ctypes.byref(thread), None, start, ctypes.c_int64(argument))
            assert not libc.pthread_join(thread, ctypes.byref(result))
            assert result.value == wanted
    assert seen == [3, -3, 4] and [each.exc_type for each in caught] == [KeyError]


# -- what is said of them


def test_places() -> None:
    f = cnp.Function("f", [i64, f64], i64)
    n, x = f.params
    slot = f.reg(i64)
    f.i64_add(slot, n, 1)
    out, unused = f.exit(keep, "a", [n, x, slot, 4]), f.exit(keep, "b", [n])
    f.branch_i64_gt_s(n, 10, out)
    f.ret(n)
    g = f.compile(pins=bytes([2, 1, 255]))
    assert unused not in (out,)
    assert [(point, values) for point, _, values in g.exits] == [
        ("a", [(n, i64, "r2"), (x, f64, "f1"), (slot, i64, "frame+0"), (None, None, 4)])
    ]
    assert 0 < g.exits[0][1] < len(g.code)
    assert cnp.Function("g", [], None).exits == {}


def test_the_way_past_an_exit_is_one_branch() -> None:
    """What is wanted there is neither moved nor stored, and registers are free again behind it."""
    f = cnp.Function("f", [i64, i64], i64)
    a, b = f.params
    values = [f.reg(i64) for _ in range(8)]
    for each in values:
        f.i64_add(each, a, b)
    f.branch_i64_gt_s(a, b, f.exit(keep, 1, [a, b, *values]))
    more = [f.reg(i64) for _ in range(8)]
    for each in more:
        f.i64_mul(each, a, b)
    for each in more:
        f.i64_add(a, a, each)
    f.ret(a)
    g = f.compile(trace=True)
    from cnp.tools import listing

    rows = [each for each in listing.rows(g, decode=False) if each.op is not None and each.offset < g.exits[0][1]]
    assert [each.stencil.split()[0] for each in rows if each.op == 8] == ["branch"]
    assert all("slot" not in each.stencil for each in rows), [each.stencil for each in rows]


# -- mistakes


def test_what_cannot_be_an_exit() -> None:
    f, other = cnp.Function("f", [i64], i64), cnp.Function("other", [i64], i64)
    with pytest.raises(cnp.UserError, match="exit 1: its handler 5 cannot be called; accepted: any callable"):
        f.exit(5, 1)  # type: ignore[arg-type]
    for wrong in (other.params[0], "x", None, f.label()):
        with pytest.raises(cnp.UserError, match=r"exit 1 cannot pass on .*; accepted: a register of this function"):
            f.exit(keep, 1, [wrong])  # type: ignore[list-item]


@pytest.mark.parametrize("kind", ["branch", "jump", "table", "threaded"])
def test_a_register_that_is_not_assigned_on_every_way(kind: str) -> None:
    f = cnp.Function("f", [i64], i64)
    (n,) = f.params
    never, on = f.reg(i64, "never"), f.label()
    ok, out = f.exit(keep, 0, [n, n, 3]), f.exit(keep, 1, [n, 5, never])
    if kind == "branch":
        f.branch_i64_gt_s(n, 3, out)
    elif kind == "jump":
        f.jump(out)
    elif kind == "table":
        f.branch_table(0, [on, ok, on], out)
    else:
        f.branch_i64_gt_s(n, 3, on)
        f.ret(n)
        f.place(on)
        f.jump(out)
    if kind in ("branch", "table"):
        f.place(on)
        f.ret(n)
    for options in ({}, {"backend": "reference"}):
        with pytest.raises(cnp.VerifyError, match="side exit: register never of type i64 is read where some path"):
            f.compile(**options)
    number = {"branch": 0, "jump": 0, "table": 0, "threaded": 3}[kind]
    assert find(f).op == number


def test_an_exit_cannot_be_placed_nor_run_into() -> None:
    f = cnp.Function("f", [i64], i64)
    out = f.exit(keep, 1)
    f.branch_i64_eqz(f.params[0], out)
    for options in ({}, {"backend": "reference"}):
        with pytest.raises(cnp.VerifyError, match="control goes on past the last op"):
            f.compile(**options)
    f.place(out)
    f.ret(1)
    for options in ({}, {"backend": "reference"}):
        with pytest.raises(cnp.VerifyError, match=r"is a side exit; accepted: a label that Function\.label made"):
            f.compile(**options)


def test_where_this_python_is_not() -> None:
    f = _callee(keep)
    from cnp.target import TARGETS
    from cnp.tools.emission import object_file

    with pytest.raises(cnp.Unsupported, match="function 'callee' has side exits, which lead to this Python"):
        object_file([f])
    other = next(name for name in TARGETS if name != LIBRARY.stem)
    with pytest.raises((cnp.Unsupported, cnp.LibraryError), match=r"has side exits|there is no stencil library"):
        f.compile(target=other).linked(0, {}, {})
    text = print_function(f)
    assert "exit @0 (%0) ; 'seven'" in text
    with pytest.raises(cnp.ParseError, match="a side exit leads to a Python object, which a text cannot name"):
        parse(text)
