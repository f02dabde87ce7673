/* Intervals -> hardware registers and frame slots: linear scan (Poletto and Sarkar, 1999) that gives up the interval
 * with the fewest loop-weighted uses for its length, and lets a value live in a register across calls only where
 * saving it costs less than keeping it in memory. */
#include "compile.h"

/* Calls in the order of the code, with the running sum of their weights: what an interval crosses is a difference. */
struct call_site {
    s32 position;
    f32 weight_before;
    u32 code_calls_before;
};

struct allocation {
    struct compilation *c;
    const struct call_site *calls; /* one more at the end */
    u32 n_calls;
    s32 holder[2][MAXIMUM_INTEGER_REGISTERS]; /* register of the IR, or -1 */
    u32 n[2];
};

static int collect_calls(struct allocation *a) {
    struct compilation *c = a->c;
    struct call_site *calls = (struct call_site *)c->next;
    f32 weight = 0;
    u32 code_calls = 0, n = 0;
    u32 b = 0;
    for (u32 k = 0; k < c->n_calls; k++) {
        u32 i = c->calls[k];
        while (c->blocks[b].end <= i)
            b++;
        if (!c->blocks[b].reachable)
            continue;
        if (!allocate(c, 16))
            return 0;
        calls[n++] = (struct call_site){position_of(i), weight, code_calls};
        weight += weight_at(c->blocks[b].depth);
        code_calls += !is_c_function(&c->request->callees[c->instructions[i].target]);
    }
    if (!allocate(c, 16))
        return 0;
    calls[n] = (struct call_site){0x7fffffff, weight, code_calls};
    a->calls = calls;
    a->n_calls = n;
    return 1;
}

