/* One instruction of guest bytecode: read by a table, and checked to be there as a whole. */
#ifndef CNP_GUEST_H
#define CNP_GUEST_H
#include "layout.h"

enum { MOST_GUEST_BYTES = 1 << 26, MOST_COLLECTED_BITS = 32 };
/* Of a byte of the code, and of the place behind the last. */
enum guest_mark { BEGINS = 1, IS_TARGET = 2 };

struct walker {
    const struct guest_table *table;
    struct walk *walk;
    char *next, *end; /* of the scratch */
    u8 *code; /* a copy with some room behind it, that nobody changes meanwhile */
    u8 *marks;
    u32 *label_of; /* of a byte that is a target */
    u32 *row_of;   /* of a byte where an instruction begins, its row and one; 0 if it has prefixes */
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
    u64 collected;        /* bits of prefixes */
    u32 n_collected;
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

/* Reads up to seven bytes more than the field has: the copy of the code has as many behind it. */
static inline u64 raw_bits(const u8 *base, const struct guest_field *field) {
    u64 number;
    __builtin_memcpy(&number, base + field->offset, sizeof number);
    if (field->flags & GUEST_BIG_ENDIAN)
        number = __builtin_bswap64(number) >> (64 - 8 * field->bytes);
    return number >> field->shift & field->mask;
}

/* Of a field that has something about it. */
static s64 flagged_value(const struct guest *at, const struct guest_field *field, u64 number) {
    u32 bits = field->bits;
    if (field->flags & GUEST_EXTENDED && at->n_collected) {
        number |= at->collected << bits; /* at most 32 bits each: Python sees to the field's */
        bits += at->n_collected;
    }
    if (field->flags & GUEST_SIGNED && bits < 64)
        number = (number ^ 1ull << (bits - 1)) - (1ull << (bits - 1));
    return (s64)(field->flags & GUEST_SCALED ? number * (u64)(s64)field->scale + (u64)field->bias : number);
}

static inline s64 field_value(const struct walker *w, const struct guest *at, u32 row) {
    const struct guest_field *field = &w->table->fields[row];
    u64 number = raw_bits(w->code + at->base, field);
    return field->flags ? flagged_value(at, field, number) : (s64)number;
}

/* Reads the instruction at `start`, which is in the code, its prefixes first. */
static __attribute__((noinline)) int read_instruction(struct walker *w, u32 start, struct guest *at) {
    const struct guest_table *table = w->table;
    u32 size = (u32)w->walk->size, page = 0;
    *at = (struct guest){.start = start, .base = start};
    for (;;) {
        const struct guest_page *where = &table->pages[page];
        const struct guest_field *field = &table->fields[where->field];
        if (size - at->base < (u32)field->offset + field->bytes)
            return stray(w, GUEST_TRUNCATED, start, 0, size);
        u64 opcode = raw_bits(w->code + at->base, field);
        const struct guest_entry *entry = &table->entries[where->first_entry + opcode];
        if (opcode >= where->n_entries || entry->kind == GUEST_UNKNOWN)
            return stray(w, GUEST_NO_SUCH_OPCODE, start, 0, (s64)opcode);
        if (entry->kind == GUEST_INSTRUCTION) {
            at->row = &table->instructions[entry->row];
            if (size - at->base < at->row->length)
                return stray(w, GUEST_TRUNCATED, start, 0, size);
            at->end = at->base + at->row->length;
            return 1;
        }
        if (size - at->base < entry->skip)
            return stray(w, GUEST_TRUNCATED, start, 0, size);
        if (entry->collect != NO_GUEST_FIELD) {
            const struct guest_field *collect = &table->fields[entry->collect];
            if (size - at->base < (u32)collect->offset + collect->bytes)
                return stray(w, GUEST_TRUNCATED, start, 0, size);
            at->n_collected += collect->bits;
            if (at->n_collected > MOST_COLLECTED_BITS)
                return stray(w, GUEST_TOO_MANY_PREFIXES, start, 0, 0);
            at->collected = at->collected << collect->bits | raw_bits(w->code + at->base, collect);
        }
        at->base += entry->skip;
        page = entry->row;
    }
}

static inline struct guest without_prefixes(const struct guest_instruction *row, u32 start) {
    return (struct guest){.row = row, .start = start, .base = start, .end = start + row->length};
}

/* The same. Most have no prefixes, and nothing wrong: that takes a third of the time by itself. */
static inline int next_instruction(struct walker *w, u32 start, struct guest *at) {
    const struct guest_table *table = w->table;
    const struct guest_page *page = table->pages;
    const struct guest_field *field = &table->fields[page->field];
    u32 room = (u32)w->walk->size - start;
    u64 opcode = room < (u32)field->offset + field->bytes ? ~0ull : raw_bits(w->code + start, field);
    if (opcode >= page->n_entries || table->entries[page->first_entry + opcode].kind != GUEST_INSTRUCTION)
        return read_instruction(w, start, at);
    *at = without_prefixes(&table->instructions[table->entries[page->first_entry + opcode].row], start);
    return room >= at->row->length || read_instruction(w, start, at);
}

/* The same, once all have been read and none is wrong. */
static inline void instruction_at(struct walker *w, u32 start, struct guest *at) {
    u32 row = w->row_of[start];
    if (row)
        *at = without_prefixes(&w->table->instructions[row - 1], start);
    else
        read_instruction(w, start, at);
}

/* Where a target is; it may be anywhere. */
static inline s64 target_of(const struct walker *w, const struct guest *at, const struct guest_target *target) {
    u64 from = target->relation == FROM_START ? at->start : target->relation == FROM_END ? at->end : 0;
    return (s64)(from + (u64)field_value(w, at, target->field));
}

static inline int check_target(struct walker *w, const struct guest *at, const struct guest_target *target, s64 place) {
    return w->marks[place] & BEGINS || stray(w, GUEST_TARGET_INSIDE, at->start, target->field, place);
}
#endif
