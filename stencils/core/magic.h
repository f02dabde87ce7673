/* What the holes of stencils/division.c hold: from a constant divisor to a multiplier and a shift.
 *
 * A quotient floor(a / d) is computed as floor(a * M / 2^p), where M is 2^p / d rounded up by a little:
 * M * d = 2^p + e. That is exact for every a of n bits if e <= 2^(p - n) (Granlund and Montgomery, 1994, theorem
 * 4.2); the greater p, the easier to satisfy, until M no longer fits. Each function needs one division of a power of
 * two, and no loop.
 * Every divisor satisfies 2 <= d < 2^31. */
#ifndef CNP_MAGIC_H
#define CNP_MAGIC_H

typedef unsigned int u32;
typedef unsigned long long u64;

struct magic {
    u64 multiplier;
    u32 shift; /* operand b of the op */
    u32 add;   /* 1: take the op whose name ends in _add */
};

/* The least l with d <= 2^l. */
static inline u32 ceil_log2(u64 d) { return 64 - (u32)__builtin_clzll(d - 1); }

/* floor(2^(64 + k) / d) for 2^k < d < 2^32: long division with digits of 32 bits, since a division of 128 bits
 * would call the compiler's run time. */
static inline u64 divide_power_of_two(u32 k, u64 d, u64 *remainder) {
    u64 high = ((u64)1 << k) << 32;
    u64 low = high % d << 32;
    *remainder = low % d;
    return high / d << 32 | low / d;
}

/* For i64_div_s_magic and i64_rem_s_magic [_add]. n is 63 here. e must not be 0 (a negative a would be rounded the
 * wrong way), so M is the floor plus one even if d divides 2^p. */
static inline struct magic magic_s64(u64 d) {
    u32 l = ceil_log2(d);
    u64 remainder, quotient = divide_power_of_two(l - 1, d, &remainder); /* p = 63 + l: e <= d <= 2^(p - 63) */
    u64 half = (remainder + (quotient & 1) * d) >> 1; /* p = 62 + l: 2^p = (quotient >> 1) * d + half */
    if (l >= 2 && d - half <= (u64)1 << (l - 1))
        return (struct magic){(quotient >> 1) + 1, l - 2, 0};
    return (struct magic){quotient + 1, l - 1, 1};
}

/* For i64_div_u_magic and i64_rem_u_magic [_add]. */
static inline struct magic magic_u64(u64 d) {
    u32 l = ceil_log2(d);
    u64 remainder, quotient = divide_power_of_two(l - 1, d, &remainder); /* p = 63 + l */
    if (remainder == 0)
        return (struct magic){quotient, l - 1, 0};
    if (d - remainder <= (u64)1 << (l - 1))
        return (struct magic){quotient + 1, l - 1, 0};
    /* p = 64 + l: e < d <= 2^(p - 64), but M has 65 bits; the highest is implied. */
    return (struct magic){2 * quotient + (2 * remainder >= d) + 1, l - 1, 1};
}

/* For i32_div_s_magic and i32_rem_s_magic. n is 31 and p = 31 + l, so that e <= d <= 2^(p - n); not 0, as above. */
static inline struct magic magic_s32(u32 d) {
    u32 shift = 31 + ceil_log2(d);
    return (struct magic){((u64)1 << shift) / d + 1, shift, 0};
}

/* For i32_div_u_magic and i32_rem_u_magic: p = 64, where e < d < 2^(p - 32). */
static inline struct magic magic_u32(u32 d) { return (struct magic){~(u64)0 / d + 1, 0, 0}; }

#endif
