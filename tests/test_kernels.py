"""Every kernel of the bench does what its comments expect, and every contestant computes what cnp computes."""

from __future__ import annotations

import pytest
from expectations import check, expectations
from guest_support import machine_names
from machines import Machine, machine_named

from cnp.backends import reference
from cnp.bench import absent, kernels
from cnp.bench.figure import Mark, Recorder, Unavailable
from cnp.bench.kernel_cnp import cnp_entry, parsed
from cnp.bench.kernel_entry import LocalEntry
from cnp.bench.kernel_table import KERNELS, Arguments, Kernel, directory
from cnp.bench.kernels import CONTESTANTS, Contestant
from cnp.errors import InternalError

REFERENCE = "reference"
by_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


@pytest.mark.parametrize("backend", [REFERENCE, *machine_names()])
@by_kernel
def test_does_what_its_comments_expect(kernel: Kernel, backend: str) -> None:
    expected = expectations(kernel.source(".cnp").read_text())
    assert kernel.name in {each.name for each in expected}
    module = parsed(kernel)
    compile = reference.compile if backend == REFERENCE else machine_named(backend).compile_for_buffers
    for each in expected:
        check(each, module, compile)


@by_kernel
def test_machines_compute_what_this_one_does(kernel: Kernel, machine: Machine) -> None:
    arguments = kernel.arguments(True)
    compiled = machine.compile_for_buffers(parsed(kernel)[kernel.name])
    found = LocalEntry(lambda: compiled(*arguments), arguments)
    expected = cnp_entry(kernel, kernel.arguments(True))
    assert found.outcome() == expected.outcome()
    assert found.outcome() == expected.outcome(), "a second call does something else"


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda contestant: contestant.name)
@by_kernel
def test_contestants_compute_what_cnp_computes(kernel: Kernel, contestant: Contestant) -> None:
    try:
        entry = contestant.prepare(kernel, kernel.arguments(True))
    except Unavailable as error:
        pytest.skip(f"NOT TESTED: {error}")
    try:
        expected = cnp_entry(kernel, kernel.arguments(True))
        assert entry.outcome() == expected.outcome()
        assert entry.outcome() == expected.outcome(), "a second call does something else"
        assert entry.seconds() > 0
        assert (entry.code_size > 0) is contestant.sized
    finally:
        entry.close()


def test_every_file_belongs_to_a_kernel() -> None:
    names = {each.name for each in KERNELS}
    shared = {"README.md", "driver.lua", "numba_kernels.py"}
    files = [path for path in directory().iterdir() if path.suffix and path.name not in shared]
    assert {path.stem for path in files} == names
    assert all(path.suffix in (".c", ".cnp", ".lua") for path in files)


def test_code_is_counted_with_callees_and_without_jump_tables() -> None:
    sizes = {each.name: cnp_entry(each, each.arguments(True)).code_size for each in KERNELS}
    branches, calls = (parsed(each) for each in KERNELS if each.name in ("branches", "calls"))
    assert sizes["branches"] == len(branches["branches"].compile().code) - 4 * 7
    assert sizes["calls"] == sum(len(each.compile().code) for each in calls.values())


def test_a_missing_contestant_leaves_figures_that_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(kernel: Kernel, arguments: Arguments) -> LocalEntry:
        raise Unavailable("gone fishing")

    recorder = _run_with(Contestant("angler", prepare, sized=True, each=1.0), monkeypatch)
    assert [(each.name, each.value, each.note) for each in recorder.figures] == [
        (f"kernels.{what}_vs_angler.{of}", None, "gone fishing")
        for of in ("squares", "geomean")
        for what in ("time", "bytes")
    ] + [("kernels.time_vs_mir", None, absent.REASONS["mir"])]


def test_every_contestant_has_a_size_or_a_reason() -> None:
    assert all(each.sized != bool(each.unsized) for each in CONTESTANTS)


def test_there_is_no_mean_of_some_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(kernel: Kernel, arguments: Arguments) -> LocalEntry:
        if kernel.name == "scale":
            raise Unavailable("gone fishing")
        entry = cnp_entry(kernel, arguments)
        return LocalEntry(entry.call, arguments, entry.code_size)

    angler = Contestant("angler", prepare, sized=True, mean=1.0, mean_bytes=1.0)
    recorder = _run_with(angler, monkeypatch, "squares", "scale")
    found = {each.name.removeprefix("kernels."): each for each in recorder.figures}
    assert found["bytes_vs_angler.squares"].value == 1.0
    for name in ("time_vs_angler.geomean", "bytes_vs_angler.geomean"):
        assert found[name].mark is Mark.UNAVAILABLE
        assert found[name].note == "1 of 2 kernels only: gone fishing"
    recorder = _run_with(angler, monkeypatch, "squares")
    (mean,) = (each for each in recorder.figures if each.name == "kernels.bytes_vs_angler.geomean")
    assert mean.mark is Mark.PASS and mean.note == "1 kernels"


def test_a_contestant_that_computes_something_else_stops_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(kernel: Kernel, arguments: Arguments) -> LocalEntry:
        return LocalEntry(lambda: -1, arguments)

    with pytest.raises(InternalError, match="kernel squares: liar does not compute what cnp computes"):
        _run_with(Contestant("liar", prepare), monkeypatch)


def _run_with(contestant: Contestant, monkeypatch: pytest.MonkeyPatch, *names: str) -> Recorder:
    monkeypatch.setattr(kernels, "CONTESTANTS", (contestant,))
    monkeypatch.setattr(kernels, "KERNELS", [each for each in KERNELS if each.name in (names or ("squares",))])
    recorder = Recorder("kernels", quick=True)
    kernels.run(recorder)
    return recorder
