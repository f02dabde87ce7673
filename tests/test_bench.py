"""The benches run, agree on results and give sane figures. How fast anything is, is no test's business."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnp import Label, Register
from cnp.bench import callgrind, command, compile_time, many_loops, measure, programs, registry, runner, stackvm
from cnp.bench.counted import Kind
from cnp.bench.figure import Figure, Mark, Recorder, Unavailable
from cnp.bench.measure import Ratio
from cnp.errors import InternalError
from cnp.runtime.default import DATA, machine

ROOT = Path(__file__).parent.parent
HAVE_LIBRARY = os.path.exists(os.path.join(DATA, f"{machine()}.cnpl"))
needs_library = pytest.mark.skipif(not HAVE_LIBRARY, reason="NOT TESTED: no stencil library is built")


@needs_library
@pytest.mark.parametrize("name", registry.benches())
def test_runs_and_gives_sane_figures(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "stackvm":  # finds its ops built, as all tests that need them do
        monkeypatch.setattr(stackvm, "LIBRARY", request.getfixturevalue("stackvm"))
    (recorder,) = runner.run(registry.chosen([name]), quick=True)
    assert recorder.figures
    names = [each.name for each in recorder.figures]
    assert len(set(names)) == len(names)
    for each in recorder.figures:
        assert each.mark is not Mark.FAILED, each.note
        assert each.name == name or each.name.startswith(f"{name}.")
        if each.value is None:
            assert each.mark is Mark.UNAVAILABLE and each.note
        else:
            assert math.isfinite(each.value)
            assert each.value >= 0 or each.name.startswith(("memory.drop_", "startup."))
        if each.low is not None and each.high is not None:
            assert each.low <= each.high


@needs_library
@pytest.mark.parametrize("shape", programs.SHAPES)
def test_programs_have_the_size_asked_for(shape: str) -> None:
    function = programs.SHAPES[shape](500)
    assert 0.95 * 500 <= len(function.ops) <= 1.05 * 500
    function.compile()


@needs_library
@pytest.mark.parametrize("exponent, mark", [(1.0, Mark.PASS), (1.05, Mark.PASS), (1.5, Mark.MISS), (2.0, Mark.MISS)])
def test_work_that_grows_faster_than_loops_misses_its_target(
    exponent: float, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(works: callgrind.Works, shapes: tuple[str, ...]) -> dict[tuple[str, Kind, int], float]:
        return {(shape, kind, size): 9.0 * size**exponent for kind, size in works for shape in shapes}

    monkeypatch.setattr(callgrind, "run", run)
    recorder = Recorder("compile")
    compile_time._many_loops(recorder)
    assert [each.name for each in recorder.figures] == [f"compile.many_loops.{shape}" for shape in many_loops.SHAPES]
    assert {each.mark for each in recorder.figures} == {mark}


@needs_library
@pytest.mark.parametrize("shape", many_loops.SHAPES)
def test_functions_of_many_loops_compile(shape: str) -> None:
    small, large = (many_loops.make(shape, n) for n in (compile_time.FEW, compile_time.MANY))
    assert len(large.ops) / len(small.ops) == pytest.approx(4, rel=0.01)
    large.compile()


@needs_library
@pytest.mark.parametrize("shape", sorted({*programs.SHAPES} - {"calls"}))
def test_unrolled_source_builds_the_same_function(shape: str) -> None:
    function = programs.SHAPES[shape](200)
    again = programs.unrolled(function)()
    assert again.register_types == function.register_types
    assert [_plain(each) for each in again.ops] == [_plain(each) for each in function.ops]
    again.compile()


def _plain(op: tuple[Any, ...]) -> tuple[Any, ...]:
    """An op with registers and labels as (class, index): their codes also tell functions apart."""
    marked = (Register, Label)
    return tuple((type(each), each.code & 0xFFFFFFFF) if isinstance(each, marked) else each for each in op)


def test_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(registry.benches())
    with pytest.raises(SystemExit) as caught:
        command.main(["speed"])
    assert caught.value.code == 2
    assert "there is no bench 'speed'" in capsys.readouterr().err
    assert [each.name for each in registry.chosen(["call", "bpf", "call"])] == ["call", "bpf"]


def test_marks() -> None:
    assert Figure("a", 6.0, at_most=6).mark is Mark.PASS
    assert Figure("a", 6.1, at_most=6).mark is Mark.MISS
    assert Figure("a", 2.0, at_least=2).mark is Mark.PASS
    assert Figure("a", 1.9, at_least=2).mark is Mark.MISS
    assert Figure("a", 1.9).mark is Mark.REPORTED
    assert Figure("a", None, at_most=1).mark is Mark.UNAVAILABLE
    assert Figure("a", None, failed=True).mark is Mark.FAILED


def test_what_is_missing_is_reported() -> None:
    def run(recorder: Recorder) -> None:
        with recorder.part("one", "two"):
            raise Unavailable("no compiler")
        recorder.value("three", 3.0)
        raise Unavailable("nothing else either")

    (recorder,) = runner.run([registry.Bench("made", "", run)], quick=True)
    assert [(each.name, each.value) for each in recorder.figures] == [
        ("made.one", None), ("made.two", None), ("made.three", 3.0), ("made", None),
    ]  # fmt: skip
    assert [each.note for each in recorder.figures] == ["no compiler", "no compiler", "", "nothing else either"]


def test_what_a_part_has_got_to_before_it_stops_stays() -> None:
    recorder = Recorder("made")
    with recorder.part("one", "two"):
        recorder.value("one", 1.0)
        raise Unavailable("no compiler")
    assert [(each.name, each.value) for each in recorder.figures] == [("made.one", 1.0), ("made.two", None)]


def test_a_bench_that_fails_keeps_its_figures_and_stops_no_other() -> None:
    def wrong(recorder: Recorder) -> None:
        recorder.value("one", 1.0)
        raise InternalError("results differ")

    def right(recorder: Recorder) -> None:
        recorder.value("two", 2.0)

    failed, other = runner.run([registry.Bench("made", "", wrong), registry.Bench("more", "", right)], quick=True)
    assert [(each.name, each.mark) for each in failed.figures] == [("made.one", Mark.REPORTED), ("made", Mark.FAILED)]
    assert failed.figures[1].note == "results differ"
    assert [each.name for each in other.figures] == ["more.two"]


def test_no_figure_can_hide_another_or_be_no_number() -> None:
    recorder = Recorder("made")
    recorder.value("one", 9.0, at_most=1)
    with pytest.raises(InternalError, match=r"two figures are called made\.one"):
        recorder.value("one", 1.0, at_most=1)
    with pytest.raises(InternalError, match=r"made\.two is nan"):
        recorder.value("two", math.nan)
    with pytest.raises(InternalError, match=r"made\.three is inf"):
        recorder.sampled("three", [1.0, math.inf, 1.0], "ns")
    assert list(recorder.samples) == []


def test_a_figure_and_its_spread_can_be_had_from_its_samples() -> None:
    recorder = Recorder("made")
    recorder.sampled("time", [3.0, 1.0, 2.0, 5.0, 4.0], "ns")
    recorder.ratio("quotient", Ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]))
    for each in recorder.figures:
        samples = recorder.samples[each.name]
        assert each.value == measure.median(samples)
        assert (each.low, each.high) == measure.quartiles(samples)
        assert each.low <= each.value <= each.high
    assert recorder.samples["made.quotient"] == [2, 3, 1]
    assert recorder.samples["made.quotient.numerator"] == [2, 9, 4]
    assert recorder.samples["made.quotient.denominator"] == [1, 3, 4]


def test_statistics() -> None:
    assert measure.median([3, 1, 2]) == 2 and measure.median([4, 1, 2, 3]) == 2.5
    assert measure.quartiles(range(5)) == (1, 3)
    assert measure.geometric_mean([1, 4]) == pytest.approx(2)
    assert measure.slope({10: 20.0, 100: 200.0, 1000: 2000.0}) == pytest.approx(1)
    assert measure.slope({10: 100.0, 100: 10_000.0}) == pytest.approx(2)
    samples = measure.interleaved({"a": lambda: None, "b": lambda: None}, rounds=4)
    assert [len(each) for each in samples.values()] == [4, 4]


@needs_library
def test_the_works_of_pytest_benchmark_run() -> None:
    pytest.importorskip("pytest_benchmark")
    command = [sys.executable, "-m", "pytest", "bench", "--benchmark-disable", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
