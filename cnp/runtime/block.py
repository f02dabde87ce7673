"""What code memory hands out: blocks, and the count of them."""

from __future__ import annotations

import ctypes

from cnp.errors import UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from cnp.runtime.freelist import FreeList


class Block:
    """A piece of code memory: `size` bytes at `writable_address`, which run at `executable_address`."""

    __slots__ = ("executable_address", "size", "writable_address")

    def __init__(self, executable_address: int, writable_address: int, size: int) -> None:
        self.executable_address = executable_address
        self.writable_address = writable_address
        self.size = size

    def __repr__(self) -> str:
        return f"Block({self.executable_address:#x}, writable at {self.writable_address:#x}, {self.size} bytes)"

    def write(self, data: bytes, offset: int = 0) -> None:
        """Copies `data` to `offset`; UserError where it does not fit."""
        if offset < 0 or offset + len(data) > self.size:
            raise UserError(f"{len(data)} bytes at offset {offset} do not fit into a block of {self.size} bytes")
        ctypes.memmove(self.writable_address + offset, data, len(data))


class Statistics:
    """What an arena holds, in bytes where nothing else is said."""

    __slots__ = ("capacity", "free", "free_ranges", "high_water", "live", "live_blocks", "mappings", "reserved", "top")

    def __init__(self, free_list: FreeList, live: dict[int, int], reserved: int, mappings: int) -> None:
        self.live = sum(live.values())  # as asked for
        self.live_blocks = len(live)  # a count
        self.reserved = reserved  # the same, rounded up to whole granules
        self.free = free_list.top - reserved  # in holes below top
        self.free_ranges = len(free_list.ranges())  # a count; 1 when all is free
        self.top = free_list.top  # nothing above this is in use
        self.high_water = free_list.high_water  # the highest top so far
        self.capacity = free_list.capacity
        self.mappings = mappings  # a count: rows of /proc/self/maps when nothing is being written

    @property
    def waste(self) -> float:
        """The share of what is reserved that nobody asked for, 0 to 1: rounding, not holes, which can be used."""
        return 1 - self.live / self.reserved if self.reserved else 0.0

    def __repr__(self) -> str:
        return f"Statistics({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"
