/* A walk of guest bytecode: what it knows, the instruction at hand, errors, scratch memory. */
#ifndef CNP_WALKER_H
#define CNP_WALKER_H
#include "layout.h"

enum { MOST_GUEST_BYTES = 1 << 26, MOST_COLLECTED_BITS = 32 };
/* Of a byte of the code, and of the place behind the last. */
enum guest_mark { BEGINS = 1, IS_TARGET = 2 };
#define KEPT 0x80000000u
#define IS_PLAIN(row) (!((row) & KEPT))

struct walker {
    const struct guest_table *table;
    struct walk *walk;
    char *next, *end; /* of the scratch */
    u8 *code; /* a copy with some room behind it, that nobody changes meanwhile */
    u8 *marks;
    u32 *label_of; /* of a byte that is a target */
    u32 *row_of;   /* of a byte where an instruction begins, its row and one; if it has prefixes or parts, KEPT and where it is kept */
    char *kept;    /* instructions that are not read again, in units of 16 bytes */
    u32 *depth_of; /* of an instruction that is reached, and one: 0 if it is not */
    u32 *waiting;  /* targets that are reached, but have not been gone through */
    u32 n_waiting;
    u64 n_words, n_ops, n_constants, n_labels, n_exits; /* of the first pass: the most there may be; then: so far */
    u32 *words, *offsets;
    i64 *constants;
    struct guest_exit *exits;
    u8 *is_read;
};

/* The instruction at hand. */
struct guest {
    const struct guest_instruction *row;
    u32 start, base, end; /* of its prefixes, of itself, behind it */
    u32 n_collected;      /* bits of prefixes */
    u64 collected;        /* which they are, if there are any */
    s64 parts[MOST_GUEST_PARTS]; /* of each its number, or where its first one is */
};

static __attribute__((noinline, cold)) int stray(struct walker *w, u32 error, u32 offset, u32 field, s64 value) {
    w->walk->error = error;
    w->walk->error_offset = offset;
    w->walk->error_field = field;
    w->walk->error_value = value;
    return 0;
}

static inline void *reserve(struct walker *w, u64 size) {
    size = (size + 15) & ~15ull;
    if ((u64)(w->end - w->next) < size) {
        w->walk->scratch_used = 2 * (w->walk->scratch_size + size);
        stray(w, GUEST_NEEDS_SCRATCH, 0, 0, 0);
        return 0;
    }
    void *result = w->next;
    w->next += size;
    return result;
}
#define RESERVE(w, pointer, n) ((pointer) = reserve((w), (u64)(n) * sizeof *(pointer)))
#endif
