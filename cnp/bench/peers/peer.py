"""What every peer can do: build a group in its own terms, and turn that into something callable."""

from __future__ import annotations

import ctypes
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from cnp.bench.figure import Unavailable
from cnp.bench.peers.description import Description, Group
from cnp.types import ParameterType, PointerType, Type

Functions = Sequence[Callable[..., Any]]
"""Callables in the order of the group. They keep their code alive; where a peer can unload it, it goes with them."""


class Peer(ABC):
    """A way to get from a description to machine code. Making one raises Unavailable where it cannot run."""

    name: ClassVar[str]
    """As figures have it."""
    packages: ClassVar[tuple[str, ...]]
    """What it imports, for the cost of importing to be told apart; each from an extra of the package's name."""
    bits: ClassVar[int] = 64
    """The width of its integers: of results, only so many bits can be compared."""

    def __init__(self) -> None:
        self.require_packages()

    @classmethod
    def require_packages(cls) -> None:
        """Unavailable if one is not installed."""
        for name in (each.partition(".")[0] for each in cls.packages):
            if importlib.util.find_spec(name) is None:
                raise Unavailable(f"{name} is not installed: pip install 'cnp[{name}]'")

    @classmethod
    def environment(cls) -> dict[str, str]:
        """What a process that times this peer needs besides. Unavailable if it would lack something."""
        cls.require_packages()
        return {}

    @property
    @abstractmethod
    def version(self) -> str:
        """Of the package and the compiler in it."""

    @abstractmethod
    def build(self, group: Group) -> Any:
        """The whole group as the peer takes it: text, bytes, or a graph. Unavailable for what it cannot express."""

    @abstractmethod
    def finish(self, built: Any) -> Functions:
        """From what `build` made to callables; nothing is left to be compiled at the first call."""


_C_TYPES: dict[Type, Any] = {
    Type.i32: ctypes.c_int32,
    Type.i64: ctypes.c_int64,
    Type.f32: ctypes.c_float,
    Type.f64: ctypes.c_double,
}


def c_type(type: ParameterType) -> Any:
    """The ctypes type of a parameter or a result; a pointer's also takes an array."""
    return ctypes.c_void_p if isinstance(type, PointerType) else _C_TYPES[type]


def c_function(description: Description, address: int, keep: Any) -> Any:
    """A function that is called through ctypes, and keeps something alive."""
    result = None if description.result is None else c_type(description.result)
    made: Any = ctypes.CFUNCTYPE(result, *map(c_type, description.parameters))(address)
    made.keep = keep
    return made
