"""Code memory: one arena that holds emitted code, and no page of it is ever writable and executable at once.

    memory = CodeMemory()
    block = memory.allocate(len(code))      # write through block.writable_address, or block.write(code)
    memory.commit(block)                    # from here on block.executable_address may be called, by any thread
    memory.free(block)                      # when nothing can call it any more

A block is written between `allocate` and `commit`, and only inside itself: its neighbours may be live. The platform
(`platform.py`) has ways to ask for such memory; the first that really maps, writes and runs a function is taken.

A fork: in the way DOUBLE the child's pages would be its parent's, and whoever reused a freed block would overwrite what
the other still runs. So the blocks in use are copied before the fork, and the child maps the copy at the same
addresses: what was compiled before keeps working on both sides, and neither sees what the other does later. A `fork`
made by foreign C code, behind Python's back, gets no copy; such a child must only `exec`.
"""

from __future__ import annotations

import ctypes
import os
from _thread import RLock

from cnp.errors import CnpError, InternalError, Unsupported, UserError
from cnp.runtime import fork, platform
from cnp.runtime.block import Block, Statistics
from cnp.runtime.freelist import FreeList
from cnp.runtime.mapping import Mapping, Way, machine

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY = 256 << 20  # bytes of address space in each view: a call between any two functions fits into 32 bits
ALIGNMENT = 16
FILL_LIMIT = 4096  # bytes; a stale call goes to an entry, which is where a function begins
VARIABLE = "CNP_CODE_MEMORY"  # environment variable that forces a way


class CodeMemoryFull(Unsupported, MemoryError):
    """No free range of the arena is large enough."""


