/* Sums and multiples of a loop's counter -> registers that are advanced beside it, in innermost loops.
 *
 * A counter is an i64 that the loop defines once, as itself and a constant. All ops of `base + (counter << 3)` are linear
 * in it, so one addition wherever the counter is advanced keeps that value up. This pays where it takes the place of
 * several ops. All is modulo 2^64: no matter whether the counter overflows. */
#include "loops.h"

enum { MOST_NODES = 32, TEMPORARIES = 3 };

/* An op that is linear in a counter, of which it has one operand, directly or by another node. The other one is steady. */
struct node {
    u32 instruction;
    u32 source;    /* the other node + 1; 0 if the operand is the counter itself */
    u32 root;      /* the first node of those that come of one: all of them are replaced, or none */
    s32 counter, steady;
    s32 other;     /* of the instruction, as its op */
    u16 op;
    u8 varies;     /* which operand it is */
    u8 is_needed;  /* by what is no node */
    u8 stays;      /* needed where the counter has gone on already, or not worth a register */
    u8 is_used;    /* its value in front of the loop, and what it advances by, are wanted */
    s32 start, step;
    s32 reg;       /* takes the value's place */
};

struct induction {
    struct hoisting *h;
    const struct loop *loop;
    u32 number, n_nodes;
    struct node nodes[MOST_NODES];
};

/* The instruction that advances a counter; STAYS if the register is none. */
static u32 advance_of(const struct induction *all, s32 reg) {
    const struct hoisting *h = all->h;
    const struct compilation *c = h->c;
    if (h->defined_in[reg] != all->number || h->defined_at[reg] == STAYS)
        return STAYS;
    const struct instruction *at = &c->instructions[h->defined_at[reg]];
    int adds = at->kind == PLAIN_OP && at->other < 0 && is_either(c->library, at->op, I64_ADD, I64_SUB);
    return adds && at->d == reg && at->operand[0] == reg && at->operand[1] < 0 ? h->defined_at[reg] : STAYS;
}

/* Whether a node's counter is advanced between it and an instruction of its block. */
static int goes_on(const struct induction *all, const struct node *node, u32 instruction) {
    u32 advance = all->h->defined_at[node->counter];
    return node->instruction < advance && advance < instruction;
}

enum operand_kind { STEADY, LINEAR, VARYING };
static enum operand_kind kind_of(const struct induction *all, s32 operand, u32 instruction) {
    const struct hoisting *h = all->h;
    if (operand < 0 || h->defined_in[operand] != all->number)
        return STEADY;
    u32 node = h->node_of[operand];
    if (node)
        return goes_on(all, &all->nodes[node - 1], instruction) ? VARYING : LINEAR;
    return advance_of(all, operand) != STAYS ? LINEAR : VARYING;
}

static int is_linear_op(const struct compilation *c, const struct instruction *at, u32 varies) {
    const u16 *known = c->library->known;
    if (at->op == known[I64_ADD] || at->op == known[I64_MUL])
        return 1;
    return !varies && (at->op == known[I64_SUB] || (at->op == known[I64_SHL] && at->operand[1] < 0));
}

static int becomes_node(struct induction *all, u32 instruction) {
    struct hoisting *h = all->h;
    const struct compilation *c = h->c;
    const struct instruction *at = &c->instructions[instruction];
    if (at->kind != PLAIN_OP || at->n != 2 || at->d < 0 || h->moved_to[instruction] != STAYS || all->n_nodes == MOST_NODES)
        return 0;
    u32 varies = kind_of(all, at->operand[0], instruction) != LINEAR;
    s32 operand = at->operand[varies], steady = at->operand[1 - varies];
    if (kind_of(all, operand, instruction) != LINEAR || kind_of(all, steady, instruction) != STEADY || !is_linear_op(c, at, varies) ||
        (!is_new(c, at->d) && c->values->crosses[at->d]) || !has_near_uses(h, instruction))
        return 0;
    u32 source = h->node_of[operand], n = all->n_nodes++;
    const struct node *of = &all->nodes[source ? source - 1 : n];
    all->nodes[n] = (struct node){.instruction = instruction, .source = source, .root = source ? of->root : n, .steady = steady,
                                  .counter = source ? of->counter : operand, .op = at->op, .other = at->other, .varies = (u8)varies};
    return 1;
}

/* What is no node needs the nodes that it reads. */
static void note_needs(struct induction *all, u32 instruction) {
    const struct compilation *c = all->h->c;
    const struct instruction *at = &c->instructions[instruction];
    int call = at->kind == CALL_OP;
    const s32 *operands = call ? list_at(c, at->other) : at->operand;
    for (s32 k = call ? at->operand[0] : at->n; k-- > 0;) {
        u32 n = operands[k] >= 0 ? all->h->node_of[operands[k]] : 0;
        if (!n)
            continue;
        struct node *node = &all->nodes[n - 1];
        node->is_needed = 1;
        node->stays |= goes_on(all, node, instruction);
    }
}

