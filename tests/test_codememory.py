"""Code memory: no page is ever writable and executable, blocks never overlap, and nothing stays behind."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnp.errors import InternalError, Unsupported, UserError
from cnp.runtime import libc, linux_mapping, mapping, platform
from cnp.runtime.block import Block
from cnp.runtime.codememory import CodeMemory, CodeMemoryFull, survey
from cnp.runtime.freelist import RELEASE, UNIT, FreeList
from cnp.runtime.mapping import Way

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
WORKING = survey()

# Functions of no argument that return a number, by machine: where the number stands in them.
RETURN_NUMBER: dict[str, Callable[[int], bytes]] = {
    "x86_64": lambda number: b"\xb8" + number.to_bytes(4, "little") + b"\xc3",  # mov eax, number; ret
    "aarch64": lambda number: (0x52800000 | number << 5).to_bytes(4, "little") + mapping.MACHINES["aarch64"][0],
    "riscv64": lambda number: (number << 20 | 0x513).to_bytes(4, "little") + mapping.MACHINES["riscv64"][0],
    "loongarch64": lambda number: (
        (0x03800004 | number << 10).to_bytes(4, "little") + mapping.MACHINES["loongarch64"][0]
    ),
}


def code_returning(number: int) -> bytes:
    return RETURN_NUMBER[platform.machine()](number)


def call(address: int) -> int:
    result: int = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return result


def place(memory: CodeMemory, number: int) -> Block:
    code = code_returning(number)
    block = memory.allocate(len(code))
    block.write(code)
    memory.commit(block)
    return block


def protections(memory: CodeMemory) -> list[str]:
    """The protection of each mapping of this process that the arena is made of."""
    inner = memory._mapping
    views = [(address, address + inner.capacity) for address in {inner.executable, inner.writable}]
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if any(start < high and low < end for low, high in views):
            found.append(line.split()[1])
    return found


def never_both(memory: CodeMemory) -> bool:
    found = protections(memory)
    return bool(found) and not any("w" in protection and "x" in protection for protection in found)


@pytest.fixture(params=list(Way), ids=lambda way: way.value)
def memory(request: pytest.FixtureRequest) -> Iterator[CodeMemory]:
    if WORKING[request.param] != "works":
        pytest.skip(WORKING[request.param])
    with CodeMemory(request.param, capacity=16 * MIB) as arena:
        yield arena


@pytest.fixture
def double() -> Iterator[CodeMemory]:
    if WORKING[Way.DOUBLE] != "works":
        pytest.skip(WORKING[Way.DOUBLE])
    with CodeMemory(Way.DOUBLE, capacity=16 * MIB) as arena:
        yield arena


# Ways


def test_runs_code_and_is_never_writable_and_executable(memory: CodeMemory) -> None:
    assert never_both(memory)
    blocks = []
    for number in range(1, 40):
        block = memory.allocate(len(code_returning(number)))
        assert never_both(memory)
        block.write(code_returning(number))
        memory.commit(block)
        assert never_both(memory)
        blocks.append(block)
    assert [call(block.executable_address) for block in blocks] == list(range(1, 40))
    for block in blocks:
        memory.free(block)
        assert never_both(memory)


def test_the_two_views_of_double_are_one_memory(double: CodeMemory) -> None:
    block = double.allocate(64)
    assert block.executable_address != block.writable_address
    block.write(b"seen from both sides")
    assert ctypes.string_at(block.executable_address, 20) == b"seen from both sides"
    assert sorted(protections(double)) == ["r-xs", "rw-s"]


def test_flip_never_reopens_a_page_with_live_code() -> None:
    with CodeMemory(Way.FLIP, capacity=MIB) as memory:
        blocks = [place(memory, number) for number in range(20)]
        pages = {block.executable_address // libc.PAGE for block in blocks}
        assert len(pages) == len(blocks)


def test_report_names_the_choice_and_the_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EPERM, "no")

    with CodeMemory(Way.FLIP, capacity=MIB) as memory:
        assert memory.report() == "double: not tried\nflip: chosen, 1 MiB of address space"
    monkeypatch.setattr(linux_mapping, "_memfd", refuse)
    monkeypatch.setattr(linux_mapping, "_unlinked_file", refuse)
    with CodeMemory(capacity=MIB) as memory:
        assert memory.way is Way.FLIP
        assert "double: memfd_create: EPERM (Operation not permitted); a file in /dev/shm: EPERM" in memory.report()


def test_unlinked_file_stands_in_for_memfd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> int:
        raise OSError(errno.ENOSYS, "no")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(linux_mapping, "_memfd", missing)
    with CodeMemory(Way.DOUBLE, capacity=MIB) as memory:
        assert call(place(memory, 77).executable_address) == 77
        assert never_both(memory)
    assert not list(tmp_path.iterdir())


def test_refused_everywhere_says_what_refused_and_what_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(libc, "mmap", refuse)
    with pytest.raises(Unsupported) as caught:
        CodeMemory()
    message = str(caught.value)
    assert message.startswith("no memory for machine code: double refused (memfd_create: EACCES (Permission denied)")
    assert "; flip refused (mmap: EACCES (Permission denied))" in message
    assert message.endswith('backend="reference" needs none')


@pytest.mark.parametrize("way", list(Way), ids=lambda way: way.value)
def test_environment_forces_a_way(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.setenv("CNP_CODE_MEMORY", way.value)
    with CodeMemory(capacity=MIB) as memory:
        assert memory.way is way


def test_unknown_way_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^way is 'triple'; it may be double or flip$"):
        CodeMemory("triple")
    monkeypatch.setenv("CNP_CODE_MEMORY", "rwx")
    with pytest.raises(UserError, match=r"^CNP_CODE_MEMORY is 'rwx'; it may be double or flip$"):
        CodeMemory()


def in_subprocess(code: str, *, setup: str = "") -> str:
    """What `code` prints in a fresh interpreter; `setup` runs in an interpreter before, which then becomes that one."""
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"
    starter = f"{setup}\nimport os, sys\nos.execv(sys.executable, [sys.executable, '-c', {script!r}])"
    done = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


DENY_GAINING_EXECUTION = """
import ctypes
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    print("unsupported")
    raise SystemExit(0)
"""


def test_double_works_where_memory_may_not_become_executable() -> None:
    output = in_subprocess(
        f"""
import ctypes
from cnp.runtime.block import Block
from cnp.runtime.codememory import CodeMemory, Way, survey
memory = CodeMemory()
code = {code_returning(42)!r}
block = memory.allocate(len(code))
block.write(code)
memory.commit(block)
print(memory.way.value, ctypes.CFUNCTYPE(ctypes.c_int)(block.executable_address)(), survey()[Way.FLIP])
""",
        setup=DENY_GAINING_EXECUTION,
    )
    if output == "unsupported\n":
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert re.match(r"double 42 .*flip refused \(mprotect of pages to be executed: EACCES", output)


def test_a_limited_address_space_gives_a_smaller_arena() -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))"
    output = in_subprocess(
        f"{limit}\nfrom cnp.runtime.codememory import CodeMemory\nprint(CodeMemory().statistics().capacity >> 20)"
    )
    assert int(output) in (32, 64, 128)


def test_import_is_light() -> None:
    output = in_subprocess(
        "import ctypes, cnp.errors\nbefore = set(sys.modules)\nimport cnp.runtime.codememory\n"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('cnp')))"
    )
    assert set(output.split()) <= {"errno", "mmap"}


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


# Time, threads, forks


def resident() -> int:
    """Bytes of this process that are in memory, the shared ones included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * libc.PAGE


def count_mappings() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


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
