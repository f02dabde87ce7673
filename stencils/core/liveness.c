/* Blocks -> one interval a register: from where its value is first made or needed to where it is last needed.
 * Each register is followed backwards from the blocks that need it to those that define it (after Boissinot et al.,
 * 2008), so that the work is the size of the answer, not registers times blocks. Most need not be: a register that is
 * first defined in a block through which every way to later ones leads is defined in all of them. Its interval ends
 * with its last use, or with a loop that needs it and begins behind the definition. */
#include "compile.h"

/* Blocks that define a register, or need it from their predecessors: linked lists in one array. */
struct mention {
    u32 block, next; /* next: index + 1 */
};
/* What is known of a register while blocks are gone through. If every way to later blocks leads through that of its first
 * definition, they have it: then its interval's `sure_until` is the block up to which all loops are covered, else 0. */
struct mentioned {
    u32 needs, defines; /* index + 1 of the first mention */
    u32 first_in;       /* the block of the first definition, if it is sure */
    u32 unsure_until;   /* nothing is said about blocks in front of this one: the loop around them defines the register, too */
    s32 covered;        /* until the end of a loop at this position, or 0 */
};
/* A list of values of side exits: where the latest of them is. As long as all of its registers are sure to be there, or were
 * there before in the same block, that is all there is to know. */
struct passed_on {
    const struct side_exit *exit; /* NULL for none */
    u32 sure_until, block;
    s32 position; /* or -1: the intervals know */
};
struct mentions {
    struct mention *all;
    u32 n, capacity;
    struct mentioned *by_register;
    u8 are_needed; /* some register is needed from predecessors */
    struct passed_on passed_on[LATEST_LISTS];
    struct compilation *c;
};

static int mention(struct mentions *m, u32 *list, u32 block) {
    if (m->n == m->capacity) { /* the array is the last thing in the scratch: it grows in place */
        if (!allocate(m->c, 4096 * sizeof *m->all))
            return 0;
        m->capacity += 4096;
    }
    m->all[m->n] = (struct mention){block, *list};
    *list = ++m->n;
    return 1;
}

static inline f32 weight_at(u16 depth) { return (f32)(1u << 3 * (depth < 6 ? depth : 6)); }

/* Instructions are gone through in order. */
static inline void reach(struct interval *interval, s32 position, f32 weight) {
    if (interval->end < 0)
        interval->start = position;
    interval->end = position;
    interval->weight += weight;
}

/* A register that every way to a block brings from its first definition, and that is needed there, is live until the
 * outermost loop around the block ends that has not the definition in it. Unless it is defined in that loop: then it
 * may be, which is good enough for side exits, since they want most of what is there all the time. */
static int cover_loops(struct mentions *m, s32 reg, u32 block, int is_side_exit) {
    const struct compilation *c = m->c;
    struct mentioned *of = &m->by_register[reg];
    struct interval *interval = &c->intervals[reg];
    u32 outermost = 0, last = block;
    for (u32 head = c->blocks[block].loop_head ? block + 1 : c->blocks[block].loop; head > of->first_in + 1; head = c->blocks[head - 1].loop)
        outermost = head;
    if (outermost) {
        if (interval->defined_in >= outermost && !is_side_exit) {
            of->unsure_until = (u32)c->blocks[outermost - 1].loop_end;
            return 0;
        }
        last = (u32)c->blocks[outermost - 1].loop_end - 1;
        of->covered = position_of(c->blocks[last].end - 1) + 1;
    }
    interval->sure_until = c->blocks[last].next_loop;
    return 1;
}

static __attribute__((noinline)) int need(struct mentions *m, s32 reg, u32 block, int is_side_exit) {
    struct mentioned *of = &m->by_register[reg];
    if (m->c->intervals[reg].sure_until && (block >= of->unsure_until || is_side_exit) && cover_loops(m, reg, block, is_side_exit))
        return 1;
    m->are_needed = 1;
    return of->needs && m->all[of->needs - 1].block == block ? 1 : mention(m, &of->needs, block);
}

COMMON_PATH int use(struct mentions *m, struct interval *interval, s32 reg, s32 position, u32 block, f32 weight, int is_side_exit) {
    reach(interval, position, weight);
    if (__builtin_expect(block < interval->sure_until || interval->defined_in == block + 1, 1))
        return 1;
    return need(m, reg, block, is_side_exit);
}

COMMON_PATH int definition(struct mentions *m, struct interval *interval, s32 reg, s32 position, u32 block, f32 weight) {
    if (interval->end < 0 && !interval->sure_until && m->c->blocks[block].is_straight) {
        m->by_register[reg].first_in = block;
        interval->sure_until = m->c->blocks[block].next_loop;
    }
    reach(interval, position + 1, weight);
    if (interval->defined_in == block + 1)
        return 1;
    interval->defined_in = block + 1;
    return mention(m, &m->by_register[reg].defines, block);
}

