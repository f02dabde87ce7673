/* One stencil and the values of its holes -> items, and events for what depends on positions. */
#include "events.h"

enum frame_kind { NO_FRAME, SMALL_FRAME, LARGE_FRAME };

struct selection {
    struct compilation *c;
    const struct library *library;
    u32 position;               /* bytes so far, every branch counted long */
    u32 number;                 /* the user's op being selected */
    s32 check;                  /* the block that begins by counting the function's calls, or -1 */
    u32 instruction;
    s32 n_targets;              /* blocks, then labels out of line */
    s32 branch_target;          /* what TARGET means */
    u8 branch_kind;             /* and what a branch to it is: BRANCH_EVENT, POLL_EVENT or CHECK_EVENT */
    s32 callee;                 /* what CALLEE means */
    u8 has_temporaries;         /* slots beyond the frame, never across a call */
    i64 value[HOLE_VALUES];
    s32 occupant[2][MAXIMUM_INTEGER_REGISTERS]; /* around calls: register of the IR in a hardware register */
    u8 leaves;                  /* something traps */
    u8 frame;                   /* enum frame_kind */
    u32 n_cold;                 /* exits and polls, which have code out of line */
    s32 trap_target;            /* the latest common end of exits, */
    u32 trap_position;          /* and where it is, or 0 */
    u32 saved[2], lost[2];      /* bit per hardware register: its slot is up to date; only its slot is */
};

static struct event *add_event(struct selection *s, u8 kind, u32 item, u32 position, s32 target) {
    struct compilation *c = s->c;
    struct event *event = event_at(c, c->n_events++);
    *event = (struct event){.kind = kind, .item = item, .position = position, .target = target};
    return event;
}

static void bind(struct selection *s, s32 target) { add_event(s, LABEL_EVENT, 0, s->position, target); }

static inline struct item item_of(const struct library *library, u32 chunk) {
    return (struct item){chunk * (u32)sizeof(struct chunk), last_four(&library->chunks[chunk])};
}

static inline u32 chunk_number(const struct library *library, const struct stencil *stencil, u32 k) {
    return stencil->chunks == 1 ? stencil->chunk : library->runs[stencil->chunk + k];
}

/* A branch's short form can take its place if all but the last chunk is the same. */
static int has_compatible_short_form(const struct library *library, const struct stencil *stencil) {
    if (!stencil->has_short_form || stencil[1].chunks != stencil->chunks)
        return 0;
    for (u32 k = 0; k + 1 < stencil->chunks; k++)
        if (chunk_number(library, stencil, k) != chunk_number(library, stencil + 1, k))
            return 0;
    return 1;
}

static void put_hole(struct selection *s, const struct stencil *stencil, const struct hole *hole, struct item *items) {
    struct item *item = &items[hole->chunk];
    u32 position = s->position + hole->offset, index = (u32)(item - s->c->items);
    struct event *event;
    switch (hole->value) {
    case TARGET_VALUE:
        event = add_event(s, s->branch_kind, index, position, s->branch_target);
        if (has_compatible_short_form(s->library, stencil))
            event->extra = (u32)(stencil - s->library->stencils) + 1;
        event->stencil_size = stencil->size;
        event->addend = hole->addend;
        return;
    case EXIT_VALUE:
        event = add_event(s, EXIT_EVENT, index, position, s->n_targets++);
        event->extra = s->number << 4 | hole->extra;
        event->addend = hole->addend;
        s->n_cold++;
        return;
    case LIBRARY_VALUE:
        event = add_event(s, LIBRARY_EVENT, index, position, 0);
        event->extra = hole->extra;
        event->addend = hole->addend;
        return;
    case CALLEE_VALUE:
        event = add_event(s, CALLEE_EVENT, index, position, s->callee);
        event->addend = hole->addend;
        return;
    case TABLE_VALUE:
        event = add_event(s, TABLE_EVENT, index, position, (s32)s->instruction);
        event->extra = hole->flags & HIGH_HALF;
        return;
    default:;
        i64 value = s->value[hole->value] + (i64)(s64)hole->addend;
        if (hole->flags & HIGH_HALF)
            value >>= 32;
        item->value = hole->width == 4 ? (u32)value : item->value | (u32)value << 24;
    }
}

