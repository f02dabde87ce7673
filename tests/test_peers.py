"""Peers compile what they are given: translators against the reference interpreter, and what is missing is said."""

from __future__ import annotations

import ctypes
import dataclasses
import faulthandler
import functools
import importlib.util
import math
import os
import random
import re
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import LIBRARY
from expectations import PROGRAMS, check, expectations
from random_outcomes import Outcome, _run, agree, expected, text
from random_programs import Generator
from trials import EDGES

import cnp
from cnp import Function, i64
from cnp.bench import programs, versus
from cnp.bench.figure import Mark, Recorder, Unavailable
from cnp.bench.peers import NAMES, contest, jobs, libtcc_shared, peer_named
from cnp.bench.peers.c_ops import CHECKED, HELPED, STATEMENTS
from cnp.bench.peers.description import Constant, External, describe
from cnp.bench.peers.jobs import Job
from cnp.bench.peers.peer import Peer
from cnp.bench.peers.python_source import translate as to_python
from cnp.bench.peers.structure import structured
from cnp.bench.peers.wasm_binary import OPCODES
from cnp.errors import InternalError
from cnp.ir.optable import CODE_NAMES, default_ops
from cnp.ir.reference import Interpreter
from cnp.ir.semantics import SEMANTICS, TrapSignal
from cnp.ir.text import parse
from cnp.types import Type

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built")

WHOLE = ("llvmlite_O0", "llvmlite_O2", "libtcc")
"""The peers that translate every op."""
PROGRAMS_EACH = {"llvmlite_O0": 100, "llvmlite_O2": 25, "libtcc": 300}
KERNELS = sorted((Path(__file__).parent.parent / "bench" / "kernels").glob("*.cnp"))


@functools.cache
def running(name: str) -> Peer:
    """A peer, or a test that is skipped with the reason why there is none."""
    try:
        return peer_named(name)()
    except Unavailable as error:
        pytest.skip(f"NOT TESTED: {error}")


@pytest.fixture(scope="module", autouse=True)
def _let_go() -> Iterator[None]:
    """Some do not like to be there when Python ends."""
    yield
    running.cache_clear()


def compile_with(name: str) -> Callable[[Function], Any]:
    peer = running(name)
    return lambda function: peer.finish(peer.build(describe([function])))[0]


# -- descriptions


def test_descriptions_hold_what_the_table_needs() -> None:
    f = Function("f", [i64, cnp.ptr], i64)
    leaf = programs.tiny()
    labs = cnp.extern(4096, [i64], i64)
    a, base = f.params
    end = f.label()
    f.branch_i64_eq(a, -1, end)
    f.call(a, leaf, a, 5)
    f.call(None, labs, 5)
    f.i64_load(a, base, -8)
    f.place(end)
    f.ret(a)
    first, second = describe([f])
    assert (first.name, first.symbol, second.name) == ("f", "function_0", "tiny")
    assert first.parameters == (i64, cnp.ptr) and first.registers == (i64, i64)
    assert first.constants == (Constant(i64, -1), Constant(i64, 5), Constant(i64, -8))
    assert first.callees == (1, External(4096, (i64,), i64))
    assert [op[:2] for op in first.ops] == [
        ("branch i64.eq", (0, 2, 5)), ("call", (0, 6, 0, 3)), ("call", (-1, 7, 3)), ("i64.load", (0, 1, 4)),
        ("place", (5,)), ("ret", (0,)),
    ]  # fmt: skip
    table = ["a", "base", -1, 5, -8, "end", "leaf", "labs", None]
    assert [tuple(pick(table)) for *_, pick in first.ops] == [
        ("a", -1, "end"), ("a", "leaf", "a", 5), (None, "labs", 5), ("a", "base", -8), ("end",), ("a",),
    ]  # fmt: skip


def test_compiled_callees_are_described_as_functions() -> None:
    names = [each.name for each in describe([programs.calls(20)])]
    assert names == ["calls", "leaf"]


