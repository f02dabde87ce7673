"""The file format of a stencil library: little-endian rows, mirrored by stencils/core/layout.h."""

from __future__ import annotations

import enum
import struct
import zlib

MAGIC = b"CNPL\r\n\x1a\n"
"""Shows a file that a text mode or a 7-bit channel has damaged, as PNG's does."""

# magic, format version, header size, target, ABI hash, digest, file size, number of sections, integer registers,
# float registers, checksum; then SECTION_ENTRY for each section.
HEADER = struct.Struct("<8sII16sQ32sQIIII")
SECTION_ENTRY = struct.Struct("<II")  # offset, size
HEADER_SIZE = 192
DIGEST_OFFSET, DIGEST_SIZE = 40, 32
CHECKSUM_OFFSET, CHECKSUM_SIZE = 92, 4
SECTION_ALIGNMENT = 64


class SectionName(enum.IntEnum):
    """The sections, in file order."""

    OPS = 0
    NAMES = 1
    PLACEMENTS = 2
    STENCILS = 3
    HOLES = 4
    CHUNKS = 5
    RUNS = 6
    BLOB = 7
    META = 8


# name; shape, result type, number of operands, their types; flags, forms; swapped, inverse, branch, reserved;
# alternatives of d, a, b, c; classes of a, b, c; alternatives of a in REVERSED; five bases; doc, source line.
OP = struct.Struct("<IBBB3BBBHHHH4B3BB5III24x")
# First chunk (of several: first row of RUNS), first hole, chunks, holes, size, whether the next row is its short form.
STENCIL = struct.Struct("<IHBBHH")
RUN = struct.Struct("<I")  # chunk
HOLE = struct.Struct("<BBBBiIHH")  # chunk, value, width, flags, addend, extra, offset, zero
CHUNK = struct.Struct("<16sq")  # code, right-aligned; minus its size


def library_checksum(data: bytes | bytearray | memoryview) -> int:
    """CRC-32 of a library file whose digest and checksum fields are taken as zeros: what opening one checks."""
    header = bytearray(data[:HEADER_SIZE])
    header[DIGEST_OFFSET : DIGEST_OFFSET + DIGEST_SIZE] = bytes(DIGEST_SIZE)
    header[CHECKSUM_OFFSET : CHECKSUM_OFFSET + CHECKSUM_SIZE] = bytes(CHECKSUM_SIZE)
    return zlib.crc32(memoryview(data)[HEADER_SIZE:], zlib.crc32(header))


def library_digest(data: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of a library file whose digest field is taken as zeros: its identity."""
    from hashlib import sha256  # late: it brings OpenSSL, which is slow to load

    digest = sha256(bytes(data[:DIGEST_OFFSET]))
    digest.update(bytes(DIGEST_SIZE))
    digest.update(memoryview(data)[DIGEST_OFFSET + DIGEST_SIZE :])
    return digest.digest()
