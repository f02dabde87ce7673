"""Scratch memories: nobody shares one, and walks of many threads do not see one another."""

from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from cnp import i64
from cnp.backends import native
from cnp.bench.guests import GUESTS
from cnp.runtime.scratch import SIZE, Scratch


def test_what_is_given_back_is_taken_again() -> None:
    free: list[Scratch] = []
    with Scratch(free, []) as first:
        assert not free and first.size == SIZE
    assert free == [first]


def test_one_amid_another_is_another() -> None:
    core = native.core()
    with core.scratch() as outer, core.scratch() as inner:
        memories = [outer, inner, outer.another(SIZE), outer.another(SIZE), inner.another(SIZE)]
        starts = sorted(each.address for each in memories)
        assert all(end - start >= SIZE for start, end in pairwise(starts))
    with pytest.raises(ZeroDivisionError), core.scratch() as again:
        assert again in (outer, inner)
        1 / 0  # noqa: B018
    with core.scratch() as last:
        assert last is again


def test_more_of_them_are_used_again_by_others_and_few_are_kept() -> None:
    free: list[Scratch] = []
    spare: list[Scratch] = []
    with Scratch(free, spare) as one:
        taken = [one.another(1024) for _ in range(100)]
    assert 0 < len(spare) < 50 and set(spare) <= set(taken)
    with Scratch(free, spare) as other:
        larger = other.another(2 * SIZE)
        assert larger in taken and larger.size == 2 * SIZE


def test_it_grows_and_is_copied_from() -> None:
    with Scratch([], []) as scratch:
        scratch.grow(2 * SIZE)
        ctypes.memset(scratch.address + SIZE, 7, 3)
        assert scratch.size == 2 * SIZE
        assert scratch.copy(scratch.address + SIZE - 1, 5) == b"\0\7\7\7\0"


def test_walks_of_many_threads() -> None:
    guest = GUESTS["registers"]
    codes = [guest.program(size) for size in (2, 30, 400, 40_000)]

    def walked(code: bytes) -> tuple[bytes, bytes, bytes]:
        made = guest.table.function("g", [i64], i64, code)
        assert made._packed is not None
        return made._packed.words, made._packed.constants, made._offsets

    alone = [walked(code) for code in codes]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(walked, codes * 50)) == alone * 50
    finally:
        sys.setswitchinterval(interval)
