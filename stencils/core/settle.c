/* Events -> final positions: short branches where they reach, padding before loops, displacements into items. */
#include "events.h"

static struct item padding(const struct library *library, u32 size) {
    return item_of(library, library->stencils[library->padding[size]].chunk);
}

/* The other form of a branch in place of the one that it was put in. Returns how many items more it has. */
COMMON_PATH u32 replace_branch(struct compilation *c, struct event *event, const struct stencil *from,
                               const struct stencil *to) {
    const struct library *library = c->library;
    const struct hole *hole = target_hole(library, to);
    event->position += hole->offset - target_hole(library, from)->offset;
    event->addend = hole->addend;
    event->field = hole->kind;
    if (to->chunks != from->chunks)
        return 1;
    c->items[event->item] = item_of(library, chunk_number(library, to, to->chunks - 1u));
    event->extra = 0;
    return 0;
}

/* Distances counted with every branch long and all padding are the most they can be, so a branch that is short by
 * that measure is short: one pass in the order of the code decides, and no branch is looked at again. Returns how many
 * items more there will be. */
static u32 choose_forms(struct compilation *c) {
    const struct library *library = c->library;
    u32 more = 0;
    FOR_EACH_EVENT(c, event) {
        if (!event->saved)
            continue;
        s64 distance = (s64)c->target_position[event->target] - (s64)event->position;
        int is_short = distance > -120 && distance < 120;
        const struct stencil *in_full = &library->stencils[event->extra];
        if (!library->reaches_far) {
            if (is_short)
                replace_branch(c, event, in_full, in_full + 1);
        } else if (!is_short) {
            /* What is left out in front of the target makes no more of a difference. */
            enum { SLACK = 16 };
            const struct patch_kind *kind = &library->kinds[event->field];
            is_short = distance - SLACK > kind->low && distance + SLACK < kind->high;
            if (!is_short)
                more += replace_branch(c, event, in_full + 1, in_full);
        }
        if (!is_short)
            event->saved = 0;
    }
    return more;
}

/* Where the long form has an item more, both have an instruction in front of it that differs in nothing but the way it
 * goes: what has been filled in stays. */
static int lengthen_branches(struct compilation *c, u32 more) {
    const struct library *library = c->library;
    struct item *items;
    u32 from = 0, added = 0, trace = 0;
    if (!ALLOCATE(c, items, c->n_items + more))
        return 0;
    FOR_EACH_EVENT(c, event) {
        event->item += added;
        if (event->kind < BRANCH_EVENT || event->kind > CHECK_EVENT || event->saved || !event->extra)
            continue;
        for (; from + added < event->item; from++)
            items[from + added] = c->items[from];
        for (; trace < c->n_traces && c->traces[trace].item <= from; trace++)
            c->traces[trace].item += added;
        const struct stencil *stencil = &library->stencils[event->extra];
        u32 before = chunk_number(library, stencil, stencil->chunks - 2u);
        u32 other = chunk_number(library, stencil + 1, stencil[1].chunks - 1u);
        u32 filled_in = c->items[from++].value ^ last_four(&library->chunks[other]);
        items[event->item] = item_of(library, before);
        items[event->item++].value ^= filled_in;
        items[event->item] = item_of(library, chunk_number(library, stencil, stencil->chunks - 1u));
        added++;
    }
    for (; from < c->n_items; from++)
        items[from + added] = c->items[from];
    for (; trace < c->n_traces; trace++)
        c->traces[trace].item += added;
    c->items = items;
    c->n_items += added;
    return 1;
}

/* Padding that was not needed leaves no items behind: what follows it moves up, one stretch at a time. */
struct gaps {
    u32 next;  /* the first item that has not moved */
    u32 items; /* in front of it that are gone */
};

static void move_up(struct compilation *c, struct gaps *gaps, u32 end) {
    for (; gaps->items && gaps->next < end; gaps->next++)
        c->items[gaps->next - gaps->items] = c->items[gaps->next];
}

static void close_gap(struct compilation *c, struct gaps *gaps, u32 first, u32 end) {
    if (c->traces) /* they name items */
        return;
    move_up(c, gaps, first);
    gaps->next = end;
    gaps->items += end - first;
}

