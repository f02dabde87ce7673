/* Events -> final positions: short branches where they reach, padding before loops, displacements into items. */
#include "events.h"

static struct item padding(const struct library *library, u32 size) {
    return item_of(library, library->stencils[library->padding[size]].chunk);
}

/* Distances counted with every branch long and all padding are the most they can be, so a branch that is short by
 * that measure is short: one pass in the order of the code decides, and no branch is looked at again. */
static void choose_short_branches(struct compilation *c) {
    for (u32 k = 0; k < c->n_events; k++) {
        struct event *event = event_at(c, k);
        if (event->kind < BRANCH_EVENT || event->kind > CHECK_EVENT || !event->extra)
            continue;
        s64 distance = (s64)c->target_position[event->target] - (s64)event->position;
        event->is_short = distance > -120 && distance < 120;
    }
}

static u32 find_positions(struct compilation *c, u32 size) {
    const struct library *library = c->library;
    u32 removed = 0;
    for (u32 k = 0; k < c->n_events; k++) {
        struct event *event = event_at(c, k);
        event->position -= removed;
        if (event->kind == LABEL_EVENT)
            c->target_position[event->target] = event->position;
        else if (event->kind == ALIGN_EVENT) {
            u32 pad = -event->position & (LOOP_ALIGNMENT - 1), most = LOOP_ALIGNMENT - 1;
            if (event->extra == LINE_PADDINGS) {
                /* Both ends are still where they were with every branch long: the loop is no longer than that. */
                u32 start = event->position + removed + CACHE_LINE - 1, loop = c->target_position[event->target] - start;
                most = CACHE_LINE - 1;
                if (loop <= CACHE_LINE)
                    c->request->alignment = CACHE_LINE; /* positions say where lines begin only then */
                if (loop <= CACHE_LINE && ((event->position + pad) & (CACHE_LINE - 1)) + loop > CACHE_LINE)
                    pad = -event->position & (CACHE_LINE - 1);
            }
            removed += most - pad;
            for (u32 k = 0; k < event->extra; k++) {
                u32 size = pad < LONGEST_PADDING ? pad : LONGEST_PADDING;
                c->items[event->item + k] = padding(library, size);
                pad -= size;
            }
        } else if (event->is_short) {
            const struct stencil *stencil = &library->stencils[event->extra];
            u32 saved = event->stencil_size - stencil->size;
            event->position += 4 - event->stencil_size + stencil->size - 1;
            event->addend = library->holes[stencil->hole + stencil->holes - 1].addend;
            c->items[event->item] = item_of(library, chunk_number(library, stencil, stencil->chunks - 1u));
            removed += saved;
        }
    }
    return size - removed;
}

/* What depends on the function's own positions is filled in; the rest moves to the externals, in the events' place. */
static void fill_in(struct compilation *c) {
    u32 tables = c->table_offset, externals = 0;
    for (u32 k = 0; k < c->n_events; k++) {
        struct event *event = event_at(c, k);
        struct item *item = &c->items[event->item];
        s32 displacement;
        switch (event->kind) {
        case BRANCH_EVENT: case POLL_EVENT: case CHECK_EVENT: case EXIT_EVENT:
            displacement = (s32)(c->target_position[event->target] - event->position) + event->addend;
            item->value = event->is_short ? item->value | (u32)displacement << 24 : (u32)displacement;
            break;
        case TABLE_EVENT:
            event->addend = (s32)tables;
            if (event->extra) /* the high half comes second */
                tables += ((u32)c->instructions[event->target].operand[1] + 1) * 8;
            *event_at(c, externals++) = *event;
            break;
        case LIBRARY_EVENT: event->addend += (s32)((u32)c->library->blob + event->extra - event->position); /* fall through */
        case CALLEE_EVENT: *event_at(c, externals++) = *event;
        }
    }
    c->n_externals = externals;
    c->externals = c->events - externals;
    c->request->code_size = tables;
}

static void trace_offsets(struct compilation *c) {
    u32 offset = 0, item = 0;
    for (u32 k = 0; k < c->n_traces; k++) {
        for (; item < c->traces[k].item; item++)
            offset -= (u32)((const struct chunk *)((const char *)c->library->chunks + c->items[item].chunk))->minus_size;
        c->traces[k].offset = offset;
    }
}

static int settle(struct compilation *c, u32 size, u32 n_targets) {
    if (!ALLOCATE(c, c->target_position, n_targets + 1))
        return 0;
    fill(c->target_position, 0xff, (n_targets + 1ull) * sizeof *c->target_position); /* far away, if never bound */
    for (u32 k = 0; k < c->n_events; k++)
        if (event_at(c, k)->kind == LABEL_EVENT)
            c->target_position[event_at(c, k)->target] = event_at(c, k)->position;
    choose_short_branches(c);
    c->request->alignment = LOOP_ALIGNMENT;
    c->code_end = size = find_positions(c, size);
    c->table_offset = (size + 7) & ~7u;
    fill_in(c);
    if (c->request->code_size == c->table_offset)
        c->request->code_size = size;
    trace_offsets(c);
    return 1;
}
