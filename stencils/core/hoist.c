/* Loops whose every round computes the same -> computed once, in front of the loop; constants that an instruction cannot
 * hold -> registers.
 *
 * A loop is a stretch of code that ends in a jump back to its start and is entered nowhere else. What is moved has no
 * effect but its result, and operands that the loop does not define; it may then be computed for nothing, but never
 * wrongly. Three levels of loops are looked at, so that the work stays linear. */
#include "values.h"

enum { MOST_LEVELS = 3, MOST_CONSTANTS = 8, REMEMBERED = 8, NEAR = 64, STAYS = 0xffffffff };

struct loop {
    u32 head, end; /* the label, and the last jump back to it */
    u32 entry;     /* where to compute what the loop needs */
    u32 level;     /* 0 for an innermost loop */
};

struct hoisting {
    struct compilation *c;
    struct loop *loops;
    u32 n_loops;
    u32 *first_source, *last_source; /* by label: instructions that go there */
    u32 *moved_to;                   /* by instruction: in front of which one it goes, or STAYS */
    u32 *defined_in;                 /* by register: the latest loop looked at that defines it */
    u32 *made_by;                    /* by register: instruction + 1 that defined it last in the code looked at */
    u8 *types;
    u32 n_moved;
    struct wide_constant {
        i64 value;
        s32 reg;
        u8 type;
    } constants[MOST_CONSTANTS];
    u32 n_constants;
};

static void note_source(struct hoisting *h, s32 label, u32 instruction) {
    if (instruction < h->first_source[label])
        h->first_source[label] = instruction;
    if (instruction > h->last_source[label])
        h->last_source[label] = instruction;
}

static void note_sources(struct hoisting *h) {
    struct compilation *c = h->c;
    for (u32 n = 0; n < c->n_controls; n++) {
        u32 i = c->controls[n];
        const struct instruction *at = &c->instructions[i];
        if (at->kind == BRANCH_OP || at->kind == JUMP_OP)
            note_source(h, at->target, i);
        if (at->kind == TABLE_OP)
            for (s32 k = 0; k <= at->operand[1]; k++)
                note_source(h, list_at(c, at->other)[k], i);
    }
}

/* Whether the loop is entered at its head, or by the jump right in front of it; then loop->entry is set. */
static int find_entry(struct hoisting *h, struct loop *loop) {
    const struct compilation *c = h->c;
    const struct instruction *before = loop->head ? &c->instructions[loop->head - 1] : 0;
    int by_jump = before && before->kind == JUMP_OP;
    loop->entry = by_jump ? loop->head - 1 : loop->head;
    if (before && (before->kind == RETURN_OP || before->kind == TRAP_OP || before->kind == TABLE_OP))
        return 0;
    for (u32 i = loop->head; i <= loop->end; i++) {
        const struct instruction *at = &c->instructions[i];
        if (at->kind == PLACE_OP && h->last_source[at->target] != STAYS &&
            (h->first_source[at->target] < loop->entry || h->last_source[at->target] > loop->end ||
             (h->first_source[at->target] < loop->head && !by_jump)))
            return 0;
    }
    return 1;
}

/* Innermost loops first, which is the order of their ends. Several jumps back to one label are one loop, the last. The
 * loops that lie in no later one so far are on a stack, so that each is looked at twice at most. A loop that overlaps
 * another counts as one around it: there may be many. */
static int find_hoistable_loops(struct hoisting *h) {
    struct compilation *c = h->c;
    u32 *stack, depth = 0;
    if (!ALLOCATE(c, h->loops, c->n_controls) || !ALLOCATE(c, stack, c->n_controls))
        return 0;
    for (u32 k = 0; k < c->n_controls; k++) {
        u32 i = c->controls[k];
        const struct instruction *at = &c->instructions[i];
        if ((at->kind != BRANCH_OP && at->kind != JUMP_OP) || c->label_at[at->target] > (s32)i)
            continue;
        struct loop loop = {.head = (u32)c->label_at[at->target], .end = i};
        for (; depth && h->loops[stack[depth - 1]].end >= loop.head; depth--) {
            struct loop *inner = &h->loops[stack[depth - 1]];
            u32 around = inner->level + (inner->head != loop.head);
            loop.level = around > loop.level ? around : loop.level;
            if (inner->head < loop.head)
                break;
            if (inner->head == loop.head)
                inner->level = MOST_LEVELS;
        }
        stack[depth++] = h->n_loops;
        h->loops[h->n_loops++] = loop;
    }
    return 1;
}

