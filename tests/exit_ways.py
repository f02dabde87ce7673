"""How tests of side exits compile, what they call, and a handler that is not to be called."""

from __future__ import annotations

from typing import Any

import pytest

import cnp
from cnp import i64

WAYS: list[dict[str, Any]] = [{"backend": "reference"}, {}, {"nogil": True}]
each_way = pytest.mark.parametrize("options", WAYS, ids=["reference", "native", "nogil"])


def keep(point: Any, values: tuple[Any, ...]) -> int:
    raise AssertionError("this exit is not taken")


# -- who leaves


def callee_with_exit(handler: Any) -> cnp.Function:
    """n + 1, or where n is 7 what the handler gives."""
    callee = cnp.Function("callee", [i64], i64)
    (n,) = callee.params
    callee.branch_i64_eq(n, 7, callee.exit(handler, "seven", [n]))
    callee.i64_add(n, n, 1)
    callee.ret(n)
    return callee
