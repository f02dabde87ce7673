"""What the ops of this directory mean, in Python; run with a library of them, it checks every op against that."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from typing import Any

import cnp
from cnp.ir.semantics import TrapSignal


class Vm(ctypes.Structure):
    """`struct vm` of vm.h."""

    _fields_ = (
        ("executed", ctypes.c_uint64),
        ("items", ctypes.POINTER(ctypes.c_int64)),
        ("length", ctypes.c_uint64),
    )


def _sat_add(a: int, b: int) -> int:
    return max(-(2**63), min(a + b, 2**63 - 1))


def _clamp(a: int, low: int, high: int) -> int:
    return min(max(a, low), high)


def _count(vm: int, by: int) -> int:
    machine = Vm.from_address(vm)
    before: int = machine.executed
    machine.executed = before + by  # which ctypes reduces modulo 2^64
    return before


def _item(vm: int, index: int) -> int:
    machine = Vm.from_address(vm)
    if not 0 <= index < machine.length:
        raise TrapSignal(cnp.TrapKind.UNREACHABLE)
    item: int = machine.items[index]
    return item


def _find(vm: int, key: int) -> int:
    machine = Vm.from_address(vm)
    items = machine.items[: machine.length]
    return items.index(key) if key in items else -1


def _forget(vm: int) -> None:
    Vm.from_address(vm).executed = 0


def _polynomial(x: float, *coefficients: float) -> float:
    total = 0.0
    for power, each in enumerate(coefficients):
        total += each * math.pow(x, power)
    return total


def _load_swapped(address: int) -> int:
    return int.from_bytes(ctypes.string_at(address, 4), "big", signed=True)


def _store_swapped(address: int, value: int) -> None:
    ctypes.memmove(address, value.to_bytes(4, "big", signed=True), 4)


MEANINGS: dict[str, Callable[..., Any]] = {
    "i64.sat_add": _sat_add,
    "i32.clamp": _clamp,
    "f64.near": lambda a, b: int(abs(a - b) < 0.1),
    "vm.count": _count,
    "vm.item": _item,
    "i32.load_swapped": _load_swapped,
    "i32.store_swapped": _store_swapped,
    "vm.find": _find,
    "vm.forget": _forget,
    "f64.polynomial": _polynomial,
}

ITEMS = (ctypes.c_int64 * 3)(10, -20, 30)
_VM = bytes(Vm(41, ITEMS, len(ITEMS)))
_SORTED_ITEMS = (ctypes.c_int64 * 3)(-20, 10, 30)
_SORTED = bytes(Vm(41, _SORTED_ITEMS, len(_SORTED_ITEMS)))
_FULL = bytes(Vm(2**64 - 1, ITEMS, 0))
SAMPLES: dict[str, list[tuple[Any, ...]]] = {
    "vm.count": [(_VM, 1), (_VM, -1), (_FULL, 1), (_VM, 2**40)],
    "vm.find": [*((_SORTED, key) for key in (-20, 10, 30, 0, 31, -(2**63))), (_FULL, 1)],
    "vm.forget": [(_VM,), (_FULL,)],
    "f64.polynomial": [(2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0), (-0.5, *[1e10] * 7), (0.0, -1.5, *[2.0] * 6)],
    "vm.item": [*((_VM, index) for index in (0, 1, 2, 3, -1, 2**40)), (_FULL, 0)],
    "i32.load_swapped": [(b"\1\2\3\4",), (b"\xff\0\0\x80",)],
    "i32.store_swapped": [(bytes(4), 1), (b"\xff" * 6, -2), (bytes(4), 0x12345678)],
}
"""For ops that look into memory: operands, with bytes in an address's place."""


def main(path: str) -> None:
    """Check every op of a library of this directory."""
    ops = cnp.load(path, semantics=MEANINGS)
    for name in ops.ops:
        print(f"{name}: {ops.check(name, SAMPLES.get(name))} results as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
