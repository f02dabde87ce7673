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
HEADER_SIZE = 256
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
    SYMBOLS = 8
    META = 9
    FAMILIES = 10
    KINDS = 11
    CLASSES = 12
    FIELDS = 13


class SymbolKind(enum.IntEnum):
    """What the run time looks up when it starts."""

    EXPORT = 0  # a routine of the core: offset in the blob
    CONTROL = 1  # a control stencil: its index
    PADDING = 2  # no name: the stencil of 0, 1, 2, ... bytes that do nothing; 0 where there is none
    ARGUMENT = 3  # no name: guest register of the first, second, ... integer argument of compiled code
    RESULT = 4  # no name: guest register of an integer result
    FLOAT_RESULT = 5  # no name: guest register of a float result
    SURVIVOR = 6  # no name: an integer register that a call to C leaves alone
    SCRATCH = 7  # no name: an integer register that the stencils of form SCRATCH leave undefined
    FEATURE = 8  # a feature that the processor must have, as /proc/cpuinfo spells it
    INTEGER_REGISTER = 9  # r0, r1, ... by hardware name: its alternative at an operand position
    FLOAT_REGISTER = 10  # f0, f1, ..., the same
    LIMIT = 11  # a number that the core wants to know, see cnp.target.record.LIMITS


# name; shape, result type, number of operands, their types; flags, forms; swapped, inverse, branch, reserved;
# alternatives of d, a, b, c and of a in REVERSED; patterns; classes of a, b, c and of a in REVERSED; six bases; doc,
# source line; first family; scales, offsets and values of families, class of these two.
OP = struct.Struct("<IBBB3BBBHHHH4BBB2x4I6IIIIBBBB4x")
STENCIL = struct.Struct("<II")
STENCIL_BITS = ((24, 8), (16, 9, 6, 1))
"""Fields of the two words, lowest bits first: first chunk (of several: first row of RUNS), chunks; first hole, size,
holes, whether the next row is its short form."""
RUN = struct.Struct("<I")  # chunk
SYMBOL = struct.Struct("<III")  # SymbolKind, name, value
HOLE = struct.Struct("<BBBxiIHxx")  # chunk, value, kind, addend, extra, offset
# flags, width, number of segments, FieldShape; bias, scale, mask; low, high, both as signed numbers; then SEGMENT for
# each of up to eight.
KIND = struct.Struct("<BBBBiIIqq")
SEGMENT = struct.Struct("<BBBB")  # start, bits, to, flags
MOST_SEGMENTS = 8
KIND_SIZE = KIND.size + MOST_SEGMENTS * SEGMENT.size
CLASS = struct.Struct("<8sqqIBBxx")  # name, low, high, scale, pattern, whether it takes an instruction of its own
FIELD = struct.Struct("<32I")  # by register: what it contributes to four bytes, by exclusive or
CHUNK = struct.Struct("<16sq")  # code, right-aligned; minus its size
# Fields of 32 registers at each of three positions; stencils by group of each; groups of 32 registers at each position.
FAMILY = struct.Struct("<96I27I96B4x")
FAMILY_STENCILS = slice(96, 123)


def pack_stencil(*fields: int) -> bytes:
    """A row of STENCILS from the six fields that STENCIL_BITS lists. OverflowError if one does not fit."""
    words, rest = [], list(fields)
    for widths in STENCIL_BITS:
        word = shift = 0
        for width in widths:
            field = rest.pop(0)
            if field >> width:
                raise OverflowError(f"{field} in a field of {width} bits")
            word |= field << shift
            shift += width
        words.append(word)
    return STENCIL.pack(*words)


def unpack_stencil(data: memoryview | bytes, offset: int) -> list[int]:
    """The six fields of a row."""
    fields = []
    for word, widths in zip(STENCIL.unpack_from(data, offset), STENCIL_BITS):
        for width in widths:
            fields.append(word & (1 << width) - 1)
            word >>= width
    return fields


def library_checksum(data: bytes | bytearray | memoryview) -> int:
    """CRC-32 of a library file whose checksum field is taken as zeros: what opening one checks."""
    header = bytearray(data[:HEADER_SIZE])
    header[CHECKSUM_OFFSET : CHECKSUM_OFFSET + CHECKSUM_SIZE] = bytes(CHECKSUM_SIZE)
    return zlib.crc32(memoryview(data)[HEADER_SIZE:], zlib.crc32(header))


def library_digest(data: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of a library file whose digest and checksum fields are taken as zeros: its identity."""
    from hashlib import sha256  # late: it brings OpenSSL, which is slow to load

    header = bytearray(data[:HEADER_SIZE])
    header[DIGEST_OFFSET : DIGEST_OFFSET + DIGEST_SIZE] = bytes(DIGEST_SIZE)
    header[CHECKSUM_OFFSET : CHECKSUM_OFFSET + CHECKSUM_SIZE] = bytes(CHECKSUM_SIZE)
    digest = sha256(header)
    digest.update(memoryview(data)[HEADER_SIZE:])
    return digest.digest()
