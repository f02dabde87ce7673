/* What decoding notes of values, so that sums, shifts and comparisons can become part of the instruction that needs them. */
#ifndef CNP_VALUES_H
#define CNP_VALUES_H
#include "compile.h"

/* An instruction, what makes its address or its condition, and the shift that makes an operand of an address; or an
 * addition and its shift. */
struct candidate {
    u32 instruction, maker, shift;
};
enum { NO_MAKER = 0xffffffff };
enum { IS_PASSED_ON = 0x80000000 }; /* some side exit of the same block reads what an instruction defines */

/* A list of values of side exits. */
struct noted_list {
    const struct side_exit *exit; /* the latest that has it, or NULL */
    u32 until;                    /* the latest instruction that may lead there */
    u32 all_cross;                /* and so there is nothing more to note */
};

struct values {
    u32 *defined_by;       /* by register: instruction + 1 that defined it last */
    u32 *uses;             /* by instruction + 1: of what it defines, in its block; and IS_PASSED_ON */
    u8 *crosses;           /* by register: some block needs it from another */
    u32 block;             /* first instruction of the block being decoded */
    u32 last_shift;        /* instruction + 1 of the latest that shifts by a constant */
    struct candidate *candidates;
    u32 n_candidates;
    struct noted_list lists[LATEST_LISTS];
    u8 *listed;            /* by register: bit per one of these that has it */
};

static int begin_values(struct compilation *c) {
    struct values *values;
    u32 n = c->n_instructions, registers = c->request->n_registers, listed = c->request->n_exits ? registers : 0;
    if (!ALLOCATE(c, values, 1) || !ALLOCATE(c, values->defined_by, registers) || !ALLOCATE(c, values->uses, n + 1) ||
        !ALLOCATE(c, values->crosses, registers) || !ALLOCATE(c, values->candidates, n) || !ALLOCATE(c, values->listed, listed))
        return 0;
    fill(values->defined_by, 0, registers * sizeof *values->defined_by);
    fill(values->uses, 0, (n + 1ull) * sizeof *values->uses);
    fill(values->crosses, 0, registers);
    values->block = values->n_candidates = values->last_shift = 0;
    fill(values->listed, 0, listed);
    fill(values->lists, 0, sizeof values->lists);
    c->values = values;
    return 1;
}

/* Without a branch, which would go either way. */
static inline void note_use(struct values *values, s32 reg) {
    u32 definition = values->defined_by[reg], is_near = definition > values->block;
    values->uses[definition] += is_near;
    values->crosses[reg] |= !is_near;
}

static void mark_listed(struct values *values, const struct noted_list *list, int is_listed) {
    u8 bit = (u8)(1u << (list - values->lists));
    for (u32 k = 0; list->exit && k < list->exit->n_values; k++)
        if (!list->exit->values[k].is_constant) {
            u8 *listed = &values->listed[list->exit->values[k].reg];
            *listed = (u8)(is_listed ? *listed | bit : *listed & ~bit);
        }
}

static void note_passed_on(struct values *values, s32 reg) {
    u32 definition = values->defined_by[reg];
    if (definition > values->block)
        values->uses[definition] |= IS_PASSED_ON;
    else
        values->crosses[reg] = 1;
}

/* All of a list. Of what crosses blocks nobody asks more. */
static void note_list(struct values *values, struct noted_list *list) {
    list->all_cross = 1;
    for (u32 k = 0; k < list->exit->n_values; k++) {
        const struct side_exit_value *value = &list->exit->values[k];
        if (value->is_constant || values->crosses[value->reg])
            continue;
        note_passed_on(values, (s32)value->reg);
        list->all_cross &= values->crosses[value->reg];
    }
}

/* What goes there reads the values that the side exit wants. In a block where the list has been read before, that leaves what
 * was made since. */
static void note_side_exit(struct compilation *c, s32 label, u32 instruction) {
    struct values *values = c->values;
    const struct side_exit *exit = side_exit_of(c, label);
    if (!exit || !exit->n_values)
        return;
    struct noted_list *list = &values->lists[list_number(exit)];
    int is_new = !list->exit || list->exit->values != exit->values;
    if (is_new) {
        mark_listed(values, list, 0);
        *list = (struct noted_list){.exit = exit};
        mark_listed(values, list, 1);
    }
    if (list->all_cross)
        return;
    if (is_new || list->until < values->block)
        note_list(values, list);
    else
        for (u32 i = list->until; i < instruction; i++) {
            s32 d = c->instructions[i].d;
            if (d >= 0 && values->listed[d] >> (list - values->lists) & 1)
                note_passed_on(values, d);
        }
    list->until = instruction;
}

