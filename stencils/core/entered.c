/* Packed ops and a label among them -> those that control reaches from there, for a function that has a register more in
 * front; and which label an instruction of guest bytecode has. */
#include "layout.h"

#define NOWHERE (~0ull)
enum { IS_REACHED = 1, IS_QUEUED };

struct reach {
    const struct library *library;
    const struct entered *entered;
    u64 *place_of; /* by label, in words; or NOWHERE */
    u32 *queue;    /* labels that are reached, and not looked at */
    u8 *state;     /* of an op, by its first word */
    u64 n_queued;
};

static inline u64 end_of(const struct entered *entered, u64 at) {
    u64 end = at + (entered->words[at] >> 16) + 1;
    return end < entered->n_words ? end : entered->n_words;
}

/* How many operands an op begins with that are registers or constants, or a call's callee; labels or an offset follow. */
static inline u32 sources(const struct library *library, u32 code) {
    if (code >= library->n_ops)
        return code == IR_PLACE || code == IR_JUMP ? 0 : code == IR_TABLE ? 1 : ~0u;
    const struct op *op = &library->ops[code];
    return op->shape == BRANCH ? op->n_operands : op->shape == LOAD || op->shape == STORE ? 2 : ~0u;
}

static inline int leads_to_labels(const struct library *library, u32 code) {
    return code < library->n_ops ? library->ops[code].shape == BRANCH : code == IR_JUMP || code == IR_TABLE;
}

static inline int has_no_next(u32 code) { return code == IR_JUMP || code == IR_RET || code == IR_TABLE || code == IR_TRAP; }

static void find_places(struct reach *reach) {
    const struct entered *entered = reach->entered;
    for (u64 label = 0; label < entered->n_labels; label++)
        reach->place_of[label] = NOWHERE;
    for (u64 at = 0, end; at < entered->n_words; at = end) {
        end = end_of(entered, at);
        if ((entered->words[at] & 0xffff) == IR_PLACE && end > at + 1 && entered->words[at + 1] < entered->n_labels)
            reach->place_of[entered->words[at + 1]] = at;
    }
}

/* Those of exits are placed nowhere. */
static void queue_label(struct reach *reach, u32 label) {
    u64 place = label < reach->entered->n_labels ? reach->place_of[label] : NOWHERE;
    if (place == NOWHERE || reach->state[place])
        return;
    reach->state[place] = IS_QUEUED;
    reach->queue[reach->n_queued++] = label;
}

static void follow_all(struct reach *reach, u32 start) {
    const struct entered *entered = reach->entered;
    queue_label(reach, start);
    while (reach->n_queued) {
        u64 at = reach->place_of[reach->queue[--reach->n_queued]];
        while (at < entered->n_words && reach->state[at] != IS_REACHED) {
            u32 code = entered->words[at] & 0xffff;
            u64 end = end_of(entered, at);
            reach->state[at] = IS_REACHED;
            for (u64 k = at + 1 + sources(reach->library, code); leads_to_labels(reach->library, code) && k < end; k++)
                queue_label(reach, entered->words[k]);
            if (has_no_next(code))
                break;
            at = end;
        }
    }
}

static u32 *copy_op(const struct reach *reach, u64 at, u32 *to) {
    const u32 *words = reach->entered->words;
    u32 code = words[at] & 0xffff;
    u64 end = end_of(reach->entered, at), first_other = at + 1 + sources(reach->library, code);
    *to++ = words[at];
    for (u64 k = at + 1; k < end; k++) {
        int is_register = k < first_other && !(words[k] & CONSTANT_WORD) && !(code == IR_CALL && k == at + 2);
        *to++ = words[k] + (u32)is_register;
    }
    return to;
}

static void copy_reached(const struct reach *reach, struct entered *entered, char *room) {
    u32 *to = (u32 *)room, *places = to + entered->n_words + 2, n = 0;
    entered->made = to;
    entered->places = places;
    for (u64 at = 0, number = 0; at < entered->n_words; at = end_of(entered, at), number++) {
        if (!reach->state[at])
            continue;
        if (!n && at != reach->place_of[entered->label]) {
            *to++ = PACKED_HEAD(IR_JUMP, 1);
            *to++ = entered->label;
            places[n++] = NO_GUEST_OFFSET;
        }
        places[n++] = number < entered->n_offsets ? entered->offsets[number] : NO_GUEST_OFFSET;
        to = copy_op(reach, at, to);
    }
    entered->n_made = (u64)(to - entered->made);
    entered->n_ops = n;
}

/* 0; UNBOUND_LABEL if the label is placed nowhere; after NEED_SCRATCH bring scratch_used bytes and call again. */
int cnp_enter(const struct library *library, struct entered *entered) {
    struct reach reach = {.library = library, .entered = entered, .place_of = (u64 *)entered->scratch};
    reach.queue = (u32 *)(reach.place_of + entered->n_labels);
    reach.state = (u8 *)(reach.queue + entered->n_labels);
    u64 states = entered->n_words + (-entered->n_words & 3), results = (entered->n_words + 2) * 2 * sizeof(u32);
    entered->scratch_used = (u64)((char *)reach.state - entered->scratch) + states + results;
    if (entered->scratch_size < entered->scratch_used)
        return NEED_SCRATCH;
    memset(reach.state, 0, states);
    find_places(&reach);
    if (entered->label >= entered->n_labels || reach.place_of[entered->label] == NOWHERE)
        return UNBOUND_LABEL;
    follow_all(&reach, entered->label);
    copy_reached(&reach, entered, (char *)reach.state + states);
    return OK;
}

/* The label of the instruction at an offset, n_labels if it has none; later ones at the same offset are its own. */
u32 cnp_label_of(const struct entered *entered, u32 offset) {
    u32 last = NO_GUEST_OFFSET;
    for (u64 at = 0, number = 0; at < entered->n_words && number < entered->n_offsets; at = end_of(entered, at), number++) {
        u32 place = entered->offsets[number];
        if (place == offset && place != last)
            return (entered->words[at] & 0xffff) == IR_PLACE && at + 1 < entered->n_words ? entered->words[at + 1] : entered->n_labels;
        last = place;
    }
    return entered->n_labels;
}
