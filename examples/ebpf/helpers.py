"""What a program may call besides the helpers of maps: functions of the host, each with the arguments that it takes.

Arguments are r1 to r5. One that is a pointer is checked before the call as a load or a store would be."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .instruction import EbpfError
from .maps import MAXIMUM_BYTES

PARAMETERS = 5  # of every function, r1 to r5
Function: TypeAlias = Callable[[int, int, int, int, int], int]
C_HELPER = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * PARAMETERS)
"""The type of helpers that are C functions, which compiled code calls without Python: `C_HELPER(address)`."""


@dataclass(frozen=True)
class Number:
    """64 bits, whatever they are: the function must not take them for an address."""


@dataclass(frozen=True)
class Buffer:
    """The address of bytes in one region: `size` of them (1 to 2^28), or as many as the number in r`counted_by` is,
    which may be 0. The function reads them; to write them, too, it says so by `written`."""

    size: int | None = None
    counted_by: int | None = None
    written: bool = False


Argument: TypeAlias = Number | Buffer


@dataclass(frozen=True)
class HostHelper:
    """A function of five 64-bit numbers, unsigned, that gives another, in Python or a C_HELPER.

    `arguments`: what r1 and those after it are. The program has to write these registers before it calls; in place of
    the others the function gets 0."""

    function: Function
    arguments: Sequence[Argument] = ()

    def check(self, number: int) -> None:
        """Raises EbpfError for what cannot be called."""
        count = len(self.arguments)
        if count > PARAMETERS:
            raise EbpfError(f"helper {number}: {count} arguments; at most {PARAMETERS} are accepted")
        for register, argument in enumerate(self.arguments, 1):
            what = f"helper {number}: argument {register}"
            if isinstance(argument, Buffer):
                self._check_buffer(what, argument)
            elif not isinstance(argument, Number):
                raise EbpfError(f"{what} is {argument!r}; Number() and Buffer(...) are accepted")

    def _check_buffer(self, what: str, buffer: Buffer) -> None:
        if (buffer.size is None) == (buffer.counted_by is None):
            raise EbpfError(f"{what} is {buffer!r}; either `size` or `counted_by` is accepted")
        if buffer.size is not None and not 1 <= buffer.size <= MAXIMUM_BYTES:
            raise EbpfError(f"{what} has size {buffer.size}; 1 to {MAXIMUM_BYTES} is accepted")
        numbers = [register for register, each in enumerate(self.arguments, 1) if isinstance(each, Number)]
        if buffer.counted_by is not None and buffer.counted_by not in numbers:
            accepted = " or ".join(map(str, numbers)) or "it has none"
            raise EbpfError(
                f"{what} is counted by {buffer.counted_by}; arguments that are a Number are accepted: {accepted}"
            )


def check_helpers(helpers: Mapping[int, HostHelper]) -> None:
    """Raises EbpfError for one that cannot be called, and for what is no HostHelper."""
    for number, helper in helpers.items():
        if not isinstance(helper, HostHelper):
            accepted = "HostHelper(function, arguments) is accepted, which says what it takes"
            raise EbpfError(f"helper {number} is {helper!r}; {accepted}")
        helper.check(number)
