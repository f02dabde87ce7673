/* Equal values of one block -> one register, in innermost loops. */
#include "loops.h"

/* How many of the registers that an instruction reads are `old`; they become `reg`. */
static u32 replace_operands(const struct compilation *c, struct instruction *user, s32 old, s32 reg) {
    int call = user->kind == CALL_OP;
    s32 *operands = call ? list_at(c, user->other) : user->operand;
    u32 found = 0;
    for (s32 k = call ? user->operand[0] : user->n; k-- > 0;)
        if (operands[k] == old) {
            operands[k] = reg;
            found++;
        }
    return found;
}

/* The value goes to register `reg` in the uses that follow in its block. Returns whether they are all near. */
static int rename_uses(const struct hoisting *h, u32 instruction, s32 old, s32 reg) {
    const struct compilation *c = h->c;
    u32 uses = c->values->uses[instruction + 1], i = instruction + 1;
    for (; uses && i < c->n_instructions && i < instruction + NEAR; i++) {
        struct instruction *user = &c->instructions[i];
        uses -= replace_operands(c, user, old, reg);
        if (user->d == old || user->kind > CALL_OP)
            return 1;
    }
    return !uses || i == c->n_instructions;
}

/* And none is a side exit's, where others may lead, too. */
static int has_near_uses(const struct hoisting *h, u32 instruction) {
    s32 d = h->c->instructions[instruction].d;
    return !(h->c->values->uses[instruction + 1] & IS_PASSED_ON) && rename_uses(h, instruction, d, d);
}

static int is_new(const struct compilation *c, s32 reg) { return reg >= (s32)c->request->n_registers; }

static int is_same(const struct compilation *c, s32 a, s32 b) {
    return a == b || (a < 0 && b < 0 && constant(c, a) == constant(c, b));
}

/* Whether two instructions compute the same; then the second may do without. */
static int computes_the_same(const struct compilation *c, const struct instruction *a, const struct instruction *b) {
    if (a->op != b->op || a->other != b->other || a->n != b->n)
        return 0;
    for (u32 k = 0; k < a->n; k++)
        if (!is_same(c, a->operand[k], b->operand[k]))
            return 0;
    return 1;
}

/* The latest of the instructions with some hash: its number + 1. And how many may be shared. */
enum { MOST_SHARED = 16 };
struct shared {
    u32 latest[MOST_SHARED], n;
};

static u32 hash(const struct compilation *c, const struct instruction *at) {
    u32 sum = at->op;
    for (u32 k = 0; k < at->n; k++)
        sum = sum * 5 + (at->operand[k] < 0 ? (u32)constant(c, at->operand[k]) : (u32)at->operand[k]);
    return (sum ^ sum >> 4) % MOST_SHARED;
}

/* Whether what an instruction makes may be had from an equal one before it: it has no effect but its result, which its
 * block alone needs. A move is no cheaper than its copy. */
static int is_shareable(const struct hoisting *h, const struct instruction *at) {
    const struct compilation *c = h->c;
    if (at->kind != PLAIN_OP || at->d < 0 || is_new(c, at->d) || c->values->crosses[at->d] ||
        c->library->ops[at->op].flags & MAY_TRAP || is_either(c->library, at->op, INTEGER_MOVE, FLOAT_MOVE))
        return 0;
    return at->operand[0] >= 0 || (at->n > 1 && at->operand[1] >= 0);
}

/* Whether the operands of an instruction are what they were when an earlier one of the block read them. */
static int has_not_changed(const struct hoisting *h, const struct instruction *at, u32 earlier) {
    for (u32 k = 0; k < at->n; k++)
        if (at->operand[k] >= 0 && h->made_by[at->operand[k]] > earlier)
            return 0;
    return 1;
}

/* Drops an instruction whose value the block has already. Requires `made_by` as it is in front of it. */
static int share_value(struct hoisting *h, u32 instruction, u32 block, u32 number, struct shared *shared) {
    struct compilation *c = h->c;
    struct instruction *at = &c->instructions[instruction];
    if (h->moved_to[instruction] != STAYS || !is_shareable(h, at))
        return 0;
    shared->n++;
    u32 *latest = &shared->latest[hash(c, at)], earlier = *latest - 1;
    *latest = instruction + 1;
    if (earlier == STAYS || earlier < block || h->moved_to[earlier] != STAYS)
        return 0;
    struct instruction *same = &c->instructions[earlier];
    if (!computes_the_same(c, at, same) || !has_not_changed(h, at, earlier) || h->types[at->d] != h->types[same->d] ||
        !has_near_uses(h, instruction) || (!is_new(c, same->d) && !has_near_uses(h, earlier)))
        return 0;
    if (!is_new(c, same->d)) {
        s32 reg = new_register(h, h->types[same->d]);
        rename_uses(h, earlier, same->d, reg);
        same->d = reg;
        h->defined_in[reg] = number;
        h->defined_at[reg] = earlier;
        h->made_by[reg] = earlier + 1;
    }
    rename_uses(h, instruction, at->d, same->d);
    c->values->uses[earlier + 1] += c->values->uses[instruction + 1];
    drop(c, instruction);
    h->n_moved++;
    *latest = earlier + 1;
    return 1;
}
