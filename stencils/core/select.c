/* Instructions -> stencils: one table lookup an op, its placement being the index. */
#include "events.h"

static int operand_file(const struct op *op, u32 k) { return IS_FLOAT(op->operand_type[k]); }
static int narrow(const struct op *op, u32 k) { return op->operand_type[k] == TYPE_I32; }

/* Of several operands the last is looked at first: what goes through a temporary slot uses the holes of operand a. */

/* d = a op b in place: d is a already, or becomes it. */
static void put_tied(struct selection *s, const struct op *op, struct location d, struct location b, struct location c) {
    u32 ib = source_index(s, &b, operand_file(op, 1), op->classes_b, narrow(op, 1), SLOT_B, IMMEDIATE_B, 0), ic = 0;
    if (op->n_operands > 2)
        ic = source_index(s, &c, operand_file(op, 2), op->classes_c, narrow(op, 2), SLOT_C, IMMEDIATE_C, 1);
    s->value[SLOT_D] = s->value[SLOT_A] = (i64)(s64)d.slot;
    put(s, s->library->placements[op->base[TIED] + (d.place * op->n_b + ib) * op->n_c + ic]);
}

static void put_reversed(struct selection *s, const struct op *op, struct location a, struct location d, struct location c) {
    int file = operand_file(op, 1);
    u32 registers = registers_of(s, file), ic = 0;
    u32 classes = op->n_a_reversed > registers + 1 ? (op->operand_type[0] == TYPE_I32 ? CLASS_I32 : CLASS_I64) : 0;
    if (op->n_operands > 2)
        ic = source_index(s, &c, operand_file(op, 2), op->classes_c, narrow(op, 2), SLOT_C, IMMEDIATE_C, 1);
    u32 ia = source_index(s, &a, operand_file(op, 0), classes, narrow(op, 0), SLOT_A, IMMEDIATE_A, 0);
    s->value[SLOT_D] = s->value[SLOT_B] = (i64)(s64)d.slot;
    put(s, s->library->placements[op->base[REVERSED] + (ia * (registers + 1) + d.place) * op->n_c + ic]);
}

static void put_free(struct selection *s, const struct op *op, struct location d, struct location a, struct location b) {
    u32 ib = 0;
    if (op->n_operands > 1)
        ib = source_index(s, &b, operand_file(op, 1), op->classes_b, narrow(op, 1), SLOT_B, IMMEDIATE_B, 1);
    u32 ia = source_index(s, &a, operand_file(op, 0), op->classes_a, narrow(op, 0), SLOT_A, IMMEDIATE_A, 0);
    s->value[SLOT_D] = (i64)(s64)d.slot;
    put(s, s->library->placements[op->base[FREE] + (d.place * op->n_a + ia) * op->n_b + ib]);
}

/* Comparisons of floats leave 0 or 1 in the frame; few programs keep one. */
static void put_slot_result(struct selection *s, const struct op *op, struct location d, struct location a, struct location b) {
    u32 ib = source_index(s, &b, operand_file(op, 1), op->classes_b, 0, SLOT_B, IMMEDIATE_B, 1);
    u32 ia = source_index(s, &a, operand_file(op, 0), op->classes_a, 0, SLOT_A, IMMEDIATE_A, 0);
    struct location to = d.slot >= 0 ? d : in_slot(s, 0, temporary_slot(s, 2));
    s->value[SLOT_D] = (i64)(s64)to.slot;
    put(s, s->library->placements[op->base[SLOT_RESULT] + ia * op->n_b + ib]);
    move(s, 0, d, to);
}

/* Whether `op d, a, constant` has a stencil of three addresses. */
static int put_free_immediate(struct selection *s, const struct op *op, struct location d, struct location a, struct location b) {
    int file = operand_file(op, 0);
    u32 registers = registers_of(s, file);
    if (!HAS(op, FREE_IMMEDIATE) || !b.is_constant || a.is_constant)
        return 0;
    s64 value = narrow(op, 1) ? (s64)(s32)b.value : (s64)b.value;
    u32 index = class_index(op->classes_b, value, registers);
    if (!index)
        return 0;
    s->value[IMMEDIATE_B] = (i64)value;
    s->value[SLOT_A] = (i64)(s64)a.slot;
    s->value[SLOT_D] = (i64)(s64)d.slot;
    u32 classes = (u32)__builtin_popcount(op->classes_b);
    put(s, s->library->placements[op->base[FREE_IMMEDIATE] + (d.place * (registers + 1) + a.place) * classes + index - registers - 1]);
    return 1;
}

