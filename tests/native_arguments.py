"""Functions and values that tests of native calls share."""

from __future__ import annotations

from typing import Any

from cnp import Function, i64
from cnp.types import Type


def identity(type: Any) -> Any:
    f = Function("identity", [type], type if isinstance(type, Type) else i64)
    f.ret(f.params[0])
    return f.compile()


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Float:
    def __float__(self) -> float:
        return 2.5


class Fails:
    def __index__(self) -> int:
        raise KeyError("index")

    def __float__(self) -> float:
        raise KeyError("float")
