/* An op and the places of its operands -> the stencil of one of its forms, or one with register fields. */
#include "events.h"

static int operand_file(const struct op *op, u32 k) { return IS_FLOAT(op->operand_type[k]); }
static int narrow(const struct op *op, u32 k) { return op->operand_type[k] == TYPE_I32; }

/* Of several operands the last is looked at first: what goes through a temporary slot uses the holes of operand a. */

/* d = a op b in place: d is a already, or becomes it. */
static void put_tied(struct selection *s, const struct op *op, const struct location *d, const struct location *b, const struct location *c) {
    int has_c = op->n_operands > 2;
    u32 ib = source_index(s, b, op->operand_type[1], op->classes_b, 2, 0), ic = 0;
    if (has_c)
        ic = source_index(s, c, op->operand_type[2], op->classes_c, 3, 1);
    s->value[SLOT_D] = s->value[SLOT_A] = (i64)(s64)d->slot;
    s->place[0] = s->place[1] = d->place;
    u32 pattern = pattern_of(s, op, d, op->operand_type[1], b, has_c ? op->operand_type[2] : NO_TYPE, c);
    put(s, s->library->placements[op->base[TIED] + ((pattern * op->n_a + d->alternative) * op->n_b + ib) * op->n_c + ic]);
}

static void put_reversed(struct selection *s, const struct op *op, const struct location *a, const struct location *d, const struct location *c) {
    int file = operand_file(op, 1), has_c = op->n_operands > 2;
    u32 ic = 0, n_b = s->library->alternative[file][registers_of(s, file)] + 1u;
    if (has_c)
        ic = source_index(s, c, op->operand_type[2], op->classes_c, 3, 1);
    u32 ia = source_index(s, a, op->operand_type[0], op->classes_a_reversed, 1, 0);
    s->value[SLOT_D] = s->value[SLOT_B] = (i64)(s64)d->slot;
    s->place[0] = s->place[2] = d->place;
    u32 pattern = pattern_of(s, op, d, op->operand_type[0], a, has_c ? op->operand_type[2] : NO_TYPE, c);
    put(s, s->library->placements[op->base[REVERSED] + ((pattern * op->n_a_reversed + ia) * n_b + d->alternative) * op->n_c + ic]);
}

static void put_free(struct selection *s, const struct op *op, const struct location *d, const struct location *a, const struct location *b) {
    int has_b = op->n_operands > 1;
    u32 ib = 0;
    if (has_b)
        ib = source_index(s, b, op->operand_type[1], op->classes_b, 2, 1);
    u32 ia = source_index(s, a, op->operand_type[0], op->classes_a, 1, 0);
    s->value[SLOT_D] = (i64)(s64)d->slot;
    s->place[0] = d->place;
    u32 pattern = pattern_of(s, op, d, op->operand_type[0], a, has_b ? op->operand_type[1] : NO_TYPE, b);
    put(s, s->library->placements[op->base[FREE] + ((pattern * op->n_d + d->alternative) * op->n_a + ia) * op->n_b + ib]);
}

/* Comparisons of floats leave 0 or 1 in the frame; few programs keep one. */
static void put_slot_result(struct selection *s, const struct op *op, const struct location *d, const struct location *a, const struct location *b) {
    u32 ib = source_index(s, b, op->operand_type[1], op->classes_b, 2, 1);
    u32 ia = source_index(s, a, op->operand_type[0], op->classes_a, 1, 0);
    struct location to = d->slot >= 0 ? *d : in_slot(s, 0, temporary_slot(s, 2));
    s->value[SLOT_D] = (i64)(s64)to.slot;
    put(s, s->library->placements[op->base[SLOT_RESULT] + ia * op->n_b + ib]);
    move(s, 0, *d, to);
}

/* Whether `op d, a, constant` has a stencil of three addresses. */
static int put_free_immediate(struct selection *s, const struct op *op, const struct location *d, const struct location *a, const struct location *b) {
    int file = operand_file(op, 0);
    if (!HAS(op, FREE_IMMEDIATE) || !is_immediate(b) || is_immediate(a))
        return 0;
    i64 value = narrow(op, 1) ? (i64)(s64)(s32)b->value : b->value;
    u32 index = class_alternative(s, file, op->classes_b, &value), places = s->library->alternative[file][registers_of(s, file)] + 1u;
    if (!index)
        return 0;
    s->value[IMMEDIATE_B] = value;
    s->value[SLOT_A] = (i64)(s64)a->slot;
    s->value[SLOT_D] = (i64)(s64)d->slot;
    u32 classes = (u32)__builtin_popcount(op->classes_b);
    put(s, s->library->placements[op->base[FREE_IMMEDIATE] + (d->alternative * places + a->alternative) * classes + index - places]);
    return 1;
}