static void find_nodes(struct induction *all) {
    struct hoisting *h = all->h;
    for (u32 i = all->loop->head; i <= all->loop->end; i++) {
        const struct instruction *at = &h->c->instructions[i];
        if (is_outside(all->loop, h->moved_to[i]))
            continue;
        int is_node = becomes_node(all, i);
        if (all->n_nodes && !is_node)
            note_needs(all, i);
        if (at->d >= 0)
            h->node_of[at->d] = is_node ? all->n_nodes : 0;
    }
    for (u32 n = 0; n < all->n_nodes; n++)
        h->node_of[h->c->instructions[all->nodes[n].instruction].d] = 0;
}

/* Nodes of trees stay unless more of them go than registers are to be advanced. Returns how many these are. */
static u32 choose_trees(struct induction *all) {
    s32 saved[MOST_NODES] = {0};
    u32 advanced = 0;
    for (u32 n = all->n_nodes; n-- > 0;) {
        struct node *node = &all->nodes[n];
        node->stays |= node->is_needed && !node->source; /* one op, as advancing it would be */
        if (node->stays && node->source)
            all->nodes[node->source - 1].stays = 1;
        saved[node->root] += node->stays ? 0 : 1 - node->is_needed;
    }
    for (u32 n = all->n_nodes; n-- > 0;) {
        struct node *node = &all->nodes[n];
        node->stays |= saved[node->root] <= 0;
        advanced += node->is_needed && !node->stays;
        node->is_used |= node->is_needed && !node->stays;
        if (node->is_used && node->source)
            all->nodes[node->source - 1].is_used = 1;
    }
    return advanced;
}

/* Whether there are registers for so many more, beside those that are needed all through the loop. */
static int has_registers(struct induction *all, u32 more) {
    struct hoisting *h = all->h;
    const struct compilation *c = h->c;
    u32 n = more + TEMPORARIES;
    for (u32 i = all->loop->head; i <= all->loop->end; i++) {
        const struct instruction *at = &c->instructions[i];
        int call = at->kind == CALL_OP;
        const s32 *operands = call ? list_at(c, at->other) : at->operand;
        for (s32 k = is_outside(all->loop, h->moved_to[i]) ? 0 : call ? at->operand[0] : at->n; k-- > 0;) {
            s32 r = operands[k];
            if (r < 0 || IS_FLOAT(h->types[r]) || h->counted_in[r] == all->number)
                continue;
            h->counted_in[r] = all->number;
            n += h->defined_in[r] != all->number || (!is_new(c, r) && c->values->crosses[r]);
        }
    }
    return n <= c->library->integer_registers;
}

/* An op in front of the loop, behind those that have been moved there. */
static int put_in_front(const struct induction *all, enum known_op op, s32 a, s32 b, s32 *result) {
    struct hoisting *h = all->h;
    struct added *added;
    if (!ALLOCATE(h->c, added, 1))
        return 0;
    *result = new_register(h, TYPE_I64);
    *added = (struct added){.before = all->loop->entry};
    added->instruction = (struct instruction){.op = h->c->library->known[op], .n = op == INTEGER_MOVE ? 1 : 2, .kind = PLAIN_OP, .d = *result,
                                              .operand = {a, b}, .target = -1, .other = -1,
                                              .number = h->c->instructions[all->nodes[0].instruction].number};
    *h->last_added = added;
    h->last_added = &added->next;
    h->n_added++;
    return 1;
}

static int is_constant(const struct compilation *c, s32 operand, i64 value) { return operand < 0 && (i64)constant(c, operand) == value; }

/* Of operands the result of an op, computed now if that is possible. */
static int combine(const struct induction *all, enum known_op op, s32 a, s32 b, s32 *result) {
    struct compilation *c = all->h->c;
    i64 neutral = op == I64_MUL;
    int commutes = op == I64_ADD || op == I64_MUL;
    if (a < 0 && b < 0) {
        i64 x = (i64)constant(c, a), y = (i64)constant(c, b);
        return add_constant(c, op == I64_ADD ? x + y : op == I64_SUB ? x - y : op == I64_MUL ? x * y : x << (y & 63), result);
    }
    int is_zero = op == I64_MUL && (is_constant(c, a, 0) || is_constant(c, b, 0));
    *result = is_zero ? (a < 0 ? a : b) : commutes && is_constant(c, a, neutral) ? b : a;
    if (is_zero || *result != a || is_constant(c, b, neutral) || (op == I64_SHL && is_constant(c, a, 0)))
        return 1;
    return put_in_front(all, op, a, b, result);
}

