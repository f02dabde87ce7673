"""Every kernel of the bench does what its comments expect, and every contestant computes what cnp computes."""

from __future__ import annotations

from typing import Any

import pytest
from expectations import check, expectations

from cnp.backends import native, reference
from cnp.bench.figure import Unavailable
from cnp.bench.kernel_cnp import cnp_entry, parsed
from cnp.bench.kernel_table import KERNELS, Kernel, directory
from cnp.bench.kernels import CONTESTANTS, Contestant

BACKENDS: dict[str, Any] = {"native": native.compile, "reference": reference.compile}
by_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


@pytest.mark.parametrize("backend", BACKENDS)
@by_kernel
def test_does_what_its_comments_expect(kernel: Kernel, backend: str) -> None:
    expected = expectations(kernel.source(".cnp").read_text())
    assert kernel.name in {each.name for each in expected}
    module = parsed(kernel)
    for each in expected:
        check(each, module, BACKENDS[backend])


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda contestant: contestant.name)
@by_kernel
def test_contestants_compute_what_cnp_computes(kernel: Kernel, contestant: Contestant) -> None:
    try:
        entry = contestant.prepare(kernel, kernel.arguments(True))
    except Unavailable as error:
        pytest.skip(str(error))
    try:
        expected = cnp_entry(kernel, kernel.arguments(True))
        assert entry.outcome() == expected.outcome()
        assert entry.outcome() == expected.outcome(), "a second call does something else"
        assert entry.seconds() > 0
    finally:
        entry.close()


def test_every_file_belongs_to_a_kernel() -> None:
    names = {each.name for each in KERNELS}
    shared = {"README.md", "driver.lua", "numba_kernels.py"}
    files = [path for path in directory().iterdir() if path.suffix and path.name not in shared]
    assert {path.stem for path in files} == names
    assert all(path.suffix in (".c", ".cnp", ".lua") for path in files)
