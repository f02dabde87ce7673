/* Python's list of op tuples -> instructions, every operand checked. */
#include "compile.h"

enum {
    IR_PLACE = 0xFF00, IR_JUMP, IR_RET, IR_CALL, IR_TABLE, IR_TRAP, IR_MOVE, IR_SELECT, IR_CONST32, IR_CONST64,
    IR_CONSTF32, IR_CONSTF64, IR_SAFEPOINT
};

/* The operand being decoded; `error` keeps what was wrong with it. */
struct decoder {
    struct compilation *c;
    const struct python *python;
    object *tuple;
    u32 n, number, error;
};

/* Where CPython keeps what decoding reads. Known in advance it saves a tenth of the time, so there is a copy of the common
 * path for each of the two usual layouts, and one for any other. */
struct heap {
    s64 type_offset, slot_offset, tuple_items, long_layout;
};
#define USUAL_HEAP(layout) ((struct heap){8, 16, 24, layout})
#define COMMON_PATH static inline __attribute__((always_inline))

static inline struct heap heap_of(const struct python *python) {
    return (struct heap){python->type_offset, python->slot_offset, python->tuple_items, python->long_layout};
}
static int is_usual(const struct python *python, s64 layout) {
    const struct heap usual = USUAL_HEAP(layout);
    return python->type_offset == usual.type_offset && python->slot_offset == usual.slot_offset &&
           python->tuple_items == usual.tuple_items && python->long_layout == layout;
}

COMMON_PATH object *type_of(struct heap heap, object *o) { return *(object **)((char *)o + heap.type_offset); }

/* The number that a register or a label carries: at most two digits. One that was made by hand has none, which is as
 * if it belonged to another function. */
COMMON_PATH u64 code_of(const struct python *python, struct heap heap, object *o) {
    object *code = *(object **)((char *)o + heap.slot_offset);
    if (__builtin_expect(!code || type_of(heap, code) != python->long_type, 0))
        return ~0ull;
    const char *p = (const char *)code + heap.slot_offset;
    u64 two_digits = heap.long_layout == LONG_TAG ? 2 << 3 : 2;
    if (heap.long_layout != LONG_UNKNOWN && *(const u64 *)p == two_digits)
        return *(const u32 *)(p + 8) | (u64) * (const u32 *)(p + 12) << 30;
    return (u64)python->PyLong_AsLongLong(code);
}

static inline object *list_item(const struct python *python, object *list, u32 k) {
    if (python->tuple_items)
        return (*(object ***)((char *)list + python->slot_offset + 8))[k];
    return python->PyList_GetItem(list, k);
}
COMMON_PATH object *tuple_item(const struct python *python, struct heap heap, object *tuple, u32 k) {
    return heap.tuple_items ? ((object **)((char *)tuple + heap.tuple_items))[k] : python->PyTuple_GetItem(tuple, k);
}
COMMON_PATH u32 tuple_size(const struct python *python, struct heap heap, object *tuple) {
    return (u32)(heap.tuple_items ? *(s64 *)((char *)tuple + heap.slot_offset) : python->PyTuple_Size(tuple));
}

static int reject(struct decoder *at, u32 operand, u32 code) {
    const struct python *python = at->python;
    if (python->PyErr_Occurred()) {
        /* What says that the value is no number is ours to say better. The rest goes on to the caller. */
        if (!python->PyErr_ExceptionMatches(python->type_error) && !python->PyErr_ExceptionMatches(python->value_error) &&
            !python->PyErr_ExceptionMatches(python->overflow_error))
            return fail(at->c, RAISED, at->number, operand);
        python->PyErr_Clear();
    }
    return fail(at->c, code, at->number, operand);
}

COMMON_PATH int register_operand(struct decoder *at, struct heap heap, u32 position, object *o, s32 *out) {
    u64 code = code_of(at->python, heap, o);
    if (code >> 32 != at->c->request->serial || (u32)code >= at->c->request->n_registers)
        return reject(at, position, FOREIGN_REGISTER);
    *out = (s32)(u32)code;
    return 1;
}

/* The offset of a load or store: signed, as an i64 constant need not be. */
enum { TYPE_OFFSET = TYPE_POINTER };

