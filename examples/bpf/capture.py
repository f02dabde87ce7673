"""Turns a capture file into packet bytes and an index that compiled code can walk, and packets into such a file."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

FILE_HEADER_SIZE = 24
RECORD_HEADER_SIZE = 16
MAXIMUM_SNAPSHOT_LENGTH = 262144  # what libpcap accepts as the captured length of one packet, in bytes
ETHERNET = 1  # LINKTYPE_ETHERNET

# One index record: where the packet starts in the data (u64), its bytes captured and its bytes on the wire (u32).
# Native byte order, as the compiled loop reads it.
RECORD = struct.Struct("=QII")
OFFSET, CAPTURED_LENGTH, WIRE_LENGTH = 0, 8, 12

_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
_FORMATS = {
    struct.pack(order + "I", magic): (order, magic == _NANOSECONDS)
    for order in "<>"
    for magic in (_MICROSECONDS, _NANOSECONDS)
}
_OTHER_FORMATS = {
    b"\x0a\x0d\x0d\x0a": "a pcapng file; convert it with `editcap -F pcap`",
    b"\xa1\xb2\xcd\x34": "written by a patched libpcap with longer record headers (magic a1b2cd34)",
    b"\x34\xcd\xb2\xa1": "written by a patched libpcap with longer record headers (magic a1b2cd34)",
    b"\x1f\x8b\x08\x00": "compressed by gzip; decompress it first",
}


class CaptureError(ValueError):
    """A file that is not a whole, well-formed capture; the message says at which byte, and what was expected."""


class Packet(NamedTuple):
    """`data`: the bytes captured. `wire_length`: bytes the packet had, at least len(data) unless the file lies."""

    data: bytes
    wire_length: int


@dataclass(frozen=True)
class Capture:
    """Packets in memory: `data` holds their bytes, `index` one RECORD each, every one of them inside `data`."""

    data: bytes
    index: bytes
    link_type: int = ETHERNET
    snapshot_length: int = MAXIMUM_SNAPSHOT_LENGTH
    nanoseconds: bool = False

    def __len__(self) -> int:
        return len(self.index) // RECORD.size

    def __iter__(self) -> Iterator[Packet]:
        for offset, captured, wire in RECORD.iter_unpack(self.index):
            yield Packet(self.data[offset : offset + captured], wire)


def read(path: str | os.PathLike[str]) -> Capture:
    """The capture in a file. Raises OSError, and CaptureError with the file's name for what is in it."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return parse(data)
    except CaptureError as error:
        raise CaptureError(f"{os.fspath(path)}: {error}") from None


def parse(data: bytes) -> Capture:
    """The capture in the bytes of a pcap file, of either byte order, with micro- or nanosecond times.

    The packets stay where they are: the result's data is the file. Raises CaptureError for a file that is cut off,
    has another format, or announces a packet longer than 262,144 bytes or than what is left of the file."""
    order, nanoseconds = _recognize(data[:4])
    if len(data) < FILE_HEADER_SIZE:
        raise CaptureError(f"cut off in the file header: {len(data)} of {FILE_HEADER_SIZE} bytes")
    major, minor, _, _, snapshot_length, link = struct.unpack_from(order + "HHiIII", data, 4)
    if major != 2:
        raise CaptureError(f"format version {major}.{minor}; version 2 is accepted")
    index = bytearray()
    header = struct.Struct(order + "IIII")
    position = FILE_HEADER_SIZE
    while position < len(data):
        if position + RECORD_HEADER_SIZE > len(data):
            left = len(data) - position
            raise CaptureError(f"byte {position}: cut off in a record header: {left} of {RECORD_HEADER_SIZE} bytes")
        _, _, captured, wire = header.unpack_from(data, position)
        if captured > MAXIMUM_SNAPSHOT_LENGTH:
            limit = MAXIMUM_SNAPSHOT_LENGTH
            raise CaptureError(f"byte {position}: a packet of {captured} bytes; at most {limit} are accepted")
        start = position + RECORD_HEADER_SIZE
        position = start + captured
        if position > len(data):
            left = len(data) - start
            raise CaptureError(f"byte {start}: cut off in a packet: {left} of {captured} bytes")
        index += RECORD.pack(start, captured, wire)
    # The upper bits of the link type tell the length of the frame check sequence, which no filter looks at.
    return Capture(data, bytes(index), link & 0x03FFFFFF, snapshot_length, nanoseconds)


def _recognize(magic: bytes) -> tuple[str, bool]:
    """The struct module's letter for the file's byte order, and whether its times are nanoseconds."""
    if magic in _FORMATS:
        return _FORMATS[magic]
    for prefix, name in _OTHER_FORMATS.items():
        if len(magic) >= 3 and magic[:3] == prefix[:3]:
            raise CaptureError(f"not a pcap file, but {name}")
    raise CaptureError(f"not a pcap file: it starts with {magic.hex(' ') or 'nothing'}, not with a1 b2 c3 d4")


def from_packets(packets: Iterable[Packet], *, link_type: int = ETHERNET) -> Capture:
    """A capture of packets made in memory, without the headers a file has between them."""
    data, index = bytearray(), bytearray()
    for packet in packets:
        index += RECORD.pack(len(data), len(packet.data), packet.wire_length)
        data += packet.data
    return Capture(bytes(data), bytes(index), link_type)


def encode(capture: Capture, *, order: str = "<") -> bytes:
    """The capture as a pcap file, little-endian ("<") or big-endian (">"). Times start at 0, 10 (us or ns) apart."""
    magic = _NANOSECONDS if capture.nanoseconds else _MICROSECONDS
    file = bytearray(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, capture.snapshot_length, capture.link_type))
    header = struct.Struct(order + "IIII")
    second = 10**9 if capture.nanoseconds else 10**6
    for number, packet in enumerate(capture):
        file += header.pack(*divmod(number * 10, second), len(packet.data), packet.wire_length)
        file += packet.data
    return bytes(file)


def write(path: str | os.PathLike[str], capture: Capture) -> None:
    """Write the capture as a pcap file that tcpdump and Wireshark read. Raises OSError."""
    with open(path, "wb") as file:
        file.write(encode(capture))
