"""What the atomic instructions do to memory, and the ops by which compiled code has them: those of ops/atomics.c."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import instruction as bpf
from .memory import MASK, Memory

if TYPE_CHECKING:
    from cnp.extension.library import OpLibrary

_SIZES = (4, 8)
_UPDATES = {bpf.ADD: "add", bpf.OR: "or", bpf.AND: "and", bpf.XOR: "xor"}
_lock = threading.Lock()  # among interpreters: they take several steps of Python's for what is one in compiled code


def perform(imm: int, address: int, size: int, operand: int, expected: int = 0) -> int:
    """Do the atomic that `imm` says on the word at an address, which has been checked: what was there before.

    `expected` is what cmpxchg compares with. All numbers are unsigned."""
    with _lock:
        old = Memory.read(address, size)
        if imm != bpf.CMPXCHG:
            Memory.write(address, size, _result(imm, old, operand))
        elif old == expected & (1 << 8 * size) - 1:
            Memory.write(address, size, operand)
    return old


def _result(imm: int, old: int, operand: int) -> int:
    """What it leaves in memory, not yet cut to its size."""
    if imm == bpf.XCHG:
        return operand
    operation = imm & ~bpf.FETCH
    return {bpf.ADD: old + operand, bpf.OR: old | operand, bpf.AND: old & operand, bpf.XOR: old ^ operand}[operation]


def method_of(imm: int, size: int) -> str:
    """The op, as a method of a function: `atomic_fetch_add64`."""
    return f"atomic_{_UPDATES.get(imm) or bpf.ATOMICS[imm]}{8 * size}"


def load(path: str | os.PathLike[str]) -> OpLibrary:
    """The library that `cnp build examples/ebpf/ops -o path` has made, with what its ops mean.

    Raises cnp.LibraryError, and cnp.Unsupported, as cnp.load does."""
    import cnp  # the rest of this example runs without it

    meanings = {
        method_of(imm, size).replace("_", ".", 1): _meaning(imm, size) for imm in bpf.ATOMICS for size in _SIZES
    }
    return cnp.load(path, semantics=meanings)


def _meaning(imm: int, size: int) -> Callable[..., int | None]:
    """The op in Python, on signed numbers."""

    def result(address: int, *operands: int) -> int | None:
        *expected, operand = (each & MASK for each in operands)
        old = perform(imm, address & MASK, size, operand, *expected)
        return None if imm in _UPDATES else old - (old >> 63 << 64)

    return result
