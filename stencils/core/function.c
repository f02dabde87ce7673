/* A whole function: every block's instructions through selection, then what is out of line, then final positions. */
#include "events.h"

/* Operands in slots that no instruction reaches: copied to such as are reached, and a result copied back. Moves, calls,
 * returns and jumps only move values, which is done for any slot. */
struct near_copies {
    s32 reg[COPIED_OPERANDS + 1];
    u32 n;
};

static void bring_near(struct selection *s, s32 reg, int reads, struct near_copies *copies) {
    if (reg < 0 || !is_far(s, &s->homes[reg]))
        return;
    int file = in_float_file(s->c, reg);
    struct location far = s->homes[reg];
    s->homes[reg] = in_slot(s, file, temporary_slot(s, 3 + (reads ? copies->n : COPIED_OPERANDS)));
    if (reads)
        move(s, file, s->homes[reg], far);
    copies->reg[copies->n++] = reg;
}

static void bring_operands_near(struct selection *s, const struct instruction *at, struct near_copies *copies) {
    copies->n = 0;
    if (at->kind != PLAIN_OP && at->kind != LOAD_OP && at->kind != STORE_OP && at->kind != BRANCH_OP && at->kind != GUARD_OP &&
        at->kind != TABLE_OP)
        return;
    if (at->kind == PLAIN_OP && is_move(s, at))
        return;
    for (u32 k = 0; k < at->n; k++)
        bring_near(s, at->operand[k], 1, copies);
    bring_near(s, at->d, 0, copies);
}

static void bring_back(struct selection *s, const struct instruction *at, const struct near_copies *copies) {
    for (u32 k = copies->n; k-- > 0;) {
        s32 reg = copies->reg[k];
        struct location near = s->homes[reg];
        find_home(s, (u32)reg);
        if (reg == at->d)
            move(s, in_float_file(s->c, reg), s->homes[reg], near);
    }
}

/* Returns the block to go on with if that is not the next one, else -1. */
static s32 select_instruction(struct selection *s, const struct instruction *at, s32 block) {
    switch (at->kind) {
    case PLAIN_OP: select_value(s, at); break;
    case LOAD_OP: select_load(s, at); break;
    case STORE_OP: select_store(s, at); break;
    case BRANCH_OP: return select_branch(s, at, block);
    case GUARD_OP: put_condition(s, at, &s->library->ops[at->op], block_of(s->c, at->target)); break;
    case JUMP_OP:
        if (block_of(s->c, at->target) != next_block(s->c, block))
            jump_to(s, block_of(s->c, at->target));
        break;
    case TABLE_OP: select_table(s, at); break;
    case RETURN_OP: select_return(s, at); break;
    case CALL_OP: select_call(s, at); break;
    case TRAP_OP: put_trap(s, at->number << 4 | UNREACHABLE); break;
    }
    return -1;
}

/* Around calls registers are saved, lost and restored; elsewhere none of it is looked at. */
static void track_operands(struct selection *s, const struct instruction *at, s32 position, const struct block *block) {
    const struct compilation *c = s->c;
    int is_last = at == &c->instructions[block->end - 1];
    if (at->kind != CALL_OP)
        for (u32 k = 0; k < at->n; k++)
            restore_operand(s, at->operand[k]);
    for (u32 k = 0, n = may_leave(c, at) ? n_ways(at) : 0; k < n; k++) {
        const struct side_exit *exit = way_out(c, at, k);
        for (u32 i = 0; exit && i < exit->n_values; i++)
            if (!exit->values[i].is_constant)
                restore_operand(s, (s32)exit->values[i].reg);
    }
    if (is_last && at->kind != CALL_OP && at->kind != RETURN_OP && at->kind != TRAP_OP)
        restore_live(s, position);
}

/* Whether anything asks what is in a hardware register. */
static int tracks_registers(const struct compilation *c) { return c->calls_code || c->calls_c || c->divides; }