static void put_binary(struct selection *s, const struct op *op, struct location d, struct location a, struct location b,
                       struct location c) {
    const struct op *ops = s->library->ops;
    int commutes = op->flags & COMMUTATIVE, mirrors = commutes || op->swapped != NO_OP;
    int file = IS_FLOAT(op->result_type);
    if (mirrors && ((a.is_constant && !b.is_constant) || (!HAS(op, FREE) && same_place(d, b) && !same_place(d, a)))) {
        struct location t = a;
        a = b;
        b = t;
        op = commutes ? op : &ops[op->swapped];
    }
    if (HAS(op, SLOT_RESULT)) {
        put_slot_result(s, op, d, a, b);
        return;
    }
    if (HAS(op, FREE)) {
        if (commutes && !a.is_constant && !b.is_constant && a.place > b.place) /* one stencil serves both orders */
            put_free(s, op, d, b, a);
        else
            put_free(s, op, d, a, b);
        return;
    }
    if (put_free_immediate(s, op, d, a, b))
        return;
    if (!same_place(d, a)) {
        if (same_place(d, b) && HAS(op, REVERSED)) {
            put_reversed(s, op, a, d, c);
            return;
        }
        /* What d is about to overwrite, although it is still needed, goes through a temporary slot. Slots are shared by
         * both register files, so c may be in d's. */
        int c_file = op->n_operands > 2 && operand_file(op, 2);
        if (same_place(d, b)) {
            struct location kept = in_slot(s, file, temporary_slot(s, 2));
            move(s, file, kept, d);
            b = kept;
        } else if (op->n_operands > 2 && !c.is_constant &&
                   (c_file == file ? same_place(d, c) : d.slot >= 0 && d.slot == c.slot)) {
            struct location kept = in_slot(s, c_file, temporary_slot(s, 2));
            move(s, c_file, kept, c);
            c = kept;
        }
        move(s, file, d, a);
    }
    put_tied(s, op, d, b, c);
}

/* Whether nothing but d is in the scratch registers behind the instruction. */
static int scratch_is_free(const struct selection *s, struct location d) {
    for (u32 h = 0; s->library->scratch >> h; h++) {
        s32 occupant = s->occupant[0][h];
        if (s->library->scratch >> h & 1 && h != d.place && occupant >= 0 &&
            s->c->intervals[occupant].end > position_of(s->instruction))
            return 0;
    }
    return 1;
}

/* Division and remainder by a constant: multiplication and shift (Granlund and Montgomery, 1994). */
static int put_division(struct selection *s, u32 row, struct location d, struct location a, i64 divisor) {
    u32 kind = division_kind(s->library, row);
    if (kind == DIVISION_KINDS || (s64)divisor < 2 || divisor > 0x7fffffff)
        return 0;
    int wide = kind >= 4, is_unsigned = kind & 1;
    struct magic magic = wide ? (is_unsigned ? magic_u64(divisor) : magic_s64(divisor))
                              : (is_unsigned ? magic_u32((u32)divisor) : magic_s32((u32)divisor));
    u32 magic_op = magic.add ? I64_DIV_S_MAGIC_ADD + (kind - 4) : I32_DIV_S_MAGIC + kind;
    const struct op *op = &s->library->ops[s->library->known[magic_op]];
    s->value[MULTIPLIER_VALUE] = magic.multiplier;
    s->value[DIVISOR_VALUE] = divisor;
    move(s, 0, d, a);
    s->value[IMMEDIATE_B] = magic.shift;
    s->value[SLOT_D] = s->value[SLOT_A] = (i64)(s64)d.slot;
    enum form form = scratch_is_free(s, d) ? SCRATCH : TIED;
    put(s, s->library->placements[op->base[form] + d.place]); /* the shift is b's only alternative */
    return 1;
}

/* Subtraction of a constant: addition of its opposite, which has stencils of three addresses and short immediates.
 * Rotation to the right: to the left by the opposite, whose stencils are shorter.
 * Multiplication, unsigned division and remainder by a power of two: a shift or a mask. Returns the op to use. */
