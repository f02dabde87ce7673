/* Which immediates a class takes, and the encodings among them that take an algorithm. */
#ifndef CNP_IMMEDIATE_H
#define CNP_IMMEDIATE_H
#include "layout.h"

/* A value of 32 or 64 bits as 13: an element of 2, 4, ... 64 bits, repeated, that is a row of ones rotated right (Arm
 * Architecture Reference Manual, DecodeBitMasks). -1 if it has no such form. */
static s64 logical_immediate(u64 value, u32 bits) {
    if (bits == 32)
        value = (u32)value | value << 32;
    u32 size = 64;
    while (size > 2 && value << (64 - size / 2) == (value >> size / 2) << (64 - size / 2))
        size /= 2;
    u64 mask = ~0ull >> (64 - size), element = value & mask;
    if (!element || element == mask)
        return -1;
    /* Rotated until the row of ones starts at bit 0. */
    u32 rotation = element & 1 ? 0 : (u32)__builtin_ctzll(element);
    if (element & 1 && (element >> (size - 1))) {
        u64 zeros = ~element & mask;
        rotation = 64 - (u32)__builtin_clzll(zeros);
    }
    u64 row = (element >> rotation | (rotation ? element << (size - rotation) : 0)) & mask;
    u32 ones = (u32)__builtin_popcountll(row);
    if (row != ~0ull >> (64 - ones))
        return -1;
    return (s64)((size == 64 ? 1u << 12 : 0) | ((size - rotation) & (size - 1)) << 6 | (~(size * 2 - 1) & 0x3f) | (ones - 1));
}

/* 64 bits of which up to three halfwords are not 0, or not 0xFFFF: 18 bits for each, the lowest first, a halfword with its
 * number above it; the first of ones is complemented. Others fill up where there are fewer. -1 if there are more. AArch64
 * makes the value with movz or movn and a movk for each further piece. */
#define ONES 0x80u
static s64 halfwords(u64 value, u32 pattern) {
    u64 other = pattern & ONES ? 0xffff : 0;
    u32 count = pattern & 3, place = 0;
    s64 pieces = 0;
    for (int needed = 1; needed >= 0; needed--)
        for (u32 number = 0; number < 4; number++) {
            u64 halfword = value >> 16 * number & 0xffff;
            if ((halfword != other) != needed)
                continue;
            if (place == count)
                return needed ? -1 : pieces;
            pieces |= (s64)((halfword ^ (place ? 0 : other)) | number << 16) << 18 * place;
            place++;
        }
    return pieces;
}

/* What a hole of a pattern's class is patched with; -1 if the value is none of it. */
static inline s64 encoded(u64 value, u32 pattern) {
    return pattern & 3 ? halfwords(value, pattern) : logical_immediate(value, pattern);
}

static inline int takes(const struct immediate_class *class, s64 value) {
    if (__builtin_expect(class->pattern != 0, 0))
        return encoded((u64)value, class->pattern) >= 0;
    return value >= class->low && value <= class->high && !(value & (class->scale - 1));
}
#endif
