/* Compiled functions as Python callables: the vectorcall protocol, conversions, buffers, traps as exceptions. */
#include "layout.h"

/* Py_buffer, whose layout is part of CPython's stable ABI since 3.11 and unchanged since 3.0. */
struct buffer {
    void *data;
    object *owner;
    s64 size, item_size;
    int read_only, n_dimensions;
    char *format;
    s64 *shape, *strides, *suboffsets;
    void *internal;
};
enum { SIMPLE_BUFFER = 0, WRITABLE_BUFFER = 1 };

struct arguments {
    i64 integers[ARGUMENTS];
    f64 floats[ARGUMENTS];
};

static __attribute__((noinline)) int out_of_range(const struct signature *signature, u32 k, object *value) {
    const struct python *python = &signature->host->python;
    u8 type = signature->parameter_type[k];
    static const char ranges[4][40] = {"i32 (-2**31 to 2**31 - 1)", "i64 (-2**63 to 2**63 - 1)", "f32 (magnitude below 2**128)", "f64"};
    python->PyErr_Format(python->overflow_error, "%U() argument %d: %R does not fit %s", signature->name, (int)k + 1, value,
                         ranges[type < 4 ? type : 1]);
    return 0;
}

static inline int convert_integer(const struct signature *signature, u32 k, object *value, int is_i32, i64 *to) {
    const struct python *python = &signature->host->python;
    int overflow;
    s64 x = python->PyLong_AsLongLongAndOverflow(value, &overflow);
    if (__builtin_expect(x == -1, 0)) {
        if (overflow)
            return out_of_range(signature, k, value);
        if (python->PyErr_Occurred())
            return 0;
    }
    if (is_i32 && x != (s32)x)
        return out_of_range(signature, k, value);
    *to = is_i32 ? CNP_EXTEND_I32(x) : (i64)x;
    return 1;
}

static inline int convert_float(const struct signature *signature, u32 k, object *value, int is_f32, f64 *to) {
    const struct python *python = &signature->host->python;
    f64 x = python->PyFloat_AsDouble(value);
    if (__builtin_expect(x == -1.0, 0) && python->PyErr_Occurred())
        return 0;
    if (is_f32) {
        f32 narrow = (f32)x;
        if (__builtin_isinf(narrow) && !__builtin_isinf(x))
            return out_of_range(signature, k, value);
        x = cnp_put_f32(narrow);
    }
    *to = x;
    return 1;
}

/* An address, or a buffer that stays exported during the call. */
static int convert_pointer(const struct signature *signature, u32 k, object *value, struct buffer *buffer, i64 *to) {
    const struct python *python = &signature->host->python;
    /* A scalar of NumPy has a buffer, but means its value; one of ctypes is memory. */
    if (!python->PyObject_CheckBuffer(value) || (python->PyNumber_Check(value) && !python->PySequence_Check(value)))
        return convert_integer(signature, k, value, 0, to);
    int writable = signature->parameter_type[k] == TYPE_WRITABLE_POINTER;
    if (python->PyObject_GetBuffer(value, buffer, writable ? WRITABLE_BUFFER : SIMPLE_BUFFER))
        return 0;
    *to = (i64)buffer->data;
    return 1;
}

static int convert(const struct signature *signature, object *const *values, struct arguments *to, struct buffer *buffers) {
    u32 integers = 0, floats = 0;
    for (u32 k = 0; k < signature->n_parameters; k++) {
        u8 type = signature->parameter_type[k];
        int ok = IS_FLOAT(type) ? convert_float(signature, k, values[k], type == TYPE_F32, &to->floats[floats++])
                 : type <= TYPE_I64
                     ? convert_integer(signature, k, values[k], type == TYPE_I32, &to->integers[integers++])
                     : convert_pointer(signature, k, values[k], &buffers[k], &to->integers[integers++]);
        if (!ok)
            return 0;
    }
    return 1;
}

static object *box(const struct signature *signature, struct cnp_result result) {
    const struct python *python = &signature->host->python;
    switch (signature->result_type) {
    case TYPE_I32: return python->PyLong_FromLongLong((s32)result.i);
    case TYPE_I64: return python->PyLong_FromLongLong((s64)result.i);
    case TYPE_F32: return python->PyFloat_FromDouble((f64)cnp_get_f32(result.f));
    case TYPE_F64: return python->PyFloat_FromDouble(result.f);
    default: python->Py_IncRef(python->none); return python->none;
    }
}

