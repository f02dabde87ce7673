/* i32 and i64: arithmetic, bits and comparisons, as WebAssembly defines them; bswap, nez and add_end_around besides.
 * An i32 or i64 carries no sign and wraps, so an op whose name ends in _s casts to s32 or s64. */
#include "cnp.h"

/* A target whose clang would look the number up in a table says it otherwise. */
#ifndef CNP_CTZ_32
#define CNP_CTZ_32(a) ((a) ? __builtin_ctz(a) : 32)
#define CNP_CTZ_64(a) ((a) ? __builtin_ctzll(a) : 64)
#endif

#define I32_MIN 0x80000000u
#define I64_MIN 0x8000000000000000ull

OP(i32_add, COMMUTATIVE, i32, i32 a, i32 b) { return a + b; }
OP(i64_add, COMMUTATIVE, i64, i64 a, i64 b) { return a + b; }
/* Ones' complement: the carry out of the top goes in at the bottom. */
OP(i64_add_end_around, COMMUTATIVE, i64, i64 a, i64 b) { i64 sum = a + b; return sum + (sum < a); }
OP(i32_sub, PLAIN, i32, i32 a, i32 b) { return a - b; }
OP(i64_sub, PLAIN, i64, i64 a, i64 b) { return a - b; }
OP(i32_mul, COMMUTATIVE, i32, i32 a, i32 b) { return a * b; }
OP(i64_mul, COMMUTATIVE, i64, i64 a, i64 b) { return a * b; }
OP(i32_and, COMMUTATIVE, i32, i32 a, i32 b) { return a & b; }
OP(i64_and, COMMUTATIVE, i64, i64 a, i64 b) { return a & b; }
OP(i32_or, COMMUTATIVE, i32, i32 a, i32 b) { return a | b; }
OP(i64_or, COMMUTATIVE, i64, i64 a, i64 b) { return a | b; }
OP(i32_xor, COMMUTATIVE, i32, i32 a, i32 b) { return a ^ b; }
OP(i64_xor, COMMUTATIVE, i64, i64 a, i64 b) { return a ^ b; }

/* Shift and rotate counts are taken modulo the width. */
OP(i32_shl, PLAIN, i32, i32 a, i32 b) { return a << (b & 31); }
OP(i64_shl, PLAIN, i64, i64 a, i64 b) { return a << (b & 63); }
OP(i32_shr_s, PLAIN, i32, i32 a, i32 b) { return (s32)a >> (b & 31); }
OP(i64_shr_s, PLAIN, i64, i64 a, i64 b) { return (s64)a >> (b & 63); }
OP(i32_shr_u, PLAIN, i32, i32 a, i32 b) { return a >> (b & 31); }
OP(i64_shr_u, PLAIN, i64, i64 a, i64 b) { return a >> (b & 63); }
OP(i32_rotl, PLAIN, i32, i32 a, i32 b) { return a << (b & 31) | a >> (-b & 31); }
OP(i64_rotl, PLAIN, i64, i64 a, i64 b) { return a << (b & 63) | a >> (-b & 63); }
OP(i32_rotr, PLAIN, i32, i32 a, i32 b) { return a >> (b & 31) | a << (-b & 31); }
OP(i64_rotr, PLAIN, i64, i64 a, i64 b) { return a >> (b & 63) | a << (-b & 63); }

/* C leaves MIN / -1 and MIN % -1 undefined, and x86-64 faults on both: MIN / -1 traps, MIN % -1 is 0. */
OP(i32_div_s, PLAIN, i32, i32 a, i32 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    if (a == I32_MIN && b == (i32)-1) return TRAP(INTEGER_OVERFLOW);
    return (s32)a / (s32)b;
}
OP(i64_div_s, PLAIN, i64, i64 a, i64 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    if (a == I64_MIN && b == (i64)-1) return TRAP(INTEGER_OVERFLOW);
    return (s64)a / (s64)b;
}
OP(i32_div_u, PLAIN, i32, i32 a, i32 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    return a / b;
}
OP(i64_div_u, PLAIN, i64, i64 a, i64 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    return a / b;
}
OP(i32_rem_s, PLAIN, i32, i32 a, i32 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    if (b == (i32)-1) return 0;
    return (s32)a % (s32)b;
}
OP(i64_rem_s, PLAIN, i64, i64 a, i64 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    if (b == (i64)-1) return 0;
    return (s64)a % (s64)b;
}
OP(i32_rem_u, PLAIN, i32, i32 a, i32 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    return a % b;
}
OP(i64_rem_u, PLAIN, i64, i64 a, i64 b) {
    if (b == 0) return TRAP(INTEGER_DIVIDE_BY_ZERO);
    return a % b;
}

