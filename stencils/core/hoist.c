/* What a loop computes in every round alike -> computed once, in front of the loop.
 *
 * The loop must be entered nowhere but at its head. What is moved has no effect but its result, and operands that the loop
 * does not define; it may then be computed for nothing, but never wrongly. Three levels of loops are looked at, so that
 * the work stays linear. */
#include "loops.h"

static int is_outside(const struct loop *loop, u32 moved_to) { return moved_to != STAYS && moved_to <= loop->entry; }

static void note_definitions(struct hoisting *h, const struct loop *loop, u32 number) {
    for (u32 i = loop->head; i <= loop->end; i++) {
        const struct instruction *at = &h->c->instructions[i];
        if (at->d >= 0 && !is_outside(loop, h->moved_to[i]))
            h->defined_in[at->d] = number;
    }
}

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

/* Whether a side exit where an instruction may lead reads a register. */
static int leaves_with(const struct compilation *c, const struct instruction *at, s32 reg) {
    int is_table = at->kind == TABLE_OP;
    if (!c->request->n_exits || (!is_table && at->kind != BRANCH_OP && at->kind != JUMP_OP))
        return 0;
    for (s32 i = is_table ? at->operand[1] : 0; i >= 0; i--) {
        const struct side_exit *exit = side_exit_of(c, is_table ? list_at(c, at->other)[i] : at->target);
        for (u32 k = 0; exit && k < exit->n_values; k++)
            if (!exit->values[k].constant && exit->values[k].reg == (u32)reg)
                return 1;
    }
    return 0;
}

/* The value goes to register `reg` in the uses that follow in its block. Returns whether they are all near, and of no
 * side exit, which others may lead to, too. */
static int rename_uses(const struct hoisting *h, u32 instruction, s32 old, s32 reg) {
    const struct compilation *c = h->c;
    u32 uses = c->values->uses[instruction], i = instruction + 1;
    for (; uses && i < c->n_instructions && i < instruction + NEAR; i++) {
        struct instruction *user = &c->instructions[i];
        uses -= replace_operands(c, user, old, reg);
        if (user->d == old || user->kind > CALL_OP)
            return !leaves_with(c, user, old);
    }
    return !uses || i == c->n_instructions;
}

static int has_near_uses(const struct hoisting *h, u32 instruction) {
    s32 d = h->c->instructions[instruction].d;
    return rename_uses(h, instruction, d, d);
}

static int is_new(const struct compilation *c, s32 reg) { return reg >= (s32)c->request->n_registers; }

/* A value that other blocks need stays, although it might be moved: that it is defined wherever it is needed has yet to
 * be proved. */
static int may_move(const struct hoisting *h, const struct instruction *at, u32 number) {
    const struct compilation *c = h->c;
    if (at->kind != PLAIN_OP || at->d < 0 || c->library->ops[at->op].flags & MAY_TRAP)
        return 0;
    s32 registers = 0;
    for (u32 k = 0; k < at->n; k++) {
        registers += at->operand[k] >= 0;
        if (at->operand[k] >= 0 && h->defined_in[at->operand[k]] == number)
            return 0;
    }
    if (!registers) /* of constants alone: as cheap where it is */
        return 0;
    return is_new(c, at->d) || !c->values->crosses[at->d];
}

/* Whether two instructions compute the same; then the second may do without. */
static int computes_the_same(const struct instruction *a, const struct instruction *b) {
    return a->op == b->op && a->other == b->other && a->n == b->n && a->operand[0] == b->operand[0] &&
           (a->n < 2 || a->operand[1] == b->operand[1]) && (a->n < 3 || a->operand[2] == b->operand[2]);
}

static int drop_copy(struct hoisting *h, u32 instruction, const u32 *earlier, u32 n) {
    struct instruction *at = &h->c->instructions[instruction];
    for (u32 k = 0; k < n; k++) {
        const struct instruction *same = &h->c->instructions[earlier[k]];
        if (!computes_the_same(at, same) || h->types[same->d] != h->types[at->d])
            continue;
        rename_uses(h, instruction, at->d, same->d);
        drop(h->c, instruction);
        return 1;
    }
    return 0;
}

/* base + ((x + y) << scale), where x and the base are the same in every round: base + (x << scale) is computed in front of
 * the loop, by the instruction that added x and y. */
static void split_sum(struct hoisting *h, const struct loop *loop, u32 number, u32 block, struct instruction *at) {
    struct compilation *c = h->c;
    u32 first = at->kind == STORE_OP;
    s32 base = at->operand[first], index = at->operand[first + 1];
    u32 maker = h->made_by[index];
    if (maker <= block || h->defined_in[base] == number || h->made_by[base] > maker) /* what moves keeps its order */
        return;
    struct instruction *sum = &c->instructions[maker - 1];
    int is_sum = sum->kind == PLAIN_OP && sum->op == c->library->known[I64_ADD] && sum->other < 0 && sum->operand[0] >= 0 &&
                 sum->operand[1] >= 0;
    if (!is_sum || sum->d != index || h->moved_to[maker - 1] != STAYS || is_new(c, index) || !has_one_use(c, maker - 1))
        return;
    u32 k = h->defined_in[sum->operand[0]] != number;
    s32 varies = sum->operand[k], same = sum->operand[1 - k];
    if (h->defined_in[same] == number || (varies != index && h->made_by[varies] > maker))
        return;
    *sum = (struct instruction){.op = sum->op, .n = 2, .kind = PLAIN_OP, .target = -1, .number = sum->number,
                                .d = new_register(h, TYPE_I64), .operand = {base, same}, .other = at->other ? at->other : -1};
    h->made_by[sum->d] = maker;
    at->operand[first] = sum->d;
    at->operand[first + 1] = varies;
    h->moved_to[maker - 1] = loop->entry;
    h->n_moved++;
}

static void hoist_from(struct hoisting *h, const struct loop *loop, u32 number) {
    struct compilation *c = h->c;
    u32 made[REMEMBERED], n_made = 0, block = loop->head;
    note_definitions(h, loop, number);
    for (u32 i = loop->head; i <= loop->end; i++) {
        struct instruction *at = &c->instructions[i];
        if (at->kind > CALL_OP)
            block = i + 1;
        if ((at->kind == LOAD_OP || at->kind == STORE_OP) && at->other >= 0)
            split_sum(h, loop, number, block, at);
        if (at->d >= 0 && h->moved_to[i] == STAYS)
            h->made_by[at->d] = i + 1;
        if (is_outside(loop, h->moved_to[i]) || !may_move(h, at, number))
            continue;
        if (!is_new(c, at->d)) {
            if (!has_near_uses(h, i) || drop_copy(h, i, made, n_made < REMEMBERED ? n_made : REMEMBERED))
                continue;
            s32 reg = new_register(h, h->types[at->d]);
            rename_uses(h, i, at->d, reg);
            at->d = reg;
            h->made_by[reg] = i + 1;
        }
        made[n_made++ % REMEMBERED] = i;
        h->defined_in[at->d] = 0;
        h->n_moved += h->moved_to[i] == STAYS;
        h->moved_to[i] = loop->entry;
    }
}
