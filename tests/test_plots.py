"""Plots are drawn from what JSON holds, say what they show, and say what they lack."""

from __future__ import annotations

import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cnp.bench import command, plot, plot_kernels, plot_lines, plot_style, registry, results
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.measure import Ratio
from cnp.errors import MissingExtra

ROOT = Path(__file__).parent.parent
KERNELS = ("binary_search", "crc32", "fib", "matrix_f64", "sieve")
OTHERS = ("clang_O0", "clang_O1", "clang_O2", "tcc", "luajit", "llvmlite_O0", "numba")
PEERS = ("cnp", "libtcc", "wasmtime", "llvmlite_O0", "numba", "copapy")
SHAPES = ("straight", "mix", "loops", "many_registers")
SIZES = (10, 100, 1_000, 10_000)


def kernels() -> Recorder:
    """LuaJIT has not all kernels, numba has none, and only C compilers' code has a size."""
    chance = random.Random(1)
    recorder = Recorder("kernels")
    for kernel in KERNELS:
        ours = [chance.uniform(0.9, 1.1) for _ in range(9)]
        for number, other in enumerate(OTHERS):
            if other == "numba" or (other == "luajit" and kernel == "fib"):
                recorder.unavailable(f"time_vs_{other}.{kernel}", "not here")
                continue
            theirs = [chance.uniform(0.9, 1.1) * (number + 1) for _ in range(9)]
            recorder.ratio(f"time_vs_{other}.{kernel}", Ratio(ours, theirs))
            if other.startswith("clang"):
                recorder.value(f"bytes_vs_{other}.{kernel}", chance.uniform(0.5, 2), "x")
    recorder.value("time_vs_clang_O2.geomean", 1.0, "x")
    return recorder


def emission() -> Recorder:
    chance = random.Random(2)
    recorder = Recorder("emission")
    for shape in SHAPES:
        recorder.value(f"instructions_per_instruction.{shape}", chance.uniform(5, 10))
        for size in SIZES:
            times = [(1 + 30 / size) * chance.uniform(0.9, 1.1) for _ in range(9)]
            recorder.samples[f"emission.ns_per_instruction.{shape}.{size}"] = times
            recorder.ratio(f"time_vs_memcpy.{shape}.{size}", Ratio(times, [each / 8 for each in times]))
    recorder.value("instructions_per_instruction", 5.9)
    recorder.value("core_instructions_per_instruction", 540.0)
    return recorder


def compiling() -> Recorder:
    """numba is stopped at the largest size, copapy is not there."""
    recorder = Recorder("versus")
    for number, peer in enumerate(PEERS):
        for size in SIZES:
            if peer == "copapy" or (peer == "numba" and size == max(SIZES)):
                recorder.unavailable(f"us.{peer}.straight.{size}", "not here")
                continue
            recorder.sampled(
                f"us.{peer}.straight.{size}", [4.0**number * (20 + size / 5) * each for each in (1, 1.1, 1.2)], "us"
            )
    return recorder


def gathered(*recorders: Recorder) -> results.Results:
    about, versions = {"processor": "a processor"}, {"cnp": "0.1.0", "clang": "clang version 19"}
    return results.gathered("all", recorders, about, versions, "2025-01-02T03:04:05+00:00")


def words(path: Path) -> list[str]:
    """The texts of a picture, which has to be SVG."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return ["".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, drawn by the command from a file."""
    pytest.importorskip("matplotlib")
    directory = tmp_path_factory.mktemp("pictures")
    source = directory / "figures.json"
    results.write(source, gathered(emission(), compiling(), kernels()))
    assert command.main(["--from", str(source), "--plots", str(directory / "drawn")]) == 0
    return directory / "drawn"


