"""The calls of Linux's C library that Python lacks: memory at an address, system calls. `OSError` when one fails."""

from __future__ import annotations

import ctypes
import mmap as _mmap
import os

PAGE = _mmap.PAGESIZE

PROT_NONE = 0
PROT_READ = _mmap.PROT_READ
PROT_WRITE = _mmap.PROT_WRITE
PROT_EXEC = _mmap.PROT_EXEC
MAP_SHARED = _mmap.MAP_SHARED
MAP_PRIVATE = _mmap.MAP_PRIVATE
MAP_ANONYMOUS = _mmap.MAP_ANONYMOUS
MAP_FIXED = 0x10
MAP_NORESERVE = 0x4000
SA_SIGINFO = 4
SA_ONSTACK = 0x08000000
SA_NODEFER = 0x40000000
MADV_DONTNEED = 4
MADV_REMOVE = 9
MADV_POPULATE_READ = 22  # Linux 5.14
MADV_POPULATE_WRITE = 23

_MAP_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)

_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,  # off_t is as wide as long on every 64-bit target
)
for _call in (_libc.munmap, _libc.mprotect, _libc.madvise):
    _call.restype = ctypes.c_int
_libc.syscall.restype = ctypes.c_long
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mprotect.argtypes = _libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def mmap(address: int, size: int, protection: int, flags: int, fd: int = -1) -> int:
    """The address of a new mapping of `size` bytes, from the start of `fd` or anonymous."""
    result: int | None = _libc.mmap(address, size, protection, flags, fd, 0)
    if result is None or result == _MAP_FAILED:
        raise _failure("mmap")
    return result


def munmap(address: int, size: int) -> None:
    if _libc.munmap(address, size):
        raise _failure("munmap")


def mprotect(address: int, size: int, protection: int) -> None:
    if _libc.mprotect(address, size, protection):
        raise _failure("mprotect")


def madvise(address: int, size: int, advice: int) -> bool:
    """Whether the kernel took the advice. Advice may be refused without harm, so this does not raise."""
    return not _libc.madvise(address, size, advice)


class Action(ctypes.Structure):
    """`struct sigaction`, as glibc and musl have it on every machine that cnp knows."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def sigaction(number: int, action: Action | None = None) -> Action:
    """What is done about a signal, or was before `action`."""
    before = Action()
    if _libc.sigaction(number, ctypes.byref(action) if action is not None else None, ctypes.byref(before)):
        raise _failure("sigaction")
    return before


def system_call(number: int, *arguments: int) -> int:
    """What the kernel returns, for calls that the C library has no function for."""
    result: int = _libc.syscall(*map(ctypes.c_long, (number, *arguments)))
    if result == -1:
        raise _failure(f"system call {number}")
    return result