static int integer_constant(struct decoder *at, u32 position, object *o, u8 type, i64 *out) {
    const struct python *python = at->python;
    s64 small;
    if (small_integer(python, o, python->slot_offset, &small)) {
        *out = type == TYPE_I32 ? (i64)(u32)small : (i64)small;
        return 1;
    }
    if (type_of(heap_of(python), o) == python->float_type || python->PyObject_IsInstance(o, python->float_type) == 1)
        return reject(at, position, FLOAT_FOR_INTEGER);
    object *index = python->PyNumber_Index(o);
    if (!index)
        return reject(at, position, NOT_AN_OPERAND);
    int overflow;
    s64 value = python->PyLong_AsLongLongAndOverflow(index, &overflow);
    if (overflow > 0 && type == TYPE_I64) { /* as unsigned */
        value = (s64)python->PyLong_AsUnsignedLongLong(index);
        overflow = python->PyErr_Occurred() != 0;
    }
    python->Py_DecRef(index);
    if (overflow || (type == TYPE_I32 && (value < -0x80000000ll || value > 0xffffffffll)))
        return reject(at, position, CONSTANT_OUT_OF_RANGE);
    *out = type == TYPE_I32 ? (i64)(u32)value : (i64)value;
    return 1;
}

static int float_constant(struct decoder *at, u32 position, object *o, u8 type, i64 *out) {
    const struct python *python = at->python;
    f64 value = python->PyFloat_AsDouble(o);
    if (value == -1.0 && python->PyErr_Occurred())
        return reject(at, position, type_of(heap_of(python), o) == python->long_type ? CONSTANT_OUT_OF_RANGE : NOT_AN_OPERAND);
    if (type == TYPE_F64) {
        *out = __builtin_bit_cast(u64, value);
        return 1;
    }
    f32 narrow = (f32)value;
    if (__builtin_isinf(narrow) && !__builtin_isinf(value))
        return reject(at, position, CONSTANT_OUT_OF_RANGE);
    *out = __builtin_bit_cast(u32, narrow);
    return 1;
}

static int constant_operand(struct decoder *at, u32 position, object *o, u8 type, s32 *out) {
    i64 value;
    if (type_of(heap_of(at->python), o) == at->python->label_type)
        return reject(at, position, NOT_AN_OPERAND);
    if (!(IS_FLOAT(type) ? float_constant : integer_constant)(at, position, o, type, &value))
        return 0;
    at->c->has_wide_constants |= is_wide(value, type);
    return add_constant(at->c, value, out);
}

COMMON_PATH int source_in(struct decoder *at, struct heap heap, u32 position, u8 type, s32 *out) {
    object *o = tuple_item(at->python, heap, at->tuple, position + 1);
    if (type_of(heap, o) != at->python->register_type)
        return constant_operand(at, position, o, type, out);
    if (!register_operand(at, heap, position, o, out))
        return 0;
    note_use(at->c->values, *out);
    return at->c->types[*out] == type ? 1 : reject(at, position, WRONG_TYPE);
}
static int source(struct decoder *at, u32 position, u8 type, s32 *out) {
    return source_in(at, heap_of(at->python), position, type, out);
}

/* type NO_TYPE: any, the caller reads it off the register. */
COMMON_PATH int destination_in(struct decoder *at, struct heap heap, u32 position, u8 type, s32 *out) {
    object *o = tuple_item(at->python, heap, at->tuple, position + 1);
    if (type_of(heap, o) != at->python->register_type)
        return reject(at, position, NOT_A_REGISTER);
    if (!register_operand(at, heap, position, o, out))
        return 0;
    return type == NO_TYPE || at->c->types[*out] == type ? 1 : reject(at, position, WRONG_TYPE);
}
static int destination(struct decoder *at, u32 position, u8 type, s32 *out) {
    return destination_in(at, heap_of(at->python), position, type, out);
}

COMMON_PATH int label_in(struct decoder *at, struct heap heap, u32 position, s32 *out) {
    object *o = tuple_item(at->python, heap, at->tuple, position + 1);
    if (type_of(heap, o) != at->python->label_type)
        return reject(at, position, NOT_A_LABEL);
    u64 code = code_of(at->python, heap, o);
    if (code >> 32 != at->c->request->serial || (u32)code >= at->c->request->n_labels)
        return reject(at, position, FOREIGN_LABEL);
    *out = (s32)(u32)code;
    at->c->has_loops |= at->c->label_at[*out] >= 0;
    return 1;
}

static int label(struct decoder *at, u32 position, s32 *out) { return label_in(at, heap_of(at->python), position, out); }

static int offset(struct decoder *at, u32 position, s32 *out) {
    i64 value;
    const struct heap heap = heap_of(at->python);
    object *o = tuple_item(at->python, heap, at->tuple, position + 1);
    object *its_type = type_of(heap, o);
    if (its_type == at->python->register_type || its_type == at->python->label_type ||
        !integer_constant(at, position, o, TYPE_OFFSET, &value) || (s64)value <= -0x80000000ll || (s64)value > 0x7fffffff)
        return reject(at, position, OFFSET_OUT_OF_RANGE);
    *out = (s32)value;
    return 1;
}