def test_every_picture_is_written_twice(pictures: Path) -> None:
    assert {each.name for each in pictures.iterdir()} == {
        f"{name}.{kind}" for name in plot.PICTURES for kind in ("svg", "png")
    }
    for name in plot.PICTURES:
        assert (pictures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "a processor; cnp 0.1.0; clang version 19; 2025-01-02" in words(pictures / f"{name}.svg")


def test_kernels_and_contestants_are_named(pictures: Path) -> None:
    found = words(pictures / "kernels_time.svg")
    assert set(KERNELS) <= set(found)
    labels = {other: plot_style.look(other).label for other in OTHERS}
    assert {label for other, label in labels.items() if other not in ("numba", "luajit")} <= set(found)
    assert "LuaJIT, 4 of 5" in found
    assert "not measured: numba" in " ".join(found).lower()
    found = words(pictures / "kernels_bytes.svg")
    assert {*KERNELS, "cnp", "clang -O0", "clang -O1", "clang -O2"} <= set(found)
    assert "tcc" not in found


def test_programs_and_what_was_published_are_named(pictures: Path) -> None:
    found = words(pictures / "emission_instructions.svg")
    assert {*SHAPES, "all together", "5.90", "Fabius 6", "VCODE 6 to 10"} <= set(found)
    assert "Of cnp, the last pass alone (540 with all of the core); of the others, all that happens" in " ".join(found)
    assert "PLDI 1996" in " ".join(found)
    found = words(pictures / "emission_time.svg")
    assert {*SHAPES, "memcpy", "10", "1k", "10k"} <= set(found)
    assert " ns / ops, fitted to the geometric mean of the programs." in " ".join(found)


def test_peers_are_named(pictures: Path) -> None:
    found = words(pictures / "compile_time.svg")
    assert {"cnp", "libtcc", "wasmtime", "llvmlite -O0", "numba", "10", "10k"} <= set(found)
    assert "Not measured: copapy." in " ".join(found)


def test_the_same_figures_give_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    list(plot.draw(gathered(emission(), compiling(), kernels()), tmp_path))
    for name in plot.PICTURES:
        assert (tmp_path / f"{name}.svg").read_bytes() == (pictures / f"{name}.svg").read_bytes()


def test_what_lacks_figures_is_left_out_and_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    source = tmp_path / "figures.json"
    results.write(source, gathered(kernels()))
    assert command.main(["--from", str(source), "--plots", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "emission_instructions: left out: there are no figures emission.instructions_per_instruction.*" in said
    assert not (tmp_path / "emission_instructions.svg").exists()
    assert f"kernels_time: {tmp_path / 'kernels_time'}.svg and .png" in said


def test_a_quick_run_is_no_measurement(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    recorder = kernels()
    recorder.quick = True
    list(plot.draw(gathered(recorder), tmp_path))
    assert any(each.startswith("QUICK RUN, NOT A MEASUREMENT.") for each in words(tmp_path / "kernels_time.svg"))


def test_times_relative_to_clang() -> None:
    found = plot_kernels.relative(gathered(kernels()), "time")
    assert list(found) == ["cnp", "clang_O0", "clang_O1", "tcc", "luajit", "llvmlite_O0"]
    assert {len(points) for name, points in found.items() if name != "luajit"} == {len(KERNELS)}
    for points in found.values():
        for each in points.values():
            assert each.low <= each.value <= each.high
    # The contestants take 1 to 7, clang -O2 takes 3.
    assert found["clang_O0"]["sieve"].value == pytest.approx(1 / 3, rel=0.25)
    assert found["llvmlite_O0"]["sieve"].value == pytest.approx(6 / 3, rel=0.25)


def test_figures_without_samples_will_do() -> None:
    text = json.dumps(
        {
            "bench": "kernels", "machine": {}, "versions": {}, "samples": {},
            "figures": {"kernels.time_vs_clang_O2.fib": 1.5, "kernels.time_vs_tcc.fib": 0.5},
        }
    )  # fmt: skip
    found = plot_kernels.relative(results.from_json(text, "text"), "time")
    assert found["cnp"]["fib"].value == 1.5
    assert found["tcc"]["fib"].value == pytest.approx(3.0)
    with pytest.raises(Unavailable, match=r"there are no figures kernels\.bytes_vs_clang_O2\.\*"):
        plot_kernels.relative(results.from_json(text, "text"), "bytes")


def test_labels_move_apart_and_no_further() -> None:
    assert plot_lines.apart([0.1, 0.5, 0.9], 0.1) == [0.1, 0.5, 0.9]
    assert plot_lines.apart([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    moved = plot_lines.apart([0.30, 0.9, 0.31, 0.32], 0.1)
    assert moved == pytest.approx([0.21, 0.9, 0.31, 0.41])
    assert math.isclose(sum(moved), 0.30 + 0.9 + 0.31 + 0.32)


def test_matplotlib_is_asked_for_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'cnp\[bench\]'"):
        plot.check_available()
    assert command.main(["library", "--plots", str(tmp_path / "plots")]) == 1
    assert not (tmp_path / "plots").exists()


def test_nothing_needs_matplotlib_that_draws_nothing() -> None:
    code = "import sys; import cnp.bench.command; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_looks_tell_contestants_apart() -> None:
    looks = [plot_style.look(each) for each in ("cnp", *OTHERS)]
    assert len({(each.marker, each.filled) for each in looks}) == len({each.label for each in looks}) == len(looks)
    assert plot_style.look("some_other").label == "some other"


# The document


def document(directory: Path) -> Path:
    copy = directory / "performance.md"
    copy.write_text((ROOT / "docs" / "performance.md").read_text(encoding="utf-8"), encoding="utf-8")
    return copy


def fill(source: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "docs/make_performance.py", str(source), str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def named() -> list[str]:
    """What the document has places for, pictures left out."""
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    return re.findall(r"<!-- generated: (\w+) -->", text)


def every_bench() -> list[Recorder]:
    found = [emission(), compiling(), kernels()]
    for name in named():
        if name not in ["machine", "misses", *(each.bench for each in found)]:
            found.append(Recorder(name))
            found[-1].value("bytes", 7e6, at_most=1)
    return found


def test_the_document_is_written_from_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    source, copy = tmp_path / "figures.json", document(tmp_path)
    results.write(source, gathered(*every_bench()))
    done = fill(source, tmp_path)
    assert done.returncode == 0, done.stderr
    text = copy.read_text(encoding="utf-8")
    assert text.count("**7,000,000**") == 2 * (len(every_bench()) - 3)  # in its table, and among what misses
    shown = re.findall(r"!\[[^]]+\]\((\w+)\.svg\)", text)
    assert sorted(shown) == sorted(plot.PICTURES)
    assert {each.stem for each in tmp_path.glob("*.svg")} == set(plot.PICTURES)
    assert fill(source, tmp_path).returncode == 0
    assert copy.read_text(encoding="utf-8") == text


def test_the_document_stays_as_it_was_without_figures_of_everything(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    source, copy = tmp_path / "figures.json", document(tmp_path)
    before = copy.read_text(encoding="utf-8")
    recorders = [each for each in every_bench() if each.bench != "memory"]
    results.write(source, gathered(*recorders))
    assert "has no figures of the bench 'memory'" in fill(source, tmp_path).stderr
    recorders[0].quick = True
    results.write(source, gathered(*recorders))
    assert "is a quick run: its figures say nothing about speed" in fill(source, tmp_path).stderr
    assert copy.read_text(encoding="utf-8") == before


def test_no_place_of_the_document_is_empty() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"<!-- generated: (.*?) -->\n(.*?)<!-- end -->", text, re.DOTALL))
    empty = [name for name, body in blocks.items() if not body.strip()]
    if len(empty) == len(blocks):
        pytest.skip("the document has not been written from figures: make bench, then docs/make_performance.py")
    assert empty == []
    for name in re.findall(r"^!\[[^]]+\]\((.*)\)$", text, re.MULTILINE):
        assert (ROOT / "docs" / name).exists(), name


def test_the_document_has_a_place_for_every_bench_and_every_picture() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert {*registry.benches(), "machine", "misses"} <= set(named())
    assert sorted(re.findall(r"<!-- generated: picture (\w+): ", text)) == sorted(plot.PICTURES)
    assert text.count("<!-- generated: ") == text.count("<!-- end -->") == len(set(named())) + len(plot.PICTURES)
