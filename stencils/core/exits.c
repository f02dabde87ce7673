/* Side exits -> where their values are, and the code out of line by which all of them leave. */
#include "events.h"

/* Behind the slots of the function each hardware register has a place, and then the number of the exit that is taken. */
static struct location place_behind(const struct selection *s, int file, u32 hardware) {
    return in_slot(s, file, (s32)(s->c->n_slots + (file ? registers_of(s, 0) : 0) + hardware));
}
static struct location number_behind(const struct selection *s) {
    return in_slot(s, 0, (s32)(s->c->n_slots + registers_of(s, 0) + registers_of(s, 1)));
}

/* Where values are; registers will be put into their places. Exits of bytecode share lists of values, and a register of the
 * IR has one home. */
static void find_values(struct selection *s, const struct side_exit *exit) {
    const struct compilation *c = s->c;
    const struct side_exit_value **found = &s->found_values[list_number(exit)];
    if (!exit->n_values || *found == exit->values)
        return;
    *found = exit->values;
    for (u32 k = 0; k < exit->n_values; k++) {
        struct side_exit_value *value = &exit->values[k];
        if (value->is_constant)
            continue;
        int file = IS_FLOAT(value->type);
        struct location at = s->homes[value->reg];
        value->place = c->intervals[value->reg].place;
        if (value->place >= 0) {
            at = place_behind(s, file, (u32)value->place);
            s->leaving[file] |= 1u << value->place;
        }
        value->slot = at.slot;
    }
}

/* Where all exits go: values in registers go to the frame, and from there on it is a call of C, whose result is the
 * function's. */
static int put_way_out(struct selection *s) {
    if (!has_room(s))
        return 0;
    bind(s, s->way_out);
    for (int file = 0; file < 2; file++)
        for (u32 h = 0; s->leaving[file] >> h; h++)
            if (s->leaving[file] >> h & 1)
                move(s, file, place_behind(s, file, h), in_register(s, file, h));
    move(s, 0, in_register(s, 0, s->library->integer_argument[1]), number_behind(s));
    move(s, 0, in_register(s, 0, s->library->integer_argument[0]), immediate((i64)s->c->request->exits));
    s->value[ADDRESS_VALUE] = s->c->request->leave;
    put_control(s, s->frame == LARGE_FRAME ? CALL_C_LARGE_FRAME : CALL_C_STENCIL);
    put_control(s, RETURN_STENCIL);
    return 1;
}

/* Exits one after another whose numbers the same stencil puts where C looks for them. All but the last jump to the end of
 * the last one, so that nothing about them has to be settled but where the first one is. */
struct run {
    u32 stencil, first, n; /* 0 for exits that have no such stencil; the first one's number; how many there are */
    u32 item, items;       /* the first one's jump, and the distance from one to the next */
    u32 stride;            /* the same in bytes */
    struct event *labels;
};

static const struct hole *hole_in_run(const struct library *library) {
    return target_hole(library, &library->stencils[library->control[JUMP_STENCIL]]);
}

/* The stencil that puts the number of an exit in its place, with the value of its hole set. */
static u32 exit_stencil(struct selection *s, u32 number) {
    struct location to = number_behind(s), from = immediate(number);
    return s->c->request->landing_pads || is_far(s, &to) ? 0 : move_stencil(s, 0, &to, &from);
}

static int is_next(const struct selection *s, const struct run *run, u32 stencil, u32 number) {
    return run->n && stencil && stencil == run->stencil && number == run->first + run->n &&
           run->n * (s64)run->stride <= s->library->kinds[hole_in_run(s->library)->kind].high;
}

static struct run begin_run(struct selection *s, u32 stencil, u32 number) {
    const struct stencil *exit = &s->library->stencils[stencil], *jump = &s->library->stencils[s->library->control[JUMP_STENCIL]];
    if (s->c->request->landing_pads)
        put_alignment(s, PAD_ALIGNMENT, 0);
    struct event *labels = bind(s, (s32)(s->c->n_blocks + number));
    if (s->c->request->landing_pads)
        put_control(s, LANDING_PAD);
    return (struct run){.stencil = stencil, .first = number, .stride = exit->size + jump->size, .labels = labels,
                        .item = s->c->n_items + exit->chunks, .items = exit->chunks + jump->chunks};
}

static void end_run(struct selection *s, struct run *run) {
    const struct hole *hole = hole_in_run(s->library);
    const struct patch_kind *kind = &s->library->kinds[hole->kind];
    struct item *item = &s->c->items[run->item + hole->chunk];
    i64 distance = (i64)(s64)hole->addend - hole->offset;
    for (u32 left = run->n; left-- > 1; item += run->items)
        item->value |= encode(kind, distance + left * (i64)run->stride);
    run->labels->extra = run->n - 1;
    run->labels->addend = (s32)run->stride;
    run->n = 0;
}

/* What is special about an exit is its number and which values it has; the rest they have in common. */
static void put_side_exit(struct selection *s, u32 number, u32 stencil) {
    struct side_exit *exit = &s->c->request->exits[number];
    struct location to = number_behind(s);
    find_values(s, exit);
    exit->frame_size = s->c->request->frame_size;
    exit->extent = (u32)to.slot + 8;
    if (stencil)
        put(s, stencil);
    else
        move(s, 0, to, immediate(number));
}

/* Out of line, as what is rare should be; the last one falls to where all go. */
static int put_side_exits(struct selection *s) {
    struct compilation *c = s->c;
    struct run run = {.n = 0};
    s->number = NO_OP_NUMBER;
    for (u32 k = 0; k < c->request->n_exits; k++) {
        if (c->request->exits[k].position == NO_POSITION)
            continue;
        if (!has_room(s))
            return 0;
        int is_due = (s64)s->position > s->island_due;
        u32 stencil = exit_stencil(s, k);
        if (!is_due && is_next(s, &run, stencil, k))
            put_items(s, s->library->control[JUMP_STENCIL]);
        else {
            if (run.n) {
                end_run(s, &run);
                jump_far(s, s->way_out);
            }
            if (is_due && (!put_island(s, (s32)(c->n_blocks + k - 1)) || !has_room(s)))
                return 0;
            run = begin_run(s, stencil, k);
        }
        put_side_exit(s, k, stencil);
        run.n++;
    }
    if (!run.n)
        return 1;
    end_run(s, &run);
    s->leaves = 1;
    return put_way_out(s);
}
