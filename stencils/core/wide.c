/* Constants in loops that no instruction can hold -> registers. */
#include "loops.h"

/* A register for a constant that instructions of this type cannot hold; NOTHING_DEFINED if there are too many. */
static s32 register_of_constant(struct hoisting *h, i64 value, u8 type) {
    for (u32 k = 0; k < h->n_constants; k++)
        if (h->constants[k].value == value && h->constants[k].type == type)
            return h->constants[k].reg;
    if (h->n_constants == MOST_CONSTANTS)
        return NOTHING_DEFINED;
    struct wide_constant *constant = &h->constants[h->n_constants++];
    *constant = (struct wide_constant){value, new_register(h, type), type};
    return constant->reg;
}

/* Whether an operand takes an instruction of its own in front of the op, which nothing cheaper takes the place of. */
static int is_loaded(const struct compilation *c, u32 row, u32 k, s64 value) {
    const struct library *library = c->library;
    const struct op *op = &library->ops[row];
    if (k == 1 && library->reducible[row >> 6 & 3] >> (row & 63) & 1) {
        if (division_kind(library, row) != DIVISION_KINDS || !(value & (value - 1)))
            return 0;
        if (row == library->known[I32_SUB] || row == library->known[I64_SUB])
            value = -value;
    }
    u32 classes = k == 1 ? op->classes_b : k ? 0 : op->flags & COMMUTATIVE || op->swapped != NO_OP ? op->classes_b : op->classes_a_reversed;
    for (; classes; classes &= classes - 1) {
        const struct immediate_class *class = &library->classes[__builtin_ctz(classes)];
        if (takes(class, op->operand_type[k] == TYPE_I32 ? (s64)(s32)value : value))
            return class->is_loaded;
    }
    return 1;
}

static void give_registers_to_constants(struct hoisting *h, const struct loop *loop) {
    struct compilation *c = h->c;
    const u16 *known = c->library->known;
    for (u32 i = loop->head; i <= loop->end; i++) {
        struct instruction *at = &c->instructions[i];
        if ((at->kind != PLAIN_OP && at->kind != BRANCH_OP && at->kind != GUARD_OP) || at->op == known[INTEGER_MOVE])
            continue;
        const struct op *op = &c->library->ops[at->op];
        int by_destination = at->op == known[FLOAT_MOVE] || at->op == known[INTEGER_SELECT] || at->op == known[FLOAT_SELECT];
        for (u32 k = 0; k < at->n; k++) {
            if (at->operand[k] >= 0)
                continue;
            u8 type = by_destination && k < 2 ? h->types[at->d] : op->operand_type[k];
            i64 value = (i64)constant(c, at->operand[k]);
            int wide = by_destination || IS_FLOAT(type) ? is_wide(c, value, type) : value && is_loaded(c, at->op, k, (s64)value);
            s32 reg = wide ? register_of_constant(h, value, type) : NOTHING_DEFINED;
            if (reg >= 0)
                at->operand[k] = reg;
        }
    }
}
