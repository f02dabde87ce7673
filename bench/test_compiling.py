"""Compiling: inside the core, about 100,000 ops a timed call, and from Python, one function a timed call."""

from __future__ import annotations

from typing import Any

import pytest

from cnp.bench import programs
from cnp.bench.harness import Prepared

OPS = 100_000
SIZE = 1_000


@pytest.mark.parametrize("size", [100, 1_000, 10_000])
@pytest.mark.parametrize("shape", programs.SHAPES)
def test_core(benchmark: Any, shape: str, size: int) -> None:
    prepared = Prepared(programs.SHAPES[shape](size))
    benchmark.extra_info |= {"ops": prepared.ops, "bytes": len(prepared.code)}
    benchmark(prepared.compile_and_emit, OPS // size)
    prepared.close()


@pytest.mark.parametrize("shape", [each for each in programs.SHAPES if each != "calls"])
def test_python(benchmark: Any, shape: str) -> None:
    build = programs.unrolled(programs.SHAPES[shape](SIZE))
    benchmark(lambda: build().compile())


def test_tiny(benchmark: Any) -> None:
    benchmark(lambda: programs.tiny().compile())
