/* Guest bytecode and a table of its instructions -> packed words. The table is its author's and trusted; the bytecode is
 * not. Two passes: the first finds where instructions begin and what is jumped to, the second
 * writes the words. No Python, no C library. */
#include "depth.c"
#include "memory.h"

enum { OP_PLACE = 0xff00, OP_CONST32 = 0xff08 };

static int note_targets(struct walker *w, const struct guest *at) {
    for (u32 k = 0; k < at->row->n_targets; k++) {
        const struct guest_target *target = &w->table->targets[at->row->first_target + k];
        s64 place = target_of(w, at, target);
        if (place < 0 || (u64)place >= w->walk->size)
            return stray(w, GUEST_TARGET_OUTSIDE, at->start, target->field, place);
        if (w->marks[place] & IS_TARGET)
            continue;
        w->marks[place] |= IS_TARGET;
        w->label_of[place] = (u32)w->n_labels++;
    }
    return 1;
}

static __attribute__((noinline)) int find_instructions(struct walker *w) {
    struct guest at;
    u32 size = (u32)w->walk->size;
    u64 words = 0, ops = 0, constants = 0, own_labels = 0, exits = 0;
    for (u32 k = 0; k < size; k = at.end) {
        if (!next_instruction(w, k, &at))
            return 0;
        w->marks[k] |= BEGINS;
        w->row_of[k] = at.base == k ? (u32)(at.row - w->table->instructions) + 1 : 0;
        words += at.row->n_operands;
        ops += at.row->n_ops;
        constants += at.row->n_constants;
        own_labels += at.row->n_labels;
        exits += at.row->n_exits;
        if (at.row->n_targets && !note_targets(w, &at))
            return 0;
    }
    if (!w->table->has_stack && !at.row->ends)
        return stray(w, GUEST_FALLS_OFF, at.start, 0, 0);
    w->n_words = words + 2 * w->n_labels;
    w->n_ops = ops + w->n_labels;
    w->n_constants = constants;
    w->n_exits = exits;
    int is_small = w->n_ops + own_labels <= MOST_GUEST_BYTES && w->n_constants + w->table->n_constants < CONSTANT_WORD;
    return is_small || stray(w, GUEST_TOO_LARGE, 0, 0, 0);
}

static inline void put_op(struct walker *w, u32 head, u32 offset) {
    w->words[w->n_words++] = head;
    w->offsets[w->n_ops++] = offset;
}

static int constant_word(struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 *word) {
    s64 value = field_value(w, at, operand->field);
    if (operand->type == TYPE_I32 && (value < -0x80000000ll || value > 0xffffffffll))
        return stray(w, GUEST_CONSTANT_OUT_OF_RANGE, at->start, operand->field, value);
    *word = CONSTANT_WORD | (u32)w->n_constants;
    w->constants[w->n_constants++] = operand->type == TYPE_F32 ? (u32)value : (i64)value;
    return 1;
}

static void note_exit(struct walker *w, const struct guest *at, u32 exit, u32 label) {
    u32 depth = w->table->has_stack ? w->depth_of[at->start] - 1 : 0;
    w->exits[w->n_exits++] = (struct guest_exit){.offset = at->start, .label = label, .exit = exit, .depth = depth};
}

static u32 cell_address(struct walker *w, u32 number) {
    w->is_read[number] = 1;
    w->constants[w->n_constants] = w->walk->cells[number];
    return CONSTANT_WORD | (u32)w->n_constants++;
}

static inline int register_word(struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 *word) {
    const struct guest_span *bank = &w->walk->banks[operand->value];
    s64 value = field_value(w, at, operand->field);
    *word = bank->first + (u32)value;
    return (u64)value < bank->count || stray(w, GUEST_NO_SUCH_REGISTER, at->start, operand->field, value);
}

static inline int operand_word(struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 own_label, u32 *word) {
    const struct guest_span *banks = w->walk->banks;
    s64 value;
    switch (operand->kind) {
    case GUEST_REGISTER: *word = banks[operand->field].first + (u32)operand->value; return 1;
    case GUEST_CONSTANT_FIELD: return constant_word(w, at, operand, word);
    case GUEST_OFFSET_FIELD:
        value = field_value(w, at, operand->field);
        *word = (u32)value;
        return (value > -0x80000000ll && value <= 0x7fffffff) ||
               stray(w, GUEST_OFFSET_OUT_OF_RANGE, at->start, operand->field, value);
    case GUEST_CALLEE_FIELD:
        value = field_value(w, at, operand->field);
        if ((u64)value >= w->walk->n_callees)
            return stray(w, GUEST_NO_SUCH_CALLEE, at->start, operand->field, value);
        *word = (u32)(operand->value + (s32)value);
        return 1;
    case GUEST_STACK: *word = banks[w->table->n_banks - 1].first + w->depth_of[at->start] - 1 + (u32)operand->value; return 1;
    case GUEST_TARGET: {
        const struct guest_target *target = &w->table->targets[at->row->first_target + (u32)operand->value];
        s64 place = target_of(w, at, target);
        *word = w->label_of[place];
        return check_target(w, at, target, place);
    }
    case GUEST_EXIT:
        *word = own_label + (u32)operand->value;
        if (operand->type)
            note_exit(w, at, operand->field, *word);
        return 1;
    case GUEST_CELL: *word = cell_address(w, w->walk->n_field_cells + (u32)operand->value); return 1;
    case GUEST_CELL_FIELD:
        value = field_value(w, at, operand->field);
        if ((u64)value >= w->walk->n_field_cells)
            return stray(w, GUEST_NO_SUCH_CELL, at->start, operand->field, value);
        *word = cell_address(w, (u32)value);
        return 1;
    default: *word = own_label + (u32)operand->value; return 1; /* GUEST_OWN_LABEL */
    }
}

static inline int expand(struct walker *w, const struct guest *at) {
    const struct guest_operand *operand = &w->table->operands[at->row->first_operand], *end = operand + at->row->n_operands;
    u32 own_label = (u32)w->n_labels, *word = w->words + w->n_words, *offset = w->offsets + w->n_ops;
    w->n_words += at->row->n_operands;
    w->n_ops += at->row->n_ops;
    w->n_labels += at->row->n_labels;
    for (; operand != end; operand++, word++) {
        if (operand->kind <= GUEST_WORD) {
            *word = (u32)operand->value;
            if (operand->kind == GUEST_HEAD)
                *offset++ = at->start;
        } else if (operand->kind == GUEST_REGISTER_FIELD) { /* most are */
            if (!register_word(w, at, operand, word))
                return 0;
        } else if (!operand_word(w, at, operand, own_label, word))
            return 0;
    }
    return 1;
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
    struct guest at;
    for (u32 k = 0, size = (u32)w->walk->size; k < size; k = at.end) {
        instruction_at(w, k, &at);
        if (w->table->has_stack && !w->depth_of[k]) /* nothing leads there */
            continue;
        if (w->marks[k] & IS_TARGET) {
            put_op(w, PACKED_HEAD(OP_PLACE, 1), k);
            w->words[w->n_words++] = w->label_of[k];
        }
        if (!expand(w, &at))
            return 0;
    }
    return 1;
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
