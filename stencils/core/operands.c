/* An operand of an op, in a tuple or packed -> a register, a constant, a label or an offset, checked. */
#include "heap.h"
#include "packed.h"

static int reject(struct decoder *at, u32 operand, u32 code) {
    const struct python *python = at->python;
    if (python && python->PyErr_Occurred()) {
        /* What says that the value is no number is ours to say better. The rest goes on to the caller. */
        if (!python->PyErr_ExceptionMatches(python->type_error) && !python->PyErr_ExceptionMatches(python->value_error) &&
            !python->PyErr_ExceptionMatches(python->overflow_error))
            return fail(at->c, RAISED, at->number, operand);
        python->PyErr_Clear();
    }
    return fail(at->c, code, at->number, operand);
}

COMMON_PATH int register_operand(struct decoder *at, struct heap heap, u32 position, object *o, s32 *out) {
    u64 code = code_of(heap, o);
    if (code >> 32 != at->c->request->serial || (u32)code >= at->n_registers)
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
        *out = type == TYPE_I32 ? extended(at->c->library, small) : (i64)small;
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
    *out = type == TYPE_I32 ? extended(at->c->library, value) : (i64)value;
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
    *out = boxed(at->c->library, __builtin_bit_cast(u32, narrow));
    return 1;
}

static int constant_operand(struct decoder *at, u32 position, object *o, u8 type, s32 *out) {
    i64 value;
    if (type_of(heap_of(at->python), o) == at->python->label_type)
        return reject(at, position, NOT_AN_OPERAND);
    if (!(IS_FLOAT(type) ? float_constant : integer_constant)(at, position, o, type, &value))
        return 0;
    at->c->has_wide_constants |= is_wide(at->c, value, type);
    return add_constant(at->c, value, out);
}

COMMON_PATH int packed_register(struct decoder *at, u32 position, u32 word, s32 *out) {
    *out = (s32)word;
    return word < at->n_registers ? 1 : reject(at, position, FOREIGN_REGISTER);
}

static int packed_constant(struct decoder *at, u32 position, u32 word, u8 type, s32 *out) {
    u32 index = word & ~CONSTANT_WORD;
    i64 value;
    if (index >= at->c->request->n_constants)
        return reject(at, position, NOT_AN_OPERAND);
    if (!pattern(at->c->library, at->c->request->constants[index], type, &value))
        return reject(at, position, CONSTANT_OUT_OF_RANGE);
    at->c->has_wide_constants |= is_wide(at->c, value, type);
    return add_constant(at->c, value, out);
}

COMMON_PATH int source(struct decoder *at, struct heap heap, u32 position, u8 type, s32 *out) {
    if (heap.is_packed) {
        u32 word = at->words[position];
        if (word & CONSTANT_WORD)
            return packed_constant(at, position, word, type, out);
        if (!packed_register(at, position, word, out))
            return 0;
    } else {
        object *o = tuple_item(at->python, heap, at->tuple, position + 1);
        if (type_of(heap, o) != at->python->register_type)
            return constant_operand(at, position, o, type, out);
        if (!register_operand(at, heap, position, o, out))
            return 0;
    }
    note_use(at->values, *out);
    return at->types[*out] == type ? 1 : reject(at, position, WRONG_TYPE);
}

/* type NO_TYPE: any, the caller reads it off the register. */
COMMON_PATH int destination(struct decoder *at, struct heap heap, u32 position, u8 type, s32 *out) {
    if (heap.is_packed) {
        u32 word = at->words[position];
        if (word & CONSTANT_WORD)
            return reject(at, position, NOT_A_REGISTER);
        if (!packed_register(at, position, word, out))
            return 0;
    } else {
        object *o = tuple_item(at->python, heap, at->tuple, position + 1);
        if (type_of(heap, o) != at->python->register_type)
            return reject(at, position, NOT_A_REGISTER);
        if (!register_operand(at, heap, position, o, out))
            return 0;
    }
    return type == NO_TYPE || at->types[*out] == type ? 1 : reject(at, position, WRONG_TYPE);
}

COMMON_PATH int label(struct decoder *at, struct heap heap, u32 position, s32 *out) {
    if (heap.is_packed) {
        u32 word = at->words[position];
        if (word >= at->n_labels)
            return reject(at, position, word & CONSTANT_WORD ? NOT_A_LABEL : FOREIGN_LABEL);
        *out = (s32)word;
    } else {
        object *o = tuple_item(at->python, heap, at->tuple, position + 1);
        if (type_of(heap, o) != at->python->label_type)
            return reject(at, position, NOT_A_LABEL);
        u64 code = code_of(heap, o);
        if (code >> 32 != at->c->request->serial || (u32)code >= at->n_labels)
            return reject(at, position, FOREIGN_LABEL);
        *out = (s32)(u32)code;
    }
    at->c->has_loops |= (u32)at->c->label_at[*out] < at->number;
    if (__builtin_expect(at->c->request->n_exits, 0))
        note_side_exit(at->c, *out, at->number);
    return 1;
}

COMMON_PATH int offset(struct decoder *at, struct heap heap, u32 position, s32 *out) {
    if (heap.is_packed) {
        *out = (s32)at->words[position];
        return *out != -0x7fffffff - 1 ? 1 : reject(at, position, OFFSET_OUT_OF_RANGE);
    }
    i64 value;
    object *o = tuple_item(at->python, heap, at->tuple, position + 1);
    object *its_type = type_of(heap, o);
    if (its_type == at->python->register_type || its_type == at->python->label_type ||
        !integer_constant(at, position, o, TYPE_OFFSET, &value) || (s64)value <= -0x80000000ll || (s64)value > 0x7fffffff)
        return reject(at, position, OFFSET_OUT_OF_RANGE);
    *out = (s32)value;
    return 1;
}

/* The number of a call's callee; past the last one if it is none. */
COMMON_PATH u64 callee_number(struct decoder *at, struct heap heap, u32 position) {
    if (heap.is_packed)
        return at->words[position];
    return (u64)at->python->PyLong_AsLongLong(tuple_item(at->python, heap, at->tuple, position + 1));
}

/* Whether there is a destination where there need not be one. */
COMMON_PATH int has_destination(struct decoder *at, struct heap heap, u32 position) {
    if (heap.is_packed)
        return at->words[position] != NO_OPERAND_WORD;
    return tuple_item(at->python, heap, at->tuple, position + 1) != at->python->none;
}