static int is_outside(const struct loop *loop, u32 moved_to) { return moved_to != STAYS && moved_to <= loop->entry; }

static void note_definitions(struct hoisting *h, const struct loop *loop, u32 number) {
    for (u32 i = loop->head; i <= loop->end; i++) {
        const struct instruction *at = &h->c->instructions[i];
        if (at->d >= 0 && !is_outside(loop, h->moved_to[i]))
            h->defined_in[at->d] = number;
    }
}

static s32 new_register(struct hoisting *h, u8 type) {
    struct compilation *c = h->c;
    h->types[c->n_registers] = type;
    h->defined_in[c->n_registers] = h->made_by[c->n_registers] = 0;
    return (s32)c->n_registers++;
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

/* The value goes to register `reg` in the uses that follow in its block. Returns whether they are all near. */
static int rename_uses(const struct hoisting *h, u32 instruction, s32 old, s32 reg) {
    const struct compilation *c = h->c;
    u32 uses = c->values->uses[instruction], i = instruction + 1;
    for (; uses && i < c->n_instructions && i < instruction + NEAR; i++) {
        struct instruction *user = &c->instructions[i];
        uses -= replace_operands(c, user, old, reg);
        if (user->d == old || user->kind > CALL_OP)
            return 1;
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
    if (maker <= block || h->defined_in[base] == number)
        return;
    struct instruction *sum = &c->instructions[maker - 1];
    if (sum->d != index || h->moved_to[maker - 1] != STAYS || sum->kind != PLAIN_OP || sum->op != c->library->known[I64_ADD] || sum->other >= 0 || sum->operand[0] < 0 ||
        sum->operand[1] < 0 || is_new(c, index) || !has_one_use(c, maker - 1))
        return;
    u32 k = h->defined_in[sum->operand[0]] != number;
    s32 varies = sum->operand[k], same = sum->operand[1 - k];
    if (h->defined_in[same] == number || (varies != index && h->made_by[varies] > maker))
        return;
    *sum = (struct instruction){.op = sum->op, .n = 2, .kind = PLAIN_OP, .target = -1, .number = sum->number,
                                .d = new_register(h, TYPE_I64), .operand = {base, same}, .other = at->other ? at->other : -1};
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
        }
        made[n_made++ % REMEMBERED] = i;
        h->defined_in[at->d] = 0;
        h->n_moved += h->moved_to[i] == STAYS;
        h->moved_to[i] = loop->entry;
    }
}

/* ---- constants ---- */

/* A register for a constant that instructions of this type cannot hold; NOTHING_DEFINED if there are too many. */
static s32 register_of_constant(struct hoisting *h, i64 value, u8 type) {
    for (u32 k = 0; k < h->n_constants; k++)
        if (h->constants[k].value == value && h->constants[k].type == type)
            return h->constants[k].reg;
    if (h->n_constants == MOST_CONSTANTS)
        return NOTHING_DEFINED;
    struct wide_constant *constant = &h->constants[h->n_constants++];
    *constant = (struct wide_constant){value, new_register(h, type), type};
    return constant->reg;
}

