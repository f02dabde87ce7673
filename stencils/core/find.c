/* The first pass of a walk: where instructions begin, what is jumped to, and how much they may make. */
#include "guest.h"

static __attribute__((noinline)) int note_targets(struct walker *w, const struct guest *at) {
    for (u32 row = 0; row < at->row->n_targets; row++) {
        struct targets targets = targets_of(w, at, row);
        w->n_words += targets.row->is_many ? (u64)targets.left - 1 : 0;
        while (targets.left) {
            s64 place = next_target(w, at, &targets);
            if (place < 0 || (u64)place >= w->walk->size)
                return stray(w, GUEST_TARGET_OUTSIDE, at->start, targets.row->field, place);
            if (w->marks[place] & IS_TARGET)
                continue;
            w->marks[place] |= IS_TARGET;
            w->label_of[place] = (u32)w->n_labels++;
        }
    }
    return 1;
}

/* Of the first page. */
struct opcodes {
    struct guest_field field;
    const struct guest_entry *entries;
    const struct guest_instruction *rows;
    u32 n, end;
};

/* The row and one of the instruction at `start`, if it has neither prefixes nor parts and nothing is wrong; else 0. */
static inline u32 plain_row(const struct walker *w, const struct opcodes *opcodes, u32 start, u32 room) {
    if (room < opcodes->end)
        return 0;
    u64 opcode = raw_bits(w->code + start, &opcodes->field);
    const struct guest_entry *entry = &opcodes->entries[opcode];
    if (opcode >= opcodes->n || entry->kind != GUEST_INSTRUCTION || room < opcodes->rows[entry->row].length)
        return 0;
    return entry->row + 1;
}

static __attribute__((noinline)) int find_instructions(struct walker *w) {
    const struct guest_table *table = w->table;
    const struct guest_page *page = table->pages;
    const struct guest_field *field = &table->fields[page->field];
    const struct opcodes opcodes = {
        *field, &table->entries[page->first_entry], table->instructions, page->n_entries, (u32)field->offset + field->bytes};
    const struct guest_instruction *row;
    struct guest room, *at = &room;
    u64 own_labels = 0;
    u32 k = 0, end, size = (u32)w->walk->size;
    for (;; k = end) {
        u32 plain = w->row_of[k] = plain_row(w, &opcodes, k, size - k);
        if (plain) {
            row = &opcodes.rows[plain - 1];
            end = k + row->length;
        } else {
            if (!(at = keep_instruction(w, k)))
                return 0;
            row = at->row;
            end = at->end;
        }
        w->marks[k] |= BEGINS;
        w->n_words += row->n_operands;
        w->n_ops += row->n_ops;
        w->n_constants += row->n_constants;
        if (row->n_labels) { /* those of exits among them */
            own_labels += row->n_labels;
            w->n_exits += row->n_exits;
        }
        if (row->n_targets) {
            if (plain)
                set_plain(at = &room, row, k);
            if (!note_targets(w, at))
                return 0;
        }
        if (end >= size)
            break;
    }
    if (!row->ends && !table->has_stack)
        return stray(w, GUEST_FALLS_OFF, k, 0, 0);
    w->n_words += 2 * w->n_labels;
    w->n_ops += w->n_labels;
    int is_small = w->n_ops + own_labels <= MOST_GUEST_BYTES && w->n_constants + w->table->n_constants < CONSTANT_WORD;
    return is_small || stray(w, GUEST_TOO_LARGE, 0, 0, 0);
}
