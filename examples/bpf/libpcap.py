"""Turns filter expressions into programs through libpcap's compiler, and gives its interpreter to compare with."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .instruction import FilterError, Instruction, Program, decode, encode

ETHERNET = 1  # DLT_EN10MB
_NETMASK_UNKNOWN = 0xFFFFFFFF


class LibpcapMissing(RuntimeError):
    """libpcap is not on this machine, so expressions cannot be compiled; `tcpdump -ddd` text still can."""


class _Program(ctypes.Structure):
    """struct bpf_program"""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The loaded libpcap. Raises LibpcapMissing where there is none, or one without a function needed here."""
    for name in ("libpcap.so.0.8", "libpcap.so.1", "libpcap.A.dylib", ctypes.util.find_library("pcap")):
        try:
            return _declare(ctypes.CDLL(name)) if name else _missing()
        except (OSError, AttributeError):
            continue
    return _missing()


def _missing() -> ctypes.CDLL:
    raise LibpcapMissing("libpcap is not installed; give the filter as `tcpdump -ddd` text, or install libpcap0.8")


def _declare(pcap: ctypes.CDLL) -> ctypes.CDLL:
    """Give every function used its C signature; without one ctypes cuts pointers to 32 bits."""
    pointer, unsigned, number, text = ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_char_p
    signatures: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "pcap_open_dead": (pointer, (number, number)),
        "pcap_compile": (number, (pointer, ctypes.POINTER(_Program), text, number, unsigned)),
        "pcap_geterr": (text, (pointer,)),
        "pcap_freecode": (None, (ctypes.POINTER(_Program),)),
        "pcap_close": (None, (pointer,)),
        "pcap_lib_version": (text, ()),
        "bpf_filter": (unsigned, (text, text, unsigned, unsigned)),
        "bpf_validate": (number, (text, number)),
        "bpf_image": (text, (text, number)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(pcap, name)
        function.restype, function.argtypes = result, arguments
    return pcap


def is_installed() -> bool:
    """Whether libpcap can be loaded."""
    try:
        library()
    except LibpcapMissing:
        return False
    return True


def version() -> str:
    """For example "libpcap version 1.10.3 (with TPACKET_V3)"."""
    return str(library().pcap_lib_version().decode())


@contextmanager
def _dead_handle(link_type: int, snapshot_length: int) -> Iterator[int]:
    handle = library().pcap_open_dead(link_type, snapshot_length)
    if not handle:
        raise MemoryError("pcap_open_dead")
    try:
        yield handle
    finally:
        library().pcap_close(handle)


def compile_expression(
    expression: str, *, link_type: int = ETHERNET, snapshot_length: int = 262144, optimize: bool = True
) -> list[Instruction]:
    """The program for an expression in pcap-filter(7)'s language, for example "tcp port 80".

    Accepted packets get `snapshot_length` as their verdict. Raises FilterError with libpcap's own message for an
    expression it refuses, and LibpcapMissing where it is not installed."""
    if "\0" in expression:
        raise FilterError(f"filter expression {expression!r}: a NUL character is not accepted")
    pcap, compiled = library(), _Program()
    with _dead_handle(link_type, snapshot_length) as handle:
        source = expression.encode()
        if pcap.pcap_compile(handle, ctypes.byref(compiled), source, int(optimize), _NETMASK_UNKNOWN):
            message = pcap.pcap_geterr(handle).decode(errors="replace")
            raise FilterError(f"filter expression {expression!r}: {message}")
        try:
            return decode(ctypes.string_at(compiled.instructions, 8 * compiled.length))
        finally:
            pcap.pcap_freecode(ctypes.byref(compiled))


def run(program: Program, packet: bytes, wire_length: int) -> int:
    """The verdict of libpcap's bpf_filter. It checks little: only for programs that passed validate()."""
    return int(library().bpf_filter(encode(program), packet, wire_length, len(packet)))


def accepts(program: Program) -> bool:
    """Whether libpcap's bpf_validate accepts the program."""
    return bool(library().bpf_validate(encode(program), len(program)))


def image(number: int, instruction: Instruction) -> str:
    """The instruction as libpcap's bpf_image writes it for `tcpdump -d`, with single spaces."""
    return " ".join(library().bpf_image(encode([instruction]), number).decode().split())


def filter_address() -> int:
    """Where the machine code of bpf_filter starts, for callers that go around ctypes."""
    return int(ctypes.cast(library().bpf_filter, ctypes.c_void_p).value or 0)
