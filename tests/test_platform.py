"""One interface to the operating system, chosen in one place; and how new code gets to the instruction caches."""

from __future__ import annotations

import ast
import ctypes
import errno
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from cnp.errors import Unsupported
from cnp.runtime import libc, linux_icache, platform
from cnp.runtime.codememory import CodeMemory
from cnp.runtime.linux import Linux
from cnp.runtime.mapping import MACHINES, Way, machine

RUNTIME = Path(__file__).resolve().parent.parent / "cnp" / "runtime"
ADDRESS, SIZE = 0x7000, 0x123
OF_LINUX = {"libc", "linux", "linux_icache", "linux_mapping"}
MEMBARRIER = [
    (linux_icache.MEMBARRIER, linux_icache.REGISTER_SYNC_CORE, 0, 0),
    (linux_icache.MEMBARRIER, linux_icache.SYNC_CORE, 0, 0),
]


def test_this_platform() -> None:
    system = platform.current()
    assert system is platform.current()
    assert isinstance(system, Linux)
    assert system.page == os.sysconf("SC_PAGE_SIZE")
    assert list(system.ways) == [Way.DOUBLE, Way.FLIP]
    assert system.routine("mmap") == ctypes.cast(ctypes.CDLL(None).mmap, ctypes.c_void_p).value


@pytest.mark.parametrize("name", ["darwin", "win32", "freebsd14"])
def test_other_platforms_are_refused_and_the_accepted_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setattr(platform, "_current", None)
    expected = rf'^cnp cannot run machine code on {name}; accepted: linux; backend="reference" needs none$'
    with pytest.raises(Unsupported, match=expected):
        CodeMemory()


def test_every_accepted_platform_can_be_had() -> None:
    for name in platform.ACCEPTED:
        assert isinstance(platform.platform_named(name), platform.Platform)


@pytest.mark.parametrize(
    ("named", "is_called"), [("x86_64", "x86_64"), ("aarch64", "aarch64"), ("arm64", "aarch64"), ("mips", "mips")]
)
def test_machines_have_one_name(named: str, is_called: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: types.SimpleNamespace(machine=named))
    assert platform.machine() == is_called


def test_machines_without_uname(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "uname")
    for named, is_called in {"AMD64": "x86_64", "ARM64": "aarch64"}.items():
        monkeypatch.setenv("PROCESSOR_ARCHITECTURE", named)
        assert platform.machine() == is_called


def test_only_the_choice_imports_a_platform() -> None:
    """The modules of one platform are imported by one another, and by `platform_named`."""
    for path in RUNTIME.glob("*.py"):
        if path.stem in OF_LINUX:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cnp.runtime"):
                names = {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
                assert path.stem == "platform" or not names & OF_LINUX, f"{path.name}:{node.lineno}"


# Instruction caches


@pytest.fixture
def system_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The system calls that are made from here on; all of them succeed, and do nothing."""
    made: list[tuple[int, ...]] = []

    def record(*call: int) -> int:
        made.append(call)
        return 0

    monkeypatch.setattr(libc, "system_call", record)
    return made


def synchronized(name: str) -> Callable[[int, int], None]:
    found = linux_icache.synchronizer(name)
    assert found is not None
    return found


def refuse(*_: int) -> int:
    raise OSError(errno.ENOSYS, "no")


def test_every_machine_that_runs_code_has_a_mechanism() -> None:
    assert linux_icache.SYNCHRONIZERS.keys() == MACHINES.keys()


def test_x86_64_needs_nothing(system_calls: list[tuple[int, ...]]) -> None:
    assert linux_icache.synchronizer("x86_64") is None
    assert not system_calls


def test_aarch64_clears_the_cache_and_tells_other_threads(
    system_calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[tuple[int, int]] = []
    monkeypatch.setattr(linux_icache, "_libgcc_clear_cache", lambda: lambda *each: cleared.append(each))
    synchronized("aarch64")(ADDRESS, SIZE)
    assert cleared == [(ADDRESS, ADDRESS + SIZE)]
    assert system_calls == MEMBARRIER


def test_aarch64_does_without_a_membarrier(monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[tuple[int, int]] = []
    monkeypatch.setattr(linux_icache, "_libgcc_clear_cache", lambda: lambda *each: cleared.append(each))
    monkeypatch.setattr(libc, "system_call", refuse)
    synchronized("aarch64")(ADDRESS, SIZE)
    assert cleared == [(ADDRESS, ADDRESS + SIZE)]


def test_riscv64_asks_the_kernel_for_all_threads(system_calls: list[tuple[int, ...]]) -> None:
    synchronized("riscv64")(ADDRESS, SIZE)
    assert system_calls == [(259, ADDRESS, ADDRESS + SIZE, 0)]


def test_loongarch64_executes_a_barrier_and_tells_other_threads(
    system_calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[bytes] = []
    monkeypatch.setattr(linux_icache, "routine_of", lambda code: lambda: run.append(code))
    synchronized("loongarch64")(ADDRESS, SIZE)
    assert run == [b"\x00\x80\x72\x38\x20\x00\x00\x4c"]  # ibar 0; ret
    assert system_calls == MEMBARRIER


def test_another_machine_is_refused_and_the_known_named() -> None:
    expected = r"^cnp does not know the instruction caches of sparc64; accepted: x86_64, aarch64, riscv64, loongarch64$"
    with pytest.raises(Unsupported, match=expected):
        linux_icache.synchronizer("sparc64")


def test_refusals_say_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(libc, "system_call", refuse)
    with pytest.raises(Unsupported, match=r"^riscv_flush_icache: ENOSYS \(Function not implemented\)$"):
        synchronized("riscv64")(ADDRESS, SIZE)
    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(Unsupported, match=r"^no way to clear the instruction cache: libgcc_s.so.1 .*cannot open"):
        linux_icache.synchronizer("aarch64")


def test_the_parts_work_on_this_machine() -> None:
    """As far as they can: libgcc's function, which may have nothing to do here, and a routine of our own."""
    buffer = ctypes.create_string_buffer(64)
    start = ctypes.addressof(buffer)
    linux_icache._libgcc_clear_cache()(start, start + 64)
    code, _ = machine()
    linux_icache.routine_of(code)()
    assert linux_icache.routine_of(code) is linux_icache.routine_of(code)


def test_membarrier_works_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    number = {"x86_64": 324}.get(platform.machine(), linux_icache.MEMBARRIER)
    try:
        offered = libc.system_call(number, 0, 0, 0)
    except OSError as error:
        pytest.skip(f"no membarrier: {error}")
    if not offered & linux_icache.SYNC_CORE:
        pytest.skip("no membarrier that synchronizes cores")
    monkeypatch.setattr(linux_icache, "MEMBARRIER", number)
    made: list[int] = []
    call = libc.system_call
    monkeypatch.setattr(libc, "system_call", lambda *each: made.append(each[1]) or call(*each))
    linux_icache._membarrier()()
    assert made == [linux_icache.REGISTER_SYNC_CORE, linux_icache.SYNC_CORE]


def test_code_memory_takes_what_the_platform_has(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    system = platform.current()
    monkeypatch.setattr(system, "synchronizer", lambda name: lambda *each: calls.append(each))
    with CodeMemory(capacity=1 << 20) as memory:
        assert len(calls) == 1  # the function that shows whether the way works
        block = memory.allocate(10)
        memory.commit(block)
        assert calls[1:] == [(block.executable_address, 10)]
