/* Compiled code that calls Python: callbacks, and the handlers of side exits. */
#include "border.h"

/* What Python code runs with: the GIL, in the thread's own state if it has one. */
struct in_python {
    const struct python *python;
    object *name; /* of what is called; or its function's, of what is at an offset of bytecode */
    s64 offset;   /* that, or -1 */
    int state;
    u8 is_new; /* the thread has no state of its own: it loses its exceptions when the GIL is given back */
};

/* What messages call it: a new reference. No exception may be set. */
static object *described(const struct in_python *in) {
    if (in->offset >= 0)
        return in->python->PyUnicode_FromFormat("the handler of exit %u of function %R", (u32)in->offset, in->name);
    in->python->Py_IncRef(in->name);
    return in->name;
}

/* Reports the exception that is set to nobody. */
static void report(const struct in_python *in) {
    const struct python *python = in->python;
    object *type, *value, *traceback, *name;
    python->PyErr_Fetch(&type, &value, &traceback);
    name = described(in);
    python->PyErr_Restore(type, value, traceback);
    python->PyErr_WriteUnraisable(name);
    if (name)
        python->Py_DecRef(name);
}

/* The end of compiled code, with the exception that is set. */
static int pass_on(const struct in_python *in) {
    if (in->is_new)
        report(in);
    in->python->PyGILState_Release(in->state);
    return 1;
}

static struct in_python enter_python(const struct host *host, object *name) {
    struct in_python in = {.python = &host->python, .name = name, .offset = -1};
    in.is_new = !in.python->PyGILState_GetThisThreadState();
    in.state = in.python->PyGILState_Ensure();
    return in;
}

/* A value of compiled code, from memory that holds it as a register does. NULL with an exception. */
static object *to_python(const struct python *python, u8 type, const void *at) {
    switch (type) {
    case TYPE_I32: return python->PyLong_FromLongLong(*(const s32 __attribute__((may_alias)) *)at);
    case TYPE_F32: return python->PyFloat_FromDouble((f64) * (const f32 __attribute__((may_alias)) *)at);
    case TYPE_F64: return python->PyFloat_FromDouble(*(const f64 __attribute__((may_alias)) *)at);
    default: return python->PyLong_FromLongLong(*(const s64 __attribute__((may_alias)) *)at);
    }
}

static int refuse(const struct in_python *in, object *kind, object *value, const char *accepted) {
    object *name = described(in);
    if (!name)
        return 0;
    in->python->PyErr_Format(kind, "%U gave %R; accepted: %s", name, value, accepted);
    in->python->Py_DecRef(name);
    return 0;
}

/* What Python code gave, as compiled code has it. 0 with an exception if it is of another type or out of range. */
static int from_python(const struct in_python *in, u8 type, object *value, struct cnp_result *to) {
    const struct python *python = in->python;
    static const char accepted[4][40] = {"i32 (-2**31 to 2**31 - 1)", "i64 (-2**63 to 2**63 - 1)", "f32 (magnitude below 2**128)", "f64"};
    int overflow = 0, ok;
    if (type == NO_TYPE) {
        if (value == python->none)
            return 1;
        return refuse(in, python->type_error, value, "None");
    }
    if (IS_FLOAT(type)) {
        f64 x = python->PyFloat_AsDouble(value);
        f32 narrow = (f32)x;
        overflow = type == TYPE_F32 && __builtin_isinf(narrow) && !__builtin_isinf(x);
        to->f = type == TYPE_F32 ? cnp_put_f32(narrow) : x;
        ok = x != -1.0;
    } else {
        s64 x = python->PyLong_AsLongLongAndOverflow(value, &overflow);
        overflow |= type == TYPE_I32 && x != (s32)x;
        to->i = type == TYPE_I32 ? CNP_EXTEND_I32(x) : (i64)x;
        ok = x != -1;
    }
    if ((ok || !python->PyErr_Occurred()) && !overflow)
        return 1;
    if (!overflow && !python->PyErr_ExceptionMatches(python->type_error) && !python->PyErr_ExceptionMatches(python->overflow_error))
        return 0;
    object *kind = overflow || python->PyErr_ExceptionMatches(python->overflow_error) ? python->overflow_error : python->type_error;
    python->PyErr_Clear();
    return refuse(in, kind, value, accepted[type]);
}

/* Whether compiled code ends. */
static int leave_python(const struct in_python *in, u8 type, object *value, struct cnp_result *result) {
    const struct python *python = in->python;
    int ok = value && from_python(in, type, value, result);
    if (value)
        python->Py_DecRef(value);
    if (!ok)
        return pass_on(in);
    python->PyGILState_Release(in->state);
    return 0;
}

/* Python's answer to a callback. An exception may stand already: of compiled code that C called that compiled code called. */
int cnp_called_python(const struct callback *callback, const i64 *integers, const f64 *floats, struct cnp_result *result) {
    struct in_python in = enter_python(callback->host, callback->name);
    object *arguments[2 * ARGUMENTS], *value = 0;
    u32 n = 0;
    if (in.python->PyErr_Occurred())
        return pass_on(&in);
    for (; n < callback->n_parameters; n++) {
        u8 type = callback->parameter_type[n];
        const void *at = IS_FLOAT(type) ? (const void *)floats++ : (const void *)integers++;
        if (!(arguments[n] = to_python(in.python, type, at)))
            break;
    }
    if (n == callback->n_parameters)
        value = in.python->PyObject_Vectorcall(callback->function, arguments, n, 0);
    while (n)
        in.python->Py_DecRef(arguments[--n]);
    return leave_python(&in, callback->result_type, value, result);
}

/* The values of a side exit, as a tuple; NULL with an exception. */
static object *values_at(const struct python *python, const struct side_exit *exit, const char *frame) {
    object *values = python->PyTuple_New(exit->n_values);
    for (u32 k = 0; values && k < exit->n_values; k++) {
        const struct side_exit_value *row = &exit->values[k];
        object *value = row->is_constant ? (object *)row->constant : to_python(python, row->type, frame + row->slot);
        if (row->is_constant)
            python->Py_IncRef(value);
        if (!value || python->PyTuple_SetItem(values, k, value)) {
            python->Py_DecRef(values);
            return 0;
        }
    }
    return values;
}

/* And to a side exit. */
int cnp_left_python(const struct side_exit *exit, const char *frame, struct cnp_result *result) {
    struct in_python in = enter_python(exit->host, exit->name);
    object *point = exit->point, *values, *value = 0;
    if (!point)
        in.offset = exit->offset;
    if (in.python->PyErr_Occurred())
        return pass_on(&in);
    if (point)
        in.python->Py_IncRef(point);
    else if (!(point = in.python->PyLong_FromLongLong(exit->offset)))
        return pass_on(&in);
    if ((values = values_at(in.python, exit, frame))) {
        value = in.python->PyObject_CallFunctionObjArgs(exit->handler, point, values, (object *)0);
        in.python->Py_DecRef(values);
    }
    in.python->Py_DecRef(point);
    return leave_python(&in, exit->result_type, value, result);
}
