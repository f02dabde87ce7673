/* Between the four types: wrap, extend, truncate, convert, demote, promote and reinterpret, as WebAssembly defines
 * them. */
#include "cnp.h"

/* A target says otherwise whose clang would reach constants in a way that compiled code cannot. */
#ifndef CNP_LITERAL
#define CNP_LITERAL(x) (x)
#define CNP_U64_OF_FLOAT(x) ((u64)(x))
#define CNP_FLOAT_OF_U64(type, x) ((type)(x))
#endif

OP(i32_wrap_i64, PLAIN, i32, i64 a) { return (i32)a; }
OP(i64_extend_i32_s, PLAIN, i64, i32 a) { return (s64)(s32)a; }
OP(i64_extend_i32_u, PLAIN, i64, i32 a) { return a; }

/* Every float for which in_range is true, and no other, has a whole part that the result type holds. Where no float
 * lies between the least integer and the next below it, that least integer is itself the bound (>=). */
#define TRUNCATE(in_range, result)                                \
    {                                                             \
        if (a != a) return TRAP(INVALID_CONVERSION_TO_INTEGER);   \
        if (!(in_range)) return TRAP(INTEGER_OVERFLOW);           \
        return result;                                            \
    }
OP(i32_trunc_f32_s, PLAIN, i32, f32 a) TRUNCATE(a >= CNP_LITERAL(-0x1p31f) && a < CNP_LITERAL(0x1p31f), (s32)a)
OP(i32_trunc_f64_s, PLAIN, i32, f64 a) TRUNCATE(a > CNP_LITERAL(-0x1p31 - 1) && a < CNP_LITERAL(0x1p31), (s32)a)
OP(i64_trunc_f32_s, PLAIN, i64, f32 a) TRUNCATE(a >= CNP_LITERAL(-0x1p63f) && a < CNP_LITERAL(0x1p63f), (s64)a)
OP(i64_trunc_f64_s, PLAIN, i64, f64 a) TRUNCATE(a >= CNP_LITERAL(-0x1p63) && a < CNP_LITERAL(0x1p63), (s64)a)
OP(i32_trunc_f32_u, PLAIN, i32, f32 a) TRUNCATE(a > CNP_LITERAL(-1.0f) && a < CNP_LITERAL(0x1p32f), (u32)a)
OP(i32_trunc_f64_u, PLAIN, i32, f64 a) TRUNCATE(a > CNP_LITERAL(-1.0) && a < CNP_LITERAL(0x1p32), (u32)a)
OP(i64_trunc_f32_u, PLAIN, i64, f32 a) TRUNCATE(a > CNP_LITERAL(-1.0f) && a < CNP_LITERAL(0x1p64f), CNP_U64_OF_FLOAT(a))
OP(i64_trunc_f64_u, PLAIN, i64, f64 a) TRUNCATE(a > CNP_LITERAL(-1.0) && a < CNP_LITERAL(0x1p64), CNP_U64_OF_FLOAT(a))

/* Saturating: NaN gives 0, a number out of range the nearest extreme. */
#define SATURATE(least, below, greatest, above, result) \
    {                                                   \
        if (a != a) return 0;                           \
        if (a <= below) return least;                   \
        if (a >= above) return greatest;                \
        return result;                                  \
    }
#define S32_LEAST 0x80000000u
#define S32_GREATEST 0x7fffffffu
#define U32_GREATEST 0xffffffffu
#define S64_LEAST 0x8000000000000000ull
#define S64_GREATEST 0x7fffffffffffffffull
#define U64_GREATEST 0xffffffffffffffffull
OP(i32_trunc_sat_f32_s, PLAIN, i32, f32 a) SATURATE(S32_LEAST, CNP_LITERAL(-0x1p31f), S32_GREATEST, CNP_LITERAL(0x1p31f), (s32)a)
OP(i32_trunc_sat_f64_s, PLAIN, i32, f64 a) SATURATE(S32_LEAST, CNP_LITERAL(-0x1p31), S32_GREATEST, CNP_LITERAL(0x1p31), (s32)a)
OP(i64_trunc_sat_f32_s, PLAIN, i64, f32 a) SATURATE(S64_LEAST, CNP_LITERAL(-0x1p63f), S64_GREATEST, CNP_LITERAL(0x1p63f), (s64)a)
OP(i64_trunc_sat_f64_s, PLAIN, i64, f64 a) SATURATE(S64_LEAST, CNP_LITERAL(-0x1p63), S64_GREATEST, CNP_LITERAL(0x1p63), (s64)a)
OP(i32_trunc_sat_f32_u, PLAIN, i32, f32 a) SATURATE(0, 0, U32_GREATEST, CNP_LITERAL(0x1p32f), (u32)a)
OP(i32_trunc_sat_f64_u, PLAIN, i32, f64 a) SATURATE(0, 0, U32_GREATEST, CNP_LITERAL(0x1p32), (u32)a)
OP(i64_trunc_sat_f32_u, PLAIN, i64, f32 a) SATURATE(0, 0, U64_GREATEST, CNP_LITERAL(0x1p64f), CNP_U64_OF_FLOAT(a))
OP(i64_trunc_sat_f64_u, PLAIN, i64, f64 a) SATURATE(0, 0, U64_GREATEST, CNP_LITERAL(0x1p64), CNP_U64_OF_FLOAT(a))

/* Rounded once, to nearest even. */
OP(f32_convert_i32_s, PLAIN, f32, i32 a) { return (f32)(s32)a; }
OP(f32_convert_i32_u, PLAIN, f32, i32 a) { return (f32)a; }
OP(f32_convert_i64_s, PLAIN, f32, i64 a) { return (f32)(s64)a; }
OP(f32_convert_i64_u, PLAIN, f32, i64 a) { return CNP_FLOAT_OF_U64(f32, a); }
OP(f64_convert_i32_s, PLAIN, f64, i32 a) { return (f64)(s32)a; }
OP(f64_convert_i32_u, PLAIN, f64, i32 a) { return (f64)a; }
OP(f64_convert_i64_s, PLAIN, f64, i64 a) { return (f64)(s64)a; }
OP(f64_convert_i64_u, PLAIN, f64, i64 a) { return CNP_FLOAT_OF_U64(f64, a); }
OP(f32_demote_f64, PLAIN, f32, f64 a) { return (f32)a; }
OP(f64_promote_f32, PLAIN, f64, f32 a) { return a; }

/* The same bits. */
OP(i32_reinterpret_f32, PLAIN, i32, f32 a) { return ((union { f32 from; i32 to; }){a}).to; }
OP(i64_reinterpret_f64, PLAIN, i64, f64 a) { return ((union { f64 from; i64 to; }){a}).to; }
OP(f32_reinterpret_i32, PLAIN, f32, i32 a) { return ((union { i32 from; f32 to; }){a}).to; }
OP(f64_reinterpret_i64, PLAIN, f64, i64 a) { return ((union { i64 from; f64 to; }){a}).to; }
