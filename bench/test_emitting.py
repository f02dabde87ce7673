"""Writing code, over and over into one warm block; each timed call emits about 100,000 ops."""

from __future__ import annotations

from typing import Any

import pytest

from cnp.bench import programs
from cnp.bench.harness import Prepared

OPS = 100_000


@pytest.mark.parametrize("size", [100, 1_000, 10_000])
@pytest.mark.parametrize("shape", programs.SHAPES)
def test_emit(benchmark: Any, shape: str, size: int) -> None:
    prepared = Prepared(programs.SHAPES[shape](size))
    benchmark.extra_info |= {"ops": prepared.ops, "bytes": len(prepared.code)}
    benchmark(prepared.emit, OPS // size)
    prepared.close()
