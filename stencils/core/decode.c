/* Python's list of op tuples, or packed words -> instructions, every operand checked. */
#include "compile.h"

enum {
    IR_PLACE = 0xFF00, IR_JUMP, IR_RET, IR_CALL, IR_TABLE, IR_TRAP, IR_MOVE, IR_SELECT, IR_CONST32, IR_CONST64,
    IR_CONSTF32, IR_CONSTF64, IR_SAFEPOINT
};

#define EXPECT(count) \
    if (at->n != (count) + 1) return reject(at, 0, WRONG_OPERAND_COUNT)

/* Whether the words of an op are two registers and one that they make, all of the right type, as most are; if not, they are
 * looked at one by one. */
COMMON_PATH int decode_registers(struct decoder *at, const struct op *op, struct instruction *to) {
    const u32 *word = at->words;
    u32 n = at->n_registers;
    if (at->n != 4 || op->n_operands != 2 || word[0] >= n || word[1] >= n || word[2] >= n)
        return 0;
    const u8 *types = at->types;
    if ((types[word[0]] ^ op->result_type) | (types[word[1]] ^ op->operand_type[0]) | (types[word[2]] ^ op->operand_type[1]))
        return 0;
    to->n = 2;
    to->d = (s32)word[0];
    to->operand[0] = (s32)word[1];
    to->operand[1] = (s32)word[2];
    note_use(at->values, to->operand[0]);
    note_use(at->values, to->operand[1]);
    return 1;
}

COMMON_PATH int decode_table_op(struct decoder *at, struct heap heap, struct instruction *to, u32 code) {
    const struct op *op = &at->c->library->ops[code];
    to->op = (u16)code;
    if (op->flags & HIDDEN)
        return reject(at, 0, BAD_OPCODE);
    switch (op->shape) {
    case VALUE:
        if (!heap.is_packed || !decode_registers(at, op, to)) {
            EXPECT(1u + op->n_operands);
            to->n = op->n_operands;
            if (!destination(at, heap, 0, op->result_type, &to->d))
                return 0;
            for (u32 i = 0; i < op->n_operands; i++)
                if (!source(at, heap, i + 1, op->operand_type[i], &to->operand[i]))
                    return 0;
        }
        if (at->values->last_shift > at->values->block && op->scales)
            note_shift(at->c, at->number);
        if (to->n == 2 && to->operand[1] < 0 && at->c->library->reducible[code >> 6 & 3] >> (code & 63) & 1) {
            if (code == at->c->library->known[I64_SHL])
                at->c->values->last_shift = at->number + 1;
            at->c->divides |= division_kind(at->c->library, code) < DIVISION_KINDS;
        }
        return 1;
    case LOAD:
        EXPECT(3u);
        to->kind = LOAD_OP;
        to->n = 1;
        if (!destination(at, heap, 0, op->result_type, &to->d) || !source(at, heap, 1, TYPE_I64, &to->operand[0]))
            return 0;
        note_address(at->c, at->number, to->operand[0]);
        return offset(at, heap, 2, &to->target);
    case STORE:
        EXPECT(3u);
        to->kind = STORE_OP;
        to->n = 2;
        if (!source(at, heap, 0, op->operand_type[0], &to->operand[0]) || !source(at, heap, 1, TYPE_I64, &to->operand[1]))
            return 0;
        note_address(at->c, at->number, to->operand[1]);
        return offset(at, heap, 2, &to->target);
    case BRANCH:
        EXPECT(1u + op->n_operands);
        to->kind = BRANCH_OP;
        to->n = op->n_operands;
        for (u32 i = 0; i < op->n_operands; i++)
            if (!source(at, heap, i, op->operand_type[i], &to->operand[i]))
                return 0;
        note_condition(at->c, at->number);
        if (!label(at, heap, op->n_operands, &to->target))
            return 0;
        if (side_exit_of(at->c, to->target))
            to->kind = GUARD_OP;
        return 1;
    default:
        return reject(at, 0, BAD_OPCODE);
    }
}

COMMON_PATH int decode_call(struct decoder *at, struct heap heap, struct instruction *to) {
    if (at->n < 3)
        return reject(at, 0, WRONG_OPERAND_COUNT);
    u64 index = callee_number(at, heap, 1);
    if (index >= at->c->request->n_callees)
        return reject(at, 1, BAD_CALLEE);
    const struct callee *callee = &at->c->request->callees[index];
    EXPECT(2u + callee->n_parameters);
    to->kind = CALL_OP;
    to->target = (s32)index;
    to->operand[0] = callee->n_parameters;
    *(is_c_function(callee) ? &at->c->calls_c : &at->c->calls_code) = 1;
    if (has_destination(at, heap, 0)) {
        if (callee->result_type == NO_TYPE)
            return reject(at, 0, RETURN_VALUE_MISMATCH);
        if (!destination(at, heap, 0, callee->result_type, &to->d))
            return 0;
    }
    if ((to->other = reserve_list(at->c, callee->n_parameters)) < 0)
        return 0;
    for (u32 i = 0; i < callee->n_parameters; i++) {
        s32 operand;
        if (!source(at, heap, 2 + i, callee->parameter_type[i], &operand)) {
            if (at->c->request->error == WRONG_TYPE)
                at->c->request->error = WRONG_ARGUMENT_TYPE;
            return 0;
        }
        list_at(at->c, to->other)[i] = operand;
    }
    return 1;
}

