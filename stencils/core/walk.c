/* Guest bytecode and a table of its instructions -> packed words. The table is its author's and trusted; the bytecode is
 * not. Two passes: the first finds where instructions begin and what is jumped to, the second
 * writes the words. No Python, no C library. */
#include "depth.c"
#include "memory.h"

enum { OP_PLACE = 0xff00, OP_CONST32 = 0xff08 };

static int note_targets(struct walker *w, const struct guest *at, u32 row) {
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
    return 1;
}

/* Reads the instruction at `start`. Most have neither prefixes nor parts, and nothing wrong: that takes a third of the time by
 * itself. */
static inline int first_look(struct walker *w, struct guest_field opcodes, u32 start, struct guest *at) {
    const struct guest_page *page = w->table->pages;
    const struct guest_entry *entry = &w->table->entries[page->first_entry];
    u32 room = (u32)w->walk->size - start;
    u64 opcode = room < (u32)opcodes.offset + opcodes.bytes ? ~0ull : raw_bits(w->code + start, &opcodes);
    if (opcode < page->n_entries && entry[opcode].kind == GUEST_INSTRUCTION) {
        set_plain(at, &w->table->instructions[entry[opcode].row], start);
        w->row_of[start] = entry[opcode].row + 1;
        if (room >= at->row->length)
            return 1;
    }
    w->row_of[start] = 0;
    return read_instruction(w, start, at);
}

