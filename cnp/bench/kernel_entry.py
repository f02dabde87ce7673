"""A kernel as one contestant made it ready to run: its outcome to compare, and one timed call."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cnp.bench.kernel_table import Arguments, Kernel
from cnp.bench.measure import seconds

Outcome = tuple[Any, ...]
"""What a call returned, as `exact` gives it, then the bytes of each buffer as it left them."""


class Entry(Protocol):
    """One kernel of one contestant, with arguments of its own."""

    @property
    def code_size(self) -> int:
        """Bytes of the code of all its functions, without constants and jump tables; 0 if that is not known."""

    def outcome(self) -> Outcome:
        """Call it, and take down all there is to compare."""

    def seconds(self) -> float:
        """How long one call takes."""

    def close(self) -> None:
        """Let go of what it holds."""


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """An entry that is called in this process."""

    call: Callable[[], Any]
    arguments: Arguments
    code_size: int = 0

    def outcome(self) -> Outcome:
        """The result, and the buffers."""
        result = exact(self.call())
        return result, *(bytes(each) for each in self.arguments if isinstance(each, ctypes.Array))

    def seconds(self) -> float:
        """By this process's clock."""
        return seconds(self.call)

    def close(self) -> None:
        """Nothing to do."""


def exact(result: Any) -> Any:
    """A result as something that is equal only to the same result: -0.0 is not 0.0."""
    return result.hex() if isinstance(result, float) else result


def foreign(function: Any, kernel: Kernel, arguments: Arguments, code_size: int = 0) -> LocalEntry:
    """The entry of a function that ctypes calls by the convention of C."""
    function.restype = kernel.result
    kinds = {int: ctypes.c_int64, float: ctypes.c_double}
    passed = [kinds[type(each)](each) if type(each) in kinds else each for each in arguments]
    return LocalEntry(lambda: function(*passed), arguments, code_size)
