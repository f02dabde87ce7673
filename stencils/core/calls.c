/* Entry, calls and returns -> parallel moves and stencils; and what is saved around calls. */
#include "events.h"

struct pending_move {
    struct location to, from;
    u8 file;
};

/* All moves as if at once. One whose target nobody still reads can go; when none can, the rest are cycles, and
 * breaking one costs a trip through the frame. */
static void move_in_parallel(struct selection *s, struct pending_move *moves, u32 n) {
    while (n) {
        u32 ready = n;
        for (u32 i = 0; i < n && ready == n; i++) {
            int read = 0;
            for (u32 k = 0; k < n; k++)
                read |= k != i && moves[k].file == moves[i].file && same_place(&moves[k].from, &moves[i].to);
            if (!read)
                ready = i;
        }
        if (ready < n) {
            move(s, moves[ready].file, moves[ready].to, moves[ready].from);
            moves[ready] = moves[--n];
            continue;
        }
        /* The cycle is a chain now, whose end is ready; the slot is free again when the chain is done. */
        struct location kept = in_slot(s, moves[0].file, temporary_slot(s, 0));
        move(s, moves[0].file, kept, moves[0].from);
        moves[0].from = kept;
    }
}

/* Where argument k of a signature is passed. */
static u32 argument_register(const struct library *library, int file, u32 *integers, u32 *floats) {
    return file ? (*floats)++ : library->integer_argument[(*integers)++];
}

/* A function that calls compiled code takes its ticks where the way to the first call begins: one that returns early
 * does not pay for the calls it does not make. Returns the block to take them in front of, which must not be left out,
 * or -1 for none. */
static s32 find_check(const struct compilation *c, u8 *reaches_call, u32 *stack) {
    u32 depth = 0;
    if (!c->calls_code)
        return -1;
    memset(reaches_call, 0, c->n_blocks);
    for (u32 k = 0, b = 0; k < c->n_calls; k++) {
        while (c->blocks[b].end <= c->calls[k])
            b++;
        int is_c = is_c_function(&c->request->callees[c->instructions[c->calls[k]].target]);
        if (c->blocks[b].reachable && !is_c && !reaches_call[b])
            reaches_call[stack[depth++] = b] = 2;
    }
    if (!depth)
        return -1;
    while (depth) {
        const struct block *block = &c->blocks[stack[--depth]];
        for (u32 k = 0; k < block->n_predecessors; k++) {
            u32 from = c->predecessors[block->predecessors + k];
            if (!reaches_call[from])
                reaches_call[stack[depth++] = from] = 1;
        }
    }
    u32 b = 0;
    while (reaches_call[b] == 1) {
        s32 way = -1;
        u32 ways = 0;
        for (u32 k = 0; k < n_successors(c, &c->blocks[b]); k++) {
            s32 to = successor(c, &c->blocks[b], k);
            if (to >= 0 && reaches_call[to]) {
                way = to;
                ways++;
            }
        }
        if (ways != 1 || c->blocks[way].n_predecessors != 1)
            break;
        b = (u32)way;
    }
    return (s32)b;
}

static void put_check(struct selection *s) {
    u32 number = s->number;
    s->number = NO_OP_NUMBER;
    put_count(s, s->frame == LARGE_FRAME ? COUNT_LARGE_FRAME : COUNT_STENCIL, CHECK_EVENT);
    s->number = number;
}

static void put_entry(struct selection *s) {
    struct compilation *c = s->c;
    struct pending_move moves[MAXIMUM_INTEGER_REGISTERS + MAXIMUM_FLOAT_REGISTERS];
    u32 n = 0, integers = 0, floats = 0;
    for (u32 r = 0; r < c->request->n_parameters; r++) {
        int file = IS_FLOAT(c->types[r]);
        u32 hardware = argument_register(s->library, file, &integers, &floats);
        if (c->intervals[r].end >= 0)
            moves[n++] = (struct pending_move){s->homes[r], in_register(s, file, hardware), (u8)file};
    }
    move_in_parallel(s, moves, n);
}

/* ---- what lives in a register across a call ---- */

/* Registers whose intervals start up to a position take their places. */
static void occupy(struct selection *s, s32 position) {
    struct compilation *c = s->c;
    for (s32 r = starting_at(c, (u32)position); r >= 0; r = c->next_starting[r]) {
        const struct interval *interval = &c->intervals[r];
        if (interval->place < 0)
            continue;
        int file = in_float_file(c, r);
        s->occupant[file][interval->place] = r;
        s->saved[file] &= ~(1u << interval->place);
        s->lost[file] &= ~(1u << interval->place);
    }
}

static void restore(struct selection *s, int file, u32 hardware) {
    if (!(s->lost[file] >> hardware & 1))
        return;
    s->lost[file] &= ~(1u << hardware);
    move(s, file, in_register(s, file, hardware), in_slot(s, file, s->c->intervals[s->occupant[file][hardware]].slot));
}

