/* The op being decoded, and constants as packed ops have them: bit patterns. */
#ifndef CNP_PACKED_H
#define CNP_PACKED_H
#include "values.h"

struct decoder {
    struct compilation *c;
    const struct python *python; /* NULL for packed ops */
    object *tuple;               /* the op, */
    const u32 *words;            /* or the words of its operands, */
    const u32 *next, *end;       /* those of the next op, and of all */
    u32 n, number;               /* operands and one; of the op */
    u32 n_registers, n_labels;   /* the same as the request's, and the compilation's, close at hand */
    const u8 *types;
    struct values *values;
};

/* An i32 as a register holds it. */
static inline i64 extended(const struct library *library, s64 value) {
    return library->extends_signs ? (i64)(s64)(s32)value : (i64)(u32)value;
}

/* An f32: what extends signs has an upper half of ones here, without which it is a NaN. */
static inline i64 boxed(const struct library *library, u32 bits) {
    return (library->extends_signs ? ~0ull << 32 : 0) | bits;
}

/* A constant of a type as a register holds it; 0 if there are bits that it has no room for. */
static inline int pattern(const struct library *library, i64 bits, u8 type, i64 *out) {
    s64 value = (s64)bits;
    *out = type == TYPE_I32 ? extended(library, value) : type == TYPE_F32 ? boxed(library, (u32)bits) : bits;
    return type == TYPE_I32 ? value >= -0x80000000ll && value <= 0xffffffffll : type != TYPE_F32 || bits >> 32 == 0;
}
#endif
