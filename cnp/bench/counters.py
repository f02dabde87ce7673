"""The processor's own counters around a call, through perf_event_open: cycles, instructions, missed branches.

Core cycles are counted here or not at all: the time stamp counter ticks at a rate of its own, whatever the core's is.
"""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cnp.bench.figure import Unavailable
from cnp.runtime.platform import describe

_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241}  # of the system call
_ATTRIBUTES = struct.Struct("<IIQQQQQ80x")  # type, size, config, period, sample type, read format, flags, and zeros
_EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 5, 1 << 6  # flags
_TIMES = 1 | 2  # read format: also how long the counter was wanted, and how long it ran
_READING = struct.Struct("<QQQ")
_PARANOIA = "/proc/sys/kernel/perf_event_paranoid"


class Event(enum.Enum):
    """What is counted, in user space: perf's type and configuration."""

    CYCLES = (0, 0)
    INSTRUCTIONS = (0, 1)
    BRANCH_MISSES = (0, 5)
    TASK_CLOCK = (1, 1)  # nanoseconds, by the kernel: works without counters in the processor


def per_call(work: Callable[[int], object], n: int, events: Sequence[Event]) -> dict[Event, float]:
    """What one call costs this thread, where `work(n)` makes n: three times n less n, so without the way there.

    Unavailable where the machine does not count these events, or counts them for others too.
    """
    with _counters(events) as read:
        readings = [read()]
        for calls in (n, 3 * n):
            work(calls)
            readings.append(read())
    start, middle, end = readings
    return {event: (end[event] - 2 * middle[event] + start[event]) / (2 * n) for event in events}


@contextmanager
def _counters(events: Sequence[Event]) -> Iterator[Callable[[], dict[Event, int]]]:
    """A function that reads what has been counted so far."""
    files: dict[Event, int] = {}
    try:
        for event in events:
            files[event] = _open(event)
        yield lambda: {event: _read(file) for event, file in files.items()}
    finally:
        for file in files.values():
            os.close(file)


def _open(event: Event) -> int:
    """The file descriptor of a counter of this thread. Unavailable with the kernel's reason."""
    machine = os.uname().machine
    if machine not in _NUMBERS:
        raise Unavailable(f"perf_event_open: its number on {machine} is not known; known: {', '.join(_NUMBERS)}")
    kind, configuration = event.value
    attributes = ctypes.create_string_buffer(
        _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, configuration, 0, 0, _TIMES, _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR)
    )
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    this_thread, any_processor, no_group, no_flags = 0, -1, -1, 0
    file: int = system_call(_NUMBERS[machine], attributes, this_thread, any_processor, no_group, no_flags)
    if file < 0:
        raise Unavailable(refusal(event, ctypes.get_errno()))
    return file


def refusal(event: Event, number: int) -> str:
    """Why there is no counter: what an errno of perf_event_open means."""
    error = OSError(number, os.strerror(number))
    if number in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
        why = "the processor's counters are not there, as in most virtual machines"
    elif number in (errno.EACCES, errno.EPERM):
        why = f"not allowed; {_PARANOIA} has {_first_line(_PARANOIA)}, at most 2 is needed, and no seccomp filter"
    elif number == errno.ENOSYS:
        why = "this kernel does not have it, or a sandbox does not let it through"
    else:
        why = "unexpected"
    return f"perf_event_open refuses to count {event.name.lower().replace('_', ' ')}: {describe(error)}: {why}"


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except OSError:
        return "nothing"


def _read(file: int) -> int:
    count: int
    count, wanted, ran = _READING.unpack(os.read(file, _READING.size))
    if ran < wanted:
        raise Unavailable("the processor's counters are in use by others: what was counted would be an estimate")
    return count
