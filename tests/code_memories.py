"""Memory for code as tests make it, put code into it, and look at it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cnp.runtime import libc, mapping, platform
from cnp.runtime.block import Block
from cnp.runtime.codememory import CodeMemory, survey
from cnp.runtime.mapping import Way

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


# Time, threads, forks


def resident() -> int:
    """Bytes of this process that are in memory, the shared ones included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * libc.PAGE


def count_mappings() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())