/* Index of the first call at or behind a position. */
static u32 first_call(const struct allocation *a, s32 position) {
    u32 low = 0, high = a->n_calls;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (a->calls[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct crossing {
    f32 weight;
    u32 calls, code_calls;
};
static struct crossing crossed(const struct allocation *a, const struct interval *interval) {
    if (!a->n_calls)
        return (struct crossing){0, 0, 0};
    /* An interval that starts at a use is live into its block: a call there is crossed. */
    u32 from = first_call(a, interval->start), to = first_call(a, interval->end - 1);
    if (to <= from)
        return (struct crossing){0, 0, 0};
    return (struct crossing){a->calls[to].weight_before - a->calls[from].weight_before, to - from,
                             a->calls[to].code_calls_before - a->calls[from].code_calls_before};
}

/* Where a value comes from or goes to decides where it had best live. */
static void find_wishes(struct compilation *c) {
    const struct library *library = c->library;
    u32 integers = 0, floats = 0;
    for (u32 r = 0; r < c->request->n_parameters; r++)
        c->intervals[r].wish = (s16)(IS_FLOAT(c->types[r]) ? floats++ : library->integer_argument[integers++]);
    for (u32 n = 0; n < c->n_calls; n++) {
        const struct instruction *at = &c->instructions[c->calls[n]];
        const struct callee *callee = &c->request->callees[at->target];
        integers = floats = 0;
        for (s32 k = 0; k < at->operand[0]; k++) {
            s32 argument = list_at(c, at->other)[k];
            s16 to = (s16)(IS_FLOAT(callee->parameter_type[k]) ? floats++ : library->integer_argument[integers++]);
            if (argument >= 0 && c->intervals[argument].wish < 0)
                c->intervals[argument].wish = to;
        }
        if (at->d >= 0 && c->intervals[at->d].wish < 0)
            c->intervals[at->d].wish = (s16)(in_float_file(c, at->d) ? library->float_result : library->integer_result);
    }
    for (u32 n = 0; n < c->n_controls; n++) {
        const struct instruction *at = &c->instructions[c->controls[n]];
        if (at->kind != RETURN_OP || !at->n || at->operand[0] < 0 || c->intervals[at->operand[0]].wish >= 0)
            continue;
        c->intervals[at->operand[0]].wish =
            (s16)(in_float_file(c, at->operand[0]) ? library->float_result : library->integer_result);
    }
}

static inline u32 n_positions(const struct compilation *c) { return 2 * c->n_instructions + 4; }

/* Sets of positions, which are few among many: a bit each. */
enum { POSITIONS_A_WORD = 64 };
static u64 *no_positions(struct compilation *c) {
    u64 *words, size = n_positions(c) / POSITIONS_A_WORD + 1;
    if (ALLOCATE(c, words, size))
        fill(words, 0, size * sizeof *words);
    return words;
}
static inline int is_among(const u64 *positions, u32 position) { return positions[position / POSITIONS_A_WORD] >> position % POSITIONS_A_WORD & 1; }

/* Puts a register in front of those at a position. */
static inline void put_at(u64 *positions, s32 *first, s32 *next, u32 position, s32 reg) {
    next[reg] = is_among(positions, position) ? first[position] : -1;
    first[position] = reg;
    positions[position / POSITIONS_A_WORD] |= 1ull << position % POSITIONS_A_WORD;
}

/* The first register whose interval starts at a position, or -1; then next_starting. */
static inline s32 starting_at(const struct compilation *c, u32 position) { return is_among(c->starts, position) ? c->first_starting[position] : -1; }

/* Registers by the position their interval starts at: a bucket sort. */
static int sort_by_start(struct compilation *c) {
    if (!(c->starts = no_positions(c)) || !ALLOCATE(c, c->first_starting, n_positions(c)) ||
        !ALLOCATE(c, c->next_starting, c->n_registers))
        return 0;
    for (u32 r = c->n_registers; r-- > 0;)
        if (c->intervals[r].end >= 0)
            put_at(c->starts, c->first_starting, c->next_starting, (u32)c->intervals[r].start, (s32)r);
    return 1;
}

static inline f32 density(const struct interval *interval) { return interval->weight / (f32)(interval->end - interval->start + 1); }

static int is_free(const struct allocation *a, int file, s32 hardware) {
    return hardware >= 0 && hardware < (s32)a->n[file] && a->holder[file][hardware] < 0;
}

static s32 choose(const struct allocation *a, const struct interval *interval, int file, u32 good) {
    const struct compilation *c = a->c;
    s32 hinted = interval->hint >= 0 && in_float_file(c, interval->hint) == file ? c->intervals[interval->hint].place : NOWHERE;
    if (is_free(a, file, hinted) && good >> hinted & 1)
        return hinted;
    if (is_free(a, file, interval->wish) && good >> interval->wish & 1)
        return interval->wish;
    s32 any = NOWHERE;
    for (u32 hardware = 0; hardware < a->n[file]; hardware++)
        if (a->holder[file][hardware] < 0) {
            if (good >> hardware & 1)
                return (s32)hardware;
            if (any < 0)
                any = (s32)hardware;
        }
    return any;
}

static void place(struct allocation *a, s32 reg) {
    struct compilation *c = a->c;
    struct interval *interval = &c->intervals[reg];
    int file = in_float_file(c, reg);
    for (u32 h = 0; h < a->n[file]; h++)
        if (a->holder[file][h] >= 0 && c->intervals[a->holder[file][h]].end < interval->start)
            a->holder[file][h] = -1;

    /* Across a call of compiled code no register survives, across one of C some integer registers do. */
    struct crossing crossing = crossed(a, interval);
    u32 survivors = file ? 0 : c->library->survivors;
    u32 scratch = file || !c->divides ? 0 : c->library->scratch;
    u32 good = (!crossing.calls ? ~survivors : !crossing.code_calls ? survivors : ~0u) & ~scratch;
    s32 hardware = choose(a, interval, file, good);
    int survives = crossing.calls && !crossing.code_calls && hardware >= 0 && survivors >> hardware & 1;
    if (crossing.calls && !survives && interval->weight <= 2 * crossing.weight)
        return;
    if (hardware < 0) {
        s32 victim = reg, where = NOWHERE;
        for (u32 h = 0; h < a->n[file]; h++)
            if (density(&c->intervals[a->holder[file][h]]) < density(&c->intervals[victim])) {
                victim = a->holder[file][h];
                where = (s32)h;
            }
        if (where < 0)
            return;
        c->intervals[victim].place = NOWHERE;
        hardware = where;
    }
    interval->place = (s16)hardware;
    a->holder[file][hardware] = reg;
}

/* Whether the register must be saved around some call: then it needs a slot although it has a register. */
static int needs_slot(const struct allocation *a, s32 reg) {
    const struct interval *interval = &a->c->intervals[reg];
    if (interval->place < 0)
        return 1;
    struct crossing crossing = crossed(a, interval);
    int survives = !in_float_file(a->c, reg) && a->c->library->survivors >> interval->place & 1;
    return survives ? crossing.code_calls != 0 : crossing.calls != 0;
}

/* Slots are shared by intervals that do not meet. */
static int assign_slots(struct allocation *a) {
    struct compilation *c = a->c;
    u32 n_free = 0;
    u64 *ends;
    s32 *first_ending, *next_ending, *free_slots;
    char *temporary = c->next;
    if (!(ends = no_positions(c)) || !ALLOCATE(c, first_ending, n_positions(c)) || !ALLOCATE(c, next_ending, c->n_registers) ||
        !ALLOCATE(c, free_slots, c->n_registers))
        return 0;
    for (u32 word = 0; word <= n_positions(c) / POSITIONS_A_WORD; word++)
        for (u64 passed = 0, rest; (rest = (c->starts[word] | ends[word]) & ~passed); passed |= (rest & -rest) * 2 - 1) {
            u32 position = word * POSITIONS_A_WORD + (u32)__builtin_ctzll(rest);
            for (s32 r = starting_at(c, position); r >= 0; r = c->next_starting[r])
                if (needs_slot(a, r)) {
                    c->intervals[r].slot = n_free ? free_slots[--n_free] : (s32)c->n_slots++;
                    put_at(ends, first_ending, next_ending, (u32)c->intervals[r].end, r);
                }
            for (s32 r = is_among(ends, position) ? first_ending[position] : -1; r >= 0; r = next_ending[r])
                free_slots[n_free++] = c->intervals[r].slot;
        }
    c->next = temporary;
    return 1;
}

static int allocate_registers(struct compilation *c) {
    struct allocation a = {.c = c, .n = {c->library->integer_registers, c->library->float_registers}};
    fill(a.holder, 0xff, sizeof a.holder);
    find_wishes(c);
    if (!sort_by_start(c) || !collect_calls(&a))
        return 0;
    u32 spilled = 0;
    const s8 *pins = c->request->pins;
    if (pins)
        for (u32 r = 0; r < c->n_registers; r++)
            c->intervals[r].place = pins[r];
    for (u32 word = 0; !pins && word <= n_positions(c) / POSITIONS_A_WORD; word++)
        for (u64 rest = c->starts[word]; rest; rest &= rest - 1)
            for (s32 r = c->first_starting[word * POSITIONS_A_WORD + (u32)__builtin_ctzll(rest)]; r >= 0; r = c->next_starting[r])
                place(&a, r);
    for (u32 r = 0; r < c->n_registers; r++)
        spilled += c->intervals[r].end >= 0 && c->intervals[r].place < 0;
    return spilled || a.n_calls ? assign_slots(&a) : 1;
}
