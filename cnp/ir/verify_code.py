"""What can be wrong with a function: the numbers that the C verifier and the Python one report."""

from __future__ import annotations

import enum
from typing import NamedTuple


class VerifyCode(enum.IntEnum):
    """What is wrong with a function. The values are the core's `enum verify_error`."""

    OK = 0
    BAD_OPCODE = 1  # no op has this code
    WRONG_OPERAND_COUNT = 2  # too few or too many operands for the op
    NOT_A_REGISTER = 3  # a destination that is no register
    WRONG_TYPE = 4  # a register of another type than the op takes there
    NOT_AN_OPERAND = 5  # a source that is neither a register nor a number, or a register where only a number may be
    CONSTANT_OUT_OF_RANGE = 6  # an integer that does not fit, signed or unsigned; a float that would become infinite
    NOT_A_LABEL = 7  # something else where a label belongs
    UNBOUND_LABEL = 8  # a label that is used and placed nowhere
    LABEL_PLACED_TWICE = 9  # reported at the second place
    FOREIGN_REGISTER = 10  # a register of another function
    FOREIGN_LABEL = 11  # a label of another function
    USE_BEFORE_DEFINITION = 12  # some path from the start leads here without an assignment
    FALLS_OFF_THE_END = 13  # the last op is reached, and none of jump, ret, branch_table, unreachable
    OFFSET_OUT_OF_RANGE = 14  # the offset of a load or store is no integer in (-2^31, 2^31)
    RETURN_VALUE_MISMATCH = 15  # a value is missing, or there is one where the function or callee has no result
    FLOAT_FOR_INTEGER = 16  # a Python float where an integer belongs
    BAD_CALLEE = 17  # a call's callee number names none
    WRONG_ARGUMENT_TYPE = 18  # a register of another type than the callee's parameter
    TOO_LARGE = 19  # too many ops, or more values alive at once than a frame has room for
    EMPTY = 20  # no ops at all


class Finding(NamedTuple):
    """A code, the number of the op from 0, and of its operand: its place in the tuple after the op's code, from 0."""

    code: VerifyCode
    op: int = 0
    operand: int = 0


MAXIMUM_OPS = 2**26
"""Of a function, as in stencils/core/decode.c."""
