/* The second pass of a walk: the words of the instructions' templates. */
#include "guest.h"

enum { OP_PLACE = 0xff00, OP_CONST32 = 0xff08 };

/* A field numbers none of a file's registers. Which file, is found anew here: the fast path need not keep it. */
static __attribute__((noinline, cold)) int no_register(struct walker *w, u32 start, u32 field, s64 index) {
    struct guest room;
    const struct guest_operand *operand = &w->table->operands[instruction_at(w, start, &room)->row->first_operand];
    for (;; operand++) {
        u32 kind = operand->kind;
        if ((kind == GUEST_PLAIN_REGISTER || kind == GUEST_REGISTER_FIELD || kind == GUEST_PART_REGISTER) &&
            operand->field == field && (u64)index >= w->walk->banks[operand->value].count)
            break;
    }
    w->walk->error_accepted = w->walk->banks[operand->value].count;
    return stray(w, GUEST_NO_SUCH_REGISTER, start, field, index);
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
    s64 value = field_value(w, at, operand->field);
    u32 error, limit;
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
    if ((u64)value >= limit) {
        w->walk->error_accepted = limit;
        return stray(w, error, at->start, operand->field, value), (u32 *)0;
    }
    if (operand->kind == GUEST_CELL_FIELD)
        *word = cell_address(w, (u32)value);
    else
        *word = (u32)value + (operand->kind == GUEST_CALLEE_FIELD ? (u32)operand->value : walk->banks[operand->value].first);
    return word + 1;
}

static __attribute__((noinline)) u32 *put_operand(
    struct walker *w, u32 start, const struct guest_operand *operand, u32 own_label, u32 *word) {
    struct guest room;
    const struct guest *at = instruction_at(w, start, &room);
    switch (operand->kind) {
    case GUEST_PART_REGISTER: {
        const struct guest_span *bank = &w->walk->banks[operand->value];
        s64 index = at->parts[operand->offset];
        if ((u64)index >= bank->count)
            return no_register(w, at->start, operand->field, index), (u32 *)0;
        *word = bank->first + (u32)index;
        return word + 1;
    }
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
        return no_register(w, start, operand->field, index), (u32 *)0;
    *word = bank->first + index;
    return word + 1;
}

/* The instruction of a row that begins at `start`, and at `base` behind its prefixes. `stack` is the register of the depth in
 * front. */
static inline int expand(
    struct walker *w, const struct guest_instruction *row, u32 start, u32 base, u32 stack, struct written *to) {
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
            if (!(word = put_operand(w, start, operand, to->n_labels, word)))
                return 0;
        }
    }
    to->word = word;
    to->n_labels += row->n_labels;
    return 1;
}

static __attribute__((noinline)) int expand_all(struct walker *w) {
    struct written to = {w->walk->banks, w->words + w->n_words, w->offsets + w->n_ops, (u32)w->n_labels};
    const struct guest_instruction *rows = w->table->instructions - 1;
    u32 stack = 0, bottom = w->depth_of ? to.banks[w->table->n_banks - 1].first : 0;
    for (u32 k = 0, end, size = (u32)w->walk->size; k < size; k = end) {
        const struct guest_instruction *row;
        u32 plain = w->row_of[k], base = k;
        if (IS_PLAIN(plain)) {
            row = &rows[plain];
            end = k + row->length;
        } else {
            const struct guest *at = kept_instruction(w, k);
            row = at->row;
            base = at->base;
            end = at->end;
        }
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
        if (!expand(w, row, k, base, stack, &to))
            return 0;
    }
    w->n_words = (u64)(to.word - w->words);
    w->n_ops = (u64)(to.offset - w->offsets);
    w->n_labels = to.n_labels;
    return 1;
}