class CodeMemory:
    """An arena for code. `allocate`, `commit` and `free` may be called from any thread.

    `way` (else the environment variable CNP_CODE_MEMORY) forces a way; by default the first that works is taken.
    `capacity` is the address space to ask for, in bytes; less is taken under a limit, down to 1 MiB. `fill_freed`
    overwrites the start of freed blocks with trapping instructions. `synchronize(address, size)` is called by `commit`,
    so that instruction caches hear of new code; by default it is what the platform has for this machine.

    Raises Unsupported where no way works, and UserError for a way that does not exist.
    """

    def __init__(
        self,
        way: Way | str | None = None,
        *,
        capacity: int = CAPACITY,
        fill_freed: bool = True,
        synchronize: Callable[[int, int], None] | None = None,
    ) -> None:
        self._platform = platform.current()
        self._return, trap = machine()
        self._fill = memoryview(bytes([trap]) * FILL_LIMIT if fill_freed else b"")
        self._synchronize = synchronize or self._platform.synchronizer(platform.machine())
        self._lock = RLock()
        self._busy = False
        self._live: dict[int, int] = {}  # offset -> size as asked for
        self._pending: list[Block] = []  # freed while the arena was busy
        self._torn = False  # a signal handler has raised amid a change of the free list
        self._no_reuse = ""  # why freed blocks may not be used again
        self._refusals: dict[Way, str] = {}
        self._choose(_forced(way), capacity)
        fork.watch(self)

    @property
    def way(self) -> Way:
        return self._mapping.way

    def allocate(self, size: int, align: int = ALIGNMENT) -> Block:
        """A block of `size` bytes (at least 1) at a multiple of `align`: a power of two, from 16 to the page size.

        Raises CodeMemoryFull where no free range is large enough, UserError for a size or alignment that cannot be.
        """
        if size <= 0:
            raise UserError(f"a block of code memory has at least 1 byte, not {size}")
        granule = self._granule
        reserved = (size + granule - 1) & -granule
        with self._lock:
            self._check_idle("allocate")
            try:
                self._busy = True
                self._mend()
                if self._pending:
                    self._free_pending()
                if align <= granule:
                    offset = self._free_list.take(reserved)
                else:
                    offset = self._take_aligned(reserved, align)
                if offset < 0:
                    raise self._full(size, align)
                if self._flips:
                    self._begin(offset, reserved)
                self._live[offset] = size
            except CnpError:  # no room, or a mistake: nothing has been changed
                raise
            except BaseException:  # of a signal handler, Ctrl-C above all
                self._torn = True
                raise
            finally:
                self._busy = False
        return Block(self._executable + offset, self._writable + offset, size)

    def commit(self, block: Block) -> None:
        """Ends the writing of a block: once this returns, any thread may run it."""
        if self._flips:
            granule = self._granule
            self._mapping.commit(block.writable_address - self._writable, (block.size + granule - 1) & -granule)
        if self._synchronize is not None:
            self._synchronize(block.executable_address, block.size)

    def free(self, block: Block) -> None:
        """Takes a block back. The caller vouches that no thread runs it or will.

        May be called from a finalizer at any moment, even amid another call: then it happens a little later.
        Raises InternalError for a block that is not live (one freed twice, or of another arena).
        """
        if not self._lock.acquire(False):
            self._pending.append(block)
            return
        try:
            if self._busy:  # this very thread, interrupted in the middle of a call by its garbage collector
                self._pending.append(block)
                return
            self._busy = True
            try:
                self._mend()
                self._free(block)
                if self._pending:
                    self._free_pending()
            except CnpError:
                raise
            except BaseException:
                self._torn = True
                if self._live.get(block.executable_address - self._executable) == block.size:
                    self._pending.append(block)
                raise
            finally:
                self._busy = False
        finally:
            self._lock.release()

    def statistics(self) -> Statistics:
        """What is live, free and mapped at this moment."""
        with self._lock:
            self._check_idle("statistics")
            try:
                self._busy = True
                self._mend()
                self._free_pending()
                return Statistics(self._free_list, self._live, self._reserved(), self._mapping.mappings)
            finally:
                self._busy = False

    def report(self) -> str:
        """Which way was chosen, and why each other was not: a line for each way."""
        lines = []
        for way in Way:
            if way is self.way:
                detail = f"chosen, {self._mapping.capacity >> 20} MiB of address space"
            else:
                detail = self._refusals.get(way, "not tried")
            lines.append(f"{way.value}: {detail}")
        return "\n".join(lines)

    def close(self) -> None:
        """Unmaps everything. Whatever still points into the arena must not be called any more."""
        with self._lock:
            if self._no_reuse != _CLOSED:
                self._no_reuse = _CLOSED
                fork.forget(self)
                self._live.clear()
                self._free_list = FreeList(0, self._platform.page, self._mapping.populate, self._mapping.release)
                self._mapping.close()

    def __enter__(self) -> CodeMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _choose(self, forced: Way | None, capacity: int) -> None:
        for way in self._platform.ways if forced is None else (forced,):
            try:
                self._use(self._platform.ways[way](capacity))
                return
            except Unsupported as refusal:
                self._refusals[way] = str(refusal)
        tried = "; ".join(f"{way.value} refused ({reason})" for way, reason in self._refusals.items())
        others = "another way may work, and " if forced is not None else ""
        raise Unsupported(f'no memory for machine code: {tried}; {others}backend="reference" needs none')

    def _use(self, mapping: Mapping) -> None:
        """Starts to work with a new mapping, once a function in it has really run."""
        self._mapping = mapping
        self._flips = mapping.way is Way.FLIP
        self._granule = mapping.granule
        self._executable = mapping.executable
        self._writable = mapping.writable
        self._bytes = memoryview((ctypes.c_uint8 * mapping.capacity).from_address(mapping.writable)).cast("B")
        self._free_list = FreeList(mapping.capacity, self._platform.page, mapping.populate, mapping.release)
        try:
            block = self.allocate(len(self._return))
            block.write(self._return)
            self.commit(block)
            ctypes.CFUNCTYPE(None)(block.executable_address)()
            self.free(block)
        except Unsupported:
            mapping.close()
            raise

    def _check_idle(self, call: str) -> None:
        if self._busy:
            raise InternalError(f"code memory: {call} called by a signal handler or finalizer amid another call")

    def _mend(self) -> None:
        """What is live is known whatever has happened to the free list."""
        if self._torn:
            granule = self._granule
            used = [(offset, (size + granule - 1) & -granule) for offset, size in self._live.items()]
            self._free_list = self._free_list.rebuilt(used)
            self._torn = False

    def _take_aligned(self, reserved: int, align: int) -> int:
        if align > self._platform.page or align & (align - 1):
            raise UserError(
                f"code can be aligned to a power of two from 16 to {self._platform.page} bytes, not to {align}"
            )
        return self._free_list.take_aligned(reserved, align)

    def _begin(self, offset: int, reserved: int) -> None:
        try:
            self._mapping.begin(offset, reserved)
        except Unsupported:
            self._free_list.give(offset, reserved)
            raise

    def _free(self, block: Block) -> None:
        offset = block.executable_address - self._executable
        if self._live.get(offset) != block.size:
            if self._no_reuse == _CLOSED:
                return
            raise InternalError(f"{block!r} is not live in this arena: freed twice, or never allocated here")
        if self._no_reuse:
            return
        del self._live[offset]
        granule = self._granule
        reserved = (block.size + granule - 1) & -granule
        if self._flips:
            self._mapping.retire(offset, reserved)
        elif self._fill:
            fill = self._fill[:reserved]
            self._bytes[offset : offset + len(fill)] = fill
        self._free_list.give(offset, reserved)

    def _free_pending(self) -> None:
        while self._pending:
            self._free(self._pending.pop())

    def _reserved(self) -> int:
        """Bytes of live blocks, with what rounding adds."""
        return sum((size + self._granule - 1) & -self._granule for size in self._live.values())

    def _full(self, size: int, align: int) -> Exception:
        if self._no_reuse:
            return Unsupported(f"no code can be placed any more: {self._no_reuse}")
        return CodeMemoryFull(
            f"code memory is full: {size} bytes aligned to {align} were asked for, the largest free range has "
            f"{self._free_list.largest()} bytes ({self._reserved()} of {self._free_list.capacity} bytes are in use); "
            "drop functions that are no longer called, or ask for a larger capacity"
        )

    def before_fork(self) -> int:
        """The descriptor that `after_fork` will need, or -1. Leaves the arena locked. Only for `fork.py`."""
        self._lock.acquire()
        try:
            return self._mapping.copy(self._free_list.extents())
        except OSError as error:
            self._freeze(f"a fork could not copy it: {platform.describe(error)}")
            return -1

    def after_fork(self, fd: int, in_child: bool) -> None:
        """Unlocks the arena, once the child has made the copy its own. Only for `fork.py`."""
        if fd >= 0:
            if in_child:
                self._adopt(fd)
            os.close(fd)
        self._lock.release()

    def _adopt(self, fd: int) -> None:
        try:
            self._mapping.adopt(fd)
            self._free_list.populated = -(-self._free_list.top // self._platform.page) * self._platform.page
        except OSError as error:
            self._freeze(f"the child of a fork could not map its copy: {platform.describe(error)}")

    def _freeze(self, reason: str) -> None:
        """From here on the pages are left as they are, for another process may be running what is on them."""
        self._no_reuse = reason
        self._free_list = FreeList(0, self._platform.page, self._mapping.populate, self._mapping.release)


_CLOSED = "the arena was closed"


def survey(capacity: int = 1 << 20) -> dict[Way, str]:
    """For a report on this machine: tries every way, and says "works" or why it does not."""
    results = {}
    for way in Way:
        try:
            CodeMemory(way, capacity=capacity).close()
            results[way] = "works"
        except Unsupported as refusal:
            results[way] = str(refusal)
    return results


def _forced(way: Way | str | None) -> Way | None:
    if isinstance(way, Way):
        return way
    name = way or os.environ.get(VARIABLE)
    if not name:
        return None
    try:
        return Way(name)
    except ValueError:
        source = "way" if way else VARIABLE
        raise UserError(f"{source} is {name!r}; it may be {' or '.join(w.value for w in Way)}") from None
