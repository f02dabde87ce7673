"""Blocks of code memory as objects: a block is given back with the last reference to its reservation.

Not by a finalizer: the garbage collector runs those of a whole cycle before it takes anything apart, and one of them
may call the code. A reservation is of a type that the collector does not know, whose deallocator is in the core.
"""

from __future__ import annotations

from cnp.spec import HEAD, TP_MEMBERS, make_type, members_of

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

    from cnp.runtime.block import Block
    from cnp.runtime.codememory import CodeMemory
    from cnp.runtime.core import Core

_TP_DEALLOC = 52  # of CPython's stable ABI
_reserved: dict[int, tuple[CodeMemory, Block]] = {}  # by address
_type: Any = None


def reserve(core: Core, block: Block) -> Any:
    """An object that stands for `block`: when nothing refers to it any more, the block is free."""
    global _type
    if _type is None:
        dealloc = core.routine("cnp_release" if HEAD == 16 else "cnp_release_free_threaded")
        slots = {_TP_DEALLOC: dealloc, TP_MEMBERS: members_of("address")}
        _type = make_type("cnp.runtime.reservation.Reservation", HEAD + 8, 0, object, slots)
    reservation = _type()
    address = block.executable_address
    _reserved[address] = (core.memory, block)
    reservation.address = address
    return reservation


def release(address: int) -> None:
    """Called by the core: the last reference to a reservation is gone."""
    if _reserved is not None:  # it is, when Python ends
        memory, block = _reserved.pop(address)
        memory.free(block)
