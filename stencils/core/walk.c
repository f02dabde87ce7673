/* Guest bytecode and a table of its instructions -> packed words. The table is its author's and trusted; the bytecode is
 * not. Two passes: the first finds where instructions begin and what is jumped to, the second
 * writes the words. No Python, no C library. */
#include "depth.c"
#include "memory.h"

enum { OP_PLACE = 0xff00, OP_CONST32 = 0xff08 };

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

/* The row and one of the instruction at `start`, if it has neither prefixes nor parts and nothing is wrong; else 0. */
static inline u32 plain_row(const struct walker *w, const struct guest_field *opcodes, u32 start, u32 size) {
    const struct guest_table *table = w->table;
    const struct guest_page *page = table->pages;
    if (size - start < (u32)opcodes->offset + opcodes->bytes)
        return 0;
    u64 opcode = raw_bits(w->code + start, opcodes);
    const struct guest_entry *entry = &table->entries[page->first_entry + opcode];
    if (opcode >= page->n_entries || entry->kind != GUEST_INSTRUCTION || size - start < table->instructions[entry->row].length)
        return 0;
    return entry->row + 1;
}

static __attribute__((noinline)) int find_instructions(struct walker *w) {
    const struct guest_field opcodes = w->table->fields[w->table->pages->field];
    const struct guest_instruction *row;
    struct guest at;
    u64 own_labels = 0;
    for (u32 k = 0, end, size = (u32)w->walk->size; k < size; k = end) {
        u32 plain = w->row_of[k] = plain_row(w, &opcodes, k, size);
        if (plain) {
            row = &w->table->instructions[plain - 1];
            end = k + row->length;
        } else {
            if (!read_instruction(w, k, &at))
                return 0;
            row = at.row;
            end = at.end;
        }
        w->marks[k] |= BEGINS;
        w->n_words += row->n_operands;
        w->n_ops += row->n_ops;
        w->n_constants += row->n_constants;
        w->n_exits += row->n_exits;
        own_labels += row->n_labels;
        if (row->n_targets) {
            if (plain)
                set_plain(&at, row, k);
            if (!note_targets(w, &at))
                return 0;
        }
        if (end == size && !row->ends && !w->table->has_stack)
            return stray(w, GUEST_FALLS_OFF, k, 0, 0);
    }
    w->n_words += 2 * w->n_labels;
    w->n_ops += w->n_labels;
    int is_small = w->n_ops + own_labels <= MOST_GUEST_BYTES && w->n_constants + w->table->n_constants < CONSTANT_WORD;
    return is_small || stray(w, GUEST_TOO_LARGE, 0, 0, 0);
}

static inline void put_op(struct walker *w, u32 head, u32 offset) {
    w->words[w->n_words++] = head;
    w->offsets[w->n_ops++] = offset;
}

