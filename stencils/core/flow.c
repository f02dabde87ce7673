/* Instructions -> basic blocks: labels resolved, jumps threaded, loops turned, dead code found, loop depths. */
#include "compile.h"

/* The first instruction behind a label that does anything; n_instructions when there is none. */
static u32 real_instruction(const struct compilation *c, s32 label) {
    u32 i = (u32)c->label_at[label];
    while (i < c->n_instructions && c->instructions[i].kind == PLACE_OP)
        i++;
    return i;
}

/* A jump to a jump goes where that one goes. The bound ends cycles of empty loops. */
static s32 thread(const struct compilation *c, s32 label) {
    for (u32 hops = 0; hops < 16; hops++) {
        u32 i = real_instruction(c, label);
        if (i >= c->n_instructions || c->instructions[i].kind != JUMP_OP || side_exit_of(c, c->instructions[i].target))
            break; /* what a side exit wants need not be there before the jump */
        label = c->instructions[i].target;
    }
    return label;
}

/* Labels of the core's own, for places behind a branch: the array holds as many more as there are instructions. */
static s32 label_behind(struct compilation *c, u32 instruction) {
    c->label_at[c->n_labels] = (s32)instruction + 1;
    return (s32)c->n_labels++;
}

/* `jump head` where head is `branch if done`: test again at the bottom instead, as compilers turn loops, which saves
 * one jump a round. The branch is inverted, goes behind the one at the head, and else falls to where that one went. */
static void turn_loops(struct compilation *c) {
    for (u32 n = 0; n < c->n_controls; n++) {
        u32 i = c->controls[n];
        struct instruction *jump = &c->instructions[i];
        if (jump->kind != JUMP_OP || c->label_at[jump->target] > (s32)i)
            continue;
        u32 head = real_instruction(c, jump->target);
        struct instruction *branch = &c->instructions[head];
        if (head >= i || (branch->kind != BRANCH_OP && branch->kind != GUARD_OP) || branch->other >= 0 ||
            c->library->ops[branch->op].inverse == NO_OP)
            continue;
        s32 out = branch->target;
        if (branch->kind == GUARD_OP)
            branch->flags |= IS_TURNED;
        *jump = *branch; /* its number too: a mistake in the operands is the branch's */
        jump->kind = BRANCH_OP;
        jump->flags = 0;
        jump->op = c->library->ops[branch->op].inverse;
        jump->target = label_behind(c, head);
        jump->other = out;
    }
}

static int ends_block(u8 kind) { return kind == BRANCH_OP || kind == JUMP_OP || kind == TABLE_OP || kind == RETURN_OP || kind == TRAP_OP; }

static void begin_block(struct compilation *c, u32 first) {
    if (first == c->n_instructions || (c->n_blocks && c->blocks[c->n_blocks - 1].first == first))
        return;
    if (c->n_blocks)
        c->blocks[c->n_blocks - 1].end = first;
    c->block_at[first] = c->n_blocks;
    c->blocks[c->n_blocks++] = (struct block){.first = first, .end = c->n_instructions, .successor = {-1, -1}};
}

static int find_blocks(struct compilation *c) {
    if (!ALLOCATE(c, c->block_at, c->n_instructions + c->request->n_exits + 1) || !ALLOCATE(c, c->blocks, c->n_controls + 2))
        return 0;
    begin_block(c, 0);
    for (u32 n = 0; n < c->n_controls; n++) {
        u32 i = c->controls[n];
        struct instruction *at = &c->instructions[i];
        if (at->kind == BRANCH_OP || at->kind == JUMP_OP)
            at->target = thread(c, at->target);
        if (at->other >= 0 && at->kind == BRANCH_OP)
            at->other = thread(c, at->other);
        if (at->kind == PLACE_OP) {
            begin_block(c, i);
            if (i + 1 < c->n_instructions && at[1].flags & IS_TURNED)
                begin_block(c, i + 2);
        }
        if (ends_block(at->kind))
            begin_block(c, i + 1);
    }
    for (u32 k = 0; k <= c->request->n_exits; k++)
        c->block_at[c->n_instructions + k] = c->n_blocks + k;
    return 1;
}

/* Side exits lead nowhere in the function. */
static s32 block_behind(const struct compilation *c, s32 label) {
    u32 b = c->block_at[c->label_at[label]];
    return b < c->n_blocks ? (s32)b : -1;
}

/* A block's successors, without the entries of a table. -1: none; n_blocks: past the end. */
static void find_successors(struct compilation *c) {
    for (u32 b = 0; b < c->n_blocks; b++) {
        struct block *block = &c->blocks[b];
        const struct instruction *last = &c->instructions[block->end - 1];
        block->ends_in_table = last->kind == TABLE_OP;
        switch (last->kind) {
        case BRANCH_OP:
            block->successor[0] = block_behind(c, last->target);
            block->successor[1] = last->other >= 0 ? block_behind(c, last->other) : (s32)b + 1;
            break;
        case JUMP_OP: block->successor[0] = block_behind(c, last->target); break;
        case TABLE_OP: case RETURN_OP: case TRAP_OP: break;
        default: block->successor[1] = (s32)b + 1;
        }
    }
}