/* Sets the exception for a trap word; a signal handler's has been set already. So may that of an earlier trap, if C has
 * gone on behind it. */
static __attribute__((noinline)) void *raise(const struct python *python, i64 word) {
    if ((word & 15) == INTERRUPTED || python->PyErr_Occurred())
        return 0;
    object *number = python->PyLong_FromUnsignedLongLong(word);
    if (!number)
        return 0;
    object *never = python->PyObject_CallFunctionObjArgs(python->raise_trap, number, (object *)0);
    if (never)
        python->Py_DecRef(never);
    python->Py_DecRef(number);
    return 0;
}

/* Calls Python for something that has nothing to do with what is going on: whether an exception is set, mostly. */
static __attribute__((noinline)) void ask_aside(const struct python *python, object *callable, object *argument) {
    object *type, *value, *traceback;
    python->PyErr_Fetch(&type, &value, &traceback);
    object *result = python->PyObject_CallFunctionObjArgs(callable, argument, (object *)0);
    if (!result)
        python->PyErr_WriteUnraisable(callable);
    else
        python->Py_DecRef(result);
    python->PyErr_Restore(type, value, traceback);
}

/* Code that is waited for may be freed now, if this thread may call Python. */
void cnp_came_out_python(const struct host *host) {
    if (host->python.PyGILState_Check())
        ask_aside(&host->python, host->python.reclaim, 0);
}

static inline object *run(const struct signature *signature, const struct arguments *arguments) {
    const struct python *python = &signature->host->python;
    struct cnp_result result;
    i64 trap = enter(signature, arguments->integers, arguments->floats, &result, 0);
    if (__builtin_expect(trap != 0, 0))
        return raise(python, trap);
    /* Compiled code may have called C that called compiled code that trapped: C goes on, but the exception stands. */
    return __builtin_expect(python->PyErr_Occurred() != 0, 0) ? 0 : box(signature, result);
}

static __attribute__((noinline)) object *call_with_buffers(const struct signature *signature, object *const *values) {
    const struct python *python = &signature->host->python;
    struct buffer buffers[ARGUMENTS];
    struct arguments arguments;
    for (u32 k = 0; k < ARGUMENTS; k++)
        buffers[k].owner = 0;
    object *result = convert(signature, values, &arguments, buffers) ? run(signature, &arguments) : 0;
    for (u32 k = 0; k < ARGUMENTS; k++)
        if (buffers[k].owner)
            python->PyBuffer_Release(&buffers[k]);
    return result;
}

static __attribute__((noinline)) object *wrong_arguments(const struct signature *signature, u64 n, int has_keywords) {
    const struct python *python = &signature->host->python;
    if (has_keywords)
        return python->PyErr_Format(python->type_error, "%U() takes no keyword arguments", signature->name);
    return python->PyErr_Format(python->type_error, "%U() takes exactly %d argument%s (%zd given)", signature->name,
                                (int)signature->n_parameters, signature->n_parameters == 1 ? "" : "s", n);
}

static inline object *call(const struct signature *signature, object *const *values, u64 n, object *keywords) {
    n &= ~(1ull << 63); /* PY_VECTORCALL_ARGUMENTS_OFFSET */
    if (__builtin_expect(n != signature->n_parameters, 0) ||
        (keywords && signature->host->python.PyTuple_Size(keywords)))
        return wrong_arguments(signature, n, keywords != 0);
    if (signature->uses_buffers)
        return call_with_buffers(signature, values);
    struct arguments arguments;
    return convert(signature, values, &arguments, 0) ? run(signature, &arguments) : 0;
}

/* The way in for up to four integer arguments of functions that need neither a context nor a way out: the most of what
 * a call costs is not ours but Python's, so every instruction here shows. One routine a number of arguments; the
 * registers that C functions must leave alone and compiled code does not are saved by nobody, because `is_bare` says
 * that the code does not touch them. */
