"""Cells: eight bytes of memory that compiled code reads while other threads write them, each all at once."""

from __future__ import annotations

import ctypes
import os
from _thread import RLock

from cnp.backends.native import core
from cnp.errors import UserError
from cnp.ir.function import CallCell, Function, callee_function
from cnp.runtime.callable import NativeFunction
from cnp.runtime.threads import retire

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cnp.backends.assumption import Assumption
    from cnp.types import ParameterType, Type

lock = RLock()
"""Held while a cell gets another target, so that it is one in step with what assumptions know."""


def _after_fork() -> None:
    global lock
    lock = RLock()


os.register_at_fork(after_in_child=_after_fork)


class Word:
    """Eight bytes at `address`, as long as this object lives."""

    __slots__ = ("_memory", "address")

    is_assumption = False

    def __init__(self, value: int = 0) -> None:
        self._memory = ctypes.c_int64()
        self.address = ctypes.addressof(self._memory)
        self._write(value)

    def _read(self) -> int:
        return self._memory.value

    def _write(self, value: int) -> None:
        core().set(self.address, value % 2**64)


class DataCell(Word):
    """An i64 that functions read by `f.load_cell(d, cell)`, or by any op at its `address`, and that anybody may set."""

    __slots__ = ("__weakref__",)

    def __init__(self, value: int = 0) -> None:
        """UserError for a value that is no integer from -2^63 to 2^64 - 1."""
        super().__init__(_checked(value))

    @property
    def value(self) -> int:
        """What is in it, from -2^63 to 2^63 - 1. Setting it is one store, which every thread sees all at once."""
        return self._read()

    @value.setter
    def value(self, value: int) -> None:
        self._write(_checked(value))

    def __repr__(self) -> str:
        return f"<data cell at {self.address:#x}: {self.value}>"


def _checked(value: Any) -> int:
    if not hasattr(value, "__index__") or not -(2**63) <= value.__index__() < 2**64:
        raise UserError(f"a data cell cannot hold {value!r}; accepted: an integer from -2^63 to 2^64 - 1")
    number: int = value.__index__()
    return number


class Cell(CallCell):
    """A callee that can be exchanged while code that calls it runs: `f.call(d, cell, ...)` calls its present target.

    Until it has a target it traps (UNREACHABLE). Its methods may be called from any thread; a call that has begun goes
    on in the target that it found. The present target and the fallback stay alive; what was a target before is freed
    when every thread that was inside compiled code by then has left it.
    """

    __slots__ = ("__weakref__", "_fallback", "_held", "_target", "_word")

    def __init__(
        self,
        name: str,
        params: Sequence[ParameterType] = (),
        result: Type | None = None,
        target: NativeFunction | None = None,
    ) -> None:
        """With `target` for its first target, and its fallback. UserError as for a Function, and as for `set`."""
        prototype = Function(name, params, result)
        self._word = Word()
        super().__init__(self._word.address, prototype.register_types, result, name)
        if target is None:
            prototype.unreachable()
            target = prototype.compile()
        self._check(target)
        self._target = self._fallback = target
        self._held: dict[int, NativeFunction] = {}  # by id, what the word may lead to, or threads may be running
        self._point(target)

    @property
    def target(self) -> NativeFunction:
        """What is called."""
        return self._target

    @property
    def fallback(self) -> NativeFunction:
        """What `reset`, and an assumption that is broken, goes back to."""
        return self._fallback

    def __call__(self, *arguments: Any) -> Any:
        """Call the present target from Python."""
        return self._target(*arguments)

    def __repr__(self) -> str:
        return f"<cell {self.name} with {self._target!r}>"

    def set(self, target: NativeFunction, *, fallback: bool = False) -> bool:
        """Have `target` called from now on: one store of eight bytes. With `fallback` it is that from now on, too.

        False, and nothing is changed, if an assumption that the target depends on is broken. UserError for what is no
        native code with the cell's parameters and result.
        """
        self._check(target)
        with lock:
            if any(each.is_broken for each in assumptions_of(target)):
                return False
            self._point(target)
            if fallback:
                self._fallback = target
        self.give_up()
        return True

    def reset(self) -> None:
        """Have the fallback called from now on."""
        with lock:
            self._point(self._fallback)
        self.give_up()

    def leave(self, assumption: Assumption) -> None:
        """Reset if the target depends on a broken assumption. The caller holds the lock; `give_up` comes without it."""
        if assumption in assumptions_of(self._target):
            self._point(self._fallback)

    def give_up(self) -> None:
        """Let former targets go once nobody is inside of them."""
        with lock:
            former = self._former()
        for each in former:
            retire(each)
        with lock:
            for each in self._former():
                if each in former:
                    del self._held[id(each)]

    def _point(self, target: NativeFunction) -> None:
        # Ctrl-C may come between any two steps: until they are retired, all that the word has led to are held.
        self._held[id(self._target)] = self._target
        self._held[id(target)] = target
        for each in assumptions_of(target):
            each.watch(self)
        self._word._write(target.entry)
        self._target = target

    def _former(self) -> list[NativeFunction]:
        present = self._word._read() % 2**64
        return [each for each in self._held.values() if each is not self._target and each.entry != present]

    def _check(self, target: Any) -> None:
        function = callee_function(target)
        if not isinstance(target, NativeFunction) or function is None:
            wanted = _signature(self.params, self.result)
            raise UserError(f"cell {self.name!r}: {target!r} is no native code; accepted: a compiled function {wanted}")
        params = tuple([each.register_type for each in function.parameter_types])
        if (params, function.result) != (self.params, self.result):
            found, wanted = _signature(params, function.result), _signature(self.params, self.result)
            raise UserError(f"cell {self.name!r}: {function.name!r} is {found}; accepted: {wanted}")


def assumptions_of(target: NativeFunction) -> list[Assumption]:
    """What the code of a function, and of those compiled together with it, depends on."""
    return [each for each in target._code.keeps if getattr(each, "is_assumption", False)]


def _signature(params: Sequence[Type], result: Type | None) -> str:
    arrow = f" -> {result}" if result is not None else ""
    return f"({', '.join(map(str, params))}){arrow}"