static void put_binary(struct selection *s, const struct op *op, const struct location *d, const struct location *a,
                       const struct location *b, const struct location *c) {
    int commutes = op->flags & COMMUTATIVE, is_free = HAS(op, FREE);
    if ((is_immediate(a) && !is_immediate(b)) || (!is_free && same_place(d, b) && !same_place(d, a))) {
        if (commutes || op->swapped != NO_OP) {
            const struct location *t = a;
            a = b;
            b = t;
            op = commutes ? op : &s->library->ops[op->swapped];
            is_free = HAS(op, FREE);
        }
    }
    if (__builtin_expect(HAS(op, SLOT_RESULT), 0)) {
        put_slot_result(s, op, d, a, b);
        return;
    }
    if (is_free) {
        /* One stencil serves both orders. */
        int turns = __builtin_unpredictable((commutes != 0) & (a->place > b->place) & !is_immediate(b));
        put_free(s, op, d, turns ? b : a, turns ? a : b);
        return;
    }
    if (put_free_immediate(s, op, d, a, b))
        return;
    struct location kept;
    int file = IS_FLOAT(op->result_type);
    if (!same_place(d, a)) {
        if (same_place(d, b) && HAS(op, REVERSED)) {
            put_reversed(s, op, a, d, c);
            return;
        }
        /* What d is about to overwrite, although it is still needed, goes through a temporary slot. Slots are shared by
         * both register files, so c may be in d's. */
        int c_file = op->n_operands > 2 && operand_file(op, 2);
        if (same_place(d, b)) {
            kept = in_slot(s, file, temporary_slot(s, 2));
            move(s, file, kept, *d);
            b = &kept;
        } else if (op->n_operands > 2 && !is_immediate(c) &&
                   (c_file == file ? same_place(d, c) : d->slot >= 0 && d->slot == c->slot)) {
            kept = in_slot(s, c_file, temporary_slot(s, 2));
            move(s, c_file, kept, *c);
            c = &kept;
        }
        move(s, file, *d, *a);
    }
    put_tied(s, op, d, b, c);
}

/* The stencil of a register and two places, and their fields. Kinds: 0 without a constant offset, then with one, then
 * storing an immediate. */
static void put_indexed(struct selection *s, const struct op *op, u32 scale, u32 kind, u32 first, const struct location *at_base,
                        const struct location *at_index) {
    u32 base = at_base->place, index = at_index->place;
    s->value[op->shape == STORE ? SLOT_B : SLOT_A] = (i64)(s64)at_base->slot;
    s->value[SLOT_C] = (i64)(s64)at_index->slot;
    u32 kinds = op->offsets + op->values - 1u, rank = (u32)__builtin_popcount(op->scales & ((1u << scale) - 1));
    const struct family *family = &s->library->families[op->families + rank * kinds + kind];
    put(s, family->stencil[family->group[0][first]][family->group[1][base]][family->group[2][index]]);
    s->c->items[s->c->n_items - 1].value ^= family->field[0][first] ^ family->field[1][base] ^ family->field[2][index];
}

/* base + (index << scale) in a slot, for what is not in a register itself. */
static struct location put_sum(struct selection *s, const struct location *base, const struct location *index, u32 scale) {
    const struct library *library = s->library;
    struct location sum = in_slot(s, 0, temporary_slot(s, 2));
    struct location by = immediate(scale);
    if (scale)
        put_binary(s, &library->ops[library->known[I64_SHL]], &sum, index, &by, &by);
    put_binary(s, &library->ops[library->known[I64_ADD]], &sum, scale ? &sum : index, base, base);
    return sum;
}

static void select_indexed_add(struct selection *s, const struct instruction *at, const struct location *d) {
    struct location room[2];
    const struct location *base = locate(s, at->operand[0], &room[0]), *index = locate(s, at->operand[1], &room[1]);
    if (d->place < registers_of(s, 0))
        put_indexed(s, &s->library->ops[at->op], (u32)at->other, 0, d->place, base, index);
    else
        move(s, 0, *d, put_sum(s, base, index, (u32)at->other));
}
