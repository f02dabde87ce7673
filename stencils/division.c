/* Division by a constant: a multiplication and a shift (Granlund and Montgomery, 1994; Warren, Hacker's Delight;
 * Lemire, Kaser and Kurz, 2019). The core replaces a division whose divisor d is a constant, 2 <= d < 2^31, by one
 * of these and computes what the holes hold as core/magic.h does. With l = ceil(log2 d):
 *
 *   i64 signed    p = 62 + l, M = floor(2^p / d) + 1, s = l - 2, if l >= 2 and M * d - 2^p <= 2^(l-1);
 *                 else _add: p = 63 + l, M = floor(2^p / d) + 1, s = l - 1, and M >= 2^63 counts as M - 2^64,
 *                 which adding a makes good
 *   i64 unsigned  p = 63 + l, M = ceil(2^p / d), s = l - 1, if M * d - 2^p <= 2^(l-1);
 *                 else _add: p = 64 + l, M = ceil(2^p / d) - 2^64, s = l - 1
 *   i32 signed    s = 31 + l (32 to 62), M = floor(2^s / d) + 1 < 2^32
 *   i32 unsigned  M = ceil(2^64 / d), no shift
 *
 * A signed division by two needs no multiplication: one more makes a negative dividend round towards zero.
 *
 * a is the dividend and b the shift s. A negative quotient is rounded down by the shift: one more makes it round
 * towards zero. No trap is possible. */
#include "cnp.h"

CNP_HOLE(MULTIPLIER); /* M */
CNP_HOLE(DIVISOR);    /* d, for the remainder */

static inline i64 high_s(i64 a, i64 b) { return (i64)((s128)(s64)a * (s64)b >> 64); }
static inline i64 high_u(i64 a, i64 b) { return (i64)((u128)a * b >> 64); }

static inline i64 quotient_s(i64 a, i64 shift) {
    return ((s64)high_s(a, HOLE64(MULTIPLIER)) >> shift) + (a >> 63);
}
static inline i64 quotient_s_add(i64 a, i64 shift) {
    return ((s64)(high_s(a, HOLE64(MULTIPLIER)) + a) >> shift) + (a >> 63);
}
static inline i64 quotient_u(i64 a, i64 shift) { return high_u(a, HOLE64(MULTIPLIER)) >> shift; }

/* M has 65 bits: the sum of high_u and a may have as many, their mean has 64. */
static inline i64 quotient_u_add(i64 a, i64 shift) {
    i64 high = high_u(a, HOLE64(MULTIPLIER));
    return (((a - high) >> 1) + high) >> shift;
}

/* The empty asm asks for all 64 bits of the shifted product. Otherwise clang, told to compile a shift of 13, would see
 * that none of its upper bits is used and shift unsigned; but the shift is a hole, and 32 or more needs the sign. */
static inline i32 quotient_32_s(i32 a, i64 shift) {
    s64 quotient = (s64)(s32)a * (s64)HOLE64(MULTIPLIER) >> shift;
    __asm__("" : "+r"(quotient));
    return (i32)quotient + (a >> 31);
}
static inline i32 quotient_32_u(i32 a) { return (i32)high_u(a, HOLE64(MULTIPLIER)); }

OP(i64_div_s_magic, MAGIC, i64, i64 a, i64 b) { return quotient_s(a, b); }
OP(i64_rem_s_magic, MAGIC, i64, i64 a, i64 b) { return a - TIMES_HOLE32(quotient_s(a, b), DIVISOR); }
OP(i64_div_s_magic_add, MAGIC, i64, i64 a, i64 b) { return quotient_s_add(a, b); }
OP(i64_rem_s_magic_add, MAGIC, i64, i64 a, i64 b) { return a - TIMES_HOLE32(quotient_s_add(a, b), DIVISOR); }
OP(i64_div_u_magic, MAGIC, i64, i64 a, i64 b) { return quotient_u(a, b); }
OP(i64_rem_u_magic, MAGIC, i64, i64 a, i64 b) { return a - TIMES_HOLE32(quotient_u(a, b), DIVISOR); }
OP(i64_div_u_magic_add, MAGIC, i64, i64 a, i64 b) { return quotient_u_add(a, b); }
OP(i64_rem_u_magic_add, MAGIC, i64, i64 a, i64 b) { return a - TIMES_HOLE32(quotient_u_add(a, b), DIVISOR); }
OP(i32_div_s_magic, MAGIC, i32, i32 a, i64 b) { return quotient_32_s(a, b); }
OP(i32_rem_s_magic, MAGIC, i32, i32 a, i64 b) { return a - (i32)TIMES_HOLE32((i64)quotient_32_s(a, b), DIVISOR); }
OP(i32_div_u_magic, MAGIC, i32, i32 a, i64 b) { (void)b; return quotient_32_u(a); }
OP(i32_rem_u_magic, MAGIC, i32, i32 a, i64 b) { (void)b; return a - (i32)TIMES_HOLE32((i64)quotient_32_u(a), DIVISOR); }
OP(i64_div_s_magic_two, MAGIC, i64, i64 a, i64 b) { (void)b; return (i64)((s64)(a + (a >> 63)) >> 1); }
OP(i32_div_s_magic_two, MAGIC, i32, i32 a, i64 b) { (void)b; return (i32)((s32)(a + (a >> 31)) >> 1); }
