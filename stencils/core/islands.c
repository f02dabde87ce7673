/* Code out of line: slow paths, behind the function; and, in a function that outgrows what its instructions reach,
 * islands that the code jumps over, with all that the code since the latest one refers to. */
#include "events.h"

static void put_alignment(struct selection *s, s32 alignment, s32 loop_end) {
    struct compilation *c = s->c;
    struct event *event = add_event(s, ALIGN_EVENT, c->n_items, s->position, loop_end);
    event->addend = alignment;
    event->extra = ((u32)alignment + s->library->longest_padding - 2) / s->library->longest_padding;
    for (u32 k = 0; k < event->extra; k++)
        c->items[c->n_items++] = (struct item){0, 0};
    s->position += (u32)alignment - 1;
}

/* What one instruction may need: a call with all registers live is the most. */
enum { ITEMS_AN_INSTRUCTION = 512, EVENTS_AN_INSTRUCTION = 16 };

static int has_room(const struct selection *s) {
    struct compilation *c = s->c;
    u64 used = c->n_items * sizeof *c->items + c->n_events * sizeof *c->events;
    const u64 most = ITEMS_AN_INSTRUCTION * sizeof *c->items + (EVENTS_AN_INSTRUCTION + 1) * sizeof *c->events;
    if (used + most < s->room)
        return 1;
    c->request->scratch_used = 2 * (c->request->scratch_size + 65536);
    return fail(c, NEED_SCRATCH, 0, 0);
}

static void put_poll(struct selection *s, int before_call) {
    s->value[FUNCTION_VALUE] = before_call ? s->c->request->function_number : 0;
    u32 which = s->frame == LARGE_FRAME ? POLL_LARGE_FRAME : before_call ? POLL_BEFORE_CALL : POLL_STENCIL;
    put_branch(s, s->library->control[which]);
    s->value[FUNCTION_VALUE] = s->c->request->function_number;
}

/* Slow paths since the latest island: each exit of a trap, each safepoint's way to the host and back, and what calls go
 * through that do not reach their target. */
static int put_cold(struct selection *s) {
    struct compilation *c = s->c;
    for (u32 k = s->window; s->n_cold; k++) {
        const struct event event = *event_at(c, k);
        if (event.kind < POLL_EVENT || event.kind > VENEER_EVENT)
            continue;
        if (!has_room(s))
            return 0;
        s->n_cold--;
        bind(s, event.target);
        if (event.kind == EXIT_EVENT) {
            s->number = event.extra >> 4;
            put_trap(s, event.extra);
        } else if (event.kind == VENEER_EVENT) {
            s->value[ADDRESS_VALUE] = c->pool[event.extra];
            put_control(s, VENEER_STENCIL);
        } else {
            s->branch_target = event.target + 1;
            put_poll(s, event.kind == CHECK_EVENT);
        }
    }
    return 1;
}

/* An island is due when the code since the latest one takes so much of what instructions reach: as a jump takes four
 * bytes and its veneer ten, nothing else is left of that when all are jumps that need one. What the island will hold
 * beside veneers is taken off in advance, see `owe`. */
static void begin_window(struct selection *s, s32 block) {
    s->window = s->c->n_events;
    s->island_block = block;
    s->island_due = (s64)s->position + s->library->reach / 4;
}

static void jump_far(struct selection *s, s32 target) {
    s->branch_target = target;
    put_branch(s, s->library->control[FAR_JUMP]);
}

/* How far a branch goes at the most, in its long form if it has one. */
static s64 reach_of(const struct library *library, const struct event *event) {
    u32 field = event->saved ? target_hole(library, &library->stencils[event->extra])->kind : event->field;
    return library->kinds[field].high;
}

/* Branches may not reach blocks and side exits that begin in front of the latest island, or have not begun yet: they go by way
 * of a jump that does, unless they reach farther than islands are apart. */
static int put_branch_veneers(struct selection *s, s32 block) {
    struct compilation *c = s->c;
    for (u32 k = s->window, end = c->n_events; k < end; k++) {
        struct event *event = event_at(c, k);
        s32 target = event->target;
        int is_near = target > s->island_block && (target <= block || target >= (s32)(c->n_blocks + c->request->n_exits));
        if (event->kind != BRANCH_EVENT || is_near || reach_of(c->library, event) > (s64)c->library->reach)
            continue;
        if (!has_room(s))
            return 0;
        event->target = s->n_targets++;
        bind(s, event->target);
        jump_far(s, target);
    }
    return 1;
}

/* Four bytes of data among the code: an instruction of that size that becomes them. */
static void put_word(struct selection *s, u32 word) {
    struct item item = item_of(s->library, s->library->stencils[s->library->padding[4]].chunk);
    s->c->items[s->c->n_items++] = (struct item){item.chunk, word};
    s->position += 4;
}

/* The pool's rows, each with a label, to which the loads go. */
static int put_pool(struct selection *s) {
    struct compilation *c = s->c;
    for (u32 k = s->window; k < c->n_events; k++) {
        struct event *event = event_at(c, k);
        if (event->kind != POOL_EVENT)
            continue;
        event->kind = BRANCH_EVENT;
        event->target += s->n_targets;
    }
    for (u32 k = 0; k < c->n_pool; k++) {
        if (!has_room(s))
            return 0;
        bind(s, s->n_targets++);
        put_word(s, (u32)c->pool[k]);
        put_word(s, (u32)(c->pool[k] >> 32));
    }
    c->n_pool = 0;
    return 1;
}

/* Jump tables come last: only where they begin has to be reached. */
static int put_tables(struct selection *s) {
    struct compilation *c = s->c;
    s32 latest = -1;
    for (u32 k = s->window, end = c->n_events; k < end; k++) {
        struct event *event = event_at(c, k);
        if (event->kind != TABLE_EVENT)
            continue;
        const struct instruction *at = &c->instructions[event->target];
        int is_new = event->target != latest;
        latest = event->target;
        event->kind = BRANCH_EVENT;
        if (is_new)
            bind(s, s->n_targets++);
        event->target = s->n_targets - 1;
        for (s32 i = 0; is_new && i <= at->operand[1]; i++) {
            if (!has_room(s))
                return 0;
            add_event(s, ROW_EVENT, c->n_items, s->position, block_of(c, list_at(c, at->other)[i]))->addend = 4 * i;
            put_word(s, 0);
        }
    }
    return 1;
}

/* Bytes: positions are of 32 bits. */
#define MAXIMUM_CODE (1u << 30)

/* In the middle of a block, between two instructions. */
static int put_island(struct selection *s, s32 block) {
    if (s->position > MAXIMUM_CODE)
        return fail(s->c, TOO_LARGE, s->number, 0);
    s32 behind = s->n_targets++;
    jump_far(s, behind);
    if (!put_branch_veneers(s, block) || !put_cold(s) || !put_pool(s) || !put_tables(s))
        return 0;
    bind(s, behind);
    begin_window(s, block);
    return 1;
}
