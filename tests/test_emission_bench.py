"""What emission is measured with is right: counts, states, fits, and programs for any library. No test is of speed."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import LIBRARY
from shared_files import once

from cnp.bench import (
    caches,
    callgrind,
    census,
    counted,
    counters,
    emission_counts,
    emission_cycles,
    emission_programs,
    fit,
)
from cnp.bench.census import Census
from cnp.bench.counted import Kind
from cnp.bench.counters import Event
from cnp.bench.emission_state import State, seconds_in
from cnp.bench.emission_times import Point, together
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.harness import Prepared, Work, libc, nothing, timed
from cnp.bench.measure import Ratio
from cnp.bench.published import PUBLISHED, Unit
from cnp.errors import InternalError
from cnp.ir.optable import default_ops
from cnp.runtime.layout import KNOWN_OPS
from cnp.runtime.libc import PAGE
from cnp.stencil.layout import FIELD, SectionName
from cnp.stencil.library import Library
from cnp.stencil.model import NO_OP, OpFlag
from cnp.stencil.records import Op
from cnp.stencil.writer import Contents, library_bytes
from cnp.target.immediate import ImmediateClass
from cnp.target.patch import KindFlag, PatchKind, Segment
from cnp.types import Type

needs_library = pytest.mark.skipif(
    not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine"
)
ROOT = Path(__file__).parent.parent


# What is emitted, and when.


@needs_library
@pytest.mark.parametrize("shape", emission_programs.SHAPES)
@pytest.mark.parametrize("size", [10, 700])
def test_a_census_agrees_with_the_code(shape: str, size: int) -> None:
    prepared = Prepared(emission_programs.make(shape, size))
    found = census.take(prepared)  # which compares the sum over stencils with the disassembly
    assert found.bytes == len(prepared.code)
    assert found.ops == len(prepared.function.ops)
    assert 0 < found.stencils <= found.chunks <= prepared.request.n_items
    assert found.address_holes <= found.holes
    assert census.total([found, found]).parts()["hole"] == 2 * found.holes
    prepared.close()


@needs_library
def test_emitting_otherwise_than_compiling_did_is_found_out() -> None:
    prepared = Prepared(emission_programs.make("straight", 50))
    prepared.code = prepared.code[:-1] + b"\x00"
    with pytest.raises(InternalError, match="emitted a second time, it has other bytes"):
        prepared._check()
    with pytest.raises(InternalError, match="emitted into fresh pages, it has other bytes"):
        seconds_in(State.FRESH_PAGES, prepared, 1)
    prepared.close()


@needs_library
def test_fresh_pages_have_not_been_touched() -> None:
    prepared = Prepared(emission_programs.make("memory", 30_000))
    pages = len(prepared.code) // PAGE
    assert pages > 30

    def faults(state: State) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        seconds_in(state, prepared, 3)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    caches.sweep()
    for state in State:
        faults(state)
    assert faults(State.WARM) < pages
    assert faults(State.COLD_CACHES) < pages
    assert faults(State.FRESH_PAGES) >= 2 * 3 * pages  # cnp_emit's and memcpy's
    prepared.close()


@needs_library
@pytest.mark.parametrize("state", State)
def test_every_state_takes_time(state: State) -> None:
    prepared = Prepared(emission_programs.make("mix", 100))
    ratio = seconds_in(state, prepared, 4)
    assert len(ratio.numerator) == len(ratio.denominator) == 4
    assert min(*ratio.numerator, *ratio.denominator) > 0
    prepared.close()


@needs_library
def test_loops_and_clocks_call_what_they_are_told_to() -> None:
    counter = (ctypes.c_char * 4)(*b"abcd")
    Work(((libc("memset"), (0, 1, 2)),), (ctypes.addressof(counter), ord("x"), 3)).repeat(2)
    assert counter.raw == b"xxxd"
    Work(((libc("memset"), (0, 1, 2)),), (ctypes.addressof(counter), ord("y"), 4)).repeat(0)
    assert counter.raw == b"xxxd"
    assert timed(libc("memset"), ctypes.addressof(counter), ord("z"), 4) >= 0
    assert counter.raw == b"zzzz"
    assert timed(libc("usleep"), 2000) >= 0.002


# Programs.


@needs_library
def test_every_op_has_every_op_that_users_may_name() -> None:
    rows = {row.code: row for row in default_ops().rows.values() if not row.flags & OpFlag.HIDDEN}
    used = {op[0] for op in emission_programs.every_op(2000).ops}
    assert {row.method for code, row in rows.items() if code not in used} == set()
    for size in (10, 11, 12, 500):
        function = emission_programs.every_op(size)
        assert size - 1 <= len(function.ops) <= size + 1
        function.compile()


def test_a_program_that_the_library_has_no_ops_for_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks_an_op(size: int) -> Any:
        raise AttributeError("Function has no op or attribute 'i64_load'")

    monkeypatch.setitem(emission_programs.SHAPES, "memory", lacks_an_op)
    with pytest.raises(Unavailable, match=r"the library lacks an op of this program: .*'i64_load'"):
        emission_programs.make("memory", 10)


# Counting.


def _steps(work: Work) -> int:
    """How often a child can be stepped from one stop to the next, where the work is done once between two stops."""
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    trace.restype, trace.argtypes = ctypes.c_long, (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    trace_me, go_on, single_step = 0, 7, 9
    stopping = Work(((libc("raise"), (len(work.arguments),)), *work.steps), (*work.arguments, signal.SIGSTOP))
    stopping.repeat(0)
    child = os.fork()
    if child == 0:
        if trace(trace_me, 0, None, None) == 0:
            stopping.repeat(3)
        os._exit(0)

    def go(request: int) -> bool:
        """Whether the child has stopped itself, and not because of the step."""
        if trace(request, child, None, None):
            pytest.skip("NOT TESTED: ptrace does not work here")
        return stopped()

    def stopped() -> bool:
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            pytest.skip("NOT TESTED: ptrace is not allowed here")
        return os.WSTOPSIG(status) == signal.SIGSTOP

    assert stopped() and go(go_on)
    steps = 1
    while not go(single_step):
        steps += 1
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return steps


@needs_library
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="NOT TESTED: valgrind is not installed")
def test_counts_are_exact() -> None:
    shapes = ("face", "straight", "calls", "nested")
    found = callgrind.run(((Kind.EMIT, 100),), shapes)
    for shape in shapes:
        prepared = Prepared(counted.make(shape, 100))
        assert found[shape, Kind.EMIT, 100] == _steps(prepared.emission) - _steps(nothing()) + 1
        prepared.close()


@needs_library
def test_without_valgrind_counts_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unavailable, match="valgrind is not installed"):
        emission_counts.run(Recorder("made", quick=True), ["straight"])


@needs_library
def test_counters_count() -> None:
    """With the one event that needs no counter in the processor."""
    try:
        found = counters.per_call(Work(((libc("usleep"), (0,)),), (0,)).repeat, 200, [Event.TASK_CLOCK])
    except Unavailable as reason:
        pytest.skip(f"NOT TESTED: {reason}")
    assert 0 < found[Event.TASK_CLOCK] < 1e9


@pytest.mark.parametrize(
    "number, why",
    [
        (errno.ENOENT, "the processor's counters are not there"),
        (errno.EACCES, "perf_event_paranoid has "),
        (errno.ENOSYS, "this kernel does not have it"),
        (errno.EMFILE, "EMFILE .Too many open files.: unexpected"),
    ],
)
def test_a_refusal_says_why(number: int, why: str) -> None:
    message = counters.refusal(Event.BRANCH_MISSES, number)
    assert message.startswith("perf_event_open refuses to count branch misses: ")
    assert why.replace(".", "") in message.replace("(", "").replace(")", "").replace(".", "")


def test_shared_counters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "read", lambda file, size: counters._READING.pack(1000, 20, 19))
    with pytest.raises(Unavailable, match="in use by others"):
        counters._read(0)


@needs_library
def test_cycles_are_divided_by_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = Prepared(emission_programs.make("straight", emission_cycles.SIZE))
    generated = census.take(prepared).instructions
    prepared.close()
    counted = {Event.CYCLES: 2.0 * generated, Event.INSTRUCTIONS: 6.0 * generated, Event.BRANCH_MISSES: 0.0}
    monkeypatch.setattr(emission_cycles, "per_call", lambda work, n, events: counted)
    recorder = Recorder("made", quick=True)
    emission_cycles.run(recorder, ["straight"])
    values = {each.name: each.value for each in recorder.figures}
    assert values["made.cycles_per_instruction"] == values["made.cycles_per_instruction.straight"] == 2
    assert values["made.counted_instructions_per_instruction"] == 6


def test_the_largest_cache_is_found(tmp_path: Path) -> None:
    for number, text in enumerate(("48K\n", "1024K\n", "2M\n")):
        (tmp_path / f"size{number}").write_text(text)
    assert caches.largest_cache(f"{tmp_path}/size*") == 2 << 20
    assert caches.largest_cache(f"{tmp_path}/none*") == 0


# Fits.


def test_a_line_is_fitted_exactly() -> None:
    rows = [(1.0, n, n % 3) for n in (1, 10, 100, 1000)]
    line = fit.linear(rows, [7 + 2 * n + 5 * (n % 3) for n in (1, 10, 100, 1000)])
    assert line.coefficients == pytest.approx((7, 2, 5)) or line.coefficients == pytest.approx((12, 2, 0))
    assert line.worst < 1e-9


def test_variables_that_tell_nothing_get_nothing() -> None:
    line = fit.linear([(1.0, 0.0, n) for n in (1, 2, 3)], [4.0, 5.0, 6.0])
    assert line.coefficients == pytest.approx((3, 0, 1))


def test_residuals_are_relative() -> None:
    line = fit.linear([(1.0,), (1.0,)], [1.0, 3.0])
    (level,) = line.coefficients
    assert level == pytest.approx((1 + 1 / 3) / (1 + 1 / 9))
    assert line.residuals == pytest.approx((1 - level, (3 - level) / 3))


def test_powers() -> None:
    assert fit.power({10: 20.0, 100: 200.0, 1000: 2000.0}) == fit.Power(pytest.approx(1), pytest.approx(1))
    assert fit.power({10: 1e2, 100: 1e4}).exponent == pytest.approx(2)
    assert fit.power({10: 20.0, 100: 900.0, 1000: 2000.0}).r_squared < 0.95
    described = fit.described({10: 25.0, 1000: 2005.0}, "ns")
    assert described == "exponent, r2 1.00000 from 10 to 1,000; 5 ns + 2 ns each, at most 0% off"


# What others published.


def test_published_figures_name_their_source() -> None:
    assert {each.name for each in PUBLISHED} == {"Fabius", "VCODE", "`C", "DyC"}
    for each in PUBLISHED:
        assert 0 < each.low <= each.high and isinstance(each.unit, Unit)
        assert any(word in each.source for word in ("1996", "1999"))


# Other libraries.


def _op(library: Library, code: int, codes: dict[int, int]) -> Op:
    row = library.ops[code]

    def moved(other: int) -> int:
        return codes.get(other, NO_OP)

    return Op(
        row.method, row.shape, row.result_type, tuple(map(Type, row.operand_types)), OpFlag(row.flags), row.forms,
        moved(row.swapped), moved(row.inverse), moved(row.branch), row.alternatives, row.classes,
        row.reversed_class, row.reversed_alternatives, row.patterns, row.bases, row.doc, row.source_line,
        code=codes[code],
    )  # fmt: skip


def _kind(row: tuple[int, ...]) -> PatchKind:
    flags, width, bias, scale, low, high, *rest = row
    segments = tuple(Segment(*rest[start : start + 4]) for start in range(0, len(rest), 4))
    return PatchKind("", segments, low, high, scale, width, bias, KindFlag(flags))


def _rewritten(path: Path, keep: Callable[[str], bool], names: dict[str, str]) -> None:
    """The library without some of its ops, in another order, some with other names."""
    with Library.open(LIBRARY) as library:
        kept = [row.code for row in reversed(library.ops) if keep(row.method)]
        codes = {code: number for number, code in enumerate(kept)}
        ops = [_op(library, code, codes) for code in kept]
        contents = Contents(
            target=library.target,
            abi_hash=library.abi_hash,
            integer_registers=library.integer_registers,
            float_registers=library.float_registers,
            ops=[replace(each, method=names.get(each.method, each.method)) for each in ops],
            placements=list(library.placements),
            families=[],
            kinds=[_kind(row) for row in library.kinds],
            classes=[ImmediateClass(*row) for row in library.classes],
            fields=list(FIELD.iter_unpack(library.section(SectionName.FIELDS))),
            stencils=list(library.stencils()),
            blob=bytes(library.section(SectionName.BLOB)),
            symbols=[(kind, name, value) for kind, rows in library.symbols.items() for name, value in rows],
            meta={"made": "by a test"},
        )
        path.write_bytes(library_bytes(contents))


MEASURES = """
import json, sys
from pathlib import Path
from cnp.bench import emission, emission_programs, own_library
from cnp.bench.figure import Recorder
own_library.use(Path(sys.argv[1]))
from cnp.ir.optable import default_ops
recorder = Recorder("emission", quick=True)
emission.run(recorder)
rows = default_ops().rows
used = sorted({rows[op[0]].method for op in emission_programs.every_op(2000).ops if op[0] in rows})
figures = {each.name: [each.value, each.note] for each in recorder.figures}
json.dump({"figures": figures, "samples": recorder.samples, "used": used}, sys.stdout)
"""


def _python(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=check, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The emission bench with a library that has no loads but the core's own, and an op that no other library has."""
    path = once(tmp_path_factory, "measured.json", _measure)
    return json.loads(path.read_text())


