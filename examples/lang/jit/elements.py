"""The cnp ops for elements of arrays, as arrays.py has them in memory."""

from __future__ import annotations

from typing import Any

import cnp
from cnp import f64, i64

from .arrays import array_at
from .kinds import FLOAT, FLOATS, INTS, Kind


def push(address: int, value: float) -> None:
    """What compiled code calls."""
    array_at(address).push(value)


def _element(f: cnp.Function, base: cnp.Register, index: Any, out: cnp.Label) -> cnp.Register:
    length, at = f.reg(i64), f.reg(i64)
    f.i64_load(length, base, 8)
    f.branch_i64_ge_u(index, length, out)
    f.i64_load(at, base)
    if isinstance(index, int):
        f.i64_add(at, at, 8 * index)
    else:
        offset = f.reg(i64)
        f.i64_shl(offset, index, 3)
        f.i64_add(at, at, offset)
    return at


def load_element(f: cnp.Function, d: cnp.Register, base: cnp.Register, index: Any, kind: Kind, out: cnp.Label) -> None:
    """d = the element; leaves if the index is out of range, from the end too."""
    load = f.f64_load if kind is FLOAT else f.i64_load
    load(d, _element(f, base, index, out))


def store_element(f: cnp.Function, value: Any, kind: Kind, base: cnp.Register, index: Any, out: cnp.Label) -> None:
    """The element = value; leaves as a load does."""
    store = f.f64_store if kind is FLOAT else f.i64_store
    store(value, _element(f, base, index, out))


PUSH = {
    INTS: cnp.callback(push, [i64, i64], name="push"),
    FLOATS: cnp.callback(push, [i64, f64], name="push"),
}
