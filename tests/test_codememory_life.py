"""Memory for code over a long life, with threads and forks: nothing grows, and processes part."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import random
import threading
from collections.abc import Callable

import pytest
from code_memories import MIB, call, count_mappings, never_both, place, resident

from cnp.errors import InternalError, Unsupported
from cnp.runtime.codememory import CodeMemory
from cnp.runtime.freelist import RELEASE, FreeList


def test_nothing_grows(memory: CodeMemory) -> None:
    def rounds(count: int) -> None:
        for number in range(count):
            memory.free(place(memory, number & 0x7FF))

    rounds(1000)
    gc.collect()
    before = resident(), count_mappings()
    rounds(10_000)
    gc.collect()
    assert count_mappings() <= before[1]
    assert resident() - before[0] <= 64 << 10
    statistics = memory.statistics()
    assert (statistics.live, statistics.free, statistics.free_ranges) == (0, 0, 1)


def test_pages_are_given_back(memory: CodeMemory) -> None:
    before = resident()
    blocks = [memory.allocate(100_000) for _ in range(100)]
    for block in blocks:
        ctypes.memset(block.writable_address, 0x90, block.size)
        memory.commit(block)
    assert resident() - before >= 9_800_000
    for block in blocks[:-1]:  # one block at the far end keeps the arena from simply shrinking
        memory.free(block)
    assert resident() - before <= MIB
    memory.free(blocks[-1])
    again = memory.allocate(5_000_000)
    ctypes.memset(again.writable_address, 0x90, again.size)
    assert resident() - before >= 4_900_000
    memory.free(again)
    assert resident() - before <= MIB


def test_many_threads(memory: CodeMemory) -> None:
    failures: list[str] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        mine = []
        for step in range(300):
            number = (seed * 300 + step) % 2048
            mine.append((place(memory, number), number))
            block, expected = mine[chance.randrange(len(mine))]
            if call(block.executable_address) != expected:
                failures.append(f"thread {seed} step {step}")
            if len(mine) > 10:
                memory.free(mine.pop(chance.randrange(len(mine)))[0])
        for block, expected in mine:
            if call(block.executable_address) != expected:
                failures.append(f"thread {seed} at the end")
            memory.free(block)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    statistics = memory.statistics()
    assert (statistics.live_blocks, statistics.reserved, statistics.free_ranges) == (0, 0, 1)


def test_a_finalizer_may_free_amid_an_allocation(double: CodeMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    block = double.allocate(100)
    take = double._free_list.take

    def interrupted(size: int) -> int:
        double.free(block)
        with pytest.raises(InternalError, match="amid another call"):
            double.allocate(1)
        return take(size)

    monkeypatch.setattr(FreeList, "take", lambda _, size: interrupted(size))
    other = double.allocate(100)
    monkeypatch.undo()
    assert other.executable_address != block.executable_address
    assert double.statistics().live_blocks == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
@pytest.mark.parametrize("amid", ["give", "_insert", "_leave_bin"])
def test_a_signal_amid_a_change_leaves_the_arena_whole(
    double: CodeMemory, amid: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise error

    blocks = [double.allocate(100) for _ in range(6)]
    double.free(blocks[2])
    with monkeypatch.context() as patch:
        patch.setattr(FreeList, amid, interrupted)
        with pytest.raises(error):
            double.free(blocks[1])
    double.free(blocks[4])
    assert double.statistics().live_blocks == 3
    others = {double.allocate(100).executable_address for _ in range(3)}
    assert others == {blocks[number].executable_address for number in (1, 2, 4)}


def in_child(work: Callable[[], None]) -> None:
    """Runs `work` in a fork, and fails with what it raises."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            message = ""
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
        os.write(writer, message.encode()[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert (status, message) == (0, "")


def test_a_fork_parts_the_two_processes(memory: CodeMemory) -> None:
    kept, dropped = place(memory, 11), place(memory, 22)
    large = memory.allocate(3 * RELEASE)
    far = place(memory, 33)
    memory.free(large)
    descriptors = len(os.listdir("/proc/self/fd"))

    def child() -> None:
        assert [call(block.executable_address) for block in (kept, dropped, far)] == [11, 22, 33]
        memory.free(dropped)
        replacement = place(memory, 44)
        assert call(replacement.executable_address) == 44
        assert replacement.executable_address == dropped.executable_address
        assert [call(block.executable_address) for block in (kept, far)] == [11, 33]
        blocks = [place(memory, number) for number in range(200)]
        assert [call(block.executable_address) for block in blocks] == list(range(200))
        assert never_both(memory)

    in_child(child)
    assert [call(block.executable_address) for block in (kept, dropped, far)] == [11, 22, 33]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert never_both(memory)


def test_what_the_parent_reuses_stays_intact_in_the_child(memory: CodeMemory) -> None:
    block = place(memory, 5)
    go, gone = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go, 1)  # until the parent has overwritten the block
        os._exit(call(block.executable_address))
    memory.free(block)
    assert place(memory, 6).executable_address == block.executable_address
    os.write(gone, b"!")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5


def test_without_a_copy_a_fork_leaves_shared_pages_alone(double: CodeMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    block = place(double, 5)

    def refuse(extents: object) -> int:
        raise OSError(errno.EMFILE, "no")

    monkeypatch.setattr(double._mapping, "copy", refuse)  # of this arena only: the others must survive the fork
    expected = r"no code can be placed any more: a fork could not copy it: EMFILE \(Too many open files\)"

    def child() -> None:
        double.free(block)
        with pytest.raises(Unsupported, match=expected):
            double.allocate(1)

    in_child(child)
    double.free(block)
    assert call(block.executable_address) == 5
    with pytest.raises(Unsupported, match=expected):
        double.allocate(1)
