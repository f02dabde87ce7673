"""Packet filters, compiled, over made-up traffic: a timed call runs every filter over all packets."""

from __future__ import annotations

from typing import Any

import pytest

from cnp.bench import bpf
from cnp.bench.figure import Unavailable

PACKETS = 10_000


def test_filters(benchmark: Any) -> None:
    try:
        packets = bpf.traffic(PACKETS)
        filters = [compiled for _, _, compiled in bpf.programs(packets)]
    except Unavailable as error:
        pytest.skip(str(error))
    benchmark(lambda: [each.run(packets) for each in filters])
