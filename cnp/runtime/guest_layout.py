"""What cnp_walk reads and writes as ctypes sees it: the last part of stencils/core/layout.h, field for field."""

from __future__ import annotations

import ctypes
import enum
from ctypes import c_char_p, c_int16, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p


class FieldFlag(enum.IntFlag):
    """`enum guest_field_flag`."""

    SIGNED = 1
    BIG_ENDIAN = 2
    EXTENDED = 4
    SCALED = 8
    IN_PART = 16
    VARINT = 32


class EntryKind(enum.IntEnum):
    """`enum guest_entry_kind`."""

    UNKNOWN = 0
    INSTRUCTION = 1
    PREFIX = 2
    INSTRUCTION_IN_PARTS = 3


class Relation(enum.IntEnum):
    """`enum guest_relation`: what a jump's value counts from."""

    START = 0
    END = 1
    ZERO = 2


class OperandKind(enum.IntEnum):
    """`enum guest_operand_kind`."""

    HEAD = 0
    PLAIN_REGISTER = 1
    STACK = 2
    PLAIN_CONSTANT = 3
    PART_REGISTER = 4
    WORD = 5
    REGISTER = 6
    REGISTER_FIELD = 7
    CONSTANT_FIELD = 8
    OFFSET_FIELD = 9
    CALLEE_FIELD = 10
    TARGET = 11
    TARGETS = 12
    OWN_LABEL = 13
    EXIT = 14
    CELL = 15
    CELL_FIELD = 16


class WalkError(enum.IntEnum):
    """`enum walk_error`."""

    WALKED = 0
    EMPTY = 1
    TOO_LARGE = 2
    TRUNCATED = 3
    NO_SUCH_OPCODE = 4
    TOO_MANY_PREFIXES = 5
    TARGET_OUTSIDE = 6
    TARGET_INSIDE = 7
    NO_SUCH_REGISTER = 8
    CONSTANT_OUT_OF_RANGE = 9
    OFFSET_OUT_OF_RANGE = 10
    NO_SUCH_CALLEE = 11
    FALLS_OFF = 12
    UNDERFLOW = 13
    OVERFLOW = 14
    DEPTHS_DIFFER = 15
    NO_SUCH_CELL = 16
    VARINT_TOO_LONG = 17
    BAD_COUNT = 18
    NEEDS_SCRATCH = 100


NO_FIELD = 0xFFFF
NO_OFFSET = 0xFFFFFFFF


class GuestField(ctypes.Structure):
    """`struct guest_field`."""

    _fields_ = (
        ("bias", c_int64),
        ("mask", c_uint64),
        ("scale", c_int32),
        ("offset", c_uint8),
        ("bytes", c_uint8),
        ("shift", c_uint8),
        ("bits", c_uint8),
        ("flags", c_uint8),
        ("part", c_uint8),
        ("zero", c_uint8 * 6),
    )


class GuestPage(ctypes.Structure):
    """`struct guest_page`."""

    _fields_ = (("field", c_uint32), ("first_entry", c_uint32), ("n_entries", c_uint32))


class GuestEntry(ctypes.Structure):
    """`struct guest_entry`."""

    _fields_ = (("kind", c_uint8), ("skip", c_uint8), ("collect", c_uint16), ("row", c_uint32))


class GuestTarget(ctypes.Structure):
    """`struct guest_target`."""

    _fields_ = (
        ("field", c_uint16),
        ("relation", c_uint8),
        ("is_many", c_uint8),
        ("depth", c_int16),
        ("part", c_uint16),
    )


class PartKind(enum.IntEnum):
    """`enum guest_part_kind`."""

    PLAIN_VARINT = 0
    NUMBER = 1
    NUMBERS = 2
    ALIGNMENT = 3


class GuestPart(ctypes.Structure):
    """`struct guest_part`."""

    _fields_ = (
        ("kind", c_uint8),
        ("unit", c_uint8),
        ("field", c_uint16),
        ("count", c_uint16),
        ("less", c_uint16),
    )


class GuestInstruction(ctypes.Structure):
    """`struct guest_instruction`."""

    _fields_ = (
        ("first_operand", c_uint32),
        ("n_operands", c_uint32),
        ("n_ops", c_uint16),
        ("n_constants", c_uint16),
        ("n_labels", c_uint16),
        ("n_targets", c_uint16),
        ("first_target", c_uint32),
        ("length", c_uint16),
        ("ends", c_uint8),
        ("n_parts", c_uint8),
        ("needs", c_uint16),
        ("change", c_int16),
        ("most", c_uint16),
        ("n_exits", c_uint16),
        ("first_part", c_uint32),
    )


class GuestOperand(ctypes.Structure):
    """`struct guest_operand`."""

    _fields_ = (
        ("kind", c_uint8),
        ("type", c_uint8),
        ("field", c_uint16),
        ("value", c_int32),
        ("offset", c_uint8),
        ("shift", c_uint8),
        ("run", c_uint16),
        ("mask", c_uint32),
    )


class GuestBank(ctypes.Structure):
    """`struct guest_bank`."""

    _fields_ = (("type", c_uint8), ("is_set", c_uint8), ("zero", c_uint16), ("initial", c_uint32))


class GuestTable(ctypes.Structure):
    """`struct guest_table`."""

    _fields_ = (
        ("fields", c_void_p),
        ("pages", c_void_p),
        ("entries", c_void_p),
        ("instructions", c_void_p),
        ("targets", c_void_p),
        ("parts", c_void_p),
        ("operands", c_void_p),
        ("banks", c_void_p),
        ("constants", c_void_p),
        ("n_constants", c_uint32),
        ("n_banks", c_uint32),
        ("has_stack", c_uint32),
        ("zero", c_uint32),
    )


class GuestSpan(ctypes.Structure):
    """`struct guest_span`."""

    _fields_ = (("first", c_uint32), ("count", c_uint32))


class GuestExit(ctypes.Structure):
    """`struct guest_exit`."""

    _fields_ = (("offset", c_uint32), ("label", c_uint32), ("exit", c_uint32), ("depth", c_uint32))


class Walk(ctypes.Structure):
    """`struct walk`."""

    _fields_ = (
        ("code", c_char_p),
        ("size", c_uint64),
        ("banks", c_void_p),
        ("scratch", c_void_p),
        ("scratch_size", c_uint64),
        ("n_parameters", c_uint32),
        ("n_callees", c_uint32),
        ("cells", c_void_p),
        ("n_field_cells", c_uint32),
        ("n_cells", c_uint32),
        ("words", c_void_p),
        ("constants", c_void_p),
        ("offsets", c_void_p),
        ("exits", c_void_p),
        ("is_read", c_void_p),
        ("n_words", c_uint64),
        ("scratch_used", c_uint64),
        ("n_constants", c_uint32),
        ("n_labels", c_uint32),
        ("n_ops", c_uint32),
        ("n_exits", c_uint32),
        ("error", c_uint32),
        ("error_offset", c_uint32),
        ("error_field", c_uint32),
        ("error_accepted", c_uint32),
        ("error_value", c_int64),
    )


class Entered(ctypes.Structure):
    """`struct entered`."""

    _fields_ = (
        ("words", c_char_p),
        ("offsets", c_char_p),
        ("n_words", c_uint64),
        ("n_offsets", c_uint64),
        ("n_labels", c_uint32),
        ("label", c_uint32),
        ("scratch", c_void_p),
        ("scratch_size", c_uint64),
        ("made", c_void_p),
        ("places", c_void_p),
        ("n_made", c_uint64),
        ("n_ops", c_uint64),
        ("scratch_used", c_uint64),
    )