def test_constants_that_differ_stay_apart() -> None:
    f = Function("f", [], cnp.f64)
    d, x = f.reg(cnp.f64), f.reg(cnp.f32)
    for value in (0.0, -0.0, math.nan, 0.0):
        f.f64_const(d, value)
    f.f32_const(x, 0.1)
    f.ret(d)
    constants = describe([f])[0].constants
    assert [struct.pack("<d", each.value) for each in constants[:3]] == [
        struct.pack("<d", each) for each in (0.0, -0.0, math.nan)
    ]
    assert constants[3] == Constant(cnp.f32, struct.unpack("<f", struct.pack("<f", 0.1))[0])


# -- translators of everything


@pytest.mark.parametrize("chunk", range(5))
@pytest.mark.parametrize("name", WHOLE)
def test_random_programs(name: str, chunk: int) -> None:
    compile = compile_with(name)
    compared = 0
    for seed in range(chunk, PROGRAMS_EACH[name], 5):
        program = Generator(seed).program()
        wanted = expected(program)
        if wanted is None:
            continue
        compiled = compile(program.functions[0])
        if wanted[0] == "traps":
            assert _dies(lambda: compiled(*program.arguments)), f"no trap\n{text(program)}"  # noqa: B023
        else:
            found: Outcome = _run(lambda: compiled(*program.arguments), program.memory, program.machine)  # noqa: B023
            assert agree(wanted, found), f"expected {wanted}, got {found}\n{text(program)}"
        compared += 1
    assert compared > PROGRAMS_EACH[name] / 5 * 0.8


def _dies(call: Callable[[], Any]) -> bool:
    """Whether the process that makes the call ends as a trap ends it."""
    child = os.fork()
    if not child:
        faulthandler.disable()  # pytest's, which would tell of it
        call()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGABRT, signal.SIGILL, signal.SIGTRAP)


@pytest.mark.parametrize("path", [*PROGRAMS, *KERNELS], ids=lambda path: path.stem)
@pytest.mark.parametrize("name", WHOLE)
def test_programs_and_kernels(name: str, path: Path) -> None:
    source = path.read_text()
    module, compile = parse(source, path.name), compile_with(name)
    for each in expectations(source):
        if each.trap is None:
            buffers = [number for number, value in enumerate(each.arguments) if isinstance(value, bytes)]
            check(each, module, lambda function: _taking_bytearrays(compile(function), buffers))  # noqa: B023


