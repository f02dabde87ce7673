/* The exits that a walk has found -> the side exits of a function. */
#include "layout.h"

/* One shortly before that passes on the same registers; or itself. */
static u64 twin_of(const struct guest_exits *all, u64 k) {
    enum { SHORTLY = 16 };
    const struct guest_exit *exit = &all->exits[k];
    for (u64 other = k; other-- > 0 && other + SHORTLY >= k;)
        if (all->exits[other].exit == exit->exit && all->exits[other].depth == exit->depth)
            return other;
    return k;
}

/* Makes as many rows as there are exits, and those of their values, which some exits share. Returns how many values there
 * are; writes nothing if `rows` is NULL. */
u64 cnp_describe_exits(const struct guest_exits *all, struct side_exit *rows, struct side_exit_value *values) {
    u64 total = 0;
    for (u64 k = 0; k < all->n; k++) {
        const struct guest_exit *exit = &all->exits[k];
        const struct guest_span *kind = &all->kinds[exit->exit];
        u64 first = total, twin = twin_of(all, k);
        for (u32 i = 0; twin == k && i < kind->count; i++) {
            u32 file = all->live[kind->first + i], first_of_file = (u32)all->first + all->files[file].first;
            u32 count = file == all->stack ? exit->depth : all->files[file].count;
            for (u32 reg = first_of_file; rows && reg < first_of_file + count; reg++)
                values[total + reg - first_of_file] = (struct side_exit_value){.reg = reg, .type = all->types[reg]};
            total += count;
        }
        if (!rows)
            continue;
        rows[k] = all->common;
        rows[k].values = twin == k ? values + first : rows[twin].values;
        rows[k].n_values = twin == k ? (u32)(total - first) : rows[twin].n_values;
        rows[k].label = exit->label;
        rows[k].offset = exit->offset;
    }
    return total;
}
