"""Turns bytecode or an object file into a machine: a verified program with its maps and memory, ready to run."""

from __future__ import annotations

import copy
import ctypes
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import elf, interpreter
from .analysis import verify
from .helpers import HostHelper
from .instruction import EbpfError, Instruction
from .maps import HASH, Map, MapSpec
from .memory import FRAMES, MASK, Memory, OutOfBudget, Region, check_length

if TYPE_CHECKING:
    from cnp.extension.library import OpLibrary


class Program:
    """A machine for one program. It has one stack: it is for one thread, and a run cannot start another. Other threads
    have machines of their own, with the same maps: see for_thread().

    `helpers`: what programs may call, by its number in call instructions; 1, 2 and 3 are those of maps. With
    cnp.catch_faults() a fault in a C function ends the run by a cnp.Trap. `frames`: how many functions may be active at
    once, each with 512 bytes of stack. `ops`: what atomics.load() gives, for compiled code that has atomics. `nogil`:
    compiled code gives other threads the GIL while it runs.

    Programs may loop for ever. A `budget` stops them, of 0 to 2^62 - 1 turns: loops' jumps back, and calls of functions
    of theirs. Compiled code, which takes no longer for it, counts by cnp.fuel: one turn for two rounds of some short
    loops, and some for what it searches in hash maps."""

    def __init__(
        self,
        program: Iterable[Instruction],
        *,
        entry: int = 0,
        maps: Sequence[MapSpec] = (),
        helpers: Mapping[int, HostHelper] | None = None,
        frames: int = FRAMES,
        backend: str = "native",
        ops: OpLibrary | None = None,
        nogil: bool = False,
    ) -> None:
        """Raises EbpfError for a program that is not safe to run."""
        self.helpers = dict(helpers or {})
        if not 1 <= frames <= 1024:
            raise EbpfError(f"{frames} stack frames; 1 to 1024 are accepted")
        for spec in maps:
            spec.check()
        self.verified = verify(list(program), entry, maps, self.helpers, frames)
        self.maps = [Map(spec) for spec in maps]
        for each in self.maps:
            each.link(self.maps)
        self.memory = Memory([each.values for each in self.maps], frames)
        self.backend = backend
        self.ops = ops
        self._options: dict[str, Any] = {"nogil": True} if nogil else {}
        self._compiled: Any = None
        self._keep: Any = None

    @classmethod
    def read(cls, path: str | os.PathLike[str], function: str | None = None, **options: Any) -> Program:
        """The program in an object file; `function` is where it starts, if there is more than one.

        Raises OSError, and EbpfError. Options are those of the class."""
        found = elf.read(path)
        if function is None and len(found.functions) == 1:
            (function,) = found.functions
        if function not in found.functions:
            names = ", ".join(sorted(found.functions)) or "none"
            raise EbpfError(f"{os.fspath(path)}: there is no function {function!r}; accepted: {names}")
        return cls(found.program, entry=found.functions[function], maps=found.maps, **options)

    def for_thread(self) -> Program:
        """Another machine for the same program, with the same maps, to run on another thread at the same time.

        Atomics of compiled code are atomic among all such machines, those of interpret() among those that interpret.
        What else two threads do to a value comes in any order, and in pieces of a word at most. EbpfError if a map is a
        hash map: updates of its index are for one thread."""
        for each in self.maps:
            if each.spec.kind == HASH:
                raise EbpfError(f"map {each.spec.name!r} is a hash map, for one thread; arrays are accepted")
        found = copy.copy(self)
        found.memory = Memory([each.values for each in self.maps], self.memory.frames)
        found._compiled = found._keep = None
        return found

    @property
    def compiled(self) -> Any:
        """What cnp made of it, `(context, length) -> r0`, compiled when it is first asked for.

        It does not clear the stack as run() does, where run() raises Fault it raises cnp.Trap, and cnp.fuel is its
        budget. EbpfError for a length that is not 0 to 2^40; that so many bytes are there is the caller's word."""
        if self._compiled is None:
            from .compiler import Compiler  # the rest of this example runs without cnp

            compiler = Compiler(self.verified, self.memory, self.maps, self.helpers, self.ops)
            self._compiled = compiler.lower().compile(backend=self.backend, **self._options)
            self._keep = compiler
        return self._compiled

    def run(self, context: bytes | bytearray | memoryview = b"", budget: int | None = None) -> int:
        """r0 (64 bits, unsigned) of compiled code; r1 is the context's address, r2 its length.

        Programs may write to the context, which a bytearray shows; others are copied. A run costs some 4 us besides
        what the code takes. Raises EbpfError for a context of more than 2^40 bytes or a budget out of range; Fault, a
        kind of it, for an access outside of the memory there is; OutOfBudget, another, after `budget` turns. What a
        helper raises ends the run."""
        import cnp

        from .access_code import fault_of

        self._check_budget(budget)
        if budget is not None and self.backend != "native":
            raise EbpfError(f"back end {self.backend!r} takes no budget; native code and interpret() do")
        fuel = None if budget is None else cnp.fuel(budget)
        buffer, region = self._enter(context)
        compiled = self.compiled
        try:
            if fuel is None:
                return int(compiled(region.address, region.length)) & MASK
            with fuel:
                return int(compiled(region.address, region.length)) & MASK
        except cnp.Trap as trap:
            if fuel is not None and trap.kind is cnp.TrapKind.OUT_OF_FUEL and fuel.used == fuel.limit:
                raise OutOfBudget(fuel.limit) from None  # else it is the caller's fuel that ran out
            if trap.kind is not cnp.TrapKind.UNREACHABLE:
                raise
            raise fault_of(self.verified, self.memory) from None
        finally:
            self._leave(context, buffer)

    def interpret(self, context: bytes | bytearray | memoryview = b"", budget: int | None = None) -> int:
        """The same by the Python interpreter."""
        self._check_budget(budget)
        buffer, _ = self._enter(context)
        try:
            return interpreter.run(self.verified, self.memory, self.maps, self.helpers, budget)
        finally:
            self._leave(context, buffer)

    def map(self, name: str) -> Map:
        """A map by its name. Raises KeyError."""
        return next(each for each in self.maps if each.spec.name == name)

    def reset(self) -> None:
        """Maps and data as they were at the start."""
        for each in self.maps:
            each.reset()

    @staticmethod
    def _check_budget(budget: int | None) -> None:
        if budget is not None and not 0 <= budget < 1 << 62:
            raise EbpfError(f"a budget of {budget} turns; 0 to {(1 << 62) - 1} are accepted")

    def _enter(self, context: bytes | bytearray | memoryview) -> tuple[Any, Region]:
        """Make a context the machine's, and the stack zeros: what a run left there is no other's business."""
        length = len(context)
        check_length(length)
        if isinstance(context, bytearray):
            buffer = (ctypes.c_char * length).from_buffer(context)
        else:
            buffer = (ctypes.c_char * length).from_buffer_copy(context)
        region = Region("the context", ctypes.addressof(buffer), length, True)
        self.memory.context = region
        ctypes.memset(self.memory.stack.address, 0, self.memory.stack.length)
        return buffer, region

    def _leave(self, context: bytes | bytearray | memoryview, buffer: Any) -> None:
        self.memory.context = Region("the context", 0, 0, False)
        del buffer
