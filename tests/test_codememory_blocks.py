"""Blocks of memory for code: aligned, refused where there is no room, freed, never one on another."""

from __future__ import annotations

import ctypes
import random

import pytest
from code_memories import MIB, code_returning, place
from hypothesis import given, settings
from hypothesis import strategies as st

from cnp.errors import InternalError, Unsupported, UserError
from cnp.runtime import libc, mapping
from cnp.runtime.block import Block
from cnp.runtime.codememory import CodeMemory, CodeMemoryFull
from cnp.runtime.freelist import RELEASE, UNIT, FreeList
from cnp.runtime.mapping import Way

# Allocation


@pytest.mark.parametrize("align", [16, 32, 64, 256, libc.PAGE])
def test_alignment(memory: CodeMemory, align: int) -> None:
    blocks = [memory.allocate(size, align) for size in (1, 15, 16, 17, 500, 5000)]
    assert all(block.executable_address % align == 0 and block.writable_address % align == 0 for block in blocks)
    for block in blocks:
        memory.free(block)
    assert memory.statistics().free_ranges == 1


@pytest.mark.parametrize("align", [48, 2 * libc.PAGE])
def test_impossible_alignment(double: CodeMemory, align: int) -> None:
    with pytest.raises(UserError, match=f"a power of two from 16 to {libc.PAGE} bytes, not to {align}"):
        double.allocate(10, align)
    double.allocate(10)


@pytest.mark.parametrize("size", [0, -1])
def test_impossible_size(memory: CodeMemory, size: int) -> None:
    with pytest.raises(UserError, match=f"at least 1 byte, not {size}"):
        memory.allocate(size)


def test_writing_past_a_block_is_refused(double: CodeMemory) -> None:
    block = double.allocate(20)
    for data, offset in ((b"x" * 21, 0), (b"x", 20), (b"x", -1)):
        with pytest.raises(UserError, match="do not fit into a block of 20 bytes"):
            block.write(data, offset)


def test_full_arena(memory: CodeMemory) -> None:
    kept = memory.allocate(15 * MIB)
    expected = (
        rf"^code memory is full: {2 * MIB} bytes aligned to 16 were asked for, the largest free range has {MIB} bytes "
        rf"\({15 * MIB} of {16 * MIB} bytes are in use\); drop functions"
    )
    with pytest.raises(CodeMemoryFull, match=expected) as caught:
        memory.allocate(2 * MIB)
    assert isinstance(caught.value, MemoryError)
    memory.allocate(MIB)
    memory.free(kept)
    memory.allocate(15 * MIB)


def test_freeing_twice_is_refused(memory: CodeMemory) -> None:
    block = memory.allocate(100)
    memory.free(block)
    with pytest.raises(InternalError, match="is not live in this arena: freed twice"):
        memory.free(block)


def test_freed_memory_traps(double: CodeMemory) -> None:
    block, _neighbour = place(double, 1), place(double, 2)
    double.free(block)
    trap = mapping.machine()[1]
    assert ctypes.string_at(block.executable_address, block.size) == bytes([trap]) * block.size


def test_freed_memory_may_be_left_as_it_is() -> None:
    with CodeMemory(Way.DOUBLE, capacity=MIB, fill_freed=False) as memory:
        block, _neighbour = place(memory, 1), place(memory, 2)
        memory.free(block)
        assert ctypes.string_at(block.executable_address, block.size) == code_returning(1)


def test_commit_synchronizes_the_instruction_cache() -> None:
    calls: list[tuple[int, int]] = []
    with CodeMemory(capacity=MIB, synchronize=lambda address, size: calls.append((address, size))) as memory:
        calls.clear()
        block = place(memory, 1)
        assert calls == [(block.executable_address, block.size)]


def test_closed_memory_refuses_and_forgives(memory: CodeMemory) -> None:
    block = memory.allocate(100)
    memory.close()
    memory.close()
    memory.free(block)
    with pytest.raises(Unsupported, match="the arena was closed"):
        memory.allocate(1)


SIZES = st.one_of(st.integers(1, 300), st.integers(300, 20_000), st.integers(20_000, 2 * RELEASE))
STEPS = st.lists(st.tuples(st.booleans(), SIZES, st.sampled_from([16, 16, 16, 64, 4096])), max_size=120)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_free_list_never_overlaps_and_coalesces(steps: list[tuple[bool, int, int]]) -> None:
    page = libc.PAGE
    present: set[int] = set()  # pages that populate has brought and release has not taken away

    def populate(start: int, end: int) -> None:
        assert start % page == end % page == 0
        present.update(range(start // page, end // page))

    def release(start: int, end: int) -> None:
        assert start % page == end % page == 0
        released = range(start // page, end // page)
        assert not any(low < (p + 1) * page and p * page < high for p in released for low, high in live.items())
        present.difference_update(released)

    live: dict[int, int] = {}  # start -> end
    ranges = FreeList(4 * MIB, page, populate, release)
    for index, (allocate, size, align) in enumerate(steps):
        if allocate or not live:
            size = -(-size // UNIT) * UNIT
            start = ranges.take(size) if align == UNIT else ranges.take_aligned(size, align)
            if start < 0:
                assert ranges.largest() < size + align - UNIT
                continue
            assert start % align == 0
            assert 0 <= start <= ranges.capacity - size
            assert all(end <= start or start + size <= low for low, end in live.items())
            assert set(range(start // page, -(-(start + size) // page))) <= present
            live[start] = start + size
        else:
            start = list(live)[index % len(live)]
            ranges.give(start, live.pop(start) - start)
        ranges.check()
        assert sum(n for _, n in ranges.ranges()) + sum(e - s for s, e in live.items()) == ranges.capacity
        again = ranges.rebuilt((s, e - s) for s, e in live.items())
        again.check()
        assert again.ranges() == ranges.ranges()
        covered = list(ranges.extents())
        assert all(any(low <= s and e <= high for low, high in covered) for s, e in live.items())
    while live:
        start, end = live.popitem()
        ranges.give(start, end - start)
    assert ranges.ranges() == [(0, ranges.capacity)]
    assert len(present) * page <= 3 * RELEASE


def test_waste_in_a_long_life() -> None:
    """5,000 functions of 40 bytes to 8 KiB, replaced at random: the arena stays within 10% of the peak demand."""
    chance = random.Random(1)
    with CodeMemory(Way.DOUBLE, capacity=64 * MIB) as memory:
        live: list[Block] = []
        demand = peak = 0
        for _ in range(30_000):
            if len(live) == 5000:
                index = chance.randrange(len(live))
                live[index], live[-1] = live[-1], live[index]
                demand -= live[-1].size
                memory.free(live.pop())
            live.append(memory.allocate(int(40 * 200 ** chance.random())))
            demand += live[-1].size
            peak = max(peak, demand)
        statistics = memory.statistics()
        assert statistics.live == demand
        assert statistics.waste <= 0.01  # by rounding
        assert statistics.high_water <= 1.10 * peak  # by rounding and by holes
