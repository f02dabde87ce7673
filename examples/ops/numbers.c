/* Ops on numbers: what an interpreter of a language whose integers saturate, and whose indices are clamped, wants. */
#include "cnp.h"

OP(i64_sat_add, COMMUTATIVE, i64, i64 a, i64 b) {
    s64 sum;
    if (__builtin_add_overflow((s64)a, (s64)b, &sum))
        sum = (s64)a < 0 ? -0x7fffffffffffffff - 1 : 0x7fffffffffffffff;
    return (i64)sum;
}

/* a, but at least low and at most high; high wins where they contradict. */
OP(i32_clamp, PLAIN, i32, i32 a, i32 low, i32 high) {
    s32 above = (s32)a < (s32)low ? (s32)low : (s32)a;
    return (i32)(above > (s32)high ? (s32)high : above);
}

/* Whether a is less than a tenth from b: a comparison, so there is a fused branch, too. */
OP(f64_near, COMPARISON(f64_near, NONE), i32, f64 a, f64 b) { return __builtin_fabs(a - b) < 0.1; }
