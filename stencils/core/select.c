/* Instructions -> stencils: one table lookup an op, its placement being the index. */
#include "events.h"

static int is_move(const struct selection *s, const struct instruction *at) {
    return at->op == s->library->known[INTEGER_MOVE] || at->op == s->library->known[FLOAT_MOVE];
}

static void select_value(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    struct location room[3];
    const struct location *d = &s->homes[at->d], *a = locate(s, at->operand[0], &room[0]);
    if (at->other >= 0) {
        select_indexed_add(s, at, d);
        return;
    }
    if (at->n == 1) {
        struct location nothing = immediate(0);
        if (is_move(s, at))
            move(s, IS_FLOAT(op->result_type), *d, *a);
        else if (HAS(op, FREE))
            put_free(s, op, d, a, a);
        else
            put_binary(s, op, d, a, &nothing, a);
        return;
    }
    const struct location *b = locate(s, at->operand[1], &room[1]), *c = b;
    if (at->n > 2)
        c = locate(s, at->operand[2], &room[2]);
    u32 row = at->op;
    if (is_immediate(b) && s->library->reducible[row >> 6 & 3] >> (row & 63) & 1) {
        row = reduce_strength(s, row, &room[1].value);
        op = &s->library->ops[row];
        if (op->flags & SHIFT) /* takes its count modulo the width */
            room[1].value &= op->result_type == TYPE_I32 ? 31 : 63;
        else if (!is_immediate(a) && (put_small_multiple(s, row, d, a, b->value) || put_division(s, row, d, a, b->value)))
            return;
    }
    put_binary(s, op, d, a, b, c);
}

static u32 offset_index(struct selection *s, u32 classes, s32 offset) {
    s->value[OFFSET_VALUE] = (i64)(s64)offset;
    u32 index = class_alternative(s, 0, classes, &s->value[OFFSET_VALUE]);
    return index - s->library->alternative[0][s->library->integer_registers] - 1;
}

static void select_load(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    int file = IS_FLOAT(op->result_type);
    struct location room[2], sum;
    const struct location *d = &s->homes[at->d], *base = locate(s, at->operand[0], &room[0]);
    if (at->other >= 0) {
        const struct location *index = locate(s, at->operand[1], &room[1]);
        if (d->place < registers_of(s, file)) {
            s->value[OFFSET_VALUE] = (i64)(s64)at->target;
            put_indexed(s, op, (u32)at->other, at->target != 0, d->place, base, index);
            return;
        }
        sum = put_sum(s, base, index, (u32)at->other);
        base = &sum;
    }
    u32 ibase = source_index(s, base, TYPE_I64, op->classes_a, 1, 0), offset = offset_index(s, op->classes_b, at->target);
    s->value[SLOT_D] = (i64)(s64)d->slot;
    s->place[0] = d->place;
    u32 pattern = pattern_of(s, op, d, TYPE_I64, base, NO_TYPE, base);
    put(s, s->library->placements[op->base[FREE] + ((pattern * op->n_d + d->alternative) * op->n_a + ibase) * op->n_b + offset]);
}

static void select_store(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    int file = operand_file(op, 0);
    struct location room[3], sum;
    const struct location *value = locate(s, at->operand[0], &room[0]), *base = locate(s, at->operand[1], &room[1]);
    if (is_immediate(value) && op->flags & STORES_BYTE)
        room[0].value = (i64)(s64)(s8)value->value;
    if (at->other >= 0) {
        const struct location *index = locate(s, at->operand[2], &room[2]);
        if (is_immediate(value) || value->place < registers_of(s, file)) {
            s->value[OFFSET_VALUE] = (i64)(s64)at->target;
            s->value[IMMEDIATE_A] = value->value;
            u32 kind = is_immediate(value) ? op->offsets : at->target != 0;
            put_indexed(s, op, (u32)at->other, kind, is_immediate(value) ? 0 : value->place, base, index);
            return;
        }
        sum = put_sum(s, base, index, (u32)at->other);
        base = &sum;
    }
    u32 ibase = source_index(s, base, TYPE_I64, op->classes_b, 2, 1);
    u32 ivalue = source_index(s, value, op->operand_type[0], op->classes_a, 1, 0), offset = offset_index(s, op->classes_c, at->target);
    put(s, s->library->placements[op->base[FREE] + (ivalue * op->n_b + ibase) * op->n_c + offset]);
}

/* A block, or behind the last one a side exit. */
static s32 block_of(const struct compilation *c, s32 label) { return (s32)c->block_at[c->label_at[label]]; }

/* The block that follows in the code: dead blocks leave no trace. */
static s32 next_block(const struct compilation *c, s32 block) {
    do
        block++;
    while (block < (s32)c->n_blocks && !c->blocks[block].reachable);
    return block;
}

static void jump_to(struct selection *s, s32 target) {
    s->branch_target = target;
    put_branch(s, s->library->control[JUMP_STENCIL]);
}

/* The branch of an op, with the operands of an instruction. */
static void put_condition(struct selection *s, const struct instruction *at, const struct op *op, s32 target) {
    struct location room[2];
    const struct location *a = locate(s, at->operand[0], &room[0]), *b = a;
    if (at->n > 1) {
        b = locate(s, at->operand[1], &room[1]);
        if (is_immediate(a) && op->swapped != NO_OP) {
            const struct location *t = a;
            a = b;
            b = t;
            op = &s->library->ops[op->swapped];
        }
    }
    s->branch_target = target;
    u32 ib = 0;
    if (at->n > 1)
        ib = source_index(s, b, op->operand_type[1], op->classes_b, 2, 1);
    u32 ia = source_index(s, a, op->operand_type[0], op->classes_a, 1, 0);
    put_branch(s, s->library->placements[op->base[FREE] + ia * op->n_b + ib]);
}

/* Returns the block to go on with: a branch around a jump takes the jump's place. */
static s32 select_branch(struct selection *s, const struct instruction *at, s32 block) {
    struct compilation *c = s->c;
    const struct op *op = &s->library->ops[at->op];
    s32 next = next_block(c, block), taken = block_of(c, at->target);
    s32 otherwise = at->other >= 0 ? block_of(c, at->other) : next;
    if (at->other < 0 && op->inverse != NO_OP && next < (s32)c->n_blocks) {
        const struct block *behind = &c->blocks[next];
        const struct instruction *jump = &c->instructions[behind->first];
        if (next != s->check && behind->n_predecessors == 1 && behind->end == behind->first + 1 && jump->kind == JUMP_OP &&
            !(jump->flags & NEEDS_SAFEPOINT) && next_block(c, next) == taken) {
            op = &s->library->ops[op->inverse];
            otherwise = taken;
            taken = block_of(c, jump->target);
            next = taken == otherwise ? next : otherwise;
        }
    }
    put_condition(s, at, op, taken);
    if (otherwise != next)
        jump_to(s, otherwise);
    return next;
}

static void select_table(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    struct location room;
    const struct location *index = locate(s, at->operand[0], &room);
    u32 ia = source_index(s, index, TYPE_I32, op->classes_a, 1, 0);
    s->value[COUNT_VALUE] = (i64)at->operand[1];
    put(s, s->library->placements[op->base[FREE] + ia]);
}

/* A stencil whose TARGET is a safepoint's slow path, out of line, which comes back behind it. */
static void put_count(struct selection *s, enum known_control which, enum event_kind kind) {
    s32 slow = s->branch_target = s->n_targets;
    s->n_targets += 2;
    owe_cold(s);
    s->branch_kind = kind;
    put_branch(s, s->library->control[which]);
    s->branch_kind = BRANCH_EVENT;
    bind(s, slow + 1);
}
