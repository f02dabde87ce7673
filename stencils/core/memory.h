/* What clang may call even in freestanding code. */
#ifndef CNP_MEMORY_H
#define CNP_MEMORY_H
#include "../cnp.h"

/* The empty assembly keeps clang from recognising the loops and calling the functions from themselves. */
__attribute__((used, visibility("hidden"))) void *memset(void *start, int byte, size_t size) {
    typedef u64 word __attribute__((may_alias, aligned(1)));
    char *p = start, *end = p + size;
    u64 pattern = (u8)byte * 0x0101010101010101ull;
    for (; end - p >= 16; p += 16) {
        ((word *)p)[0] = pattern;
        ((word *)p)[1] = pattern;
        __asm__ volatile("");
    }
    for (; p != end; p++) {
        *p = (char)byte;
        __asm__ volatile("");
    }
    return start;
}

__attribute__((used, visibility("hidden"))) void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    typedef u64 word __attribute__((may_alias, aligned(1)));
    size_t k = 0;
    for (; k + 8 <= size; k += 8) {
        *(word *)((char *)to + k) = *(const word *)((const char *)from + k);
        __asm__ volatile("");
    }
    for (; k < size; k++) {
        ((char *)to)[k] = ((const char *)from)[k];
        __asm__ volatile("");
    }
    return to;
}
#endif