static u32 n_successors(const struct compilation *c, const struct block *block) {
    return block->ends_in_table ? (u32)c->instructions[block->end - 1].operand[1] + 1 : 2;
}
static s32 successor(const struct compilation *c, const struct block *block, u32 k) {
    return block->ends_in_table ? block_behind(c, list_at(c, c->instructions[block->end - 1].other)[k]) : block->successor[k];
}

/* And how many predecessors each block has. Control flows forwards, mostly; blocks that only a jump back leads to wait on
 * the stack. */
static int find_reachable(struct compilation *c) {
    u32 *stack, depth = 0;
    if (!ALLOCATE(c, stack, c->n_blocks))
        return 0;
    c->blocks[0].reachable = 1;
    u32 falls_off = ~0u;
    for (u32 passed = 0; passed < c->n_blocks; passed++) {
        if (!c->blocks[passed].reachable)
            continue;
        stack[depth++] = passed;
        while (depth) {
            const struct block *block = &c->blocks[stack[--depth]];
            for (u32 k = 0, n = n_successors(c, block); k < n; k++) {
                s32 to = successor(c, block, k);
                if (to == (s32)c->n_blocks)
                    falls_off = c->instructions[block->end - 1].number;
                else if (to >= 0) {
                    c->blocks[to].n_predecessors++;
                    if (!c->blocks[to].reachable && to <= (s32)passed)
                        stack[depth++] = (u32)to;
                    c->blocks[to].reachable = 1;
                }
            }
        }
    }
    c->next = (char *)stack;
    return falls_off == ~0u ? 1 : fail(c, FALLS_OFF_THE_END, falls_off, 0);
}

/* Lists of predecessors, for whoever wants them. */
static int find_predecessors(struct compilation *c) {
    u32 total = 0;
    for (u32 b = 0; b < c->n_blocks; b++) {
        c->blocks[b].predecessors = total;
        total += c->blocks[b].n_predecessors;
        c->blocks[b].n_predecessors = 0;
    }
    if (!ALLOCATE(c, c->predecessors, total + 1))
        return 0;
    for (u32 b = 0; b < c->n_blocks; b++) {
        const struct block *block = &c->blocks[b];
        for (u32 k = 0, n = block->reachable ? n_successors(c, block) : 0; k < n; k++) {
            s32 to = successor(c, block, k);
            if (to >= 0)
                c->predecessors[c->blocks[to].predecessors + c->blocks[to].n_predecessors++] = b;
        }
    }
    return 1;
}

/* Blocks that every way to a later one leads through; and jumps back, whose targets are the heads of loops and whose sources
 * are where safepoints belong. */
static void look_at_jumps(struct compilation *c) {
    s32 furthest = 0;
    for (s32 b = 0; b < (s32)c->n_blocks; b++) {
        struct block *block = &c->blocks[b];
        block->is_straight = furthest <= b;
        block->next_loop = c->n_blocks;
        for (u32 k = 0, n = block->reachable ? n_successors(c, block) : 0; k < n; k++) {
            s32 to = successor(c, block, k);
            if (to > furthest)
                furthest = to;
            if (to < 0 || to > b)
                continue;
            c->blocks[to].loop_end = b + 1;
            if (!c->request->safepoints)
                continue;
            c->instructions[block->end - 1].flags |= NEEDS_SAFEPOINT;
            c->waits = 1;
        }
    }
}

/* A loop is what lies between the target of a jump back and its source, and the loops that this overlaps: so they are nested. */
static int find_loops(struct compilation *c) {
    u32 *outermost, depth = 0, next_loop = c->n_blocks, loop = 0;
    if (!ALLOCATE(c, outermost, c->n_blocks))
        return 0;
    for (u32 b = c->n_blocks; b-- > 0;) {
        struct block *block = &c->blocks[b];
        block->next_loop = next_loop;
        if (!block->loop_end)
            continue;
        block->loop_head = (s32)next_loop >= block->loop_end ? INNERMOST_LOOP : LOOP;
        next_loop = b;
        /* Of the heads behind this one those of outermost loops are on the stack, the first on top. */
        for (; depth && (s32)outermost[depth - 1] < block->loop_end; depth--) {
            struct block *inner = &c->blocks[outermost[depth - 1]];
            inner->loop = b + 1;
            if (inner->loop_end > block->loop_end)
                block->loop_end = inner->loop_end;
        }
        outermost[depth++] = b;
    }
    depth = 0;
    for (u32 b = 0; b < c->n_blocks; b++) {
        struct block *block = &c->blocks[b];
        for (; loop && (s32)b >= c->blocks[loop - 1].loop_end; depth--)
            loop = c->blocks[loop - 1].loop;
        if (block->loop_head) {
            loop = b + 1;
            depth++;
        } else
            block->loop = loop;
        block->depth = (u16)(depth > 0xffff ? 0xffff : depth);
    }
    c->next = (char *)outermost;
    return 1;
}

static int analyse_flow(struct compilation *c) {
    turn_loops(c);
    if (!find_blocks(c))
        return 0;
    find_successors(c);
    if (!find_reachable(c) || (c->calls_code && !find_predecessors(c)))
        return 0;
    look_at_jumps(c);
    if (c->has_loops && !find_loops(c))
        return 0;
    for (u32 n = 0; n < c->n_controls; n++)
        c->waits |= c->instructions[c->controls[n]].kind == SAFEPOINT_OP_KIND;
    return 1;
}
