"""Every kernel of the bench does what its comments expect, and every contestant computes what cnp computes."""

from __future__ import annotations

from typing import Any

import pytest
from expectations import check, expectations

from cnp.backends import native, reference
from cnp.bench.kernel_cnp import cnp_entry, parsed
from cnp.bench.kernel_table import KERNELS, Kernel, directory

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