static void put(struct selection *s, u32 index) {
    const struct library *library = s->library;
    const struct stencil *stencil = &library->stencils[index];
    struct compilation *c = s->c;
    if (__builtin_expect(!index, 0)) {
        fail(c, MISSING_STENCIL, s->number, 0);
        return;
    }
    struct item *items = &c->items[c->n_items];
    for (u32 k = 0; k < stencil->chunks; k++)
        items[k] = item_of(library, chunk_number(library, stencil, k));
    for (u32 k = 0; k < stencil->holes; k++)
        put_hole(s, stencil, &library->holes[stencil->hole + k], items);
    if (__builtin_expect(c->traces != 0, 0) && c->n_traces < c->max_traces)
        c->traces[c->n_traces++] = (struct trace){s->number, index, s->position, c->n_items};
    c->n_items += stencil->chunks;
    s->position += stencil->size;
}

static void put_control(struct selection *s, enum known_control which) { put(s, s->library->control[which]); }

/* Where an operand lives, as the op table numbers it: register, slot, or an immediate's class. */
struct location {
    u32 place;     /* register, or the number of registers for the slot, or beyond */
    s32 slot;      /* bytes from frame */
    i64 value;     /* of a constant */
    u8 is_constant;
};

static inline u32 registers_of(const struct selection *s, int file) {
    return file ? s->library->float_registers : s->library->integer_registers;
}

static inline struct location in_slot(const struct selection *s, int file, s32 slot) {
    return (struct location){.place = registers_of(s, file), .slot = slot * 8};
}
static inline struct location in_register(u32 hardware) { return (struct location){.place = hardware, .slot = -1}; }

static inline struct location locate(const struct selection *s, s32 operand, int file) {
    if (operand < 0)
        return (struct location){.value = (i64)constant(s->c, operand), .is_constant = 1, .slot = -2};
    const struct interval *interval = &s->c->intervals[operand];
    return interval->place >= 0 ? in_register((u32)interval->place) : in_slot(s, file, interval->slot);
}

static inline int same_place(struct location a, struct location b) {
    return !a.is_constant && !b.is_constant && a.place == b.place && a.slot == b.slot;
}

/* The index of a constant's narrowest class among those in `classes`, or 0 if it fits none. */
static inline u32 class_index(u32 classes, s64 value, u32 registers) {
    u32 fits = CLASS_I64 | (value == 0 ? CLASS_ZERO : 0) | (fits_byte(value) ? CLASS_I8 : 0) |
               (value >= 0 && value <= 0xffffffffll ? CLASS_U32 : 0) | (value > -0x80000000ll && value < 0x80000000ll ? CLASS_I32 : 0);
    fits &= classes;
    if (!fits)
        return 0;
    u32 narrowest = fits & -fits;
    return registers + 1 + (u32)__builtin_popcount(classes & (narrowest - 1));
}

static s32 temporary_slot(struct selection *s, u32 which) {
    s->has_temporaries = 1;
    return (s32)(s->c->n_slots + which);
}

static void move(struct selection *s, int file, struct location to, struct location from) {
    const struct op *op = &s->library->ops[s->library->known[file ? FLOAT_MOVE : INTEGER_MOVE]];
    if (same_place(to, from))
        return;
    s->value[SLOT_D] = (i64)(s64)to.slot;
    if (from.is_constant) {
        from.place = class_index(op->classes_a, (s64)from.value, registers_of(s, file));
        s->value[IMMEDIATE_A] = from.value;
    } else
        s->value[SLOT_A] = (i64)(s64)from.slot;
    put(s, s->library->placements[op->base[FREE] + to.place * op->n_a + from.place]);
}

/* A source operand as an op's stencils want it; what they do not offer goes through a temporary slot. */
static u32 source_index(struct selection *s, struct location *at, int file, u32 classes, int narrow, enum hole_value slot,
                        enum hole_value immediate, u32 temporary) {
    if (at->is_constant) {
        s64 value = narrow ? (s64)(s32)at->value : (s64)at->value;
        u32 index = class_index(classes, value, registers_of(s, file));
        if (index) {
            s->value[immediate] = (i64)value;
            return index;
        }
        struct location to = in_slot(s, file, temporary_slot(s, temporary));
        move(s, file, to, *at);
        *at = to;
    }
    s->value[slot] = (i64)(s64)at->slot;
    return at->place;
}
