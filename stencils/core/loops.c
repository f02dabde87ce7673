/* Jumps back -> loops: stretches of code that end in a jump back to their start, innermost ones first. */
#include "loops.h"

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
        if (at->kind == PLACE_OP && (h->first_source[at->target] < loop->entry || h->last_source[at->target] > loop->end))
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

static s32 new_register(struct hoisting *h, u8 type) {
    struct compilation *c = h->c;
    h->types[c->n_registers] = type;
    h->defined_in[c->n_registers] = h->made_by[c->n_registers] = h->node_of[c->n_registers] = h->counted_in[c->n_registers] = 0;
    return (s32)c->n_registers++;
}

static int begin_hoisting(struct hoisting *h) {
    struct compilation *c = h->c;
    /* An instruction may be shared and become a node, which has a start, a step and a register. */
    u32 most = c->n_registers + 4 * c->n_instructions + MOST_CONSTANTS, known = c->n_registers;
    if (!ALLOCATE(c, h->first_source, c->n_labels) || !ALLOCATE(c, h->last_source, c->n_labels) ||
        !ALLOCATE(c, h->moved_to, c->n_instructions) || !ALLOCATE(c, h->defined_in, most) || !ALLOCATE(c, h->defined_at, most) ||
        !ALLOCATE(c, h->made_by, most) || !ALLOCATE(c, h->node_of, most) || !ALLOCATE(c, h->counted_in, most) ||
        !ALLOCATE(c, h->types, most))
        return 0;
    fill(h->first_source, 0xff, c->n_labels * sizeof *h->first_source);
    fill(h->last_source, 0, c->n_labels * sizeof *h->last_source);
    fill(h->moved_to, 0xff, c->n_instructions * sizeof *h->moved_to);
    fill(h->defined_in, 0, known * sizeof *h->defined_in);
    fill(h->made_by, 0, known * sizeof *h->made_by);
    fill(h->node_of, 0, known * sizeof *h->node_of);
    fill(h->counted_in, 0, known * sizeof *h->counted_in);
    memcpy(h->types, c->types, known);
    h->last_added = &h->added;
    note_sources(h);
    return find_hoistable_loops(h);
}