static s32 select_block(struct selection *s, s32 b) {
    struct compilation *c = s->c;
    const struct block *block = &c->blocks[b];
    s32 next = next_block(c, b);
    int tracks = tracks_registers(c);
    if (block->loop_head && block->depth && s->library->aligns_loops)
        put_alignment(s, block->loop_head == INNERMOST_LOOP ? CACHE_LINE : LOOP_ALIGNMENT, block->loop_end);
    if (__builtin_expect(block->is_landed_on, 0))
        put_alignment(s, PAD_ALIGNMENT, 0);
    bind(s, b);
    if (__builtin_expect(block->is_landed_on, 0))
        put_control(s, LANDING_PAD);
    if (b == s->check)
        put_check(s);
    s->saved[0] = s->saved[1] = s->lost[0] = s->lost[1] = 0;
    for (u32 i = block->first; i < block->end; i++) {
        const struct instruction *at = &c->instructions[i];
        s32 position = position_of(i);
        if (__builtin_expect((s64)s->position > s->island_due, 0) && !put_island(s, b))
            return -1;
        if (!has_room(s))
            return -1;
        s->number = at->number;
        s->instruction = i;
        if (tracks) {
            occupy(s, position);
            track_operands(s, at, position, block);
        }
        if (at->flags & NEEDS_SAFEPOINT || at->kind == SAFEPOINT_OP_KIND)
            put_count(s, COUNT_STENCIL, POLL_EVENT);
        struct near_copies copies;
        if (__builtin_expect(s->has_far_slots, 0))
            bring_operands_near(s, at, &copies);
        s32 elsewhere = select_instruction(s, at, b);
        if (__builtin_expect(s->has_far_slots, 0))
            bring_back(s, at, &copies);
        if (elsewhere >= 0)
            next = elsewhere;
        if (tracks) {
            occupy(s, position + 1);
            if (at->d >= 0)
                defined(s, at->d);
            if (i + 1 == block->end && at->kind != BRANCH_OP && at->kind != JUMP_OP && at->kind != TABLE_OP && at->kind != RETURN_OP &&
                at->kind != TRAP_OP)
                restore_live(s, position + 1);
        }
    }
    return next;
}

/* Whether a register that C functions must leave alone is written. Of float registers those behind the arguments may be
 * such. */
static int uses_survivors(const struct compilation *c) {
    for (u32 r = 0; r < c->n_registers; r++) {
        s32 place = c->intervals[r].place;
        if (place >= 0 && (in_float_file(c, (s32)r) ? place >= ARGUMENTS : (s32)(c->library->survivors >> place & 1)))
            return 1;
    }
    return 0;
}

/* Temporaries come behind the slots, and so does what side exits put there, which is more; but temporaries come in front of
 * them if instructions do not reach all. */
static void number_slots(struct selection *s) {
    struct compilation *c = s->c;
    const struct library *library = c->library;
    struct location last = c->request->n_exits ? number_behind(s) : in_slot(s, 0, (s32)c->n_slots + FAR_TEMPORARIES - 1);
    s->first_temporary = c->n_slots;
    if (!library->slot_reach || (u32)last.slot + 8 <= library->slot_reach)
        return;
    s->has_far_slots = 1;
    s->first_temporary = 0;
    for (u32 r = 0; r < c->n_registers; r++)
        if (c->intervals[r].slot >= 0)
            c->intervals[r].slot += FAR_TEMPORARIES;
    c->n_slots += FAR_TEMPORARIES;
}

static int lay_out_frame(struct selection *s) {
    number_slots(s);
    u32 n_slots = s->c->n_slots, size = n_slots || s->c->calls_code ? n_slots * 8 + s->library->first_slot : 0;
    if (size > CNP_STACK_SIZE / 2)
        return fail(s->c, TOO_LARGE, 0, 0);
    s->c->request->frame_size = size;
    s->frame = !size ? NO_FRAME : size <= CNP_SMALL_FRAME ? SMALL_FRAME : LARGE_FRAME;
    s->value[FRAME_SIZE_VALUE] = size;
    s->value[MINUS_FRAME_SIZE_VALUE] = -(i64)size;
    s->value[FRAME_TICKS_VALUE] = (size + CNP_TICK_FRAME - 1) / CNP_TICK_FRAME;
    s->value[FUNCTION_VALUE] = s->c->request->function_number;
    return 1;
}

