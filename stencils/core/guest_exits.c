/* The exits that a walk has found -> the side exits of a function. */
#include "layout.h"

static u32 count_in(const struct guest_span *file, const struct guest_exit *exit) {
    return file->count == ALL_OF_STACK ? exit->depth : file->count;
}

/* Makes as many rows as there are exits, and those of their values, which are consecutive. Returns how many values there are;
 * writes nothing if `rows` is NULL. */
u64 cnp_describe_exits(const struct guest_exits *all, struct side_exit *rows, struct side_exit_value *values) {
    u64 total = 0;
    for (u64 k = 0; k < all->n; k++) {
        const struct guest_exit *exit = &all->exits[k];
        const struct guest_span *kind = &all->kinds[exit->exit];
        u64 first = total;
        for (u32 i = 0; i < kind->count; i++) {
            const struct guest_span *file = &all->files[kind->first + i];
            u32 count = count_in(file, exit);
            for (u32 reg = file->first; rows && reg < file->first + count; reg++)
                values[total + reg - file->first] = (struct side_exit_value){.reg = reg, .type = all->types[reg]};
            total += count;
        }
        if (!rows)
            continue;
        rows[k] = all->common;
        rows[k].values = values + first;
        rows[k].n_values = (u32)(total - first);
        rows[k].label = exit->label;
        rows[k].offset = exit->offset;
    }
    return total;
}