/* The registers of a list live until the latest exit that passes them on. */
static void stretch(const struct mentions *m, const struct passed_on *list) {
    for (u32 k = 0; list->exit && list->position >= 0 && k < list->exit->n_values; k++) {
        const struct side_exit_value *value = &list->exit->values[k];
        struct interval *interval = &m->c->intervals[value->reg];
        if (!value->is_constant && interval->end < list->position)
            interval->end = list->position;
    }
}

/* What a side exit wants is needed where the way to it branches off, and no longer. It weighs nothing: in the frame it is
 * as good. */
static int use_in_side_exit(struct mentions *m, struct side_exit *exit, s32 position, u32 b) {
    struct passed_on *list = &m->passed_on[list_number(exit)];
    exit->position = 0; /* some way leads there */
    if (!exit->n_values)
        return 1;
    if (list->exit && list->exit->values == exit->values && (b < list->sure_until || b == list->block)) {
        list->position = position;
        return 1;
    }
    stretch(m, list);
    *list = (struct passed_on){exit, ~0u, b, -1};
    for (u32 k = 0; k < exit->n_values; k++) {
        const struct side_exit_value *value = &exit->values[k];
        if (value->is_constant)
            continue;
        if (!use(m, &m->c->intervals[value->reg], (s32)value->reg, position, b, 0, 1))
            return 0;
        u32 sure_until = m->c->intervals[value->reg].sure_until;
        list->sure_until = sure_until < list->sure_until ? sure_until : list->sure_until;
    }
    return 1;
}

static int use_in_side_exits(struct mentions *m, const struct instruction *at, s32 position, u32 b) {
    for (u32 k = 0, n = n_ways(at); k < n; k++) {
        struct side_exit *exit = way_out(m->c, at, k);
        if (exit && !use_in_side_exit(m, exit, position, b))
            return 0;
    }
    return 1;
}

static int scan_block(struct mentions *m, u32 b) {
    const struct compilation *c = m->c;
    struct interval *intervals = c->intervals;
    const struct block *block = &c->blocks[b];
    const struct instruction *at = &c->instructions[block->first], *behind = &c->instructions[block->end];
    f32 weight = weight_at(block->depth);
    for (s32 position = position_of(block->first); at != behind; at++, position += 2) {
        const s32 *sources = at->operand, *end = sources + at->n;
        if (__builtin_expect(at->kind == CALL_OP, 0)) {
            sources = list_at(c, at->other);
            end = sources + at->operand[0];
        }
        for (; sources != end; sources++)
            if (*sources >= 0 && !use(m, &intervals[*sources], *sources, position, b, weight, 0))
                return 0;
        if (at->d == NOTHING_DEFINED) {
            if (may_leave(c, at) && !use_in_side_exits(m, at, position, b))
                return 0;
            continue;
        }
        struct interval *d = &intervals[at->d];
        if (!definition(m, d, at->d, position, b, weight))
            return 0;
        if (d->hint < 0 && at->kind == PLAIN_OP && at->operand[0] >= 0)
            d->hint = at->operand[0];
    }
    return 1;
}

/* Registers that the function is entered with. */
static inline int given(const struct compilation *c, s32 reg) { return reg < (s32)c->request->n_parameters; }

/* Stretches a register's interval over the blocks it is live through. Returns whether it is live into the entry. */
static int spread(struct compilation *c, const struct mentions *m, s32 reg, u32 *visited, u32 *defined, u32 *stack) {
    struct interval *interval = &c->intervals[reg];
    u32 depth = 0, mark = (u32)reg + 1;
    int into_entry = 0;
    for (u32 k = m->by_register[reg].defines; k; k = m->all[k - 1].next)
        defined[m->all[k - 1].block] = mark;
    for (u32 k = m->by_register[reg].needs; k; k = m->all[k - 1].next) {
        visited[m->all[k - 1].block] = mark;
        stack[depth++] = m->all[k - 1].block;
    }
    while (depth) {
        u32 b = stack[--depth];
        const struct block *block = &c->blocks[b];
        s32 start = position_of(block->first);
        if (start < interval->start)
            interval->start = start;
        into_entry |= b == 0;
        for (u32 k = 0; k < block->n_predecessors; k++) {
            u32 from = c->predecessors[block->predecessors + k];
            s32 end = position_of(c->blocks[from].end - 1) + 1;
            if (end > interval->end)
                interval->end = end;
            if (defined[from] == mark || visited[from] == mark)
                continue;
            visited[from] = mark;
            stack[depth++] = from;
        }
    }
    return into_entry;
}