/* Whether a register had, in front of `instruction`, the value it has now. */
static inline int unchanged_since(const struct values *values, s32 reg, u32 instruction) {
    return values->defined_by[reg] <= instruction;
}

/* The instruction of the same block that made the value a register has now. */
static inline u32 maker_of(const struct values *values, s32 operand) {
    return operand >= 0 && values->defined_by[operand] > values->block ? values->defined_by[operand] - 1 : NO_MAKER;
}

/* Whether the operands of an instruction are still where they were, so that it might as well come now. What it overwrote
 * itself counts as still there: without the instruction it is. */
static inline int may_come_now(const struct compilation *c, u32 instruction) {
    const struct instruction *at = &c->instructions[instruction];
    for (u32 k = 0; k < at->n; k++)
        if (at->operand[k] >= 0 && at->operand[k] != at->d && !unchanged_since(c->values, at->operand[k], instruction))
            return 0;
    return 1;
}

/* In a block that has shifts: an addition keeps the one that made one of its operands in `target`, which it has no other use for. */
static inline void note_shift(struct compilation *c, u32 instruction) {
    struct instruction *at = &c->instructions[instruction];
    if (at->op != c->library->known[I64_ADD])
        return;
    for (u32 k = 0; k < 2; k++) {
        u32 maker = maker_of(c->values, at->operand[k]);
        const struct instruction *shift = &c->instructions[maker == NO_MAKER ? instruction : maker];
        if (shift->op != c->library->known[I64_SHL] || shift->operand[0] < 0 || shift->operand[1] >= 0 || at->operand[1 - k] < 0 ||
            !may_come_now(c, maker))
            continue;
        at->target = (s32)maker;
        c->values->candidates[c->values->n_candidates++] = (struct candidate){instruction, NO_MAKER, maker};
        return;
    }
}

static inline int is_either(const struct library *library, u32 op, enum known_op a, enum known_op b) {
    return op == library->known[a] || op == library->known[b];
}

/* A branch on the outcome of a comparison, or a select by whether something is zero. */
static inline void note_condition(struct compilation *c, u32 instruction) {
    const struct library *library = c->library;
    const struct instruction *at = &c->instructions[instruction];
    int selects = at->kind == PLAIN_OP;
    if (!selects && !is_either(library, at->op, BRANCH_I32_NEZ, BRANCH_I32_EQZ))
        return;
    u32 maker = maker_of(c->values, at->operand[selects ? 2 : 0]);
    if (maker == NO_MAKER)
        return;
    const struct instruction *condition = &c->instructions[maker];
    int is_test = condition->kind == PLAIN_OP && library->ops[condition->op].branch != NO_OP;
    if (!is_test || (selects && condition->n != 1) || !may_come_now(c, maker))
        return;
    c->values->candidates[c->values->n_candidates++] = (struct candidate){instruction, maker, NO_MAKER};
}

static inline void note_address(struct compilation *c, u32 instruction, s32 address) {
    u32 maker = maker_of(c->values, address);
    if (maker == NO_MAKER || c->instructions[maker].op != c->library->known[I64_ADD] || !may_come_now(c, maker))
        return;
    s32 shift = c->instructions[maker].target;
    if (shift >= 0 && !may_come_now(c, (u32)shift))
        shift = -1;
    c->values->candidates[c->values->n_candidates++] = (struct candidate){instruction, maker, (u32)shift};
}

/* Whether nobody but one instruction of the same block needs what an instruction makes. */
static int has_one_use(const struct compilation *c, u32 instruction) {
    return c->values->uses[instruction + 1] == 1 && !c->values->crosses[c->instructions[instruction].d];
}

static void drop(struct compilation *c, u32 instruction) {
    struct instruction *at = &c->instructions[instruction];
    at->kind = DROPPED_OP;
    at->d = NOTHING_DEFINED;
    at->n = 0;
}
#endif
