"""Code that was written -> what every thread of the process fetches: instruction caches on Linux, by machine.

x86_64       Nothing: caches snoop by physical address, whichever view was written through.
aarch64      `__clear_cache` cleans the data cache and invalidates all instruction caches at the address of execution;
             then `membarrier` has the other threads drop what they have fetched already.
riscv64      One system call does it for all threads. libgcc's `__clear_cache` is empty here, and a `fence.i` in user
             mode is good for the core that it runs on, until the thread moves to another.
loongarch64  The hardware keeps the caches coherent; `ibar` drops what this thread has fetched already, and
             `membarrier` may do so for the others. libgcc's `__clear_cache` is empty before GCC 14, so the two
             instructions are a routine of our own: nothing stale can have been fetched from a page before it exists.
"""

from __future__ import annotations

import ctypes
import functools

from cnp.errors import Unsupported
from cnp.runtime import libc
from cnp.runtime.linux_mapping import CLASSES
from cnp.runtime.platform import describe

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MEMBARRIER = 283  # on machines whose system calls are numbered as in asm-generic/unistd.h: aarch64, loongarch64
SYNC_CORE = 1 << 5  # MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, Linux 4.16
REGISTER_SYNC_CORE = 1 << 6
RISCV_FLUSH_ICACHE = 259  # Linux 4.15; the third argument, 0, says: for all threads
IBAR = bytes.fromhex("00807238 2000004c")  # ibar 0; ret


def synchronizer(machine: str) -> Callable[[int, int], None] | None:
    """f(address, size) for a machine, None where nothing has to be done. Unsupported where it cannot be."""
    try:
        make = SYNCHRONIZERS[machine]
    except KeyError:
        raise Unsupported(
            f"cnp does not know the instruction caches of {machine}; accepted: {', '.join(SYNCHRONIZERS)}"
        ) from None
    return make()


def _nothing() -> None:
    """Makes none."""


def _by_clear_cache() -> Callable[[int, int], None]:
    clear, tell_others = _libgcc_clear_cache(), _membarrier()

    def synchronize(address: int, size: int) -> None:
        clear(address, address + size)
        tell_others()

    return synchronize


def _by_system_call() -> Callable[[int, int], None]:
    def synchronize(address: int, size: int) -> None:
        try:
            libc.system_call(RISCV_FLUSH_ICACHE, address, address + size, 0)
        except OSError as error:
            raise Unsupported(f"riscv_flush_icache: {describe(error)}") from None

    return synchronize


def _by_barrier() -> Callable[[int, int], None]:
    barrier, tell_others = routine_of(IBAR), _membarrier()

    def synchronize(address: int, size: int) -> None:
        barrier()
        tell_others()

    return synchronize


SYNCHRONIZERS: dict[str, Callable[[], Callable[[int, int], None] | None]] = {
    "x86_64": _nothing,
    "aarch64": _by_clear_cache,
    "riscv64": _by_system_call,
    "loongarch64": _by_barrier,
}


def _libgcc_clear_cache() -> Any:
    """`void __clear_cache(void *start, void *end)`. glibc itself needs libgcc_s.so.1 to end threads."""
    try:
        clear = ctypes.CDLL("libgcc_s.so.1").__clear_cache
    except (OSError, AttributeError) as error:
        raise Unsupported(f"no way to clear the instruction cache: libgcc_s.so.1 with __clear_cache: {error}") from None
    clear.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    clear.restype = None
    return clear


def _membarrier() -> Callable[[], None]:
    """Has the other threads of the process drop what they have fetched; does nothing where the kernel cannot."""
    try:
        libc.system_call(MEMBARRIER, REGISTER_SYNC_CORE, 0, 0)
    except OSError:
        return lambda: None

    def tell_others() -> None:
        try:
            libc.system_call(MEMBARRIER, SYNC_CORE, 0, 0)
        except OSError as error:
            raise Unsupported(f"membarrier: {describe(error)}") from None

    return tell_others


@functools.cache
def routine_of(code: bytes) -> Callable[[], object]:
    """A routine of no arguments in a page of its own, which stays: new, so its code needs no synchronizing."""
    refusals = []
    for way, map_pages in CLASSES.items():
        try:
            mapping = map_pages(libc.PAGE)
            mapping.begin(0, libc.PAGE)
            ctypes.memmove(mapping.writable, code, len(code))
            mapping.commit(0, libc.PAGE)
            return ctypes.CFUNCTYPE(None)(mapping.executable)
        except Unsupported as refusal:
            refusals.append(f"{way.value} refused ({refusal})")
    raise Unsupported("; ".join(refusals))
