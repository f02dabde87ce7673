"""Starting Python: with nothing to do, importing cnp, and up to a first compiled function's result."""

from __future__ import annotations

from typing import Any

import pytest

from cnp.bench.startup import PROGRAMS, start


@pytest.mark.parametrize("name", PROGRAMS)
def test_start(benchmark: Any, name: str) -> None:
    benchmark(start, PROGRAMS[name])
