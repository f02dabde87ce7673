/* One stencil and the values of its holes -> items, and events for what depends on positions. */
#include "events.h"

enum frame_kind { NO_FRAME, SMALL_FRAME, LARGE_FRAME };
/* Slots for what is on its way: three for what no stencil offers, four for operands and results whose slots are out of reach, one for
 * moves between such slots. */
enum { COPIED_OPERANDS = 3, FAR_TEMPORARIES = 8 };
enum { NO_ISLAND = -1 };

struct selection {
    struct compilation *c;
    const struct library *library;
    u32 position;               /* bytes so far, every branch counted long */
    u32 number;                 /* the user's op being selected */
    s32 check;                  /* the block that begins by counting the function's calls, or -1 */
    u32 instruction;
    s32 n_targets;              /* blocks, then side exits, then labels out of line */
    s32 branch_target;          /* what TARGET means */
    u8 branch_kind;             /* and what a branch to it is: BRANCH_EVENT, POLL_EVENT or CHECK_EVENT */
    s32 callee;                 /* what CALLEE means */
    u8 has_temporaries;         /* slots beyond the frame, never across a call */
    u8 has_far_slots;           /* beyond the reach of instructions; then temporaries come first */
    u32 first_temporary;
    i64 value[HOLE_VALUES];
    struct location *homes;     /* of the IR's registers */
    u32 place[4];               /* of d, a, b and c, for holes that name registers */
    s32 occupant[2][MAXIMUM_INTEGER_REGISTERS]; /* around calls: register of the IR in a hardware register */
    u8 leaves;                  /* something traps */
    s32 way_out;                /* where side exits go, */
    u32 leaving[2];             /* bit per hardware register: some exit has its value, */
    const struct side_exit_value *found_values[LATEST_LISTS]; /* and the latest lists of what exits have */
    u64 room;                   /* bytes for items and events */
    u8 frame;                   /* enum frame_kind */
    u32 n_cold;                 /* exits and polls, which have code out of line */
    u32 window;                 /* the first event since the latest island, */
    s32 island_block;           /* the block that this is in, or NO_ISLAND, */
    s64 island_due;             /* and the position from which on the next one should begin */
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

/* The next island will be larger by so much. */
static void owe(struct selection *s, u64 bytes) { s->island_due -= (s64)bytes; }

/* Code out of line: a poll with a large frame is the most. */
static void owe_cold(struct selection *s) {
    enum { MOST_COLD = 64 };
    s->n_cold++;
    owe(s, MOST_COLD);
}

static struct event *bind(struct selection *s, s32 target) { return add_event(s, LABEL_EVENT, 0, s->position, target); }

static inline struct item item_of(const struct library *library, u32 chunk) {
    return (struct item){chunk * (u32)sizeof(struct chunk), last_four(&library->chunks[chunk])};
}

static inline u32 chunk_number(const struct library *library, const struct stencil *stencil, u32 k) {
    return stencil->chunks == 1 ? stencil->chunk : library->runs[stencil->chunk + k];
}

/* The hole of a branch that holds the way to its target. */
static const struct hole *target_hole(const struct library *library, const struct stencil *stencil) {
    const struct hole *hole = &library->holes[stencil->hole + stencil->holes - 1];
    while (hole->value != TARGET_VALUE)
        hole--;
    return hole;
}

static inline u32 cut(const struct segment *segment, i64 value) {
    return (u32)(value >> segment->start & ((1ull << segment->bits) - 1)) << segment->to;
}

static __attribute__((noinline)) u32 encode_in_segments(const struct patch_kind *kind, i64 value) {
    u32 word = 0;
    for (u32 k = 0; k < kind->n_segments; k++) {
        const struct segment *segment = &kind->segment[k];
        i64 bits = segment->flags & NEGATE ? -value : value;
        word |= cut(segment, segment->flags & INVERT ? ~bits : bits);
    }
    return word;
}

static inline u32 encode(const struct patch_kind *kind, i64 value) {
    value += (i64)(s64)kind->bias;
    if (__builtin_expect(kind->shape == SEGMENTS, 0)) /* few are */
        return encode_in_segments(kind, value);
    return (u32)(value >> kind->segment->start) << kind->segment->to & kind->mask;
}

static inline int fits(const struct patch_kind *kind, s64 value) {
    return value >= kind->low && value <= kind->high && !(value & (kind->scale - 1));
}

/* Eight bytes that the function keeps behind its code, each value once among the latest. */
enum { LATEST = 16 };
static u32 in_pool(struct selection *s, u64 value) {
    struct compilation *c = s->c;
    for (u32 k = c->n_pool; k-- > 0 && k + LATEST >= c->n_pool;)
        if (c->pool[k] == value)
            return k;
    owe(s, sizeof value);
    c->pool[c->n_pool] = value;
    return c->n_pool++;
}

static __attribute__((noinline)) void put_pooled(struct selection *s, const struct hole *hole, u32 index, u32 position) {
    u64 value = s->value[hole->value];
    if (hole->value == CONSTANT_VALUE)
        value = *(const u64 *)(s->library->constants + hole->extra);
    struct event *event = add_event(s, POOL_EVENT, index, position, (s32)in_pool(s, value));
    event->field = hole->kind;
    event->addend = hole->addend;
}

static __attribute__((noinline)) void put_address(struct selection *s, const struct stencil *stencil, const struct hole *hole, u32 index, u32 position) {
    struct event *event;
    int is_far;
    switch (hole->value) {
    case TARGET_VALUE:
        event = add_event(s, s->branch_kind, index, position, s->branch_target);
        stencil -= stencil[-1].has_short_form;
        if (stencil->has_short_form) {
            event->extra = (u32)(stencil - s->library->stencils);
            event->saved = stencil->size - stencil[1].size;
        }
        break;
    case EXIT_VALUE:
        event = add_event(s, EXIT_EVENT, index, position, s->n_targets++);
        event->extra = s->number << 4 | hole->extra;
        owe_cold(s);
        break;
    case LIBRARY_VALUE:
        is_far = s->c->request->far_calls && hole->extra <= s->library->last_routine;
        event = add_event(s, is_far ? VENEER_EVENT : LIBRARY_EVENT, index, position, -1);
        event->extra = hole->extra;
        break;
    case CALLEE_VALUE:
        is_far = s->c->request->far_calls && s->c->request->callees[s->callee].kind != CALLEE_MEMBER;
        event = add_event(s, is_far ? VENEER_EVENT : CALLEE_EVENT, index, position, s->callee);
        break;
    default:
        event = add_event(s, TABLE_EVENT, index, position, (s32)s->instruction);
        owe(s, 4ull * ((u32)s->c->instructions[s->instruction].operand[1] + 1));
        break;
    }
    event->addend = hole->addend;
    event->field = hole->kind;
    if (event->kind == VENEER_EVENT) {
        const struct library *library = s->library;
        i64 to = event->target < 0 ? library->blob + event->extra : (i64)s->c->request->callees[event->target].address;
        u32 row = in_pool(s, to);
        const struct event *before = event + 1;
        if (s->c->n_events > 1 && before->kind == VENEER_EVENT && before->extra == row) { /* the other field of the same call */
            event->kind = BRANCH_EVENT;
            event->extra = 0;
            event->target = before->target;
            return;
        }
        event->extra = row;
        event->target = s->n_targets++;
        owe_cold(s);
    }
}

static inline int is_address(u32 value) { return 1u << value & (1u << TARGET_VALUE | 1u << EXIT_VALUE | 1u << LIBRARY_VALUE | 1u << CALLEE_VALUE | 1u << TABLE_VALUE); }

/* What the registers of d, a, b and c contribute to fields, each of which a byte of `fields` numbers. */
static inline u32 register_bits(const struct selection *s, u32 fields) {
    const struct field *field = s->library->fields;
    u32 bits = 0;
    for (u32 k = 0; k < 4; k++)
        bits ^= field[fields >> 8 * k & 255].bits[s->place[k]];
    return bits;
}

/* What is neither. `position` is where the stencil begins. */
static __attribute__((noinline)) void put_linked(struct selection *s, const struct stencil *stencil, const struct hole *hole, struct item *item,
                                                 u32 position) {
    u32 index = (u32)(item - s->c->items);
    if (is_address(hole->value))
        put_address(s, stencil, hole, index, position + hole->offset);
    else
        put_pooled(s, hole, index, position + hole->offset);
}

static __attribute__((noinline)) void put_holes(struct selection *s, const struct stencil *stencil, struct item *items, u32 position) {
    const struct hole *hole = &s->library->holes[stencil->hole], *end = hole + stencil->holes;
    const struct patch_kind *kinds = s->library->kinds;
    for (; hole != end; hole++) {
        const struct patch_kind *kind = &kinds[hole->kind];
        struct item *item = &items[hole->chunk];
        if (hole->value == REGISTERS_VALUE)
            item->value ^= register_bits(s, hole->extra);
        else if (is_address(hole->value) || kind->flags & PC_RELATIVE)
            put_linked(s, stencil, hole, item, position);
        else
            item->value |= encode(kind, s->value[hole->value] + (i64)(s64)hole->addend);
    }
}

/* The items of a stencil, whose holes have yet to be filled. */
static inline struct item *put_items(struct selection *s, u32 index) {
    const struct library *library = s->library;
    const struct stencil *stencil = &library->stencils[index];
    struct compilation *c = s->c;
    u32 n = stencil->chunks;
    if (__builtin_expect(c->traces != 0, 0) && c->n_traces < c->max_traces)
        c->traces[c->n_traces++] = (struct trace){s->number, index, s->position, c->n_items};
    struct item *items = &c->items[c->n_items];
    c->n_items += n;
    s->position += stencil->size;
    if (__builtin_expect(n == 1, 1))
        *items = item_of(library, stencil->chunk);
    else
        for (u32 k = 0; k < n; k++)
            items[k] = item_of(library, library->runs[stencil->chunk + k]);
    return items;
}

static void put(struct selection *s, u32 index) {
    const struct stencil *stencil = &s->library->stencils[index];
    u32 position = s->position;
    if (__builtin_expect(!index, 0)) {
        fail(s->c, MISSING_STENCIL, s->number, 0);
        return;
    }
    struct item *items = put_items(s, index);
    if (stencil->holes)
        put_holes(s, stencil, items, position);
}

static void put_control(struct selection *s, enum known_control which) { put(s, s->library->control[which]); }

/* In its short form, if it has one, but counted long. */
static __attribute__((noinline)) void put_short(struct selection *s, u32 index) {
    const struct stencil *stencil = &s->library->stencils[index];
    struct compilation *c = s->c;
    u32 position = s->position, trace = c->n_traces;
    put(s, index + stencil->has_short_form);
    s->position = position + stencil->size;
    if (__builtin_expect(trace != c->n_traces, 0))
        c->traces[trace].stencil = index;
}

/* A branch, in the form that most have in the end. */
static inline void put_branch(struct selection *s, u32 index) {
    if (s->library->reaches_far)
        put_short(s, index);
    else
        put(s, index);
}

/* Where an operand lives. */
struct location {
    u16 place;      /* register, or the number of registers for the slot, or beyond */
    u8 alternative; /* of this place at an operand position, as the op table numbers it */
    s32 slot;       /* bytes from frame, or one of those below */
    i64 value;      /* of a constant */
};
enum { NO_SLOT = -1, CONSTANT_SLOT = -2 };
static inline int is_immediate(const struct location *at) { return at->slot == CONSTANT_SLOT; }
static inline struct location immediate(i64 value) { return (struct location){.value = value, .slot = CONSTANT_SLOT}; }

static inline u32 registers_of(const struct selection *s, int file) {
    return file ? s->library->float_registers : s->library->integer_registers;
}

static inline struct location in_slot(const struct selection *s, int file, s32 slot) {
    u32 place = registers_of(s, file);
    return (struct location){(u16)place, s->library->alternative[file][place], slot * 8 + (s32)s->library->first_slot, 0};
}
static inline struct location in_register(const struct selection *s, int file, u32 hardware) {
    return (struct location){(u16)hardware, s->library->alternative[file][hardware], NO_SLOT, 0};
}

/* A register of the IR is at home wherever it was allocated. */
static void find_home(struct selection *s, u32 reg) {
    const struct interval *interval = &s->c->intervals[reg];
    int file = in_float_file(s->c, (s32)reg);
    s->homes[reg] = interval->place >= 0 ? in_register(s, file, (u32)interval->place) : in_slot(s, file, interval->slot);
}

/* Where an operand is; a constant is put where there is room for it. */
static inline const struct location *locate(const struct selection *s, s32 operand, struct location *room) {
    if (operand >= 0)
        return &s->homes[operand];
    *room = immediate((i64)constant(s->c, operand));
    return room;
}

static inline int same_place(const struct location *a, const struct location *b) {
    return a->place == b->place && a->slot == b->slot && !is_immediate(a);
}

/* The alternative of a constant's narrowest class among those in `classes`, or 0 if it fits none; and what its hole gets. */
static inline u32 class_alternative(const struct selection *s, int file, u32 classes, i64 *value) {
    const struct library *library = s->library;
    for (u32 rest = classes; rest; rest &= rest - 1) {
        const struct immediate_class *class = &library->classes[__builtin_ctz(rest)];
        if (!takes(class, (s64)*value))
            continue;
        if (class->pattern)
            *value = encoded(*value, class->pattern);
        u32 before = (u32)__builtin_popcount(classes & ((rest & -rest) - 1));
        return library->alternative[file][registers_of(s, file)] + 1u + before;
    }
    return 0;
}

static s32 temporary_slot(struct selection *s, u32 which) {
    s->has_temporaries = 1;
    return (s32)(s->first_temporary + which);
}

/* Whether the destination's register is also that of one or two other operands; of one that there is not the type is NO_TYPE. */
static inline u32 pattern_of(const struct selection *s, const struct op *op, const struct location *d, u8 type_a, const struct location *a,
                             u8 type_b, const struct location *b) {
    int file = IS_FLOAT(op->result_type);
    if (op->patterns == 1 || d->place >= registers_of(s, file))
        return 0;
    return (u32)(file == IS_FLOAT(type_a) && same_place(d, a)) | (u32)(type_b != NO_TYPE && file == IS_FLOAT(type_b) && same_place(d, b)) << 1;
}

static inline int is_far(const struct selection *s, const struct location *at) {
    return s->has_far_slots && at->slot >= (s32)s->library->slot_reach;
}

/* Between a register, or a slot that instructions reach, and one that they do not: a load or store beside frame. */
static void move_far(struct selection *s, int file, struct location to, struct location from) {
    const struct library *library = s->library;
    int loads = is_far(s, &from);
    const struct op *op = &library->ops[library->known[(loads ? I64_LOAD : I64_STORE) + file]];
    u32 slot = library->alternative[0][library->integer_registers];
    u32 offset = loads ? op->n_b : op->n_c, near = (loads ? to : from).alternative;
    s->place[0] = s->place[1] = loads ? to.place : from.place;
    s->value[loads ? IMMEDIATE_A : IMMEDIATE_B] = (i64)(s64)(loads ? from.slot : to.slot);
    s->value[loads ? SLOT_D : SLOT_A] = (i64)(s64)(loads ? to.slot : from.slot);
    s->value[OFFSET_VALUE] = 0;
    put(s, library->placements[op->base[FREE] + (near * (loads ? op->n_a : op->n_b) + slot + 1) * offset]);
}

/* The stencil of a move between two places that instructions reach, whose holes it gives their values. */
static inline u32 move_stencil(struct selection *s, int file, const struct location *to, const struct location *from) {
    const struct op *op = &s->library->ops[s->library->known[file ? FLOAT_MOVE : INTEGER_MOVE]];
    s->value[SLOT_D] = (i64)(s64)to->slot;
    s->place[0] = to->place;
    s->place[1] = from->place;
    u32 index;
    if (is_immediate(from)) {
        s->value[IMMEDIATE_A] = from->value;
        index = class_alternative(s, file, op->classes_a, &s->value[IMMEDIATE_A]);
    } else {
        s->value[SLOT_A] = (i64)(s64)from->slot;
        index = from->alternative;
    }
    return s->library->placements[op->base[FREE] + to->alternative * op->n_a + index];
}

static void move(struct selection *s, int file, struct location to, struct location from) {
    if (same_place(&to, &from))
        return;
    if (__builtin_expect(is_far(s, &to) | is_far(s, &from), 0)) {
        if (is_immediate(&from) || (is_far(s, &to) && is_far(s, &from))) {
            struct location near = in_slot(s, file, temporary_slot(s, FAR_TEMPORARIES - 1));
            move(s, file, near, from);
            from = near;
        }
        move_far(s, file, to, from);
        return;
    }
    put(s, move_stencil(s, file, &to, &from));
}

/* A slot or a register as operand `which` of d, a, b and c, which says which holes are its own. */
static inline u32 place_index(struct selection *s, const struct location *at, u32 which) {
    s->value[SLOT_D + which] = (i64)(s64)at->slot;
    s->place[which] = at->place;
    return at->alternative;
}

/* A constant as an op's stencils want it; one that they do not offer goes through a temporary slot. */
static __attribute__((noinline)) u32 immediate_index(struct selection *s, const struct location *at, u8 type, u32 classes, u32 which, u32 temporary) {
    int file = IS_FLOAT(type);
    i64 value = type == TYPE_I32 ? (i64)(s64)(s32)at->value : at->value;
    u32 index = class_alternative(s, file, classes, &value);
    if (index) {
        s->value[IMMEDIATE_A + which - 1] = value;
        return index;
    }
    struct location to = in_slot(s, file, temporary_slot(s, temporary));
    move(s, file, to, *at);
    return place_index(s, &to, which);
}

static inline u32 source_index(struct selection *s, const struct location *at, u8 type, u32 classes, u32 which, u32 temporary) {
    return is_immediate(at) ? immediate_index(s, at, type, classes, which, temporary) : place_index(s, at, which);
}
