"""Wraps a position-independent blob in the smallest static ELF executable: no sections, two segments."""

from __future__ import annotations

import struct

from elftools.elf.enums import ENUM_E_MACHINE

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_SEGMENT = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
_IDENTITY = b"\x7fELF" + bytes((2, 1, 1))  # 64-bit, little-endian, version 1
_EXECUTABLE, _VERSION, _LOAD = 2, 1, 1
_EXECUTE, _WRITE, _READ = 1, 2, 4

IMAGE = 1 << 30
"""Where the file is mapped."""
VARIABLES = IMAGE + (1 << 28)
"""Address of as many zeros as a segment's alignment that the program may write."""
_ALIGNMENT = 1 << 16  # of segments: the largest page that Linux has on any of the targets
_START = 1 << 12  # of the blob in the file: code may reckon with pages of this size


def executable(code: bytes, entry: int, machine: str) -> bytes:
    """The file. `entry` is the offset in `code` where the process starts, `machine` as ELF spells it: EM_X86_64."""
    size = _START + len(code)
    header = _HEADER.pack(
        _IDENTITY, _EXECUTABLE, ENUM_E_MACHINE[machine], _VERSION, IMAGE + _START + entry, _HEADER.size, 0, 0,
        _HEADER.size, _SEGMENT.size, 2, 0, 0, 0,
    )  # fmt: skip
    header += _SEGMENT.pack(_LOAD, _READ | _EXECUTE, 0, IMAGE, IMAGE, size, size, _ALIGNMENT)
    header += _SEGMENT.pack(_LOAD, _READ | _WRITE, 0, VARIABLES, VARIABLES, 0, _ALIGNMENT, _ALIGNMENT)
    return header.ljust(_START, b"\0") + code
