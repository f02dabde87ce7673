"""What the run time asks of an operating system: one interface, chosen in one place. See docs/platforms.md."""

from __future__ import annotations

import errno
import os
import sys

from cnp.errors import Unsupported

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnp.runtime import mapping

ACCEPTED = ("linux",)
"""The values of sys.platform that machine code runs on."""


class Platform:
    """One operating system. Sizes and addresses are in bytes."""

    page: int
    ways: Mapping[mapping.Way, Callable[[int], mapping.Mapping]]
    """What maps that much address space for code, in each way that there is, in the order to try; Unsupported out."""

    def synchronizer(self, machine: str) -> Callable[[int, int], None] | None:
        """f(address, size): after it every thread fetches what was written there. None where nothing has to be done."""
        raise NotImplementedError

    def routine(self, name: str) -> int:
        """The address of a function of the C library that the core calls: memory, threads, stack bounds, the clock."""
        raise NotImplementedError

    fault_signals: tuple[int, int, int]
    """Numbers of the signals that a bad address, a bad page and a bad division raise."""

    def signal_handler(self, number: int) -> tuple[int, int]:
        """What handles a signal now: the C function's address (0 is the default, 1 to ignore it), and its flags."""
        raise NotImplementedError

    def handle_fault(self, number: int, handler: int) -> None:
        """Has C code (signal, siginfo_t *, ucontext_t *) called on the thread's signal stack. It may not return."""
        raise NotImplementedError

    def new_thread_key(self, destructor: int) -> int:
        """A key for a pointer of each thread, which the C function at `destructor` gets when the thread ends."""
        raise NotImplementedError


_current: Platform | None = None


def current() -> Platform:
    """The platform that Python runs on. Unsupported, naming those accepted, where there is no machine code."""
    global _current
    if _current is None:
        _current = platform_named(sys.platform)
    return _current


def platform_named(name: str) -> Platform:
    """The platform that sys.platform calls so. Its modules are not imported anywhere else."""
    if name == "linux":
        from cnp.runtime.linux import Linux

        return Linux()
    accepted = ", ".join(ACCEPTED)
    raise Unsupported(f'cnp cannot run machine code on {name}; accepted: {accepted}; backend="reference" needs none')


_MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}  # as macOS and Windows call them


def machine() -> str:
    """This machine as libraries name it, which is how Linux does, on any platform."""
    name: str = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "unknown")
    return _MACHINES.get(name.lower(), name)


def describe(error: OSError) -> str:
    """`EPERM (Operation not permitted)`: how refusals are named in reports and messages."""
    number = error.errno or 0
    return f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"
