"""What code memory asks of a mapping, whatever the platform; and what it must know of the machine it runs on."""

from __future__ import annotations

import enum

from cnp.errors import Unsupported
from cnp.runtime import platform

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable

# What the host needs to know of its own machine: the code of "return", and the byte that, repeated, traps.
MACHINES = {
    "x86_64": (b"\xc3", 0xCC),  # ret; int3
    "aarch64": (b"\xc0\x03\x5f\xd6", 0x00),  # ret; udf #0
    "riscv64": (b"\x67\x80\x00\x00", 0x00),  # ret; an illegal instruction by definition
    "loongarch64": (b"\x20\x00\x00\x4c", 0x00),  # ret; no instruction has this code
}


class Way(enum.Enum):
    """How code memory is kept from being writable and executable at once, in the order in which they are tried."""

    DOUBLE = "double"
    FLIP = "flip"


class Mapping:
    """Address space for code: what a `CodeMemory` asks of either way. Offsets and sizes are in bytes.

    Calls that change nothing for a way keep the empty body they have here.
    """

    way: Way
    granule: int  # every block starts at and spans a multiple of it
    mappings: int  # how many mappings of the process it consists of, when nothing is being written
    executable: int  # address of the executable view
    writable: int  # address of the writable view
    capacity: int  # bytes in each view

    def begin(self, offset: int, size: int) -> None:
        """Makes a range writable; it is not executable until `commit`."""

    def commit(self, offset: int, size: int) -> None:
        """Makes a range executable, for good."""

    def retire(self, offset: int, size: int) -> None:
        """Takes a range that holds no live code any more."""

    def populate(self, start: int, end: int) -> None:
        """Has the kernel supply the pages now, many at once, instead of one fault at a time."""

    def release(self, start: int, end: int) -> None:
        """Gives the pages back; they read as zero afterwards."""

    def close(self) -> None:
        """Unmaps it."""

    def copy(self, extents: Iterable[tuple[int, int]]) -> int:
        """Before a fork: the descriptor of a copy that the child will map, or -1 where the kernel copies by itself."""
        return -1

    def adopt(self, fd: int) -> None:
        """In the child of a fork: goes over to the copy, at the addresses of the original."""


def machine() -> tuple[bytes, int]:
    """The host's row of MACHINES; Unsupported on a machine that has none."""
    name = platform.machine()
    try:
        return MACHINES[name]
    except KeyError:
        raise Unsupported(f"cnp cannot run code on {name}: it knows {', '.join(MACHINES)}") from None