static u32 reduce_strength(const struct selection *s, u32 row, i64 *constant) {
    const u16 *known = s->library->known;
    i64 value = *constant;
    if (row == known[I64_SUB] || row == known[I32_SUB]) {
        *constant = row == known[I64_SUB] ? -value : (i64)(u32)-value;
        return known[row == known[I64_SUB] ? I64_ADD : I32_ADD];
    }
    if (row == known[I64_ROTR] || row == known[I32_ROTR]) {
        *constant = -value;
        return known[row == known[I64_ROTR] ? I64_ROTL : I32_ROTL];
    }
    if (!value || value & (value - 1))
        return row;
    u32 shift = (u32)__builtin_ctzll(value);
    static const u8 rules[][3] = {{I32_MUL, I32_SHL, 1},   {I64_MUL, I64_SHL, 1},   {I32_DIV_U, I32_SHR_U, 1},
                                  {I64_DIV_U, I64_SHR_U, 1}, {I32_REM_U, I32_AND, 0}, {I64_REM_U, I64_AND, 0}};
    for (u32 k = 0; k < sizeof rules / 3; k++)
        if (known[rules[k][0]] == row) {
            *constant = rules[k][2] ? shift : value - 1;
            return known[rules[k][1]];
        }
    return row;
}

/* ---- base and index ---- */

/* The stencil of a register and two places, and their fields. Kinds: 0 without a constant offset, then with one, then
 * storing an immediate. */
static void put_indexed(struct selection *s, const struct op *op, u32 scale, u32 kind, u32 first, struct location at_base,
                        struct location at_index) {
    u32 base = at_base.place, index = at_index.place;
    s->value[op->shape == STORE ? SLOT_B : SLOT_A] = (i64)(s64)at_base.slot;
    s->value[SLOT_C] = (i64)(s64)at_index.slot;
    u32 kinds = op->offsets + op->values - 1u, rank = (u32)__builtin_popcount(op->scales & ((1u << scale) - 1));
    const struct family *family = &s->library->families[op->families + rank * kinds + kind];
    put(s, family->stencil[family->group[0][first]][family->group[1][base]][family->group[2][index]]);
    s->c->items[s->c->n_items - 1].value ^= family->field[0][first] ^ family->field[1][base] ^ family->field[2][index];
}

/* base + (index << scale) in a slot, for what is not in a register itself. */
static struct location put_sum(struct selection *s, struct location base, struct location index, u32 scale) {
    const struct library *library = s->library;
    struct location sum = in_slot(s, 0, temporary_slot(s, 2));
    struct location by = {.is_constant = 1, .value = scale, .slot = -2};
    move(s, 0, sum, index);
    if (scale)
        put_tied(s, &library->ops[library->known[I64_SHL]], sum, by, by);
    put_binary(s, &library->ops[library->known[I64_ADD]], sum, sum, base, base);
    return sum;
}

static void select_indexed_add(struct selection *s, const struct instruction *at, struct location d) {
    struct location base = locate(s, at->operand[0], 0), index = locate(s, at->operand[1], 0);
    if (d.place < registers_of(s, 0))
        put_indexed(s, &s->library->ops[at->op], (u32)at->other, 0, d.place, base, index);
    else
        move(s, 0, d, put_sum(s, base, index, (u32)at->other));
}

/* Three, five and nine times a number: it and twice, four or eight times it. */
static int put_small_multiple(struct selection *s, u32 row, struct location d, struct location a, i64 times) {
    const u16 *known = s->library->known;
    if (d.place >= registers_of(s, 0) || (times != 3 && times != 5 && times != 9))
        return 0;
    if (row != known[I32_MUL] && row != known[I64_MUL])
        return 0;
    const struct op *op = &s->library->ops[known[row == known[I32_MUL] ? I32_ADD : I64_ADD]];
    u32 scale = (u32)__builtin_ctzll(times - 1);
    if (!(op->scales >> scale & 1))
        return 0;
    put_indexed(s, op, scale, 0, d.place, a, a);
    return 1;
}

static void select_value(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    int file = IS_FLOAT(op->result_type);
    struct location d = locate(s, at->d, file), a = locate(s, at->operand[0], operand_file(op, 0));
    if (at->other >= 0) {
        select_indexed_add(s, at, d);
        return;
    }
    if (at->op == s->library->known[INTEGER_MOVE] || at->op == s->library->known[FLOAT_MOVE]) {
        move(s, file, d, a);
        return;
    }
    if (at->n == 1) {
        if (HAS(op, FREE))
            put_free(s, op, d, a, a);
        else
            put_binary(s, op, d, a, (struct location){.is_constant = 1}, a);
        return;
    }
    struct location b = locate(s, at->operand[1], operand_file(op, 1)), c = b;
    if (at->n > 2)
        c = locate(s, at->operand[2], operand_file(op, 2));
    u32 row = at->op;
    if (b.is_constant && s->library->reducible[row >> 6 & 3] >> (row & 63) & 1) {
        row = reduce_strength(s, row, &b.value);
        op = &s->library->ops[row];
        if (op->n_b == registers_of(s, 0) + 2) /* shifts take their count modulo the width */
            b.value &= op->result_type == TYPE_I32 ? 31 : 63;
        else if (!a.is_constant && (put_small_multiple(s, row, d, a, b.value) || put_division(s, row, d, a, b.value)))
            return;
    }
    put_binary(s, op, d, a, b, c);
}

