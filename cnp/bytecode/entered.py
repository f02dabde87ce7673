"""Ops of bytecode that are reached from a label, as the core finds and moves them: see Function.entered_at."""

from __future__ import annotations

import ctypes
import struct

from cnp.backends import native
from cnp.bytecode.exits import GuestExits
from cnp.ir.osr import Reached, own_label, unplaced
from cnp.ir.packed import Packed
from cnp.runtime.core import NEED_SCRATCH
from cnp.runtime.guest_layout import NO_OFFSET, Entered

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from typing import Any

    from cnp.bytecode.function import GuestFunction
    from cnp.ir.callback import SideExit
    from cnp.ir.function import Function, Label
    from cnp.ir.osr import Load


class ReachedWords(Reached):
    """The same as Reached, for a function that is packed."""

    __slots__ = ("_constants", "_places", "_words")

    def __init__(self, function: GuestFunction, label: Label) -> None:
        packed = function._packed
        assert packed is not None
        self._function = function
        self._constants = packed.constants
        index = own_label(function, label)
        if index is None:
            raise unplaced(function, label)
        core = native.core_of(function)
        entered = described(function)
        entered.label = index
        with core.scratch() as scratch:
            while True:
                entered.scratch, entered.scratch_size = scratch.address, scratch.size
                error = core.enter(ctypes.addressof(core.tables), ctypes.addressof(entered))
                if error != NEED_SCRATCH:
                    break
                scratch.grow(entered.scratch_used)
            if error:
                raise unplaced(function, label)
            self._words = scratch.copy(entered.made, entered.n_made * 4)
            self._places = scratch.copy(entered.places, entered.n_ops * 4)

    def exits(self, made: Function) -> MutableMapping[int, SideExit]:
        found = self._function._exits
        if found.__class__ is GuestExits and found.is_as_found:
            return found.behind_a_register(made._first_code)
        return super().exits(made)

    def copy_to(self, made: Any, loads: Sequence[Load]) -> None:
        words = [word for code, *operands in loads for word in (code | len(operands) << 16, *operands)]
        made._packed = Packed(struct.pack(f"={len(words)}I", *words) + self._words, self._constants)
        made._offsets = struct.pack("=I", NO_OFFSET) * len(loads) + self._places


def described(function: GuestFunction) -> Entered:
    """The ops of one that is packed, for the core."""
    packed, offsets = function._packed, function._offsets
    assert packed is not None
    return Entered(packed.words, offsets, len(packed.words) // 4, len(offsets) // 4, function._label_count)
