/* Additions, shifts and comparisons that nobody but one address or condition needs -> parts of the instruction that has it. */
#include "values.h"

/* By how much the index of `at` may be shifted by its own instruction; 0 if the shift has to be one of its own. */
static u32 folded_shift(const struct compilation *c, const struct instruction *at, u32 shift) {
    if (shift == NO_MAKER || !has_one_use(c, shift))
        return 0;
    s64 by = constant(c, c->instructions[shift].operand[1]);
    return by >= 0 && by < 8 && c->library->ops[at->op].scales >> by & 1 ? (u32)by : 0;
}

/* The operands of a sum, the shifted one last if there is one. */
static void put_operands(struct compilation *c, struct instruction *at, u32 first, const struct instruction *sum, u32 shift, u32 by) {
    const struct instruction *shifted = &c->instructions[by ? shift : 0];
    u32 last = !by || sum->operand[1] == shifted->d;
    s32 base = sum->operand[!last], index = sum->operand[last];
    at->operand[first] = base;
    at->operand[first + 1] = by ? shifted->operand[0] : index;
    at->other = (s32)by;
}

static int fold_offset(struct compilation *c, struct instruction *at, u32 first, const struct instruction *sum) {
    u32 k = sum->operand[0] < 0 ? 0 : 1;
    s64 offset = constant(c, sum->operand[k]);
    if (sum->operand[1 - k] < 0 || offset != (s32)offset || offset + at->target <= -0x80000000ll || offset + at->target > 0x7fffffff)
        return 0;
    at->operand[first] = sum->operand[1 - k];
    at->target += (s32)offset;
    return 1;
}

static int fold_index(struct compilation *c, struct instruction *at, u32 first, const struct instruction *sum, u32 shift) {
    const struct op *op = &c->library->ops[at->op];
    const struct immediate_class *class = &c->library->classes[op->indexed_class];
    int has_offset = at->target != 0;
    if (!op->scales || (has_offset && (op->offsets < 2 || !takes(class, at->target))))
        return 0;
    if (at->kind == STORE_OP && at->operand[0] < 0 && (op->values < 2 || has_offset || !takes(class, constant(c, at->operand[0]))))
        return 0;
    u32 by = folded_shift(c, at, shift);
    put_operands(c, at, first, sum, shift, by);
    at->n++;
    if (by)
        drop(c, shift);
    return 1;
}

static void fold_address(struct compilation *c, const struct candidate *candidate) {
    struct instruction *at = &c->instructions[candidate->instruction], *sum = &c->instructions[candidate->maker];
    u32 first = at->kind == STORE_OP;
    if (!has_one_use(c, candidate->maker))
        return;
    if (sum->operand[0] < 0 || sum->operand[1] < 0 ? fold_offset(c, at, first, sum) : fold_index(c, at, first, sum, candidate->shift))
        drop(c, candidate->maker);
}

/* A select tests all 64 bits, and an i32 that is zero has zeros in the upper half: both kinds of tests will do. */
static void fold_condition(struct compilation *c, struct instruction *at, const struct candidate *candidate) {
    const struct library *library = c->library;
    struct instruction *condition = &c->instructions[candidate->maker];
    if (!has_one_use(c, candidate->maker))
        return;
    if (at->kind == BRANCH_OP || at->kind == GUARD_OP) {
        u32 branch = library->ops[condition->op].branch;
        at->op = at->op == library->known[BRANCH_I32_NEZ] ? (u16)branch : library->ops[branch].inverse;
        at->n = condition->n;
        for (u32 k = 0; k < at->n; k++)
            at->operand[k] = condition->operand[k];
    } else if (condition->operand[0] < 0)
        return;
    else {
        int swaps = is_either(library, condition->op, I32_EQZ, I64_EQZ);
        s32 a = at->operand[0];
        at->operand[0] = at->operand[swaps];
        at->operand[1] = swaps ? a : at->operand[1];
        at->operand[2] = condition->operand[0];
    }
    drop(c, candidate->maker);
}

static void fold(struct compilation *c, const struct candidate *candidate) {
    struct instruction *at = &c->instructions[candidate->instruction];
    if (at->kind == LOAD_OP || at->kind == STORE_OP)
        fold_address(c, candidate);
    else if (candidate->maker != NO_MAKER)
        fold_condition(c, at, candidate);
}

/* What reads memory comes first: it can do without the sum altogether. */
static void fold_values(struct compilation *c) {
    for (u32 k = 0; k < c->values->n_candidates; k++)
        fold(c, &c->values->candidates[k]);
    for (u32 k = 0; k < c->values->n_candidates; k++) {
        const struct candidate *candidate = &c->values->candidates[k];
        struct instruction *at = &c->instructions[candidate->instruction];
        u32 by = candidate->maker == NO_MAKER && at->kind == PLAIN_OP ? folded_shift(c, at, candidate->shift) : 0;
        if (!by)
            continue;
        const struct instruction sum = *at;
        put_operands(c, at, 0, &sum, candidate->shift, by);
        drop(c, candidate->shift);
    }
}