static void restore_operand(struct selection *s, s32 operand) {
    if (operand >= 0 && s->c->intervals[operand].place >= 0)
        restore(s, in_float_file(s->c, operand), (u32)s->c->intervals[operand].place);
}

/* Registers hold their values where blocks meet. */
static void restore_live(struct selection *s, s32 position) {
    for (int file = 0; file < 2; file++)
        for (u32 h = 0; s->lost[file] >> h; h++)
            if (s->lost[file] >> h & 1 && s->c->intervals[s->occupant[file][h]].end > position)
                restore(s, file, h);
    s->lost[0] = s->lost[1] = 0;
}

static void defined(struct selection *s, s32 reg) {
    if (s->c->intervals[reg].place < 0)
        return;
    int file = in_float_file(s->c, reg);
    s->saved[file] &= ~(1u << s->c->intervals[reg].place);
    s->lost[file] &= ~(1u << s->c->intervals[reg].place);
}

static void save_live(struct selection *s, s32 position, s32 result, int is_c) {
    struct compilation *c = s->c;
    for (int file = 0; file < 2; file++)
        for (u32 h = 0; h < registers_of(s, file); h++) {
            s32 reg = s->occupant[file][h];
            if (reg < 0 || reg == result || c->intervals[reg].end <= position + 1 || (is_c && !file && s->library->survivors >> h & 1))
                continue;
            if (!((s->saved[file] | s->lost[file]) >> h & 1))
                move(s, file, in_slot(s, file, c->intervals[reg].slot), in_register(s, file, h));
            s->saved[file] |= 1u << h;
        }
}

/* ---- calls ---- */

static void select_call(struct selection *s, const struct instruction *at) {
    struct compilation *c = s->c;
    const struct callee *callee = &c->request->callees[at->target];
    int is_c = is_c_function(callee);
    struct pending_move moves[MAXIMUM_INTEGER_REGISTERS + MAXIMUM_FLOAT_REGISTERS];
    u32 integers = 0, floats = 0;
    save_live(s, position_of(s->instruction), at->d, is_c);
    for (u32 k = 0; k < callee->n_parameters; k++) {
        int file = IS_FLOAT(callee->parameter_type[k]);
        s32 operand = list_at(c, at->other)[k];
        struct location room, from = *locate(s, operand, &room);
        if (operand >= 0 && c->intervals[operand].place >= 0 && s->lost[file] >> c->intervals[operand].place & 1)
            from = in_slot(s, file, c->intervals[operand].slot);
        moves[k] = (struct pending_move){in_register(s, file, argument_register(s->library, file, &integers, &floats)), from, (u8)file};
    }
    move_in_parallel(s, moves, callee->n_parameters);
    s->lost[0] |= s->saved[0] & ~(is_c ? s->library->survivors : 0);
    s->lost[1] |= s->saved[1];
    int file = callee->result_type != NO_TYPE && IS_FLOAT(callee->result_type);
    if (is_c) {
        u32 variant = (s->frame == LARGE_FRAME ? CALL_C_LARGE_FRAME - CALL_C_STENCIL : 0) + (integers > s->library->c_arguments);
        s->value[ADDRESS_VALUE] = (i64)callee->address;
        s->callee = at->target;
        put_control(s, (callee->kind == CALLEE_C ? CALL_C_STENCIL : CALL_SYMBOL) + variant);
    } else {
        s->value[ADDRESS_VALUE] = (i64)callee->address;
        s->callee = at->target;
        put_control(s, (callee->kind == CALLEE_CELL ? CALL_CELL : CALL_STENCIL) + s->frame);
    }
    if (at->d < 0 || c->intervals[at->d].end < 0)
        return;
    struct location result = in_register(s, file, file ? s->library->float_result : s->library->integer_result);
    const struct location *d = &s->homes[at->d];
    if (is_c && callee->result_type == TYPE_I32) { /* C leaves the upper half of a register undefined */
        struct location wrapped = is_far(s, d) ? result : *d;
        put_free(s, &s->library->ops[s->library->known[WRAP]], &wrapped, &result, &result);
        result = wrapped;
    }
    move(s, file, *d, result);
}

static void select_return(struct selection *s, const struct instruction *at) {
    if (at->n) {
        int file = IS_FLOAT(s->c->request->result_type);
        struct location room, to = in_register(s, file, file ? s->library->float_result : s->library->integer_result);
        move(s, file, to, *locate(s, at->operand[0], &room));
    }
    put_control(s, RETURN_STENCIL);
}

/* A jump back over this many bytes is short. */
enum { SHORT_JUMP = 100 };

/* The exits of a function share their end, as long as that is near. */
static void put_trap(struct selection *s, u32 place) {
    s->leaves = 1;
    s->value[TRAP_PLACE_VALUE] = place;
    put_control(s, TRAP_EXIT_STENCIL);
    if (s->trap_position && s->position - s->trap_position < SHORT_JUMP) {
        jump_to(s, s->trap_target);
        return;
    }
    s->trap_target = s->n_targets++;
    s->trap_position = s->position;
    bind(s, s->trap_target);
    put_control(s, TRAP_STENCIL);
}