static int shift(const struct induction *all, s32 operand, s32 by, s32 *result) {
    s32 count;
    return by <= 0 ? (*result = operand, 1) : add_constant(all->h->c, (i64)by, &count) && combine(all, I64_SHL, operand, count, result);
}

/* What a counter is when the loop is entered: a constant, if it has been set to one right in front. */
static s32 first_value(const struct induction *all, s32 counter) {
    const struct compilation *c = all->h->c;
    for (u32 i = all->loop->entry; i-- > 0 && i + NEAR > all->loop->entry;) {
        const struct instruction *at = &c->instructions[i];
        if (at->d == counter)
            return at->kind == PLAIN_OP && at->op == c->library->known[INTEGER_MOVE] && at->operand[0] < 0 ? at->operand[0] : counter;
        if (at->kind > CALL_OP)
            break;
    }
    return counter;
}

static int find_start_and_step(const struct induction *all, struct node *node) {
    const struct hoisting *h = all->h;
    const u16 *known = h->c->library->known;
    const struct node *source = node->source ? &all->nodes[node->source - 1] : 0;
    s32 start = source ? source->start : first_value(all, node->counter), step = source ? source->step : 0, steady = node->steady;
    if (!source) {
        const struct instruction *advance = &h->c->instructions[h->defined_at[node->counter]];
        i64 by = (i64)constant(h->c, advance->operand[1]);
        if (!add_constant(h->c, advance->op == known[I64_SUB] ? -by : by, &step))
            return 0;
    }
    if (node->op == known[I64_MUL])
        return combine(all, I64_MUL, start, steady, &node->start) && combine(all, I64_MUL, step, steady, &node->step);
    if (node->op == known[I64_SHL])
        return combine(all, I64_SHL, start, steady, &node->start) && combine(all, I64_SHL, step, steady, &node->step);
    if (node->op == known[I64_SUB]) {
        node->step = step;
        return combine(all, I64_SUB, start, steady, &node->start);
    }
    /* The second operand of a sum may be shifted. */
    if (!shift(all, node->varies ? step : steady, node->other, node->varies ? &node->step : &steady) ||
        (node->varies && !shift(all, start, node->other, &start)))
        return 0;
    node->step = node->varies ? node->step : step;
    return combine(all, I64_ADD, steady, start, &node->start);
}

static int is_same_value(const struct induction *all, const struct node *a, const struct node *b) {
    if (a->op != b->op || a->other != b->other || a->varies != b->varies || a->counter != b->counter || !a->source != !b->source ||
        !is_same(all->h->c, a->steady, b->steady))
        return 0;
    return !a->source || a->source == b->source || is_same_value(all, &all->nodes[a->source - 1], &all->nodes[b->source - 1]);
}

/* The node's instruction now advances the register that has its value. */
static int replace(const struct induction *all, struct node *node) {
    struct hoisting *h = all->h;
    struct compilation *c = h->c;
    struct instruction *at = &c->instructions[node->instruction];
    for (const struct node *other = all->nodes; other < node; other++)
        if (other->reg != NOTHING_DEFINED && is_same_value(all, other, node)) {
            rename_uses(h, node->instruction, at->d, other->reg);
            drop(c, node->instruction);
            return 1;
        }
    s32 step = node->step;
    if (step < 0 && is_loaded(c, c->library->known[I64_ADD], 1, constant(c, step)) && !put_in_front(all, INTEGER_MOVE, step, 0, &step))
        return 0;
    if (!put_in_front(all, INTEGER_MOVE, node->start, 0, &node->reg))
        return 0;
    rename_uses(h, node->instruction, at->d, node->reg);
    *at = (struct instruction){.op = c->library->known[I64_ADD], .n = 2, .kind = PLAIN_OP, .d = node->reg, .operand = {node->reg, step},
                               .target = -1, .other = -1, .number = at->number};
    h->defined_in[node->reg] = all->number;
    h->moved_to[node->instruction] = h->defined_at[node->counter];
    return 1;
}

static int find_inductions(struct hoisting *h, const struct loop *loop, u32 number) {
    struct induction all; /* its nodes are many zeros */
    all.h = h;
    all.loop = loop;
    all.number = number;
    all.n_nodes = 0;
    find_nodes(&all);
    if (all.n_nodes < 2)
        return 1;
    u32 advanced = choose_trees(&all);
    if (!advanced || !has_registers(&all, advanced))
        return 1;
    for (u32 n = 0; n < all.n_nodes; n++)
        all.nodes[n].reg = NOTHING_DEFINED;
    for (u32 n = 0; n < all.n_nodes; n++) {
        struct node *node = &all.nodes[n];
        if (node->is_used && !find_start_and_step(&all, node))
            return 0;
        if (!node->stays && !node->is_needed)
            drop(h->c, node->instruction);
        else if (!node->stays && !replace(&all, node))
            return 0;
    }
    h->n_moved++;
    return 1;
}
