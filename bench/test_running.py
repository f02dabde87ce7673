"""Running: the kernels as cnp compiles them, with the arguments of the bench of kernels."""

from __future__ import annotations

from typing import Any

import pytest

from cnp.bench.kernels import KERNELS, native_kernel


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_kernel(benchmark: Any, kernel: Any) -> None:
    benchmark(native_kernel(kernel.name), *kernel.arguments(False))