static u32 offset_index(const struct selection *s, u32 classes, s32 offset) {
    return class_index(classes, offset, registers_of(s, 0)) - registers_of(s, 0) - 1;
}

static void select_load(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    int file = IS_FLOAT(op->result_type);
    struct location d = locate(s, at->d, file), base = locate(s, at->operand[0], 0);
    if (at->other >= 0) {
        struct location index = locate(s, at->operand[1], 0);
        if (d.place < registers_of(s, file)) {
            s->value[OFFSET_VALUE] = (i64)(s64)at->target;
            put_indexed(s, op, (u32)at->other, at->target != 0, d.place, base, index);
            return;
        }
        base = put_sum(s, base, index, (u32)at->other);
    }
    u32 ibase = source_index(s, &base, 0, op->classes_a, 0, SLOT_A, IMMEDIATE_A, 0);
    s->value[SLOT_D] = (i64)(s64)d.slot;
    s->value[OFFSET_VALUE] = (i64)(s64)at->target;
    put(s, s->library->placements[op->base[FREE] + (d.place * op->n_a + ibase) * op->n_b + offset_index(s, op->classes_b, at->target)]);
}

static void select_store(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    int file = operand_file(op, 0);
    struct location value = locate(s, at->operand[0], file), base = locate(s, at->operand[1], 0);
    if (value.is_constant && op->classes_a == CLASS_I8) /* a store of one byte */
        value.value = (i64)(s64)(s8)value.value;
    if (at->other >= 0) {
        struct location index = locate(s, at->operand[2], 0);
        if (value.is_constant || value.place < registers_of(s, file)) {
            s->value[OFFSET_VALUE] = (i64)(s64)at->target;
            s->value[IMMEDIATE_A] = value.value;
            u32 kind = value.is_constant ? op->offsets : at->target != 0;
            put_indexed(s, op, (u32)at->other, kind, value.is_constant ? 0 : value.place, base, index);
            return;
        }
        base = put_sum(s, base, index, (u32)at->other);
    }
    u32 ibase = source_index(s, &base, 0, op->classes_b, 0, SLOT_B, IMMEDIATE_B, 1);
    u32 ivalue = source_index(s, &value, file, op->classes_a, narrow(op, 0), SLOT_A, IMMEDIATE_A, 0);
    s->value[OFFSET_VALUE] = (i64)(s64)at->target;
    put(s, s->library->placements[op->base[FREE] + (ivalue * op->n_b + ibase) * op->n_c + offset_index(s, op->classes_c, at->target)]);
}

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
    put_control(s, JUMP_STENCIL);
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
    struct location a = locate(s, at->operand[0], operand_file(op, 0)), b = a;
    if (at->n > 1) {
        b = locate(s, at->operand[1], operand_file(op, 1));
        if (a.is_constant && op->swapped != NO_OP) {
            struct location t = a;
            a = b;
            b = t;
            op = &s->library->ops[op->swapped];
        }
    }
    s->branch_target = taken;
    u32 ib = 0;
    if (at->n > 1)
        ib = source_index(s, &b, operand_file(op, 1), op->classes_b, narrow(op, 1), SLOT_B, IMMEDIATE_B, 1);
    u32 ia = source_index(s, &a, operand_file(op, 0), op->classes_a, narrow(op, 0), SLOT_A, IMMEDIATE_A, 0);
    put(s, s->library->placements[op->base[FREE] + ia * op->n_b + ib]);
    if (otherwise != next)
        jump_to(s, otherwise);
    return next;
}

static void select_table(struct selection *s, const struct instruction *at) {
    const struct op *op = &s->library->ops[at->op];
    struct location index = locate(s, at->operand[0], 0);
    u32 ia = source_index(s, &index, 0, op->classes_a, 1, SLOT_A, IMMEDIATE_A, 0);
    s->value[COUNT_VALUE] = (i64)at->operand[1];
    put(s, s->library->placements[op->base[FREE] + ia]);
}

/* A stencil whose TARGET is a safepoint's slow path, out of line, which comes back behind it. */
static void put_count(struct selection *s, enum known_control which, enum event_kind kind) {
    s32 slow = s->branch_target = s->n_targets;
    s->n_targets += 2;
    s->n_cold++;
    s->branch_kind = kind;
    put_control(s, which);
    s->branch_kind = BRANCH_EVENT;
    bind(s, slow + 1);
}
