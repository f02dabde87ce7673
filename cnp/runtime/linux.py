"""Linux as the run time sees it."""

from __future__ import annotations

import ctypes

from cnp.errors import InternalError
from cnp.runtime import libc
from cnp.runtime.linux_icache import synchronizer
from cnp.runtime.linux_mapping import CLASSES
from cnp.runtime.platform import Platform

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable


class Linux(Platform):
    page = libc.PAGE
    ways = CLASSES
    fault_signals = (11, 7, 8)  # SIGSEGV, SIGBUS, SIGFPE on every machine that cnp knows

    def signal_handler(self, number: int) -> tuple[int, int]:
        action = libc.sigaction(number)
        return action.handler or 0, action.flags

    def handle_fault(self, number: int, handler: int) -> None:
        libc.sigaction(number, libc.Action(handler, flags=libc.SA_SIGINFO | libc.SA_ONSTACK | libc.SA_NODEFER))

    def synchronizer(self, machine: str) -> Callable[[int, int], None] | None:
        return synchronizer(machine)

    def routine(self, name: str) -> int:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0

    def new_thread_key(self, destructor: int) -> int:
        key = ctypes.c_uint32()
        if ctypes.CDLL(None).pthread_key_create(ctypes.byref(key), ctypes.c_void_p(destructor)):
            raise InternalError("pthread_key_create: no key is left for the contexts of threads")
        return key.value