COMMON_PATH int decode_table(struct decoder *at, struct heap heap, struct instruction *to) {
    if (at->n < 3)
        return reject(at, 0, WRONG_OPERAND_COUNT);
    u32 labels = at->n - 3;
    to->kind = TABLE_OP;
    to->op = at->c->library->known[BRANCH_TABLE_OP];
    to->n = 1;
    if (!source(at, heap, 0, TYPE_I32, &to->operand[0]) || !label(at, heap, 1, &to->target) ||
        (to->other = reserve_list(at->c, labels + 1)) < 0)
        return 0;
    to->operand[1] = (s32)labels;
    for (u32 i = 0; i < labels; i++) {
        s32 one;
        if (!label(at, heap, 2 + i, &one))
            return 0;
        list_at(at->c, to->other)[i] = one;
    }
    list_at(at->c, to->other)[labels] = to->target;
    return 1;
}

/* move, select and const take the type of their destination, and are one stencil family a register file. */
COMMON_PATH int decode_move(struct decoder *at, struct heap heap, struct instruction *to, u8 type, int select) {
    EXPECT(select ? 4u : 2u);
    if (!destination(at, heap, 0, type, &to->d))
        return 0;
    type = at->types[to->d];
    to->n = select ? 3 : 1;
    to->op = at->c->library->known[IS_FLOAT(type) ? (select ? FLOAT_SELECT : FLOAT_MOVE) : (select ? INTEGER_SELECT : INTEGER_MOVE)];
    if (!source(at, heap, 1, type, &to->operand[0]))
        return 0;
    if (!select)
        return 1;
    if (!source(at, heap, 2, type, &to->operand[1]) || !source(at, heap, 3, TYPE_I32, &to->operand[2]))
        return 0;
    note_condition(at->c, at->number);
    return 1;
}

COMMON_PATH int decode_constant(struct decoder *at, struct heap heap, struct instruction *to, u8 type) {
    if (!decode_move(at, heap, to, type, 0))
        return 0;
    return to->operand[0] < 0 ? 1 : reject(at, 1, NOT_AN_OPERAND);
}

COMMON_PATH int decode_return(struct decoder *at, struct heap heap, struct instruction *to) {
    u8 type = at->c->request->result_type;
    to->kind = RETURN_OP;
    if (at->n > 2)
        return reject(at, 0, WRONG_OPERAND_COUNT);
    if ((at->n == 2) != (type != NO_TYPE))
        return reject(at, 0, RETURN_VALUE_MISMATCH);
    to->n = (u8)(at->n - 1);
    return at->n == 1 || source(at, heap, 0, type, &to->operand[0]);
}

COMMON_PATH int decode_place(struct decoder *at, struct heap heap, struct instruction *to) {
    EXPECT(1u);
    to->kind = PLACE_OP;
    if (!label(at, heap, 0, &to->target))
        return 0;
    if (at->c->label_at[to->target] >= 0)
        return reject(at, 0, LABEL_PLACED_TWICE);
    at->c->label_at[to->target] = (s32)at->number;
    return 1;
}

COMMON_PATH int decode_other(struct decoder *at, struct heap heap, struct instruction *to, s64 code) {
    switch (code) {
    case IR_PLACE: return decode_place(at, heap, to);
    case IR_JUMP:
        EXPECT(1u);
        to->kind = JUMP_OP;
        return label(at, heap, 0, &to->target);
    case IR_RET: return decode_return(at, heap, to);
    case IR_CALL: return decode_call(at, heap, to);
    case IR_TABLE: return decode_table(at, heap, to);
    case IR_TRAP:
        EXPECT(0u);
        to->kind = TRAP_OP;
        return 1;
    case IR_MOVE: return decode_move(at, heap, to, NO_TYPE, 0);
    case IR_SELECT: return decode_move(at, heap, to, NO_TYPE, 1);
    case IR_CONST32:
    case IR_CONST64:
    case IR_CONSTF32:
    case IR_CONSTF64: return decode_constant(at, heap, to, (u8)(TYPE_I32 + code - IR_CONST32));
    case IR_SAFEPOINT:
        EXPECT(0u);
        to->kind = SAFEPOINT_OP_KIND;
        return 1;
    default: return reject(at, 0, BAD_OPCODE);
    }
}