#define EXPECT(count) \
    if (at->n != (count) + 1) return reject(at, 0, WRONG_OPERAND_COUNT)

COMMON_PATH int decode_table_op(struct decoder *at, struct heap heap, struct instruction *to, u32 code) {
    const struct op *op = &at->c->library->ops[code];
    to->op = (u16)code;
    if (op->flags & HIDDEN)
        return reject(at, 0, BAD_OPCODE);
    switch (op->shape) {
    case VALUE:
        EXPECT(1u + op->n_operands);
        to->n = op->n_operands;
        if (!destination_in(at, heap, 0, op->result_type, &to->d))
            return 0;
        for (u32 i = 0; i < op->n_operands; i++)
            if (!source_in(at, heap, i + 1, op->operand_type[i], &to->operand[i]))
                return 0;
        if (op->scales)
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
        if (!destination_in(at, heap, 0, op->result_type, &to->d) || !source_in(at, heap, 1, TYPE_I64, &to->operand[0]))
            return 0;
        note_address(at->c, at->number, to->operand[0]);
        return offset(at, 2, &to->target);
    case STORE:
        EXPECT(3u);
        to->kind = STORE_OP;
        to->n = 2;
        if (!source_in(at, heap, 0, op->operand_type[0], &to->operand[0]) || !source_in(at, heap, 1, TYPE_I64, &to->operand[1]))
            return 0;
        note_address(at->c, at->number, to->operand[1]);
        return offset(at, 2, &to->target);
    case BRANCH:
        EXPECT(1u + op->n_operands);
        to->kind = BRANCH_OP;
        to->n = op->n_operands;
        for (u32 i = 0; i < op->n_operands; i++)
            if (!source_in(at, heap, i, op->operand_type[i], &to->operand[i]))
                return 0;
        note_condition(at->c, at->number);
        return label_in(at, heap, op->n_operands, &to->target);
    default:
        return reject(at, 0, BAD_OPCODE);
    }
}

static int decode_call(struct decoder *at, struct instruction *to) {
    const struct python *python = at->python;
    if (at->n < 3)
        return reject(at, 0, WRONG_OPERAND_COUNT);
    s64 index = python->PyLong_AsLongLong(tuple_item(python, heap_of(python), at->tuple, 2));
    if (index < 0 || index >= (s64)at->c->request->n_callees)
        return reject(at, 1, BAD_CALLEE);
    const struct callee *callee = &at->c->request->callees[index];
    EXPECT(2u + callee->n_parameters);
    to->kind = CALL_OP;
    to->target = (s32)index;
    to->operand[0] = callee->n_parameters;
    *(callee->kind == CALLEE_C ? &at->c->calls_c : &at->c->calls_code) = 1;
    if (tuple_item(python, heap_of(python), at->tuple, 1) != python->none) {
        if (callee->result_type == NO_TYPE)
            return reject(at, 0, RETURN_VALUE_MISMATCH);
        if (!destination(at, 0, callee->result_type, &to->d))
            return 0;
    }
    if ((to->other = reserve_list(at->c, callee->n_parameters)) < 0)
        return 0;
    for (u32 i = 0; i < callee->n_parameters; i++) {
        s32 operand;
        if (!source(at, 2 + i, callee->parameter_type[i], &operand)) {
            if (at->c->request->error == WRONG_TYPE)
                at->c->request->error = WRONG_ARGUMENT_TYPE;
            return 0;
        }
        list_at(at->c, to->other)[i] = operand;
    }
    return 1;
}

static int decode_table(struct decoder *at, struct instruction *to) {
    if (at->n < 3)
        return reject(at, 0, WRONG_OPERAND_COUNT);
    u32 labels = at->n - 3;
    to->kind = TABLE_OP;
    to->op = at->c->library->known[BRANCH_TABLE_OP];
    to->n = 1;
    if (!source(at, 0, TYPE_I32, &to->operand[0]) || !label(at, 1, &to->target) || (to->other = reserve_list(at->c, labels + 1)) < 0)
        return 0;
    to->operand[1] = (s32)labels;
    for (u32 i = 0; i < labels; i++) {
        s32 one;
        if (!label(at, 2 + i, &one))
            return 0;
        list_at(at->c, to->other)[i] = one;
    }
    list_at(at->c, to->other)[labels] = to->target;
    return 1;
}

