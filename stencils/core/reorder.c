/* What was decided about loops -> instructions in their new order; short loops do two rounds between jumps back. */
#include "loops.h"

/* How many instructions two rounds take beyond one, if the loop is `head: branch out; body; jump head` with a short and
 * straight body; else 0. The second round's branch out is the only one that is left between the two. */
static u32 repeated_size(const struct hoisting *h, const struct loop *loop) {
    const struct compilation *c = h->c;
    u32 test = loop->head + 1, size = 0;
    if (loop->level || loop->end <= test || c->instructions[loop->end].kind != JUMP_OP ||
        (c->instructions[test].kind != BRANCH_OP && c->instructions[test].kind != GUARD_OP))
        return 0;
    s32 out = c->label_at[c->instructions[test].target];
    if (out >= (s32)loop->head && out <= (s32)loop->end)
        return 0;
    for (u32 i = test + 1; i < loop->end; i++) {
        if (c->instructions[i].kind >= GUARD_OP)
            return 0;
        size += !is_outside(loop, h->moved_to[i]) && c->instructions[i].kind != DROPPED_OP;
    }
    return size <= c->library->most_repeated ? loop->end - test : 0;
}

/* Decides which loops are repeated. Returns how many more instructions that makes. */
static u32 repeat_loops(struct hoisting *h) {
    u32 more = 0;
    h->n_repeated = 0;
    for (u32 k = 0; k < h->n_loops; k++) {
        u32 size = repeated_size(h, &h->loops[k]);
        if (size)
            h->loops[h->n_repeated++] = h->loops[k]; /* the others are done with */
        more += size;
    }
    return more;
}

static u32 put_constants(struct hoisting *h, struct instruction *to) {
    struct compilation *c = h->c;
    for (u32 k = 0; k < h->n_constants; k++) {
        to[k] = (struct instruction){.n = 1, .kind = PLAIN_OP, .d = h->constants[k].reg, .target = -1, .other = -1};
        to[k].op = c->library->known[IS_FLOAT(h->constants[k].type) ? FLOAT_MOVE : INTEGER_MOVE];
        if (!add_constant(c, h->constants[k].value, &to[k].operand[0]))
            return 0;
    }
    return h->n_constants;
}

/* What goes in front of which instruction: lists in the order of the code. */
struct order {
    u32 *first, *next;
};

static u32 put_moved(const struct hoisting *h, const struct order *order, u32 i, struct instruction *to) {
    u32 n = 0;
    for (u32 moved = order->first[i]; moved != STAYS; moved = order->next[moved])
        to[n++] = h->c->instructions[moved];
    return n;
}

/* The second round, in front of the jump back. */
static u32 put_again(const struct hoisting *h, const struct order *order, const struct loop *loop, struct instruction *to) {
    u32 n = 0;
    for (u32 i = loop->head + 1; i < loop->end; i++) {
        n += put_moved(h, order, i, to + n);
        if (h->moved_to[i] == STAYS && h->c->instructions[i].kind != DROPPED_OP)
            to[n++] = h->c->instructions[i];
    }
    return n;
}

static void find_controls_and_calls(struct compilation *c) {
    c->n_controls = c->n_calls = 0;
    for (u32 i = 0; i < c->n_instructions; i++) {
        if (c->instructions[i].kind > CALL_OP)
            c->controls[c->n_controls++] = i;
        else if (c->instructions[i].kind == CALL_OP)
            c->calls[c->n_calls++] = i;
    }
}

/* Of n instructions; what is behind them are side exits, and these stay behind them. */
static void renumber_labels(struct compilation *c, const u32 *now_at, s32 n) {
    for (u32 k = 0; k < c->n_labels; k++) {
        s32 *at = &c->label_at[k];
        if (*at >= 0) /* one that nobody uses need not be placed */
            *at = *at < n ? (s32)now_at[*at] : (s32)c->n_instructions + *at - n;
    }
}

static int reorder(struct hoisting *h, u32 more) {
    struct compilation *c = h->c;
    u32 n = c->n_instructions;
    struct instruction *to;
    struct order order;
    u32 *now_at;
    if (!ALLOCATE(c, to, n + h->n_constants + h->n_added + more) || !ALLOCATE(c, order.first, n) || !ALLOCATE(c, order.next, n) ||
        !ALLOCATE(c, now_at, n) || !ALLOCATE(c, c->controls, c->n_controls + h->n_repeated))
        return 0;
    fill(order.first, 0xff, n * sizeof *order.first);
    for (u32 i = n; i-- > 0;)
        if (h->moved_to[i] != STAYS && c->instructions[i].kind != DROPPED_OP) {
            order.next[i] = order.first[h->moved_to[i]];
            order.first[h->moved_to[i]] = i;
        }
    u32 k = put_constants(h, to), repeated = 0;
    if (k != h->n_constants)
        return 0;
    const struct added *added = h->added;
    for (u32 i = 0; i < n; i++) {
        k += put_moved(h, &order, i, to + k);
        for (; added && added->before == i; added = added->next)
            to[k++] = added->instruction;
        if (repeated < h->n_repeated && h->loops[repeated].end == i)
            k += put_again(h, &order, &h->loops[repeated++], to + k);
        now_at[i] = k;
        if (h->moved_to[i] == STAYS && c->instructions[i].kind != DROPPED_OP)
            to[k++] = c->instructions[i];
    }
    c->instructions = to;
    c->n_instructions = k;
    renumber_labels(c, now_at, (s32)n);
    find_controls_and_calls(c);
    return 1;
}

/* Moves what has been made down to where scratch memory is free again. */
static void *keep(struct compilation *c, const void *from, u64 size) {
    const u64 *words = from;
    u64 *to = (u64 *)c->next, n = (size + 15) / 16 * 2;
    for (u64 k = 0; k < n; k++)
        to[k] = words[k];
    c->next = (char *)(to + n);
    return to;
}
#define KEEP(c, pointer, n) ((pointer) = keep((c), (pointer), (u64)(n) * sizeof *(pointer)))

static int improve_loops(struct compilation *c) {
    struct hoisting h = {.c = c};
    char *temporary = c->next;
    if (!c->has_loops)
        return 1;
    if (!begin_hoisting(&h))
        return 0;
    for (u32 k = 0; k < h.n_loops; k++) {
        struct loop *loop = &h.loops[k];
        if (c->has_wide_constants && loop->level == 0)
            give_registers_to_constants(&h, loop);
        if (loop->level >= MOST_LEVELS || !find_entry(&h, loop))
            continue;
        u32 n = hoist_from(&h, loop, k + 1);
        if (n > 1 && !find_inductions(&h, loop, k + 1))
            return 0;
    }
    u32 more = repeat_loops(&h);
    int moves = h.n_moved || h.n_constants || more;
    if (moves && !reorder(&h, more))
        return 0;
    c->types = h.types;
    c->next = temporary;
    KEEP(c, c->types, c->n_registers);
    if (moves) {
        KEEP(c, c->instructions, c->n_instructions);
        KEEP(c, c->controls, c->n_controls);
    }
    return 1;
}