def _measure(output: Path) -> None:
    path = output.with_name("own.cnpl")
    names = {"f64_sqrt": "f64_root", "i64_clz": "i64_zeros_in_front"}
    absent = {"f32_sqrt", "f64_convert_i64_s"}
    _rewritten(path, lambda method: method in KNOWN_OPS or not ("_load" in method or method in absent), names)
    output.write_text(_python("-c", MEASURES, str(path)).stdout)


@needs_library
def test_another_library_is_measured_with_its_own_ops(measured: Any) -> None:
    figures = measured["figures"]
    assert {"f64_root", "i64_zeros_in_front", "i64_store"} <= set(measured["used"])
    assert not {"f64_sqrt", "f32_sqrt", "i64_load32_u", "f64_convert_i64_s"} & set(measured["used"])
    for shape, absent in (("mix", "f64_convert_i64_s"), ("memory", "i64_load32_u")):
        value, note = figures[f"emission.program.{shape}"]
        assert value is None and f"'{absent}'" in note
    assert figures["emission.growth.straight"][0] > 0
    assert figures["emission.growth.every_op"][0] > 0


@needs_library
def test_the_program_of_every_op_is_in_no_figure_of_several(measured: Any) -> None:
    pooled = [each for each in emission_programs.POOLED if each not in ("mix", "memory")]
    assert pooled == emission_programs.pooled([*pooled, "every_op"])
    figures = measured["figures"]
    for name, programs in (("time_vs_memcpy", pooled[1:]), ("instructions_per_instruction", pooled)):
        value, note = figures[f"emission.{name}"]
        if value is not None:
            assert ", ".join(programs) in note and "every_op" not in note
    with pytest.raises(Unavailable, match="the library has the ops of none of face, straight"):
        emission_programs.pooled(["every_op"])


