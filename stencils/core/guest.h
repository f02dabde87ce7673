/* One instruction of guest bytecode: read by a table, and checked to be there as a whole; where it jumps to. */
#ifndef CNP_GUEST_H
#define CNP_GUEST_H
#include "fields.h"

/* Reads the instruction at `start`, which is in the code, its prefixes first. */
static __attribute__((noinline)) int read_instruction(struct walker *w, u32 start, struct guest *at) {
    const struct guest_table *table = w->table;
    u32 size = (u32)w->walk->size, page = 0;
    at->start = at->base = start;
    at->n_collected = 0;
    at->collected = 0;
    for (;;) {
        const struct guest_page *where = &table->pages[page];
        const struct guest_field *field = &table->fields[where->field];
        if (size - at->base < (u32)field->offset + field->bytes)
            return stray(w, GUEST_TRUNCATED, start, 0, size);
        u64 opcode = raw_bits(w->code + at->base, field);
        const struct guest_entry *entry = &table->entries[where->first_entry + opcode];
        if (opcode >= where->n_entries || entry->kind == GUEST_UNKNOWN)
            return stray(w, GUEST_NO_SUCH_OPCODE, start, 0, (s64)opcode);
        if (entry->kind != GUEST_PREFIX) {
            at->row = &table->instructions[entry->row];
            if (size - at->base < at->row->length)
                return stray(w, GUEST_TRUNCATED, start, 0, size);
            at->end = read_parts(w, at);
            return at->end != 0;
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

/* One that has neither prefixes nor parts. */
static inline void set_plain(struct guest *at, const struct guest_instruction *row, u32 start) {
    at->row = row;
    at->start = at->base = start;
    at->end = start + row->length;
    at->n_collected = 0;
}

/* One that has: it is read once, and kept in the scratch. NULL with an error. */
static struct guest *keep_instruction(struct walker *w, u32 start) {
    struct guest *at;
    if (!RESERVE(w, at, 1) || !read_instruction(w, start, at))
        return 0;
    u64 used = __builtin_offsetof(struct guest, parts) + at->row->n_parts * sizeof *at->parts;
    w->next = (char *)at + ((used + 15) & ~15ull);
    w->row_of[start] = KEPT | (u32)(((char *)at - w->kept) / 16);
    return at;
}

static inline const struct guest *kept_instruction(const struct walker *w, u32 start) {
    return (const struct guest *)(w->kept + (w->row_of[start] & ~KEPT) * 16ull);
}

/* Once all have been read and none is wrong; `room` is for what is not kept. */
static inline const struct guest *instruction_at(const struct walker *w, u32 start, struct guest *room) {
    u32 row = w->row_of[start];
    if (!IS_PLAIN(row))
        return kept_instruction(w, start);
    set_plain(room, &w->table->instructions[row - 1], start);
    return room;
}

/* The targets of a row, one or, in a part, many. */
struct targets {
    const struct guest_target *row;
    u32 left, place; /* where the next one is read, if there are many */
};

static inline struct targets targets_of(struct walker *w, const struct guest *at, u32 row) {
    struct targets found = {.row = &w->table->targets[at->row->first_target + row], .left = 1};
    if (found.row->is_many) {
        found.left = (u32)count_of(w, at, &w->table->parts[at->row->first_part + found.row->part]);
        found.place = (u32)at->parts[found.row->part];
    }
    return found;
}

static __attribute__((noinline)) s64 next_of_many(struct walker *w, const struct guest *at, struct targets *targets) {
    s64 value = 0;
    targets->place = read_number(w, at, &w->table->fields[targets->row->field], targets->place, &value);
    return value;
}

/* Where one of them is; it may be anywhere. */
static inline __attribute__((always_inline)) s64 next_target(struct walker *w, const struct guest *at, struct targets *targets) {
    const struct guest_target *row = targets->row;
    u64 from = row->relation == FROM_START ? at->start : row->relation == FROM_END ? at->end : 0;
    targets->left--;
    return (s64)(from + (u64)(row->is_many ? next_of_many(w, at, targets) : field_value(w, at, row->field)));
}

static inline int check_target(struct walker *w, const struct guest *at, const struct guest_target *target, s64 place) {
    return w->marks[place] & BEGINS || stray(w, GUEST_TARGET_INSIDE, at->start, target->field, place);
}
#endif