static inline int constant_word(
    struct walker *w, const struct guest *at, const struct guest_operand *operand, s64 value, u32 *word) {
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

/* Puts an operand to `word`; returns the place behind, or 0 with an error. So do those that follow. */
static __attribute__((noinline)) u32 *put_targets(
    struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 *word) {
    struct targets targets = targets_of(w, at, (u32)operand->value);
    if (targets.row->is_many)
        word[-(s64)operand->field] += PACKED_HEAD(0, targets.left);
    while (targets.left) {
        s64 place = next_target(w, at, &targets);
        if (!check_target(w, at, targets.row, place))
            return 0;
        *word++ = w->label_of[place];
    }
    return word;
}

static __attribute__((noinline)) u32 *put_field(
    struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 *word) {
    const struct walk *walk = w->walk;
    s64 value = field_value(w, at, operand->field), limit;
    u32 error;
    switch (operand->kind) {
    case GUEST_CONSTANT_FIELD: return constant_word(w, at, operand, value, word) ? word + 1 : 0;
    case GUEST_OFFSET_FIELD:
        *word = (u32)value;
        if (value > -0x80000000ll && value <= 0x7fffffff)
            return word + 1;
        return stray(w, GUEST_OFFSET_OUT_OF_RANGE, at->start, operand->field, value), (u32 *)0;
    case GUEST_CALLEE_FIELD: limit = walk->n_callees, error = GUEST_NO_SUCH_CALLEE; break;
    case GUEST_CELL_FIELD: limit = walk->n_field_cells, error = GUEST_NO_SUCH_CELL; break;
    default: limit = walk->banks[operand->value].count, error = GUEST_NO_SUCH_REGISTER; /* a register */
    }
    if ((u64)value >= (u64)limit)
        return stray(w, error, at->start, operand->field, value), (u32 *)0;
    if (operand->kind == GUEST_CELL_FIELD)
        *word = cell_address(w, (u32)value);
    else
        *word = (u32)value + (operand->kind == GUEST_CALLEE_FIELD ? (u32)operand->value : walk->banks[operand->value].first);
    return word + 1;
}

static __attribute__((noinline)) u32 *put_operand(
    struct walker *w, const struct guest *at, const struct guest_operand *operand, u32 own_label, u32 *word) {
    switch (operand->kind) {
    case GUEST_WORD: *word = (u32)operand->value; return word + 1;
    case GUEST_REGISTER: *word = w->walk->banks[operand->field].first + (u32)operand->value; return word + 1;
    case GUEST_TARGET:
    case GUEST_TARGETS: return put_targets(w, at, operand, word);
    case GUEST_OWN_LABEL: *word = own_label + (u32)operand->value; return word + 1;
    case GUEST_EXIT:
        *word = own_label + (u32)operand->value;
        if (operand->type)
            note_exit(w, at, operand->field, *word);
        return word + 1;
    case GUEST_CELL: *word = cell_address(w, w->walk->n_field_cells + (u32)operand->value); return word + 1;
    default: return put_field(w, at, operand, word);
    }
}

/* How far words are written. */
struct written {
    const struct guest_span *banks;
    u32 *word, *offset;
    u32 n_labels;
};

static inline u32 plain_bits(const u8 *bytes, const struct guest_operand *operand) {
    u64 number;
    __builtin_memcpy(&number, bytes + operand->offset, sizeof number);
    return (u32)(number >> operand->shift) & operand->mask;
}

/* Returns the place behind, or 0 with an error. */
static inline u32 *put_plain_register(
    struct walker *w, const u8 *bytes, const struct guest_operand *operand, u32 start, const struct written *to, u32 *word) {
    const struct guest_span *bank = &to->banks[operand->value];
    u32 index = plain_bits(bytes, operand);
    if (index >= bank->count)
        return stray(w, GUEST_NO_SUCH_REGISTER, start, operand->field, index), (u32 *)0;
    *word = bank->first + index;
    return word + 1;
}

/* The instruction of a row that begins at `base`; `at` is it, if it has prefixes or parts. `stack` is the register of the
 * depth in front. */
static inline int expand(
    struct walker *w, struct guest *at, const struct guest_instruction *row, u32 start, u32 base, u32 stack, struct written *to) {
    const struct guest_operand *operand = &w->table->operands[row->first_operand], *end = operand + row->n_operands;
    const u8 *bytes = w->code + base;
    u32 *word = to->word;
    for (; operand != end; operand++) {
        if (operand->kind == GUEST_HEAD) {
            *to->offset++ = start;
            *word++ = (u32)operand->value;
            for (u32 run = operand->run; run; run--)
                if (!(word = put_plain_register(w, bytes, ++operand, start, to, word)))
                    return 0;
        } else if (operand->kind == GUEST_PLAIN_REGISTER) {
            if (!(word = put_plain_register(w, bytes, operand, start, to, word)))
                return 0;
        } else if (operand->kind == GUEST_STACK) {
            *word++ = stack + (u32)operand->value;
        } else if (operand->kind == GUEST_PLAIN_CONSTANT) {
            u64 sign = (u32)operand->value, bits = plain_bits(bytes, operand);
            *word++ = CONSTANT_WORD | (u32)w->n_constants;
            w->constants[w->n_constants++] = operand->type == TYPE_F32 ? bits : (bits ^ sign) - sign;
        } else {
            if (w->row_of[start])
                set_plain(at, row, start);
            if (!(word = put_operand(w, at, operand, to->n_labels, word)))
                return 0;
        }
    }
    to->word = word;
    to->n_labels += row->n_labels;
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
    struct written to = {w->walk->banks, w->words + w->n_words, w->offsets + w->n_ops, (u32)w->n_labels};
    const struct guest_instruction *rows = w->table->instructions - 1;
    u32 stack = 0, bottom = w->depth_of ? to.banks[w->table->n_banks - 1].first : 0;
    struct guest at;
    for (u32 k = 0, end, size = (u32)w->walk->size; k < size; k = end) {
        const struct guest_instruction *row = &rows[w->row_of[k]];
        u32 base = k;
        if (row == rows) {
            read_instruction(w, k, &at);
            row = at.row;
            base = at.base;
            end = at.end;
        } else
            end = k + row->length;
        if (w->depth_of) {
            if (!w->depth_of[k]) /* nothing leads there */
                continue;
            stack = bottom + w->depth_of[k] - 1;
        }
        if (w->marks[k] & IS_TARGET) {
            *to.word++ = PACKED_HEAD(OP_PLACE, 1);
            *to.word++ = w->label_of[k];
            *to.offset++ = k;
        }
        if (!expand(w, &at, row, k, base, stack, &to))
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
