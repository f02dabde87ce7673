/* f32 and f64: IEEE 754 arithmetic and comparisons, rounding to nearest even, as WebAssembly defines them.
 * neg, abs and copysign act on the sign bit only, NaN included; everywhere else one NaN is as good as another. */
#include "cnp.h"

OP(f32_add, COMMUTATIVE, f32, f32 a, f32 b) { return a + b; }
OP(f64_add, COMMUTATIVE, f64, f64 a, f64 b) { return a + b; }
OP(f32_sub, PLAIN, f32, f32 a, f32 b) { return a - b; }
OP(f64_sub, PLAIN, f64, f64 a, f64 b) { return a - b; }
OP(f32_mul, COMMUTATIVE, f32, f32 a, f32 b) { return a * b; }
OP(f64_mul, COMMUTATIVE, f64, f64 a, f64 b) { return a * b; }
OP(f32_div, PLAIN, f32, f32 a, f32 b) { return a / b; }
OP(f64_div, PLAIN, f64, f64 a, f64 b) { return a / b; }
OP(f32_sqrt, PLAIN, f32, f32 a) { return __builtin_sqrtf(a); }
OP(f64_sqrt, PLAIN, f64, f64 a) { return __builtin_sqrt(a); }

OP(f32_neg, PLAIN, f32, f32 a) { return -a; }
OP(f64_neg, PLAIN, f64, f64 a) { return -a; }
OP(f32_abs, PLAIN, f32, f32 a) { return __builtin_fabsf(a); }
OP(f64_abs, PLAIN, f64, f64 a) { return __builtin_fabs(a); }
OP(f32_copysign, PLAIN, f32, f32 a, f32 b) { return __builtin_copysignf(a, b); }
OP(f64_copysign, PLAIN, f64, f64 a, f64 b) { return __builtin_copysign(a, b); }

/* A target whose clang would call a library says it otherwise. */
#ifndef CNP_ROUND_F32
#define CNP_ROUND_F32(a, way) __builtin_##way##f(a)
#define CNP_ROUND_F64(a, way) __builtin_##way(a)
#endif
OP(f32_ceil, PLAIN, f32, f32 a) { return CNP_ROUND_F32(a, ceil); }
OP(f64_ceil, PLAIN, f64, f64 a) { return CNP_ROUND_F64(a, ceil); }
OP(f32_floor, PLAIN, f32, f32 a) { return CNP_ROUND_F32(a, floor); }
OP(f64_floor, PLAIN, f64, f64 a) { return CNP_ROUND_F64(a, floor); }
OP(f32_trunc, PLAIN, f32, f32 a) { return CNP_ROUND_F32(a, trunc); }
OP(f64_trunc, PLAIN, f64, f64 a) { return CNP_ROUND_F64(a, trunc); }
OP(f32_nearest, PLAIN, f32, f32 a) { return CNP_ROUND_F32(a, roundeven); }
OP(f64_nearest, PLAIN, f64, f64 a) { return CNP_ROUND_F64(a, roundeven); }

static inline u32 bits_of_f32(f32 a) { return ((union { f32 value; u32 bits; }){a}).bits; }
static inline u64 bits_of_f64(f64 a) { return ((union { f64 value; u64 bits; }){a}).bits; }
static inline f32 f32_of_bits(u32 a) { return ((union { u32 bits; f32 value; }){a}).value; }
static inline f64 f64_of_bits(u64 a) { return ((union { u64 bits; f64 value; }){a}).value; }

/* A NaN in either operand gives a NaN (a + b is one), and -0 is less than +0: equal numbers differ in the sign bit
 * if at all, so `or` finds the lesser of them and `and` the greater. */
OP(f32_min, COMMUTATIVE, f32, f32 a, f32 b) {
    if (a == b) return f32_of_bits(bits_of_f32(a) | bits_of_f32(b));
    if (a != a || b != b) return a + b;
    return a < b ? a : b;
}
OP(f64_min, COMMUTATIVE, f64, f64 a, f64 b) {
    if (a == b) return f64_of_bits(bits_of_f64(a) | bits_of_f64(b));
    if (a != a || b != b) return a + b;
    return a < b ? a : b;
}
OP(f32_max, COMMUTATIVE, f32, f32 a, f32 b) {
    if (a == b) return f32_of_bits(bits_of_f32(a) & bits_of_f32(b));
    if (a != a || b != b) return a + b;
    return a > b ? a : b;
}
OP(f64_max, COMMUTATIVE, f64, f64 a, f64 b) {
    if (a == b) return f64_of_bits(bits_of_f64(a) & bits_of_f64(b));
    if (a != a || b != b) return a + b;
    return a > b ? a : b;
}

/* No opposite outcome to name: with a NaN, a < b and a >= b are both false. */
OP(f32_eq, COMPARISON(f32_eq, NONE), i32, f32 a, f32 b) { return a == b; }
OP(f64_eq, COMPARISON(f64_eq, NONE), i32, f64 a, f64 b) { return a == b; }
OP(f32_ne, COMPARISON(f32_ne, NONE), i32, f32 a, f32 b) { return a != b; }
OP(f64_ne, COMPARISON(f64_ne, NONE), i32, f64 a, f64 b) { return a != b; }
OP(f32_lt, COMPARISON(f32_gt, NONE), i32, f32 a, f32 b) { return a < b; }
OP(f64_lt, COMPARISON(f64_gt, NONE), i32, f64 a, f64 b) { return a < b; }
OP(f32_gt, COMPARISON(f32_lt, NONE), i32, f32 a, f32 b) { return a > b; }
OP(f64_gt, COMPARISON(f64_lt, NONE), i32, f64 a, f64 b) { return a > b; }
OP(f32_le, COMPARISON(f32_ge, NONE), i32, f32 a, f32 b) { return a <= b; }
OP(f64_le, COMPARISON(f64_ge, NONE), i32, f64 a, f64 b) { return a <= b; }
OP(f32_ge, COMPARISON(f32_le, NONE), i32, f32 a, f32 b) { return a >= b; }
OP(f64_ge, COMPARISON(f64_le, NONE), i32, f64 a, f64 b) { return a >= b; }

/* Serve f32 as well: they carry the whole register. */
OP(f64_move, MOVE, f64, f64 a) { return a; }
OP(f64_select, PLAIN, f64, f64 a, f64 b, i64 c) { return CNP_SELECT_F64(c, a, b); }