@needs_library
def test_plots_find_their_samples(measured: Any) -> None:
    samples, figures = measured["samples"], measured["figures"]
    for prefix in ("", "cold_caches.", "fresh_pages."):
        for series in ("ns_per_instruction", "GB_per_s", "memcpy_GB_per_s", "time_vs_memcpy"):
            for size in (10, 100, 1000):
                assert min(samples[f"emission.{prefix}{series}.every_op.{size}"]) > 0
        assert figures[f"emission.{prefix}time_vs_memcpy.1000"][0] > 0
    assert figures["emission.time_vs_memcpy"][0] > 0
    if shutil.which("valgrind"):
        for size in (10, 100, 1000):
            assert samples[f"emission.instructions_per_instruction.every_op.{size}"][0] > 1
        assert figures["emission.instructions_per_instruction"][0] > 1


@needs_library
def test_the_command_takes_a_library(tmp_path: Path) -> None:
    copy = tmp_path / "copy.cnpl"
    shutil.copy(LIBRARY, copy)
    with_copy = _python("-m", "cnp", "bench", "library", "--library", str(copy))
    assert "bytes.meta" in with_copy.stdout
    refused = _python("-m", "cnp", "bench", "library", "--library", str(tmp_path / "none.cnpl"), check=False)
    assert refused.returncode == 1
    assert f"cannot read the stencil library {tmp_path / 'none.cnpl'}" in refused.stderr


@needs_library
def test_a_second_library_in_one_process_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy.cnpl"
    shutil.copy(LIBRARY, copy)
    code = "import sys, pathlib, cnp; cnp.Function('f').i64_add; from cnp.bench import own_library as own; "
    done = _python("-c", f"{code}own.use(pathlib.Path(sys.argv[1]))", str(copy), check=False)
    assert f"UserError: this process works with {LIBRARY} already" in done.stderr


def test_pooled_programs_are_summed_quickest_with_quickest() -> None:
    one = Point(Census(1, 1, 1, 1, 0, 2, 8), Ratio([4e-9, 2e-9], [1e-9, 2e-9]))
    other = Point(Census(1, 1, 1, 1, 0, 3, 8), Ratio([6e-9, 8e-9], [1e-9, 2e-9]))
    both = together([one, other])
    assert both.contents.instructions == 5
    assert both.per(5) == pytest.approx([1.6, 2.4])
    assert both.seconds.rounds == pytest.approx([4.0, 3.0])
    assert both.rate == pytest.approx([2.0, 4 / 3])
