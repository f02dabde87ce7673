"""Turns a request for executable memory into mappings: the ways Linux may allow it, none with a page both W and X.

DOUBLE  One unnamed file mapped twice and shared: writable at one address, executable at another. Nothing is ever
        reprotected, so writing costs no system call, and it works under PR_SET_MDWE and MemoryDenyWriteExecute.
FLIP    One private mapping. A range of whole pages is made writable, written, then made executable. A page that holds
        committed code is never made writable again, since another thread may be running on it: so every block has
        pages to itself, and small blocks waste the rest of theirs.
"""

from __future__ import annotations

import ctypes
import errno
import os

from cnp.errors import Unsupported
from cnp.runtime import libc
from cnp.runtime.libc import PAGE, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE
from cnp.runtime.mapping import Mapping, Way
from cnp.runtime.platform import describe

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SMALLEST = 1 << 20  # bytes; an arena below this is not worth having
COPY_STEP = 1 << 20  # bytes copied at once before a fork
MFD_EXEC = 0x10  # Linux 6.3: says that code is meant to run from it, which vm.memfd_noexec wants to hear


class DoubleMapping(Mapping):
    """A file without a name, mapped twice."""

    way = Way.DOUBLE
    granule = 16
    mappings = 2

    def __init__(self, capacity: int) -> None:
        refusals = []
        for directory in _file_systems():
            try:
                self._map(directory, capacity)
                return
            except OSError as error:
                name = f"a file in {directory}" if directory else "memfd_create"
                refusals.append(f"{name}: {describe(error)}")
        raise Unsupported("; ".join(refusals))

    def _map(self, directory: str, capacity: int) -> None:
        self._directory = directory  # a fork needs another file there
        self.executable, self.writable, self.capacity = _largest(capacity, lambda size: _map_twice(directory, size))

    def populate(self, start: int, end: int) -> None:
        # The first brings the pages into being, the second spares the first calls their faults. Both may be refused.
        libc.madvise(self.writable + start, end - start, libc.MADV_POPULATE_WRITE)
        libc.madvise(self.executable + start, end - start, libc.MADV_POPULATE_READ)

    def release(self, start: int, end: int) -> None:
        if end > start:
            libc.madvise(self.writable + start, end - start, libc.MADV_REMOVE)  # punches a hole; needs no descriptor

    def close(self) -> None:
        libc.munmap(self.writable, self.capacity)
        libc.munmap(self.executable, self.capacity)

    def copy(self, extents: Iterable[tuple[int, int]]) -> int:
        fd = _nameless_file(self._directory, self.capacity)
        try:
            for start, end in extents:
                while start < end:
                    start += os.pwrite(fd, ctypes.string_at(self.writable + start, min(end - start, COPY_STEP)), start)
        except OSError:
            os.close(fd)
            raise
        return fd

    def adopt(self, fd: int) -> None:
        for address, protection in ((self.writable, PROT_WRITE), (self.executable, PROT_EXEC)):
            flags = libc.MAP_SHARED | libc.MAP_NORESERVE | libc.MAP_FIXED
            libc.mmap(address, self.capacity, PROT_READ | protection, flags, fd)


class FlipMapping(Mapping):
    """One mapping; what is neither being written nor live can be neither read, written nor executed."""

    way = Way.FLIP
    granule = PAGE
    mappings = 1

    def __init__(self, capacity: int) -> None:
        def reserve(size: int) -> tuple[int, int]:
            address = libc.mmap(0, size, PROT_NONE, libc.MAP_PRIVATE | libc.MAP_ANONYMOUS | libc.MAP_NORESERVE)
            return address, address

        try:
            self.executable, self.writable, self.capacity = _largest(capacity, reserve)
        except OSError as error:
            raise Unsupported(f"mmap: {describe(error)}") from None

    def begin(self, offset: int, size: int) -> None:
        self._protect("written", offset, size, PROT_READ | PROT_WRITE)

    def commit(self, offset: int, size: int) -> None:
        self._protect("executed", offset, size, PROT_READ | PROT_EXEC)

    def _protect(self, purpose: str, offset: int, size: int, protection: int) -> None:
        try:
            libc.mprotect(self.writable + offset, size, protection)
        except OSError as error:
            raise Unsupported(f"mprotect of pages to be {purpose}: {describe(error)}") from None

    def retire(self, offset: int, size: int) -> None:
        try:
            libc.mprotect(self.writable + offset, size, PROT_NONE)
        except OSError as error:  # splitting a mapping may hit vm.max_map_count: the pages stay executable, harmlessly
            if error.errno != errno.ENOMEM:
                raise

    def release(self, start: int, end: int) -> None:
        if end > start:
            libc.madvise(self.writable + start, end - start, libc.MADV_DONTNEED)

    def close(self) -> None:
        libc.munmap(self.writable, self.capacity)


CLASSES: dict[Way, type[DoubleMapping | FlipMapping]] = {Way.DOUBLE: DoubleMapping, Way.FLIP: FlipMapping}


def _largest(capacity: int, reserve: Callable[[int], tuple[int, int]]) -> tuple[int, int, int]:
    """`reserve(size)` and size, halving from `capacity` for as long as address space or a limit is short."""
    size = -(-capacity // PAGE) * PAGE
    while True:
        try:
            return *reserve(size), size
        except OSError as error:
            if error.errno not in (errno.ENOMEM, errno.EFBIG, errno.ENOSPC) or size // 2 < SMALLEST:
                raise
            size = size // 2 // PAGE * PAGE


def _map_twice(directory: str, size: int) -> tuple[int, int]:
    """The executable and the writable address of a new file of `size` bytes."""
    flags = libc.MAP_SHARED | libc.MAP_NORESERVE
    fd = _nameless_file(directory, size)
    try:
        writable = libc.mmap(0, size, PROT_READ | PROT_WRITE, flags, fd)
        try:
            return libc.mmap(0, size, PROT_READ | PROT_EXEC, flags, fd), writable
        except OSError:
            libc.munmap(writable, size)
            raise
    finally:
        os.close(fd)  # the mappings keep the file alive


def _file_systems() -> Iterator[str]:
    """Where a file without a name may be, best first: in no file system ("", by memfd_create), or in a directory."""
    if hasattr(os, "memfd_create"):
        yield ""
    yield from filter(os.path.isdir, dict.fromkeys(("/dev/shm", os.environ.get("TMPDIR") or "/tmp")))


def _nameless_file(directory: str, size: int) -> int:
    fd = _unlinked_file(directory, size) if directory else _memfd()
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def _memfd() -> int:
    try:
        return os.memfd_create("cnp", os.MFD_CLOEXEC | MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:  # an older kernel does not know MFD_EXEC
            raise
        return os.memfd_create("cnp", os.MFD_CLOEXEC)


def _unlinked_file(directory: str, size: int) -> int:
    path = os.path.join(directory, f"cnp-{os.getpid()}-{os.urandom(8).hex()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    room = os.fstatvfs(fd)
    if size > room.f_bavail * room.f_frsize:  # a sparse file may promise more than there is: a fault would be fatal
        os.close(fd)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return fd
