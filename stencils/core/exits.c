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

/* What is special about an exit is its number and which values it has; the rest they have in common. */
static void put_side_exit(struct selection *s, u32 number) {
    struct compilation *c = s->c;
    struct side_exit *exit = &c->request->exits[number];
    find_values(s, exit);
    struct location to = number_behind(s);
    exit->frame_size = c->request->frame_size;
    exit->extent = (u32)to.slot + 8;
    if (c->request->landing_pads)
        put_alignment(s, PAD_ALIGNMENT, 0);
    bind(s, (s32)(c->n_blocks + number));
    if (c->request->landing_pads)
        put_control(s, LANDING_PAD);
    move(s, 0, to, immediate(number));
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

/* Out of line, as what is rare should be; the last one falls to where the others jump. */
static int put_side_exits(struct selection *s) {
    struct compilation *c = s->c;
    u32 n = c->request->n_exits;
    while (n && c->request->exits[n - 1].position == NO_POSITION)
        n--;
    if (!n)
        return 1;
    s->leaves = 1;
    s->number = NO_OP_NUMBER;
    for (u32 k = 0; k < n; k++) {
        if (c->request->exits[k].position == NO_POSITION)
            continue;
        if (((s64)s->position > s->island_due && !put_island(s, (s32)(c->n_blocks + k - 1))) || !has_room(s))
            return 0;
        put_side_exit(s, k);
        if (k + 1 < n)
            jump_far(s, s->way_out);
    }
    return put_way_out(s);
}