static void give_registers_to_constants(struct hoisting *h, const struct loop *loop) {
    struct compilation *c = h->c;
    const u16 *known = c->library->known;
    for (u32 i = loop->head; i <= loop->end; i++) {
        struct instruction *at = &c->instructions[i];
        if ((at->kind != PLAIN_OP && at->kind != BRANCH_OP) || at->op == known[INTEGER_MOVE])
            continue;
        const struct op *op = &c->library->ops[at->op];
        int by_destination = at->op == known[FLOAT_MOVE] || at->op == known[INTEGER_SELECT] || at->op == known[FLOAT_SELECT];
        for (u32 k = 0; k < at->n; k++) {
            if (at->operand[k] >= 0)
                continue;
            u8 type = by_destination && k < 2 ? h->types[at->d] : op->operand_type[k];
            i64 value = (i64)constant(c, at->operand[k]);
            s32 reg = is_wide(value, type) ? register_of_constant(h, value, type) : NOTHING_DEFINED;
            if (reg >= 0)
                at->operand[k] = reg;
        }
    }
}

/* ---- the new order ---- */

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

static void renumber(u32 *list, u32 n, const u32 *now_at) {
    for (u32 k = 0; k < n; k++)
        if (list[k] != STAYS) /* a label that is neither placed nor used */
            list[k] = now_at[list[k]];
}

static int reorder(struct hoisting *h) {
    struct compilation *c = h->c;
    u32 n = c->n_instructions;
    struct instruction *to;
    u32 *first, *next, *now_at;
    if (!ALLOCATE(c, to, n + h->n_constants) || !ALLOCATE(c, first, n) || !ALLOCATE(c, next, n) || !ALLOCATE(c, now_at, n))
        return 0;
    fill(first, 0xff, n * sizeof *first);
    for (u32 i = n; i-- > 0;)
        if (h->moved_to[i] != STAYS) {
            next[i] = first[h->moved_to[i]];
            first[h->moved_to[i]] = i;
        }
    u32 k = put_constants(h, to);
    if (k != h->n_constants)
        return 0;
    for (u32 i = 0; i < n; i++) {
        for (u32 moved = first[i]; moved != STAYS; moved = next[moved])
            to[k++] = c->instructions[moved];
        now_at[i] = k;
        if (h->moved_to[i] == STAYS)
            to[k++] = c->instructions[i];
    }
    renumber((u32 *)c->label_at, c->n_labels, now_at);
    renumber(c->controls, c->n_controls, now_at);
    renumber(c->calls, c->n_calls, now_at);
    c->instructions = to;
    c->n_instructions = k;
    return 1;
}

static int begin_hoisting(struct hoisting *h) {
    struct compilation *c = h->c;
    u32 most = c->n_registers + c->n_instructions + MOST_CONSTANTS;
    if (!ALLOCATE(c, h->first_source, c->n_labels) || !ALLOCATE(c, h->last_source, c->n_labels) ||
        !ALLOCATE(c, h->moved_to, c->n_instructions) || !ALLOCATE(c, h->defined_in, most) || !ALLOCATE(c, h->made_by, most) || !ALLOCATE(c, h->types, most))
        return 0;
    fill(h->first_source, 0xff, c->n_labels * sizeof *h->first_source);
    fill(h->last_source, 0, c->n_labels * sizeof *h->last_source);
    fill(h->moved_to, 0xff, c->n_instructions * sizeof *h->moved_to);
    fill(h->defined_in, 0, c->n_registers * sizeof *h->defined_in);
    fill(h->made_by, 0, c->n_registers * sizeof *h->made_by);
    memcpy(h->types, c->types, c->n_registers);
    note_sources(h);
    return find_hoistable_loops(h);
}

static int hoist(struct compilation *c) {
    struct hoisting h = {.c = c};
    if (!c->has_loops)
        return 1;
    if (!begin_hoisting(&h))
        return 0;
    for (u32 k = 0; k < h.n_loops; k++) {
        struct loop *loop = &h.loops[k];
        if (c->has_wide_constants && loop->level == 0)
            give_registers_to_constants(&h, loop);
        if (loop->level < MOST_LEVELS && find_entry(&h, loop))
            hoist_from(&h, loop, k + 1);
    }
    c->types = h.types;
    return h.n_moved || h.n_constants ? reorder(&h) : 1;
}
