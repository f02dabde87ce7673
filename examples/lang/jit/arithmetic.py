"""Integer arithmetic in cnp ops, as the guest has it: whatever does not fit an i64 is left to the interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cnp
from cnp import f64, i64

if TYPE_CHECKING:
    Source = cnp.Register | int

_LEAST, _GREATEST = -(2**63), 2**63 - 1
_SURE = 2.0**63 - 2.0**12
"""A product of floats below this is one of integers that fits, whatever was rounded."""


def add(f: cnp.Function, d: cnp.Register, a: Source, b: Source, out: cnp.Label) -> None:
    """d = a + b."""
    if isinstance(a, int):
        a, b = b, a
    total = f.reg(i64)
    f.i64_add(total, a, b)
    if isinstance(b, int):
        _check_moved(f, total, a, b, out)
    else:
        _check_signs(f, total, a, b, out)
    f.move(d, total)


def sub(f: cnp.Function, d: cnp.Register, a: Source, b: Source, out: cnp.Label) -> None:
    """d = a - b."""
    if isinstance(b, int) and b != _LEAST:
        add(f, d, a, -b, out)
        return
    total = f.reg(i64)
    f.i64_sub(total, a, b)
    flipped, moved = f.reg(i64), f.reg(i64)
    f.i64_xor(flipped, a, b)
    f.i64_xor(moved, a, total)
    f.i64_and(flipped, flipped, moved)
    f.branch_i64_lt_s(flipped, 0, out)
    f.move(d, total)


def _check_moved(f: cnp.Function, total: cnp.Register, a: Source, b: int, out: cnp.Label) -> None:
    if b > 0:
        f.branch_i64_lt_s(total, a, out)
    elif b < 0:
        f.branch_i64_gt_s(total, a, out)


def _check_signs(f: cnp.Function, total: cnp.Register, a: Source, b: Source, out: cnp.Label) -> None:
    """Leave if the total's sign is neither operand's."""
    first, second = f.reg(i64), f.reg(i64)
    f.i64_xor(first, total, a)
    f.i64_xor(second, total, b)
    f.i64_and(first, first, second)
    f.branch_i64_lt_s(first, 0, out)


def mul(f: cnp.Function, d: cnp.Register, a: Source, b: Source, out: cnp.Label) -> None:
    """d = a * b. Products within 4096 of the ends of the range are left, too."""
    if isinstance(a, int):
        a, b = b, a
    if isinstance(b, int) and abs(b) > 1:
        reach, moved = _GREATEST // abs(b), f.reg(i64)
        f.i64_add(moved, a, reach)
        f.branch_i64_gt_u(moved, 2 * reach, out)
    elif not isinstance(b, int) or b < 0:
        first, second = f.reg(f64), f.reg(f64)
        f.f64_convert_i64_s(first, a)
        f.f64_convert_i64_s(second, b)
        f.f64_mul(first, first, second)
        f.f64_abs(first, first)
        f.branch_f64_ge(first, _SURE, out)
    f.i64_mul(d, a, b)


def mod(f: cnp.Function, d: cnp.Register, a: Source, b: Source, out: cnp.Label) -> None:
    """d = a % b, of the sign of b."""
    if isinstance(b, int) and b > 0:
        if b & (b - 1) == 0:
            f.i64_and(d, a, b - 1)
            return
        rest, more = f.reg(i64), f.reg(i64)
        f.i64_rem_s(rest, a, b)
        f.i64_shr_s(more, rest, 63)
        f.i64_and(more, more, b)
        f.i64_add(d, rest, more)
        return
    b = _divisor(f, b, out)
    rest, sign = f.reg(i64), f.reg(i64)
    done = f.label()
    f.i64_rem_s(rest, a, b)
    f.branch_i64_eqz(rest, done)
    f.i64_xor(sign, rest, b)
    f.branch_i64_ge_s(sign, 0, done)
    f.i64_add(rest, rest, b)
    f.place(done)
    f.move(d, rest)


def floor_div(f: cnp.Function, d: cnp.Register, a: Source, b: Source, out: cnp.Label) -> None:
    """d = a // b, rounded down."""
    if isinstance(b, int) and b > 0 and b & (b - 1) == 0:
        f.i64_shr_s(d, a, b.bit_length() - 1)
        return
    quotient, rest = f.reg(i64), f.reg(i64)
    if isinstance(b, int) and b > 0:
        f.i64_rem_s(rest, a, b)
        f.i64_shr_s(rest, rest, 63)
        f.i64_div_s(quotient, a, b)
        f.i64_add(d, quotient, rest)
        return
    b = _divisor(f, b, out)
    sign, done = f.reg(i64), f.label()
    f.i64_div_s(quotient, a, b)
    f.i64_mul(rest, quotient, b)
    f.i64_sub(rest, a, rest)
    f.branch_i64_eqz(rest, done)
    f.i64_xor(sign, rest, b)
    f.branch_i64_ge_s(sign, 0, done)
    f.i64_sub(quotient, quotient, 1)
    f.place(done)
    f.move(d, quotient)


def _divisor(f: cnp.Function, b: Source, out: cnp.Label) -> Source:
    """Leaves for a divisor of 0 or -1, by which division is an error or may overflow."""
    if isinstance(b, int):
        if b in (0, -1):
            f.jump(out)
            return 1
        return b
    moved = f.reg(i64)
    f.i64_add(moved, b, 1)
    f.branch_i64_le_u(moved, 1, out)
    return b


def shl(f: cnp.Function, d: cnp.Register, a: Source, count: Source, out: cnp.Label) -> None:
    """d = a << count."""
    count = _shift_count(f, count, out)
    shifted, back = f.reg(i64), f.reg(i64)
    f.i64_shl(shifted, a, count)
    f.i64_shr_s(back, shifted, count)
    f.branch_i64_ne(back, a, out)
    f.move(d, shifted)


def shr(f: cnp.Function, d: cnp.Register, a: Source, count: Source, out: cnp.Label) -> None:
    """d = a >> count."""
    f.i64_shr_s(d, a, _shift_count(f, count, out))


def _shift_count(f: cnp.Function, count: Source, out: cnp.Label) -> Source:
    """Leaves for a count that the machine does not have."""
    if isinstance(count, int):
        if not 0 <= count <= 63:
            f.jump(out)
            return 0
        return count
    f.branch_i64_gt_u(count, 63, out)
    return count
