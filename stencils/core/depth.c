/* Where there is an operand stack: the depth in front of every instruction that is reached, along the flow of control. */
#include "guest.h"
#include "memory.h"

/* Control goes from one instruction to another; `wanted` is the depth, and one. */
static int flow_to(struct walker *w, u32 from, u32 to, u32 wanted) {
    u32 known = w->depth_of[to];
    if (!known || known == wanted)
        return 1;
    w->walk->error_accepted = known - 1;
    return stray(w, GUEST_DEPTHS_DIFFER, from, wanted - 1, to);
}

static int jump_from(struct walker *w, const struct guest *at, u32 row, u32 depth) {
    struct targets targets = targets_of(w, at, row);
    u32 wanted = (u32)((s32)depth + targets.row->depth) + 1;
    while (targets.left) {
        u32 place = (u32)next_target(w, at, &targets);
        if (!check_target(w, at, targets.row, place) || !flow_to(w, at->start, place, wanted))
            return 0;
        if (!w->depth_of[place])
            w->waiting[w->n_waiting++] = place;
        w->depth_of[place] = wanted;
    }
    return 1;
}

static int flow_from(struct walker *w, u32 start) {
    u32 size = (u32)w->walk->size, most = w->walk->banks[w->table->n_banks - 1].count;
    struct guest room;
    for (u32 k = start;;) {
        const struct guest *at = instruction_at(w, k, &room);
        const struct guest_instruction *row = at->row;
        u32 depth = w->depth_of[k] - 1;
        if (depth < row->needs)
            return stray(w, GUEST_UNDERFLOW, k, row->needs, depth);
        if (depth + row->most > most)
            return stray(w, GUEST_OVERFLOW, k, most, depth + row->most);
        for (u32 t = 0; t < row->n_targets; t++)
            if (!jump_from(w, at, t, depth))
                return 0;
        if (row->ends)
            return 1;
        if (at->end == size)
            return stray(w, GUEST_FALLS_OFF, k, 0, 0);
        u32 wanted = (u32)((s32)depth + row->change) + 1;
        if (w->depth_of[at->end])
            return flow_to(w, k, at->end, wanted);
        w->depth_of[at->end] = wanted;
        k = at->end;
    }
}

/* An instruction is gone through once: whoever gives it a depth goes on with it, or puts it among the waiting. */
static int find_depths(struct walker *w) {
    if (!RESERVE(w, w->depth_of, w->walk->size) || !RESERVE(w, w->waiting, w->n_labels + 1))
        return 0;
    memset(w->depth_of, 0, w->walk->size * sizeof *w->depth_of);
    w->depth_of[0] = 1;
    w->waiting[w->n_waiting++] = 0;
    while (w->n_waiting)
        if (!flow_from(w, w->waiting[--w->n_waiting]))
            return 0;
    return 1;
}