/* Where code begins that has to, at the least: an innermost loop at a cache line unless it lies in one anyway. */
static u32 padding_for(struct compilation *c, const struct event *event, u32 removed) {
    if (event->addend != CACHE_LINE)
        return -event->position & ((u32)event->addend - 1);
    u32 pad = -event->position & (LOOP_ALIGNMENT - 1);
    /* Both ends are still where they were with every branch long: the loop is no longer than that. */
    u32 start = event->position + removed + CACHE_LINE - 1, loop = c->target_position[event->target] - start;
    if (loop > CACHE_LINE)
        return pad;
    c->request->alignment = CACHE_LINE; /* positions say where lines begin only then */
    return ((event->position + pad) & (CACHE_LINE - 1)) + loop > CACHE_LINE ? -event->position & (CACHE_LINE - 1) : pad;
}

/* Returns how many items the padding takes. */
static u32 put_padding(struct compilation *c, u32 item, u32 pad) {
    u32 n = 0;
    for (; pad; n++) {
        u32 size = pad < c->library->longest_padding ? pad : c->library->longest_padding;
        c->items[item + n] = padding(c->library, size);
        pad -= size;
    }
    return n;
}

static inline void note_position(struct compilation *c, const struct event *event) {
    u32 *position = &c->target_position[event->target];
    for (u32 k = 0; k <= event->extra; k++)
        position[k] = event->position + k * (u32)event->addend;
}

static u32 find_positions(struct compilation *c, u32 size) {
    const struct library *library = c->library;
    struct gaps gaps = {0, 0};
    u32 removed = 0;
    FOR_EACH_EVENT(c, event) {
        u32 gone = gaps.items;
        event->position -= removed;
        if (event->kind == LABEL_EVENT)
            note_position(c, event);
        else if (event->kind == ALIGN_EVENT) {
            u32 pad = padding_for(c, event, removed), used = put_padding(c, event->item, pad);
            for (u32 k = used; k < event->extra; k++)
                c->items[event->item + k] = padding(library, 0);
            removed += (u32)event->addend - 1 - pad;
            close_gap(c, &gaps, event->item + used, event->item + event->extra);
        } else
            removed += event->saved;
        event->item -= gone;
    }
    move_up(c, &gaps, c->n_items);
    c->n_items -= gaps.items;
    return size - removed;
}

/* A field for a distance within the function; 0 if it does not reach. */
static int put_distance(const struct compilation *c, const struct event *event, s64 distance) {
    struct item *item = &c->items[event->item];
    const struct patch_kind *kind = &c->library->kinds[event->field];
    item->value |= encode(kind, (i64)distance);
    return fits(kind, distance);
}

/* What depends on the function's own positions is filled in; the rest moves to the externals, in the events' place. */
static int fill_in(struct compilation *c) {
    u32 tables = c->table_offset + 8 * c->n_pool, externals = 0, table = tables;
    s32 last_table = -1;
    FOR_EACH_EVENT(c, event) {
        s64 from = (s64)event->position - event->addend;
        switch (event->kind) {
        case BRANCH_EVENT: case POLL_EVENT: case CHECK_EVENT: case EXIT_EVENT: case VENEER_EVENT:
            if (!put_distance(c, event, (s64)c->target_position[event->target] - from))
                return fail(c, TOO_LARGE, 0, 0);
            continue;
        case POOL_EVENT:
            if (!put_distance(c, event, (s64)(c->table_offset + 8 * (u32)event->target) - from))
                return fail(c, TOO_LARGE, 0, 0);
            continue;
        case ROW_EVENT: c->items[event->item].value = (u32)(c->target_position[event->target] - from); continue;
        case TABLE_EVENT: {
            int is_new = event->target != last_table;
            if (is_new) {
                table = tables;
                tables += ((u32)c->instructions[event->target].operand[1] + 1) * 4;
                last_table = event->target;
            }
            if (!put_distance(c, event, (s64)table - from))
                return fail(c, TOO_LARGE, 0, 0);
            event->addend = (s32)table;
            if (!is_new)
                continue;
            break;
        }
        case LIBRARY_EVENT: case CALLEE_EVENT: event->addend -= (s32)event->position; break;
        default: continue;
        }
        *event_at(c, externals++) = *event;
    }
    c->n_externals = externals;
    c->externals = c->events - externals;
    c->request->code_size = tables;
    return 1;
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
    FOR_EACH_EVENT(c, event)
        if (event->kind == LABEL_EVENT)
            note_position(c, event);
    u32 more = choose_forms(c);
    if (more && !lengthen_branches(c, more))
        return 0;
    c->request->alignment = LOOP_ALIGNMENT;
    c->code_end = size = find_positions(c, size);
    c->table_offset = (size + 7) & ~7u;
    if (!fill_in(c))
        return 0;
    if (c->request->code_size == c->table_offset)
        c->request->code_size = size;
    trace_offsets(c);
    return 1;
}