/* move, select and const take the type of their destination, and are one stencil family a register file. */
static int decode_move(struct decoder *at, struct instruction *to, u8 type, int select) {
    EXPECT(select ? 4u : 2u);
    if (!destination(at, 0, type, &to->d))
        return 0;
    type = at->c->types[to->d];
    to->n = select ? 3 : 1;
    to->op = at->c->library->known[IS_FLOAT(type) ? (select ? FLOAT_SELECT : FLOAT_MOVE) : (select ? INTEGER_SELECT : INTEGER_MOVE)];
    if (!source(at, 1, type, &to->operand[0]))
        return 0;
    if (!select)
        return 1;
    if (!source(at, 2, type, &to->operand[1]) || !source(at, 3, TYPE_I32, &to->operand[2]))
        return 0;
    note_condition(at->c, at->number);
    return 1;
}

static int decode_constant(struct decoder *at, struct instruction *to, u8 type) {
    if (!decode_move(at, to, type, 0))
        return 0;
    return to->operand[0] < 0 ? 1 : reject(at, 1, NOT_AN_OPERAND);
}

static int decode_return(struct decoder *at, struct instruction *to) {
    u8 type = at->c->request->result_type;
    to->kind = RETURN_OP;
    if (at->n > 2)
        return reject(at, 0, WRONG_OPERAND_COUNT);
    if ((at->n == 2) != (type != NO_TYPE))
        return reject(at, 0, RETURN_VALUE_MISMATCH);
    to->n = (u8)(at->n - 1);
    return at->n == 1 || source(at, 0, type, &to->operand[0]);
}

COMMON_PATH int decode_place(struct decoder *at, struct heap heap, struct instruction *to) {
    EXPECT(1u);
    to->kind = PLACE_OP;
    if (!label_in(at, heap, 0, &to->target))
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
        return label_in(at, heap, 0, &to->target);
    case IR_RET: return decode_return(at, to);
    case IR_CALL: return decode_call(at, to);
    case IR_TABLE: return decode_table(at, to);
    case IR_TRAP:
        EXPECT(0u);
        to->kind = TRAP_OP;
        return 1;
    case IR_MOVE: return decode_move(at, to, NO_TYPE, 0);
    case IR_SELECT: return decode_move(at, to, NO_TYPE, 1);
    case IR_CONST32: return decode_constant(at, to, TYPE_I32);
    case IR_CONST64: return decode_constant(at, to, TYPE_I64);
    case IR_CONSTF32: return decode_constant(at, to, TYPE_F32);
    case IR_CONSTF64: return decode_constant(at, to, TYPE_F64);
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

COMMON_PATH int decode_all(struct compilation *c, struct heap heap) {
    const struct python *python = c->python;
    struct decoder at = {.c = c, .python = python};
    for (u32 i = 0; i < c->n_instructions; i++) {
        struct instruction *to = &c->instructions[i];
        *to = (struct instruction){.op = NO_OP, .d = NOTHING_DEFINED, .other = -1, .target = -1, .number = i};
        at.tuple = list_item(python, c->request->ops, i);
        at.n = tuple_size(python, heap, at.tuple);
        at.number = i;
        object *number = tuple_item(python, heap, at.tuple, 0);
        s64 code;
        if (!small_integer(python, number, python->slot_offset, &code))
            code = python->PyLong_AsLongLong(number);
        if (!(code >= 0 && code < c->library->n_ops ? decode_table_op(&at, heap, to, (u32)code) : decode_other(&at, heap, to, code)))
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

static int decode(struct compilation *c) {
    const struct python *python = c->python;
    struct request *request = c->request;
    s64 n = python->PyList_Size(request->ops);
    if (n <= 0)
        return fail(c, EMPTY, 0, 0);
    if (n > 1 << 26)
        return fail(c, TOO_LARGE, 0, 0);
    c->n_instructions = (u32)n;
    c->n_labels = request->n_labels;
    /* Room for a label behind every instruction: turn_loops makes some of its own. */
    if (!ALLOCATE(c, c->instructions, n + 1) || !ALLOCATE(c, c->controls, n) || !ALLOCATE(c, c->calls, n) || !ALLOCATE(c, c->label_at, request->n_labels + n))
        return 0;
    if (!begin_values(c))
        return 0;
    fill(c->label_at, 0xff, request->n_labels * sizeof *c->label_at);
    int done;
    if (is_usual(python, LONG_SIZE))
        done = decode_all(c, USUAL_HEAP(LONG_SIZE));
    else if (is_usual(python, LONG_TAG))
        done = decode_all(c, USUAL_HEAP(LONG_TAG));
    else
        done = decode_all(c, heap_of(python));
    return done && check_labels(c);
}
