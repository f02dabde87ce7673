"""The benches run, agree on results and give sane figures. How fast anything is, is no test's business."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from cnp import Label, Register
from cnp.bench import command, figure, measure, printer, programs, registry, runner
from cnp.bench.figure import Figure, Mark, Recorder, Unavailable
from cnp.runtime.default import DATA, machine

HAVE_LIBRARY = os.path.exists(os.path.join(DATA, f"{machine()}.cnpl"))
needs_library = pytest.mark.skipif(not HAVE_LIBRARY, reason="no stencil library is built")


@needs_library
@pytest.mark.parametrize("name", registry.benches())
def test_runs_and_gives_sane_figures(name: str) -> None:
    (recorder,) = runner.run(registry.chosen([name]), quick=True)
    assert recorder.figures
    names = [each.name for each in recorder.figures]
    assert len(set(names)) == len(names)
    for each in recorder.figures:
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


@needs_library
def test_command_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert command.main(["library", "--quick", "--json", str(path)]) == 0
    (result,) = json.loads(path.read_text())
    assert set(result) >= {"bench", "machine", "versions", "figures", "samples"}
    assert result["bench"] == "library"
    assert {each["name"] for each in result["figures"]} >= {"library.bytes"}
    assert "library.bytes" in capsys.readouterr().out


def test_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(registry.benches())
    assert command.main(["speed"]) == 1
    assert "there is no bench 'speed'" in capsys.readouterr().err


def test_marks() -> None:
    assert Figure("a", 6.0, at_most=6).mark is Mark.PASS
    assert Figure("a", 6.1, at_most=6).mark is Mark.MISS
    assert Figure("a", 2.0, at_least=2).mark is Mark.PASS
    assert Figure("a", 1.9, at_least=2).mark is Mark.MISS
    assert Figure("a", 1.9).mark is Mark.REPORTED
    assert Figure("a", None, at_most=1).mark is Mark.UNAVAILABLE


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
    assert figure.Mark.UNAVAILABLE.value in printer.cells(recorder.figures[0])
    assert "no compiler" in printer.cells(recorder.figures[0])


def test_statistics() -> None:
    assert measure.median([3, 1, 2]) == 2 and measure.median([4, 1, 2, 3]) == 2.5
    assert measure.quartiles(range(5)) == (1, 3)
    assert measure.geometric_mean([1, 4]) == pytest.approx(2)
    assert measure.slope({10: 20.0, 100: 200.0, 1000: 2000.0}) == pytest.approx(1)
    assert measure.slope({10: 100.0, 100: 10_000.0}) == pytest.approx(2)
    samples = measure.interleaved({"a": lambda: None, "b": lambda: None}, rounds=4)
    assert [len(each) for each in samples.values()] == [4, 4]