def _taking_bytearrays(function: Any, buffers: list[int]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        passed = list(arguments)
        for number in buffers:
            passed[number] = (ctypes.c_char * len(arguments[number])).from_buffer(arguments[number])
        return function(*passed)

    return call


def test_every_op_has_a_statement_in_c() -> None:
    names = {*default_ops().by_name, *CODE_NAMES.values()} - {"call"}
    assert names == {*STATEMENTS, *CHECKED}
    assert HELPED.keys() <= STATEMENTS.keys()


def test_libtcc_says_what_it_does_not_understand(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = running("libtcc")
    monkeypatch.setattr("cnp.bench.peers.libtcc.translate", lambda group: "int function_0(void) { return nothing; }")
    with pytest.raises(Unavailable, match="'nothing' undeclared"):
        peer.finish(peer.build(describe([programs.tiny()])))


# -- translators of some


def test_arithmetic_of_webassembly() -> None:
    """The ops that WebAssembly has too, on its own compiler."""
    peer = running("wasmtime")
    rows = default_ops().by_name
    group = describe([_single(name) for name in OPCODES])
    choose = random.Random(1)
    for name, function in zip(OPCODES, peer.finish(peer.build(group))):
        types = [Type(each) for each in rows[name].operand_types]
        for _ in range(12):
            values = [choose.choice(EDGES[each]) for each in types]
            try:
                wanted = SEMANTICS[name](*values)
            except TrapSignal:
                with pytest.raises(Exception, match="wasm trap"):
                    function(*values)
            else:
                assert agree(("returns", wanted), ("returns", function(*values))), (name, values)


def _single(name: str) -> Function:
    row = default_ops().by_name[name]
    f = Function(name, [Type(each) for each in row.operand_types], Type(row.result_type))
    d = f.reg(Type(row.result_type))
    getattr(f, row.method)(d, *f.params)
    f.ret(d)
    return f


def test_python_for_numba() -> None:
    """It is Python too, as long as nothing overflows."""
    f = Function("f", [i64, i64], i64)
    a, b = f.params
    f.i64_rem_s(a, a, b)
    f.i64_xor(a, a, -1)
    f.ret(a)
    remainder = _python(f)
    for pair in ((7, 3), (-7, 3), (7, -3), (-7, -3), (6, 3), (0, 5)):
        assert remainder(*pair) == Interpreter().run(f, pair)
    assert [_python(programs.face())(n) for n in (0, 1, 10)] == [0, 0, 19]


def _python(function: Function) -> Any:
    (description,) = describe([function])
    names: dict[str, Any] = {}
    exec(to_python(description), names)
    return names[description.symbol]


def test_loops_are_found() -> None:
    """One inside the other, with both ways to leave."""
    f = Function("f", [i64], i64)
    (n,) = f.params
    total, i = f.reg(i64), f.reg(i64)
    outer, outer_done, inner, inner_done = (f.label() for _ in range(4))
    f.i64_const(total, 0)
    f.place(outer)
    f.branch_i64_le_s(n, 0, outer_done)
    f.i64_sub(n, n, 1)
    f.branch_i64_eq(n, 3, outer)
    f.i64_const(i, 0)
    f.place(inner)
    f.branch_i64_ge_s(i, n, inner_done)
    f.i64_add(i, i, 1)
    f.i64_add(total, total, i)
    f.jump(inner)
    f.place(inner_done)
    f.jump(outer)
    f.place(outer_done)
    f.ret(total)
    assert [_python(f)(n) for n in range(7)] == [Interpreter().run(f, (n,)) for n in range(7)]
    if importlib.util.find_spec("wasmtime"):
        assert compile_with("wasmtime")(f)(6) == Interpreter().run(f, (6,))


def test_other_control_flow_is_refused() -> None:
    f = Function("f", [i64], i64)
    skip = f.label()
    f.branch_i64_eqz(f.params[0], skip)
    f.i64_add(f.params[0], f.params[0], 1)
    f.place(skip)
    f.ret(f.params[0])
    with pytest.raises(Unavailable, match="f: control flow is not of loops alone"):
        structured(describe([f])[0])


def test_what_a_peer_cannot_express_is_unavailable() -> None:
    f = Function("f", [i64], i64)
    f.i64_popcnt(f.params[0], f.params[0])
    f.ret(f.params[0])
    for name in ("numba", "copapy"):
        peer = object.__new__(peer_named(name))  # none of them is needed to build
        peer._copapy = SimpleNamespace(value=int)  # type: ignore[attr-defined]
        with pytest.raises(Unavailable, match=r"i64\.popcnt"):
            peer.build(describe([f]))


# -- jobs and contests


@pytest.mark.parametrize("name", jobs.NAMES[:4])
def test_jobs_depend_on_their_arguments(name: str) -> None:
    job = jobs.make(name)
    assert all(len(set(row)) >= len(job.arguments) - 1 for row in job.expected)
    peer = running("cnp")
    functions = peer.finish(peer.build(job.group))
    job.check("cnp", 64, functions)
    wrong = dataclasses.replace(job, expected=[[value + 2**40 for value in row] for row in job.expected])
    wrong.check("cnp", 32, functions)
    with pytest.raises(InternalError, match=rf"{name}: cnp: .* is .*, not "):
        wrong.check("cnp", 64, functions)


@pytest.mark.parametrize("name", NAMES)
def test_contests(name: str) -> None:
    """From a description to results that are checked, in a process of its own."""
    running(name)
    outcome = contest.hold(name, jobs.make("straight.10"), 0)
    assert outcome.version and outcome.imported > 0 and outcome.first > 0
    assert not outcome.peer.build


def test_rounds_alternate() -> None:
    running("libtcc")
    outcome = contest.hold("libtcc", jobs.make("tiny"), 0.01)
    assert len(outcome.peer.whole) == len(outcome.cnp.whole) >= 3
    assert min(outcome.peer.whole) > 0


def test_a_contest_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(Unavailable, match="stopped after 0 s"):
        contest.hold("cnp", jobs.make("tiny"), 0, budget=0.001)


def test_wrong_results_end_a_contest() -> None:
    job = jobs.make("tiny")
    with pytest.raises(InternalError, match="tiny: cnp: tiny"):
        contest.hold("cnp", dataclasses.replace(job, expected=[[0] * len(job.arguments)]), 0)


@pytest.mark.parametrize("name", [each for each in NAMES if each not in ("cnp", "libtcc")])
def test_missing_packages_are_reported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = peer_named(name)
    package = made.packages[0].partition(".")[0]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Unavailable, match=rf"^{package} is not installed: pip install 'cnp\[{package}\]'$"):
        made()


def test_every_package_of_a_peer_is_an_extra() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    extras = dict(re.findall(r"^(\w+) = \[(.*)\]$", text, re.MULTILINE))
    packages = {peer_named(name).packages[0].partition(".")[0] for name in NAMES} - {"cnp", "ctypes"}
    assert extras["peers"] == f'"cnp[{",".join(sorted(packages))}]"'
    assert all(extras[each].startswith(f'"{each}>=') for each in packages)


def test_a_missing_libtcc_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(libtcc_shared.PLACE, raising=False)
    monkeypatch.setattr(libtcc_shared, "find_library", lambda name: None)
    monkeypatch.setattr(libtcc_shared, "_made", libtcc_shared._made.__wrapped__)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Unavailable, match=r"no libtcc.so, and no cc"):
        peer_named("libtcc").environment()