static inline __attribute__((always_inline)) object *call_bare(object *callable, object *const *values, u64 n, object *keywords,
                                                               s64 head, u64 count) {
    const struct signature *signature = *(const struct signature **)((char *)callable + head + 8);
    const struct python *python = &signature->host->python;
    if (__builtin_expect((n & ~(1ull << 63)) != count, 0) || __builtin_expect(keywords != 0, 0))
        return call(signature, values, n, keywords);
    i64 a[4];
    for (u64 k = 0; k < count; k++) {
        s64 x;
        int is_i32 = signature->parameter_type[k] == TYPE_I32;
        if (__builtin_expect(small_integer(python, values[k], head, &x), 1))
            a[k] = is_i32 ? (u32)x : (i64)x;
        else if (!convert_integer(signature, (u32)k, values[k], is_i32, &a[k]))
            return 0;
    }
    i64 undefined;
    __asm__("" : "=r"(undefined));
    struct cnp_result result = {0, 0};
    CNP_CALL_LEAF(signature->entry, result.i, count > 0 ? a[0] : undefined, count > 1 ? a[1] : undefined,
                  count > 2 ? a[2] : undefined, count > 3 ? a[3] : undefined);
    return box(signature, result);
}
#define BARE(count)                                                                                              \
    object *cnp_vectorcall_bare_##count(object *callable, object *const *values, u64 n, object *keywords) {       \
        return call_bare(callable, values, n, keywords, 16, count);                                              \
    }
BARE(0)
BARE(1)
BARE(2)
BARE(3)
BARE(4)

/* vectorcallfunc: the signature is the word behind the vectorcall slot, which is the first behind the object's head. */
object *cnp_vectorcall(object *callable, object *const *values, u64 n, object *keywords) {
    return call(*(const struct signature **)((char *)callable + 24), values, n, keywords);
}
/* The same where an object's head is 32 bytes: the free-threaded builds of CPython. */
object *cnp_vectorcall_free_threaded(object *callable, object *const *values, u64 n, object *keywords) {
    return call(*(const struct signature **)((char *)callable + 40), values, n, keywords);
}

/* A trap in a call from C becomes the thread's Python exception if it holds the GIL, so that ctypes raises it, and is
 * reported as unraisable if it does not. */
void cnp_trapped_python(const struct signature *signature, i64 trap) {
    const struct python *python = &signature->host->python;
    int holds_gil = python->PyGILState_Check(), state = holds_gil ? 0 : python->PyGILState_Ensure();
    raise(python, trap);
    if (!holds_gil) {
        if (python->PyErr_Occurred()) /* else it has been reported */
            python->PyErr_WriteUnraisable(signature->name);
        python->PyGILState_Release(state);
    }
}

/* How long code that has released the GIL goes on before it asks for it again to look for signals: waiting for it may
 * take Python's switch interval of 5 ms each time. */
enum { MILLISECONDS_BETWEEN_GIL = 50, CLOCK_MONOTONIC_COARSE = 6 };

static int has_waited(struct context *context) {
    s64 time[2]; /* struct timespec */
    context->host->clock_gettime(CLOCK_MONOTONIC_COARSE, time);
    s64 now = time[0] * 1000 + time[1] / 1000000;
    if (now - context->last_poll < MILLISECONDS_BETWEEN_GIL)
        return 0;
    context->last_poll = now;
    return 1;
}

/* Lets Python's signal handlers run, which they do on the main thread only; whatever they raise ends the call. */
int cnp_poll_python(struct context *context) {
    const struct python *python = &context->host->python;
    if (context->host->pthread_self() != context->host->main_thread || (!python->PyGILState_Check() && !has_waited(context)))
        return 0;
    int state = python->PyGILState_Ensure();
    int raised = python->PyErr_CheckSignals();
    python->PyGILState_Release(state);
    return raised;
}

/* tp_dealloc of a reservation: the address of a block behind the object's head, or 0 if none was put there. The garbage
 * collector does not look at these objects, so that a block goes when whatever refers to it has gone, and not before the
 * finalizers of a cycle that it hangs on: these may still run the code. */
static inline void release(object *self, s64 head) {
    const struct python *python = &((const struct host *)cnp_own_host)->python;
    object *type, *value, *traceback, *its_type = *(object **)((char *)self + head - 8);
    u64 block = *(u64 *)((char *)self + head);
    if (block) {
        python->PyErr_Fetch(&type, &value, &traceback);
        object *address = python->PyLong_FromUnsignedLongLong(block);
        if (!address)
            python->PyErr_WriteUnraisable(python->release);
        else {
            ask_aside(python, python->release, address);
            python->Py_DecRef(address);
        }
        python->PyErr_Restore(type, value, traceback);
    }
    python->PyObject_Free(self);
    python->Py_DecRef(its_type);
}
void cnp_release(object *self) { release(self, 16); }
void cnp_release_free_threaded(object *self) { release(self, 32); }