static __attribute__((noinline)) int find_instructions(struct walker *w) {
    const struct guest_field opcodes = w->table->fields[w->table->pages->field];
    struct guest at;
    u32 size = (u32)w->walk->size;
    u64 words = 0, ops = 0, constants = 0, own_labels = 0, exits = 0;
    for (u32 k = 0; k < size; k = at.end) {
        if (!first_look(w, opcodes, k, &at))
            return 0;
        w->marks[k] |= BEGINS;
        words += at.row->n_operands;
        ops += at.row->n_ops;
        constants += at.row->n_constants;
        own_labels += at.row->n_labels;
        exits += at.row->n_exits;
        for (u32 t = 0; t < at.row->n_targets; t++)
            if (!note_targets(w, &at, t))
                return 0;
    }
    if (!w->table->has_stack && !at.row->ends)
        return stray(w, GUEST_FALLS_OFF, at.start, 0, 0);
    w->n_words += words + 2 * w->n_labels;
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

static u32 *put_targets(struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 *word) {
    struct targets targets = targets_of(w, at, (u32)operand->value);
    word[-(s64)operand->field] += PACKED_HEAD(0, targets.left);
    while (targets.left) {
        s64 place = next_target(w, at, &targets);
        if (!check_target(w, at, targets.row, place))
            return 0;
        *word++ = w->label_of[place];
    }
    return word;
}

/* Of an operand that is not among the frequent ones; returns the place behind, or 0 with an error. */
static __attribute__((noinline)) u32 *put_operand(
    struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 own_label, u32 *word) {
    const struct guest_span *bank = w->walk->banks;
    u32 *next = word + 1;
    s64 value;
    switch (operand->kind) {
    case GUEST_WORD: *word = (u32)operand->value; return next;
    case GUEST_REGISTER: *word = bank[operand->field].first + (u32)operand->value; return next;
    case GUEST_CONSTANT_FIELD: return constant_word(w, at, operand, word) ? next : 0;
    case GUEST_PLAIN_REGISTER:
    case GUEST_REGISTER_FIELD:
        bank += operand->value;
        value = field_value(w, at, operand->field);
        *word = bank->first + (u32)value;
        return (u64)value < bank->count || stray(w, GUEST_NO_SUCH_REGISTER, at->start, operand->field, value) ? next : 0;
    case GUEST_TARGET: {
        struct targets target = targets_of(w, at, (u32)operand->value);
        s64 place = next_target(w, at, &target);
        *word = w->label_of[place];
        return check_target(w, at, target.row, place) ? next : 0;
    }
    case GUEST_TARGETS: return put_targets(w, at, operand, word);
    case GUEST_OFFSET_FIELD:
        value = field_value(w, at, operand->field);
        *word = (u32)value;
        return (value > -0x80000000ll && value <= 0x7fffffff) ||
               stray(w, GUEST_OFFSET_OUT_OF_RANGE, at->start, operand->field, value) ? next : 0;
    case GUEST_CALLEE_FIELD:
        value = field_value(w, at, operand->field);
        *word = (u32)(operand->value + (s32)value);
        return (u64)value < w->walk->n_callees || stray(w, GUEST_NO_SUCH_CALLEE, at->start, operand->field, value) ? next : 0;
    case GUEST_EXIT:
        *word = own_label + (u32)operand->value;
        if (operand->type)
            note_exit(w, at, operand->field, *word);
        return next;
    case GUEST_CELL: *word = cell_address(w, w->walk->n_field_cells + (u32)operand->value); return next;
    case GUEST_CELL_FIELD:
        value = field_value(w, at, operand->field);
        if ((u64)value >= w->walk->n_field_cells)
            return stray(w, GUEST_NO_SUCH_CELL, at->start, operand->field, value), (u32 *)0;
        *word = cell_address(w, (u32)value);
        return next;
    default: *word = own_label + (u32)operand->value; return next; /* GUEST_OWN_LABEL */
    }
}

/* How far words are written. */
struct written {
    u32 *word, *offset;
    u32 n_labels;
};

/* Without GUEST_STACK's registers `stack` is 0. */
static inline int expand(struct walker *w, const struct guest *at, u32 stack, struct written *to) {
    const struct guest_operand *operand = &w->table->operands[at->row->first_operand], *end = operand + at->row->n_operands;
    const u8 *bytes = w->code + at->base;
    u32 *word = to->word;
    for (; operand != end; operand++) {
        if (operand->kind == GUEST_HEAD) {
            *to->offset++ = at->start;
            *word++ = (u32)operand->value;
        } else if (operand->kind == GUEST_PLAIN_REGISTER) {
            const struct guest_span *bank = &w->walk->banks[operand->value];
            u64 number;
            __builtin_memcpy(&number, bytes + operand->offset, sizeof number);
            u32 index = (u32)(number >> operand->shift) & operand->mask;
            if (index >= bank->count) /* which says so */
                return put_operand(w, at, operand, 0, word) != 0;
            *word++ = bank->first + index;
        } else if (operand->kind == GUEST_STACK)
            *word++ = stack + (u32)operand->value;
        else if (!(word = put_operand(w, at, operand, to->n_labels, word)))
            return 0;
    }
    to->word = word;
    to->n_labels += at->row->n_labels;
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

static __attribute__((noinline)) int expand_all(struct walker *w) {
    struct written to = {.word = w->words + w->n_words, .offset = w->offsets + w->n_ops, .n_labels = (u32)w->n_labels};
    u32 size = (u32)w->walk->size, stack = 0, bottom = w->table->has_stack ? w->walk->banks[w->table->n_banks - 1].first : 0;
    struct guest at;
    for (u32 k = 0; k < size; k = at.end) {
        instruction_at(w, k, &at);
        if (w->table->has_stack) {
            if (!w->depth_of[k]) /* nothing leads there */
                continue;
            stack = bottom + w->depth_of[k] - 1;
        }
        if (w->marks[k] & IS_TARGET) {
            *to.word++ = PACKED_HEAD(OP_PLACE, 1);
            *to.word++ = w->label_of[k];
            *to.offset++ = k;
        }
        if (!expand(w, &at, stack, &to))
            return 0;
    }
    w->n_words = (u64)(to.word - w->words);
    w->n_ops = (u64)(to.offset - w->offsets);
    w->n_labels = to.n_labels;
    return 1;
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
