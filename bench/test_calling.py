"""Calling a compiled function of two integers: as a built-in, and through ctypes."""

from __future__ import annotations

from typing import Any

from cnp.bench import programs


def test_built_in(benchmark: Any) -> None:
    assert benchmark(programs.tiny().compile(), 6, 5) == 47


def test_ctypes(benchmark: Any) -> None:
    assert benchmark(programs.tiny().compile().ctypes, 6, 5) == 47
