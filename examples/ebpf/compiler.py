"""Turns a verified program into one cnp function for each of its functions."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cnp
from cnp import i64

from .accesses import Verified
from .helpers import C_HELPER, Function, HostHelper
from .instruction import EbpfError, Kind, format_instruction, kind_of, target_of
from .lowering import Lowering
from .map_code import MapCode
from .maps import Map
from .memory import MASK, Memory
from .region_code import Anywhere

if TYPE_CHECKING:
    from cnp.extension.library import OpLibrary


def _call(helper: Function, *arguments: int) -> int:
    """Compiled code has signed numbers, helpers unsigned ones."""
    result = helper(*[each & MASK for each in arguments]) & MASK
    return result - (result >> 63 << 64)


def _callee(number: int, helper: Function) -> cnp.Callback | cnp.Extern:
    """What compiled code calls: a C function as it is, anything else through Python."""
    name = f"helper_{number}"
    if isinstance(helper, C_HELPER):
        return cnp.extern(ctypes.cast(helper, ctypes.c_void_p).value or 0, [i64] * 5, i64, name)
    return cnp.callback(functools.partial(_call, helper), [i64] * 5, i64, name=name)


def _refuse_atomics(verified: Verified) -> None:
    for number in sorted(verified.reached):
        if kind_of(verified.program[number]) is Kind.ATOMIC:
            raise EbpfError(
                f"instruction {number}, `{format_instruction(number, verified.program)}`: compiled code needs ops for "
                "atomics; accepted: Program(..., ops=atomics.load(FILE)), of `cnp build examples/ebpf/ops -o FILE`"
            )


class Compiler:
    """The functions of one program, which refer to the machine's memory and maps and must not outlive them."""

    def __init__(
        self,
        verified: Verified,
        memory: Memory,
        maps: Sequence[Map],
        helpers: Mapping[int, HostHelper],
        ops: OpLibrary | None,
    ) -> None:
        """Raises EbpfError for a program with atomics if there are no ops for them."""
        self.verified = verified
        self.memory = memory
        self.maps = maps
        self.map_code = [MapCode(each) for each in maps]
        self.helpers = helpers
        self.callees = {number: _callee(number, helper.function) for number, helper in helpers.items()}
        if ops is None:
            _refuse_atomics(verified)
        self.function_type = cnp.Function if ops is None else ops.Function
        self.functions: dict[int, cnp.Function] = {}
        self.anywhere = Anywhere(memory)

    def lower(self) -> cnp.Function:
        """The function `(context, length) -> r0` of the program."""
        structure, entry = self.verified.structure, self.verified.entry
        starts = [start for start in structure.starts if start in self.verified.reached]
        recursive_entry = any(
            target_of(number, self.verified.program[number]) == entry
            for numbers in structure.calls.values()
            for number in numbers
        )
        for start in starts:
            if start != entry or recursive_entry:
                self.functions[start] = self.function_type(f"function_{start}", params=[i64] * 6, result=i64)
        for start, function in self.functions.items():
            Lowering(self, function, start).lower(context=False)
        main: cnp.Function = self.function_type("ebpf", params=[cnp.writable_ptr, i64], result=i64)
        Lowering(self, main, entry).lower(context=True)
        return main