/* The registers of the side exits where an op may lead count as operands behind its own, in the order of its labels. */
static void note_undefined_in_side_exits(const struct compilation *c, const struct instruction *at, s32 reg, u32 *lowest, u32 *operand) {
    u32 number = at->n + n_ways(at);
    for (u32 k = 0, n = n_ways(at); k < n; k++) {
        const struct side_exit *exit = way_out(c, at, k);
        for (u32 i = 0; exit && i < exit->n_values; i++) {
            if (!exit->values[i].is_constant && exit->values[i].reg == (u32)reg && at->number < *lowest) {
                *lowest = at->number;
                *operand = number;
            }
            number += !exit->values[i].is_constant;
        }
    }
}

/* For the error message: the lowest op that uses the register and can be reached without a definition. */
static u32 first_undefined_use(struct compilation *c, s32 reg, u32 *visited, u32 *stack, u32 *operand) {
    u32 lowest = ~0u, depth = 0;
    fill(visited, 0, c->n_blocks * sizeof *visited);
    visited[0] = 1;
    stack[depth++] = 0;
    while (depth) {
        const struct block *block = &c->blocks[stack[--depth]];
        int defined = 0;
        for (u32 i = block->first; i < block->end && !defined; i++) {
            const struct instruction *at = &c->instructions[i];
            int call = at->kind == CALL_OP;
            const s32 *sources = call ? list_at(c, at->other) : at->operand;
            u32 n = call ? (u32)at->operand[0] : at->n;
            for (u32 k = n; k-- > 0;)
                if (sources[k] == reg && at->number <= lowest) {
                    lowest = at->number;
                    *operand = call ? k + 2 : k + (at->d != NOTHING_DEFINED);
                }
            if (may_leave(c, at))
                note_undefined_in_side_exits(c, at, reg, &lowest, operand);
            defined = at->d == reg;
        }
        for (u32 k = 0; !defined && k < n_successors(c, block); k++) {
            s32 to = successor(c, block, k);
            if (to >= 0 && !visited[to]) {
                visited[to] = 1;
                stack[depth++] = (u32)to;
            }
        }
    }
    return lowest;
}

/* The marks belong to the last register alone when blocks need it twice, so the stack never holds a block twice. */
static int find_intervals(struct compilation *c) {
    u32 n = c->n_registers;
    if (!ALLOCATE(c, c->intervals, n))
        return 0;
    for (u32 r = 0; r < n; r++)
        c->intervals[r] = (struct interval){.start = 0x7fffffff, .end = -1, .hint = -1, .place = NOWHERE, .wish = NOWHERE, .slot = -1};
    char *temporary = c->next;
    struct mentions m = {.c = c};
    u32 *visited, *defined, *stack;
    if (!ALLOCATE(c, m.by_register, n) || !ALLOCATE(c, visited, 3 * c->n_blocks))
        return 0;
    fill(m.by_register, 0, n * sizeof *m.by_register);
    fill(visited, 0, 2ull * c->n_blocks * sizeof *visited);
    for (u32 r = 0; r < c->request->n_parameters && !c->blocks[0].loop_head; r++)
        c->intervals[r].sure_until = c->blocks[0].next_loop;
    defined = visited + c->n_blocks;
    stack = defined + c->n_blocks;
    m.all = (struct mention *)c->next;
    for (u32 b = 0; b < c->n_blocks; b++)
        if (c->blocks[b].reachable && !scan_block(&m, b))
            return 0;
    for (u32 k = 0; k < LATEST_LISTS; k++)
        stretch(&m, &m.passed_on[k]);
    if (m.are_needed && !c->predecessors && !find_predecessors(c))
        return 0;
    u32 lowest = ~0u, lowest_operand = 0;
    for (u32 r = 0; r < n; r++) {
        if (m.by_register[r].covered && c->intervals[r].end < m.by_register[r].covered)
            c->intervals[r].end = m.by_register[r].covered;
        if (given(c, (s32)r) && c->intervals[r].end >= 0) {
            c->intervals[r].start = 0;
            c->intervals[r].weight += 1; /* the move at the entry */
        }
        if (!m.by_register[r].needs || !spread(c, &m, (s32)r, visited, defined, stack) || given(c, (s32)r))
            continue;
        u32 operand = 0, at;
        at = first_undefined_use(c, (s32)r, visited, stack, &operand);
        if (at < lowest || (at == lowest && operand < lowest_operand)) {
            lowest = at;
            lowest_operand = operand;
        }
        fill(visited, 0, c->n_blocks * sizeof *visited);
    }
    if (!c->calls_code)
        c->predecessors = 0; /* they were found here */
    c->next = temporary;
    return lowest == ~0u ? 1 : fail(c, USE_BEFORE_DEFINITION, lowest, lowest_operand);
}
