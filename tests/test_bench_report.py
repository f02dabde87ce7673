"""What benches found reaches the reader whole: in JSON, on the terminal, in Markdown. Nothing is measured here."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cnp.bench import command, machine, markdown, matrix, printer, registry, results
from cnp.bench.figure import Figure, Recorder
from cnp.bench.measure import Ratio
from cnp.errors import InternalError, UserError

KERNELS = ("crc32", "fib", "sieve")
OTHERS = ("clang_O0", "clang_O1", "clang_O2", "tcc", "luajit", "llvmlite_O0", "numba")


def kernels() -> Recorder:
    """Figures as the bench of kernels has them, one contestant missing, one target missed."""
    recorder = Recorder("kernels")
    for row, kernel in enumerate(KERNELS):
        for column, other in enumerate(OTHERS):
            if other == "luajit":
                recorder.unavailable(f"time_vs_luajit.{kernel}", "luajit is not installed")
                continue
            ours = [1.0 + row, 1.1 + row, 1.2 + row]
            ratio = Ratio(ours, [each / (column + 0.5) for each in ours])
            recorder.ratio(f"time_vs_{other}.{kernel}", ratio, at_most=2.0 if other == "clang_O2" else None)
    recorder.value("time_vs_clang_O2.geomean", 2.5, "x", at_most=1.25)
    return recorder


def gathered(*recorders: Recorder) -> results.Results:
    versions = {"cnp": "0.1.0", "tcc": machine.MISSING}
    return results.gathered("all", recorders, {"processor": "a processor"}, versions, "2025-01-02T03:04:05+00:00")


def shown(figures: list[Figure], verbose: bool = False) -> str:
    stream = io.StringIO()
    printer.show("made", figures, verbose, stream)
    return stream.getvalue()


# JSON


def test_json_has_the_agreed_form_and_can_be_read_again() -> None:
    recorder = kernels()
    recorder.failed("results differ")
    before = gathered(recorder)
    text = results.as_json(before)
    found = json.loads(text)
    assert set(found) >= {"bench", "machine", "versions", "figures", "samples", "units", "spread", "targets", "notes"}
    documented = (Path(__file__).parent.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    assert [each for each in found if f"`{each}`" not in documented] == []
    assert found["figures"]["kernels.time_vs_luajit.fib"] is None
    assert found["notes"]["kernels.time_vs_luajit.fib"] == "luajit is not installed"
    assert found["figures"]["kernels.time_vs_clang_O2.fib"] == pytest.approx(2.5)
    assert found["targets"]["kernels.time_vs_clang_O2.geomean"] == {"at_most": 1.25}
    assert found["marks"]["kernels.time_vs_clang_O2.geomean"] == "MISS"
    assert found["failed"] == ["kernels"]
    assert all(isinstance(each, list) for each in found["samples"].values())
    after = results.from_json(text, "text")
    assert after == before
    assert results.as_json(after) == text


def test_json_of_the_five_agreed_keys_is_enough() -> None:
    agreed: dict[str, Any] = {"bench": "made", "machine": {}, "versions": {}, "samples": {}}
    found = results.from_json(json.dumps({**agreed, "figures": {"made.one": 1, "made.two": None}}), "text")
    assert [(each.name, each.value) for each in found.figures] == [("made.one", 1.0), ("made.two", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "text: not JSON: "),
        ("[]", "text: not what `cnp bench --json` writes: "),
        ('{"bench": "made"}', "text: not what `cnp bench --json` writes: there is no 'machine'"),
        ('{"bench": "", "machine": {}, "versions": {}, "samples": {}, "figures": {"a": "b"}}', "could not convert"),
    ],
)
def test_other_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        results.from_json(text, "text")
    assert message in str(caught.value)


def test_machine_and_versions_say_what_a_reader_needs() -> None:
    about = machine.machine()
    assert set(about) >= {"processor", "cores", "caches", "frequency", "memory", "huge pages", "virtualised"}
    assert "perf counters" in about and machine.load() and machine.stolen() >= 0
    versions = machine.versions()
    assert set(versions) >= {"cnp", "python", "clang", "kernel", "llvmlite", "numba", "wasmtime", "copapy"}
    assert set(versions) >= {
        "tcc",
        "gcc",
        "luajit",
        "valgrind",
        "libtcc",
        "LLVM of llvmlite",
        "numpy",
        "pytest-benchmark",
    }
    assert all(each and isinstance(each, str) for each in (*about.values(), *versions.values()))


def test_what_is_missing_has_no_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    versions = machine.versions()
    assert {versions[each] for each in ("tcc", "gcc", "luajit", "valgrind")} == {machine.MISSING}


# The terminal


def test_places_of_names() -> None:
    expected = {
        "made.time_vs_tcc.sieve": ("sieve", "time_vs_tcc"),
        "made.per_op.loops.1000": ("loops", "per_op at 1,000"),
        "made.per_op.calls.1000": ("calls", "per_op at 1,000"),
        "made.per_op.1000": (matrix.TOTAL, "per_op at 1,000"),
        "made.per_op.loops.10": ("loops at 10", "per_op"),  # the only one of that size
        "made.rate.100000": ("100,000", "rate"),
        "made.rate": (matrix.TOTAL, "rate"),
        "made.ns.built-in": ("built-in", "ns"),
        "made": (matrix.TOTAL, "made"),
    }
    assert matrix.places(list(expected)) == expected


def test_names_that_share_rows_become_a_matrix_with_means_last() -> None:
    names = ["one.geomean", "one.a", "one.b", "two.b.10", "alone", "two", "two.a.10", "one", "single.c", "single.d"]
    figures = [Figure(f"made.{name}", 1.0) for name in names]
    (found,), rest = matrix.arranged(figures)
    assert found.rows == ["a", "b", matrix.TOTAL, matrix.MEAN]
    assert found.columns == ["one", "two at 10"]
    assert [each.name for each in rest] == ["made.alone", "made.two", "made.single.c", "made.single.d"]
    assert matrix.arranged(rest) == ([], rest)


def test_names_that_share_no_rows_become_several_matrices() -> None:
    names = [
        "x.a",
        "p.c.9",
        "x.b",
        "p.d.9",
        "y_vs_x.b",
        "q.e",
        "p.c.8",
        "p.d.8",
        "y_vs_x.z",
        "q.d",
        "y_vs_y.z",
        "y_vs_y.a",
    ]
    found, rest = matrix.arranged([Figure(f"made.{name}", 1.0) for name in names])
    assert [(each.rows, each.columns) for each in found] == [
        (["c", "d", "e"], ["p at 9", "p at 8", "q"]),
        (["a", "b", "z"], ["x", "y_vs_x", "y_vs_y"]),
    ]
    assert not rest


def test_every_figure_is_shown_within_a_hundred_columns() -> None:
    recorder = kernels()
    recorder.sampled("a_name_that_is_rather_long_for_a_table_of_figures", [1.0, 2.0, 3.0], "ns", note="why " * 40)
    text = shown(recorder.figures)
    assert max(map(len, text.splitlines())) <= 100
    for kernel in KERNELS:
        (row,) = (line for line in text.splitlines() if line.startswith(kernel))
        assert len(row.split()) == len(OTHERS) + 1
    assert text.count("why") == 40
    assert "2 ns  1 to 3" in text
    assert "unavailable: time_vs_luajit of every row: luajit is not installed" in " ".join(text.split())
    verbose = shown(recorder.figures, verbose=True)
    assert all(each.name.partition(".")[2] in verbose for each in recorder.figures)


def test_a_miss_is_shown_in_its_table_and_at_the_end() -> None:
    recorder = kernels()
    (mean,) = (line for line in shown(recorder.figures).splitlines() if line.startswith("geomean"))
    assert mean.split() == ["geomean", "2.50!"]
    recorder.failed("results differ")
    stream = io.StringIO()
    printer.show_verdict(recorder.figures, quick=True, stream=stream)
    counts, *lines = stream.getvalue().strip().splitlines()
    assert counts == f"0 pass, 4 MISS, 3 unavailable, 1 FAILED; {printer.QUICK}"
    assert "MISS   kernels.time_vs_clang_O2.geomean: 2.50 x, must be <= 1.25" in lines
    assert "FAILED kernels: results differ" in lines
    assert len(lines) == 5


def test_numbers_have_three_digits_or_more() -> None:
    written = {None: "-", 0.0: "0", 1.0: "1", 0.12345: "0.123", 5.9: "5.90", 123.4: "123", 1234567.8: "1,234,568"}
    assert {value: printer.number(value) for value in written} == written


# Markdown


def test_markdown_has_every_figure_and_every_miss() -> None:
    text = markdown.document(gathered(kernels()))
    assert "| fib | 0.500 | 1.50 | **2.50** | 3.50 | - | 5.50 | 6.50 |" in text
    assert "| `kernels.time_vs_clang_O2.geomean` | **2.50 x** | <= 1.25 | MISS |" in text
    assert "| target |  |  | several |  |  |  |  |" in text
    assert "| `kernels.time_vs_luajit.sieve` | - | - | unavailable | luajit is not installed |" in text
    assert "| processor | a processor |" in text and "| tcc | missing |" in text
    assert printer.QUICK not in text
    assert printer.QUICK in markdown.document(gathered(Recorder("made", quick=True)))
    widths = {line.count("|") for line in markdown.sections(gathered(kernels()))["kernels"].splitlines()}
    assert widths == {len(OTHERS) + 2}


# The command


def measured(monkeypatch: pytest.MonkeyPatch, *failing: str) -> list[str]:
    """Replaces all benches by ones that measure nothing; the list takes the names of those that ran."""
    ran: list[str] = []

    def bench(name: str) -> registry.Bench:
        def run(recorder: Recorder) -> None:
            ran.append(name)
            recorder.sampled("time", [1.0, 2.0, 3.0], "ns", at_most=1)
            if name in failing:
                raise InternalError("results differ")

        return registry.Bench(name, "", run)

    monkeypatch.setattr(registry, "benches", lambda: {name: bench(name) for name in ("one", "two")})
    return ran


def test_command_writes_one_object(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(monkeypatch)
    path = tmp_path / "new" / "figures.json"
    for arguments, bench, names in (
        (["two"], "two", ["two.time"]),
        (["two", "one"], "two one", ["two.time", "one.time"]),
        ([], "all", ["one.time", "two.time"]),
    ):
        assert command.main([*arguments, "--json", str(path)]) == 0
        found = json.loads(path.read_text())
        assert found["bench"] == bench
        assert list(found["figures"]) == list(found["samples"]) == names
        assert {"load at start", "load at end", "stolen by others"} <= set(found["machine"])
        assert "MISS   two.time: 2 ns, must be <= 1" in capsys.readouterr().out
    assert [each.name for each in path.parent.iterdir()] == ["figures.json"]


def test_command_fails_after_the_other_benches_when_one_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = measured(monkeypatch, "one")
    path = tmp_path / "figures.json"
    assert command.main(["--json", str(path)]) == 1
    assert ran == ["one", "two"]
    assert "FAILED one: results differ" in capsys.readouterr().out
    assert json.loads(path.read_text())["failed"] == ["one"]


def test_command_shows_again_what_it_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = measured(monkeypatch)
    path = tmp_path / "figures.json"
    command.main(["--quick", "--json", str(path)])
    first = capsys.readouterr().out
    ran.clear()
    assert command.main(["--from", str(path)]) == 0
    again = capsys.readouterr().out
    assert not ran
    assert first[first.index("== one ==") :] == again[again.index("== one ==") :]
    assert command.main(["--from", str(path), "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("### machine\n\n| what | found |\n| --- | --- |\n| beware |")


def test_paths_that_cannot_be_written_stop_the_command_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = measured(monkeypatch)
    file = tmp_path / "file"
    file.write_text("kept")
    for path, message in (
        (tmp_path, f"error: {tmp_path} is not a file that can be replaced\n"),
        (file / "figures.json", f"error: {file} cannot be written to: "),
        (Path(os.devnull), f"error: {os.devnull} is not a file that can be replaced\n"),
    ):
        assert command.main(["--json", str(path)]) == 1
        assert capsys.readouterr().err.startswith(message)
    assert not ran
    assert file.read_text() == "kept"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing, bad = tmp_path / "none.json", tmp_path / "bad.json"
    assert command.main(["--from", str(missing)]) == 1
    assert capsys.readouterr().err == f"error: {missing}: No such file or directory\n"
    bad.write_bytes(b"\xff")
    assert command.main(["--from", str(bad)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {bad}: not UTF-8 text: ")


def test_what_was_measured_goes_with_nothing_that_measures(capsys: pytest.CaptureFixture[str]) -> None:
    for others in (["kernels"], ["--quick"], ["--json", "new.json"], ["--library", "own.cnpl"]):
        with pytest.raises(SystemExit) as caught:
            command.main(["--from", "old.json", *others])
        assert caught.value.code == 2
        assert "--from shows what was measured" in capsys.readouterr().err