static int check_label(struct compilation *c, u32 i, s32 label, u32 operand) {
    return c->label_at[label] >= 0 ? 1 : fail(c, UNBOUND_LABEL, c->instructions[i].number, operand);
}

static int check_labels(struct compilation *c) {
    for (u32 n = 0; n < c->n_controls; n++) {
        u32 i = c->controls[n];
        const struct instruction *at = &c->instructions[i];
        if (at->kind == BRANCH_OP || at->kind == JUMP_OP) {
            if (!check_label(c, i, at->target, at->kind == BRANCH_OP ? at->n : 0))
                return 0;
        } else if (at->kind == TABLE_OP) {
            if (!check_label(c, i, at->target, 1))
                return 0;
            for (s32 k = 0; k < at->operand[1]; k++)
                if (!check_label(c, i, list_at(c, at->other)[k], 2 + (u32)k))
                    return 0;
        }
    }
    return 1;
}

/* Reads the code of the op that comes now, and how many operands it has. */
COMMON_PATH int next_op(struct decoder *at, struct heap heap, s64 *code) {
    const struct python *python = at->python;
    if (heap.is_packed) {
        u32 head = *at->next, n = (head >> 16) + 1;
        *code = head & 0xffff;
        at->n = n;
        at->words = at->next + 1;
        at->next += n;
        return at->next <= at->end ? 1 : reject(at, 0, BAD_OPCODE);
    }
    at->tuple = list_item(python, at->c->request->ops, at->number);
    at->n = tuple_size(python, heap, at->tuple);
    object *number = tuple_item(python, heap, at->tuple, 0);
    if (!small_integer(python, number, python->slot_offset, code))
        *code = python->PyLong_AsLongLong(number);
    return 1;
}

COMMON_PATH int decode_all(struct compilation *c, struct heap heap) {
    const struct request *request = c->request;
    struct decoder at = {.c = c, .python = heap.is_packed ? 0 : c->python, .next = request->words, .end = request->words + request->n_words,
                         .n_registers = request->n_registers, .n_labels = request->n_labels, .types = c->types, .values = c->values};
    for (u32 i = 0; i < c->n_instructions; i++) {
        struct instruction *to = &c->instructions[i];
        *to = (struct instruction){.op = NO_OP, .d = NOTHING_DEFINED, .other = -1, .target = -1, .number = i};
        at.number = i;
        s64 code;
        if (!next_op(&at, heap, &code))
            return 0;
        int is_table_op = code >= 0 && code < c->library->n_ops;
        if (!(is_table_op ? decode_table_op(&at, heap, to, (u32)code) : decode_other(&at, heap, to, code)))
            return 0;
        if (to->d >= 0)
            c->values->defined_by[to->d] = i + 1;
        if (to->kind > CALL_OP) {
            c->controls[c->n_controls++] = i;
            c->values->block = i + 1;
        } else if (to->kind == CALL_OP)
            c->calls[c->n_calls++] = i;
    }
    return 1;
}

/* How many ops packed words are; one whose operands are cut off counts, and next_op rejects it. */
static u64 count_ops(const struct request *request) {
    u64 n = 0;
    for (u64 at = 0; at < request->n_words; at += (request->words[at] >> 16) + 1)
        n++;
    return n;
}

static void place_side_exits(struct compilation *c) {
    for (u32 k = 0; k < c->request->n_exits; k++) {
        c->label_at[c->request->exits[k].label] = (s32)(c->n_instructions + k);
        c->request->exits[k].position = NO_POSITION;
    }
}

static int decode(struct compilation *c) {
    const struct python *python = c->python;
    struct request *request = c->request;
    s64 n = request->ops ? python->PyList_Size(request->ops) : (s64)count_ops(request);
    if (n <= 0)
        return fail(c, EMPTY, 0, 0);
    if (n > 1 << 26)
        return fail(c, TOO_LARGE, 0, 0);
    c->n_instructions = (u32)n;
    c->n_labels = request->n_labels;
    /* Room for a label behind every instruction: turn_loops makes some of its own. */
    if (!ALLOCATE(c, c->instructions, n + 1) || !ALLOCATE(c, c->controls, n) || !ALLOCATE(c, c->calls, n) ||
        !ALLOCATE(c, c->label_at, request->n_labels + n))
        return 0;
    if (!begin_values(c))
        return 0;
    fill(c->label_at, 0xff, request->n_labels * sizeof *c->label_at);
    place_side_exits(c);
    const struct heap heap = request->ops ? heap_of(python) : no_heap, usual = usual_heap;
    int is_usual = heap.type_offset == usual.type_offset && heap.slot_offset == usual.slot_offset &&
                   heap.tuple_items == usual.tuple_items;
    if (!(!request->ops ? decode_all(c, no_heap) : is_usual ? decode_all(c, usual_heap) : decode_all(c, heap)))
        return 0;
    return check_labels(c);
}