/* Blocks that a jump table leads to; side exits always have a landing pad. */
static void mark_landings(const struct compilation *c) {
    for (u32 n = 0; n < c->n_controls; n++) {
        const struct instruction *at = &c->instructions[c->controls[n]];
        for (s32 k = 0; at->kind == TABLE_OP && k <= at->operand[1]; k++) {
            s32 b = block_behind(c, list_at(c, at->other)[k]);
            if (b >= 0)
                c->blocks[b].is_landed_on = 1;
        }
    }
}

static int select_function(struct compilation *c) {
    struct selection *s = (struct selection *)c->next;
    if (!ALLOCATE(c, s, 1))
        return 0;
    *s = (struct selection){.c = c, .library = c->library,
                            .n_targets = (s32)(c->n_blocks + c->request->n_exits), .branch_kind = BRANCH_EVENT};
    fill(s->occupant, 0xff, sizeof s->occupant);
    if (!lay_out_frame(s) || !ALLOCATE(c, s->homes, c->n_registers))
        return 0;
    for (u32 r = 0; r < c->n_registers; r++)
        find_home(s, r);
    c->n_pool = 0;
    if ((c->library->constants || c->request->far_calls) && !ALLOCATE(c, c->pool, c->n_constants + 4 * (c->n_instructions + c->request->n_exits) + 16))
        return 0;
    char *temporary = c->next;
    u32 *stack;
    u8 *marks;
    if (!ALLOCATE(c, stack, c->n_blocks) || !ALLOCATE(c, marks, c->n_blocks))
        return 0;
    int is_large = c->n_slots * 8 > CNP_STACK_RESERVE / 2; /* more than may be written to before the check */
    s->check = is_large ? -1 : find_check(c, marks, stack);
    c->next = temporary;
    if (c->request->trace) {
        c->max_traces = 8 * c->n_instructions + 64 * c->request->n_exits + 64;
        if (!ALLOCATE(c, c->traces, c->max_traces))
            return 0;
    }
    c->items = (struct item *)c->next;
    c->events = (struct event *)((i64)c->end & ~7ull);
    s->room = c->next < (char *)c->events ? (u64)((char *)c->events - c->next) : 0;
    if (!has_room(s))
        return 0;
    if (tracks_registers(c))
        occupy(s, 0);
    if (c->request->landing_pads) {
        mark_landings(c);
        put_control(s, LANDING_PAD);
    }
    begin_window(s, NO_ISLAND);
    if (c->request->n_exits)
        s->way_out = s->n_targets++;
    if (is_large)
        put_check(s);
    put_entry(s);
    for (s32 b = 0, next; b < (s32)c->n_blocks; b = next) {
        if ((next = select_block(s, b)) < 0)
            return 0;
        if (tracks_registers(c)) /* intervals may start in a jump that its branch took the place of */
            for (s32 skipped = next_block(c, b); skipped < next; skipped = next_block(c, skipped))
                occupy(s, position_of(c->blocks[skipped].first));
    }
    if (!put_side_exits(s))
        return 0;
    if (s->island_block != NO_ISLAND && !put_branch_veneers(s, (s32)(c->n_blocks + c->request->n_exits)))
        return 0;
    if (!put_cold(s) || c->request->error)
        return 0;
    c->next = (char *)&c->items[c->n_items];
    c->end = (char *)event_at(c, c->n_events);
    c->request->is_bare = s->frame == NO_FRAME && !s->has_temporaries && !s->leaves && !c->waits && !c->calls_code && !c->calls_c &&
                          !uses_survivors(c);
    if (!settle(c, s->position, (u32)s->n_targets))
        return 0;
    for (u32 k = 0; k < c->request->n_exits; k++) /* NO_POSITION, if it was never bound */
        c->request->exits[k].position = c->target_position[c->n_blocks + k];
    return 1;
}
