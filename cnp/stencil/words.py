"""The words of the stencil library's format that only the core reads: forms, values of holes, shapes of fields."""

from __future__ import annotations

import enum


class Form(enum.IntEnum):
    """Which combinations of operand placements are compiled."""

    FREE = 0  # every one
    TIED = 1  # the destination is where a is
    REVERSED = 2  # the destination is where b is
    FREE_IMMEDIATE = 3  # every one, where b is an immediate
    SLOT_RESULT = 4  # the destination is a frame slot
    SCRATCH = 5  # as TIED, and the target's scratch registers, the destination apart, hold nothing afterwards


class Value(enum.IntEnum):
    """Which value a hole is patched with."""

    IMMEDIATE_A = 0
    IMMEDIATE_B = 1
    IMMEDIATE_C = 2
    SLOT_D = 3
    SLOT_A = 4
    SLOT_B = 5
    SLOT_C = 6
    OFFSET = 7
    TARGET = 8
    EXIT = 9  # extra: the trap kind
    LIBRARY = 10  # extra: the offset in the blob
    FRAME_SIZE = 11
    ADDRESS = 12
    TRAP_PLACE = 13
    SIGNATURE = 14
    CALLEE = 15
    TABLE = 16
    COUNT = 17
    MULTIPLIER = 18
    DIVISOR = 19
    MINUS_FRAME_SIZE = 20
    FRAME_TICKS = 21
    FUNCTION = 22
    REGISTERS = 23  # extra: a row of FIELDS for each of d, a, b and c, a byte each
    CONSTANT = 24  # extra: the offset in the blob of eight bytes, which go to the function's pool


class FieldShape(enum.IntEnum):
    """What the core may take a patch kind for: `enum field_shape` in stencils/core/layout.h."""

    SEGMENTS = 0
    ONE_SEGMENT = 1
    WHOLE = 2
