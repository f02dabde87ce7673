"""Running: the kernels as cnp compiles them, with the arguments of the bench of kernels."""

from __future__ import annotations

from typing import Any

import pytest

from cnp.bench.kernel_cnp import cnp_entry
from cnp.bench.kernel_table import KERNELS


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_kernel(benchmark: Any, kernel: Any) -> None:
    benchmark(cnp_entry(kernel, kernel.arguments(False)).call)