/* The builtins are undefined for 0, where WebAssembly wants the width. */
OP(i32_clz, PLAIN, i32, i32 a) { return a ? __builtin_clz(a) : 32; }
OP(i64_clz, PLAIN, i64, i64 a) { return a ? __builtin_clzll(a) : 64; }
OP(i32_ctz, PLAIN, i32, i32 a) { return CNP_CTZ_32(a); }
OP(i64_ctz, PLAIN, i64, i64 a) { return CNP_CTZ_64(a); }
OP(i32_popcnt, PLAIN, i32, i32 a) { return __builtin_popcount(a); }
OP(i64_popcnt, PLAIN, i64, i64 a) { return __builtin_popcountll(a); }
OP(i32_bswap, PLAIN, i32, i32 a) { return __builtin_bswap32(a); }
OP(i64_bswap, PLAIN, i64, i64 a) { return __builtin_bswap64(a); }

OP(i32_extend8_s, PLAIN, i32, i32 a) { return (s32)(s8)a; }
OP(i64_extend8_s, PLAIN, i64, i64 a) { return (s64)(s8)a; }
OP(i32_extend16_s, PLAIN, i32, i32 a) { return (s32)(s16)a; }
OP(i64_extend16_s, PLAIN, i64, i64 a) { return (s64)(s16)a; }
OP(i64_extend32_s, PLAIN, i64, i64 a) { return (s64)(s32)a; }

/* COMPARISON(the same with a and b exchanged, the opposite outcome) */
OP(i32_eqz, COMPARISON(NONE, i32_nez), i32, i32 a) { return a == 0; }
OP(i64_eqz, COMPARISON(NONE, i64_nez), i32, i64 a) { return a == 0; }
OP(i32_nez, COMPARISON(NONE, i32_eqz), i32, i32 a) { return a != 0; }
OP(i64_nez, COMPARISON(NONE, i64_eqz), i32, i64 a) { return a != 0; }
OP(i32_eq, COMPARISON(i32_eq, i32_ne), i32, i32 a, i32 b) { return a == b; }
OP(i64_eq, COMPARISON(i64_eq, i64_ne), i32, i64 a, i64 b) { return a == b; }
OP(i32_ne, COMPARISON(i32_ne, i32_eq), i32, i32 a, i32 b) { return a != b; }
OP(i64_ne, COMPARISON(i64_ne, i64_eq), i32, i64 a, i64 b) { return a != b; }
OP(i32_lt_s, COMPARISON(i32_gt_s, i32_ge_s), i32, i32 a, i32 b) { return (s32)a < (s32)b; }
OP(i64_lt_s, COMPARISON(i64_gt_s, i64_ge_s), i32, i64 a, i64 b) { return (s64)a < (s64)b; }
OP(i32_lt_u, COMPARISON(i32_gt_u, i32_ge_u), i32, i32 a, i32 b) { return a < b; }
OP(i64_lt_u, COMPARISON(i64_gt_u, i64_ge_u), i32, i64 a, i64 b) { return a < b; }
OP(i32_gt_s, COMPARISON(i32_lt_s, i32_le_s), i32, i32 a, i32 b) { return (s32)a > (s32)b; }
OP(i64_gt_s, COMPARISON(i64_lt_s, i64_le_s), i32, i64 a, i64 b) { return (s64)a > (s64)b; }
OP(i32_gt_u, COMPARISON(i32_lt_u, i32_le_u), i32, i32 a, i32 b) { return a > b; }
OP(i64_gt_u, COMPARISON(i64_lt_u, i64_le_u), i32, i64 a, i64 b) { return a > b; }
OP(i32_le_s, COMPARISON(i32_ge_s, i32_gt_s), i32, i32 a, i32 b) { return (s32)a <= (s32)b; }
OP(i64_le_s, COMPARISON(i64_ge_s, i64_gt_s), i32, i64 a, i64 b) { return (s64)a <= (s64)b; }
OP(i32_le_u, COMPARISON(i32_ge_u, i32_gt_u), i32, i32 a, i32 b) { return a <= b; }
OP(i64_le_u, COMPARISON(i64_ge_u, i64_gt_u), i32, i64 a, i64 b) { return a <= b; }
OP(i32_ge_s, COMPARISON(i32_le_s, i32_lt_s), i32, i32 a, i32 b) { return (s32)a >= (s32)b; }
OP(i64_ge_s, COMPARISON(i64_le_s, i64_lt_s), i32, i64 a, i64 b) { return (s64)a >= (s64)b; }
OP(i32_ge_u, COMPARISON(i32_le_u, i32_lt_u), i32, i32 a, i32 b) { return a >= b; }
OP(i64_ge_u, COMPARISON(i64_le_u, i64_lt_u), i32, i64 a, i64 b) { return a >= b; }

/* Serve i32 as well, whose upper half is zero. */
OP(i64_move, MOVE, i64, i64 a) { return a; }
/* c is an i32 to the user. */
OP(i64_select, PLAIN, i64, i64 a, i64 b, i64 c) { return CNP_SELECT_I64(c, a, b); }

/* The build writes the jump itself: see TABLE there. */
OP(branch_table, TABLE, void, i32 a) { (void)a; }
