"""The words of the stencil library's format that the run time reads: shapes and flags of ops, limits.

It seldom needs the others, which are in cnp.stencil.words, and what they describe, in cnp.stencil.records: enums and
`dataclasses` are slow to import.
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


def alternative_of_class(groups: int, mask: int, number: int) -> int:
    """The alternative of an immediate class, by its number, at a position that also takes `groups` and a slot."""
    return groups + 1 + (mask & (1 << number) - 1).bit_count()
