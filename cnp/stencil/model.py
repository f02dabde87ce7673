"""The words of the stencil library's format: shapes, forms, classes of immediates, values of holes.

What they describe is in cnp.stencil.records, which the run time seldom needs and `dataclasses` makes slow to import.
"""

from __future__ import annotations

import enum

FORMAT_VERSION = 3
NO_OP = 0xFFFF
"""In place of an op's index: there is none."""
NO_RESULT = 255
"""In place of a result type: the op produces nothing."""
CALLED_OP = "cnp_op_"
"""What the name of a called op's function begins with, in a library's table of exports."""
CHUNK_SIZE = 16
"""Bytes of code in a chunk, at most."""
WORD = 4
"""Bytes of code in a chunk where every instruction has as many."""
MOST_REGISTERS = 32
"""Registers of a file, at most."""
MOST_GROUPS = 3
"""Groups that the registers at one position of a family fall into, at most."""


class Shape(enum.IntEnum):
    """How an op's operands are arranged, and what its stencils do beside computing."""

    VALUE = 0
    LOAD = 1
    STORE = 2
    BRANCH = 3
    TABLE = 4
    MAGIC = 5


class OpFlag(enum.IntFlag):
    """Properties of an op."""

    COMMUTATIVE = 1
    COMPARISON = 2
    MAY_TRAP = 4  # its stencils have EXIT holes, or it is a VALUE that looks into memory: it stays where it is
    HIDDEN = 8  # the core chooses it; users cannot name it
    STORES_BYTE = 16  # of its value, only the lowest byte matters
    SHIFT = 32  # takes operand b modulo the width


class FieldShape(enum.IntEnum):
    """What the core may take a patch kind for: `enum field_shape` in stencils/core/layout.h."""

    SEGMENTS = 0
    ONE_SEGMENT = 1
    WHOLE = 2


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


def alternative_of_class(groups: int, mask: int, number: int) -> int:
    """The alternative of an immediate class, by its number, at a position that also takes `groups` and a slot."""
    return groups + 1 + (mask & (1 << number) - 1).bit_count()
