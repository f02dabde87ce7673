/* Guest bytecode and a table of its instructions -> packed words. The table is its author's and trusted; the bytecode is
 * not. Two passes: the first finds where instructions begin and what is jumped to, the second writes the words. No Python,
 * no C library. */
#include "find.c"
#include "depth.c"
#include "expand.c"
#include "memory.h"

static inline void put_op(struct walker *w, u32 head, u32 offset) {
    w->words[w->n_words++] = head;
    w->offsets[w->n_ops++] = offset;
}

/* Parameters come in the first registers. */
static void set_banks(struct walker *w) {
    for (u32 b = 0; b < w->table->n_banks; b++) {
        const struct guest_bank *bank = &w->table->banks[b];
        const struct guest_span *span = &w->walk->banks[b];
        for (u32 k = 0; bank->is_set && k < span->count; k++) {
            if (span->first + k < w->walk->n_parameters)
                continue;
            put_op(w, PACKED_HEAD(OP_CONST32 + bank->type, 2), NO_GUEST_OFFSET);
            w->words[w->n_words++] = span->first + k;
            w->words[w->n_words++] = CONSTANT_WORD | bank->initial;
        }
    }
}

static __attribute__((noinline)) int write_words(struct walker *w) {
    u64 registers = 0;
    for (u32 b = 0; b < w->table->n_banks; b++)
        registers += w->walk->banks[b].count;
    if (!RESERVE(w, w->words, w->n_words + 3 * registers) || !RESERVE(w, w->offsets, w->n_ops + registers) ||
        !RESERVE(w, w->constants, w->n_constants + w->table->n_constants) || !RESERVE(w, w->exits, w->n_exits) ||
        !RESERVE(w, w->is_read, w->walk->n_cells))
        return 0;
    memset(w->is_read, 0, w->walk->n_cells);
    w->n_words = w->n_ops = w->n_exits = 0;
    for (w->n_constants = 0; w->n_constants < w->table->n_constants; w->n_constants++)
        w->constants[w->n_constants] = w->table->constants[w->n_constants];
    set_banks(w);
    return expand_all(w);
}

/* 0, or enum walk_error; after GUEST_NEEDS_SCRATCH bring scratch_used bytes and call again. */
int cnp_walk(const struct guest_table *table, struct walk *walk) {
    struct walker w = {.table = table, .walk = walk};
    w.next = walk->scratch + (-(u64)walk->scratch & 15);
    w.end = walk->scratch + walk->scratch_size;
    w.next = w.next < w.end ? w.next : w.end;
    walk->error = WALKED;
    if (!walk->size || walk->size > MOST_GUEST_BYTES) {
        stray(&w, walk->size ? GUEST_TOO_LARGE : GUEST_EMPTY, 0, 0, 0);
        return (int)walk->error;
    }
    if (!RESERVE(&w, w.code, walk->size + sizeof(u64)) || !RESERVE(&w, w.marks, walk->size) ||
        !RESERVE(&w, w.label_of, walk->size) || !RESERVE(&w, w.row_of, walk->size))
        return (int)walk->error;
    w.kept = w.next;
    memcpy(w.code, walk->code, walk->size);
    memset(w.marks, 0, walk->size);
    if (find_instructions(&w) && (!table->has_stack || find_depths(&w)) && write_words(&w)) {
        walk->words = w.words;
        walk->constants = w.constants;
        walk->offsets = w.offsets;
        walk->exits = w.exits;
        walk->is_read = w.is_read;
        walk->n_words = w.n_words;
        walk->n_constants = (u32)w.n_constants;
        walk->n_labels = (u32)w.n_labels;
        walk->n_ops = (u32)w.n_ops;
        walk->n_exits = (u32)w.n_exits;
    }
    return (int)walk->error;
}