def test_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every peer and job has its figures, and those that cannot be had say why."""

    def hold(peer: str, job: Job, seconds: float) -> contest.Outcome:
        if peer == "numba" and job.name == "straight.100":
            raise Unavailable("stopped after 60 s")
        if peer == "copapy":
            raise Unavailable("copapy is not installed")
        times = contest.Times([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
        return contest.Outcome("1", 0.5, 0.25, times, times)

    monkeypatch.setattr(contest, "hold", hold)
    monkeypatch.setattr(jobs, "make", lambda name: Job(name, [], [], []))
    recorder = Recorder("versus")
    versus.run(recorder)
    figures = {each.name.removeprefix("versus."): each for each in recorder.figures}
    assert len(figures) == len(recorder.figures)
    wanted = {f"{what}.{peer}.{job}" for what in ("us", "first_us") for peer in NAMES for job in jobs.NAMES}
    wanted |= {f"time_vs_{peer}.{job}" for peer in NAMES if peer != "cnp" for job in jobs.NAMES}
    assert wanted <= figures.keys()
    assert figures["time_vs_libtcc.tiny"].value == 1.0 and figures["time_vs_libtcc.tiny"].mark is Mark.PASS
    assert figures["time_vs_llvmlite_O0.straight.1000"].mark is Mark.MISS
    assert figures["us.numba.straight.100"].note == "stopped after 60 s"
    assert figures["us.numba.straight.1000"].note == "straight.100: stopped after 60 s; larger ones are not tried"
    assert figures["us.numba.thousand"].value == pytest.approx(2.2e6)
    assert figures["cold_ms.cnp.tiny"].value == 750.0
    assert "cold_ms.copapy.tiny" not in figures
    assert figures["first_us.cnp.loop"].value == 250_000 and figures["first_us.copapy.loop"].value is None
    assert figures["time_vs_mir"].mark is Mark.UNAVAILABLE and "no package" in figures["time_vs_mir"].note
    (table,) = recorder.texts
    assert [line.split()[0] for line in table.splitlines()] == ["us,", *NAMES]
