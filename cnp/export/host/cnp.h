/* cnp: functions of typed virtual registers -> machine code, in microseconds, by copying and patching stencils.
 *
 *     cc -O2 program.c cnp.c -lpthread
 *
 * In every function here that takes one, a session, a piece of code or a function under construction must be live.
 *
 * Threads: a session serves any number of threads. A function under construction is one thread's at a time. Compiled code
 * may be called by any thread as soon as cnp_compile has returned. What is freed or closed must not be in use.
 *
 * Memory: whatever is allocated may fail. While a function is built, a failure is remembered, and cnp_compile reports it,
 * like any other mistake: there is one place to look. */
#ifndef CNP_EXPORTED_H
#define CNP_EXPORTED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The types of registers. Integers carry no sign: ops say in their names how they take them. An address is an i64. */
typedef enum cnp_type { CNP_I32, CNP_I64, CNP_F32, CNP_F64, CNP_VOID = 255 } cnp_type;

typedef struct cnp_session cnp_session;   /* the core, memory for code, and everything that hangs on them */
typedef struct cnp_function cnp_function; /* under construction */
typedef struct cnp_code cnp_code;         /* compiled functions */

/* ---- errors and traps ---- */

typedef enum cnp_error_kind {
    CNP_ERROR_NONE,
    CNP_ERROR_MEMORY,      /* the C library has none left */
    CNP_ERROR_CODE_MEMORY, /* the session's memory for code is full: free some, or open one with more */
    CNP_ERROR_FUNCTION,    /* a function is not well formed: the message names it, the op, the operand, what is accepted */
    CNP_ERROR_SYSTEM       /* the system or the processor lacks something, or refuses it */
} cnp_error_kind;

typedef struct cnp_error {
    cnp_error_kind kind;
    char message[400];
} cnp_error;

/* Why compiled code stopped. */
typedef enum cnp_trap_kind {
    CNP_TRAP_NONE = 0,
    CNP_TRAP_UNREACHABLE = 1,
    CNP_TRAP_INTEGER_DIVIDE_BY_ZERO = 2,
    CNP_TRAP_INTEGER_OVERFLOW = 3,
    CNP_TRAP_INVALID_CONVERSION_TO_INTEGER = 4,
    CNP_TRAP_STACK_OVERFLOW = 5,
    CNP_TRAP_INTERRUPTED = 6, /* by the session's poll */
    CNP_TRAP_OUT_OF_FUEL = 7  /* see cnp_fuel */
} cnp_trap_kind;

typedef struct cnp_trap {
    cnp_trap_kind kind;
    uint32_t op;          /* of the function, counted from 0, labels included; 0 when a stack overflows or at an interruption */
    const char *reason;   /* "integer divide by zero" */
    const char *function; /* that trapped; when interrupted, that was called. Good as long as its code */
} cnp_trap;

/* ---- sessions ---- */

typedef struct cnp_options {
    size_t code_size; /* bytes of address space for code, a little of which the core takes; 0 for 64 MiB */
    /* Asked while compiled code runs, at the latest after 8192 rounds of loops and calls: what is not 0 stops it. On the
     * thread that runs the code, which it must not leave by longjmp. NULL for never. */
    int (*poll)(void *data);
    /* Told when code that C has called by a function pointer traps. If it returns, the call returns 0; it may leave by
     * longjmp. NULL for a message on standard error, and abort(). */
    void (*trapped)(const cnp_trap *, void *data);
    void *data;      /* for both */
    int one_mapping; /* not 0: use the way that is taken where the system refuses to map memory twice, see cnp_open */
} cnp_options;

/* Memory for code is mapped twice, once writable and once executable. Where that is refused, it is mapped once, and pages
 * are writable first, then executable. No page is ever both. NULL, and the error filled in, if there is neither. `options`
 * may be NULL, and so may every `error`. */
cnp_session *cnp_open(const cnp_options *options, cnp_error *error);

/* Frees the session with all its code. No thread may run its code, nor end during the call if it ever ran any. */
void cnp_close(cnp_session *);

/* ---- building functions ---- */

/* An operand: a register, a constant, a label or an offset. By value; its members are of no interest. */
typedef struct cnp_value {
    uint64_t bits;
    uint32_t kind;
} cnp_value;
enum cnp_value_kind { CNP_NO_VALUE, CNP_LABEL, CNP_OFFSET, CNP_REGISTER = 4 /* and its type */, CNP_CONSTANT = 8 /* the same */ };

/* A place in a function. */
typedef struct cnp_label {
    cnp_value place;
} cnp_label;

/* A function to which ops are added. Its name is copied, and only for messages; `result` may be CNP_VOID. NULL without
 * memory. cnp_compile leaves a function as it is: it may go on, and be compiled again. */
cnp_function *cnp_new(cnp_session *, const char *name, cnp_type result);
void cnp_delete(cnp_function *); /* NULL is accepted */

/* A parameter more, at most eight; before anything else is done with the function. It is a register. */
cnp_value cnp_parameter(cnp_function *, cnp_type);
/* A new register, which may be assigned again and again. */
cnp_value cnp_register(cnp_function *, cnp_type);
cnp_label cnp_new_label(cnp_function *);

static inline cnp_value cnp_make_value(uint64_t bits, uint32_t kind) {
    cnp_value value;
    value.bits = bits;
    value.kind = kind;
    return value;
}
/* Constants are accepted wherever ops read a register of the type. */
static inline cnp_value cnp_const_i32(int32_t x) { return cnp_make_value((uint64_t)(int64_t)x, CNP_CONSTANT + CNP_I32); }
static inline cnp_value cnp_const_i64(int64_t x) { return cnp_make_value((uint64_t)x, CNP_CONSTANT + CNP_I64); }
static inline cnp_value cnp_const_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return cnp_make_value(bits, CNP_CONSTANT + CNP_F32);
}
static inline cnp_value cnp_const_f64(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return cnp_make_value(bits, CNP_CONSTANT + CNP_F64);
}
static inline cnp_value cnp_const_address(const void *address) { return cnp_const_i64((int64_t)(intptr_t)address); }
static inline cnp_value cnp_offset(int32_t bytes) { return cnp_make_value((uint32_t)bytes, CNP_OFFSET); }
/* In place of a result that is not wanted. */
static inline cnp_value cnp_none(void) { return cnp_make_value(0, CNP_NO_VALUE); }

void cnp_place(cnp_function *, cnp_label); /* once for each label */
void cnp_jump(cnp_function *, cnp_label);
/* To labels[index], or to `otherwise` if there are not so many. `index` is an i32; at most 65,000 labels. */
void cnp_branch_table(cnp_function *, cnp_value index, cnp_label otherwise, const cnp_label *labels, size_t n);
void cnp_move(cnp_function *, cnp_value d, cnp_value a);
/* d = condition ? a : b. The condition is an i32. */
void cnp_select(cnp_function *, cnp_value d, cnp_value a, cnp_value b, cnp_value condition);
void cnp_ret(cnp_function *, cnp_value); /* cnp_none() from a function without result */
void cnp_unreachable(cnp_function *);    /* traps */

/* Calls. A function under construction must be among those that cnp_compile is given together with the caller, and may be
 * the caller itself; compiled code must outlive the caller's. Arguments are of the parameters' types. */
void cnp_call_function(cnp_function *, cnp_value d, cnp_function *callee, const cnp_value *arguments, size_t n);
void cnp_call_code(cnp_function *, cnp_value d, const cnp_code *callee, size_t index, const cnp_value *arguments, size_t n);
/* A C function, whose types are those of d (none: void) and of the arguments: at most eight integers and eight floats. It
 * may call compiled code, and must return. */
typedef void (*cnp_c_function)(void);
void cnp_call_c(cnp_function *, cnp_value d, cnp_c_function callee, const cnp_value *arguments, size_t n);

/* Adds the ops of guest bytecode, to a function that has nothing but parameters: by a table that `cnp export-c --bytecode`
 * was given, declared at the end of this file. `callees` are what fields of callees number, from 0. */
typedef struct cnp_bytecode cnp_bytecode;
void cnp_translate(cnp_function *, const cnp_bytecode *, const void *code, size_t size, cnp_function *const *callees,
                   size_t n_callees);
/* Where in the bytecode an op comes from, by number as in traps; -1 if it does not. */
int64_t cnp_bytecode_offset(const cnp_function *, uint32_t op);

/* Any op of the table at the end of this file, its operands in the order of the function of that name. */
void cnp_op(cnp_function *, uint32_t op, const cnp_value *operands, size_t n);
/* The name of an op, such as "i64.add". NULL past the last one. */
const char *cnp_op_name(uint32_t op);

/* ---- compiling and calling ---- */

/* Compiles functions that may call one another to one piece of code. NULL, and the error filled in, if it cannot. */
cnp_code *cnp_compile(cnp_session *, cnp_function *const *functions, size_t n, cnp_error *error);
/* Frees the code, which nothing may run or call any more. NULL is accepted. */
void cnp_free(cnp_code *);

/* One of the functions, as a pointer: cast it to the C type, in which an i64 may be a pointer. */
cnp_c_function cnp_pointer(const cnp_code *, size_t index);
/* Bytes of machine code of one of the functions. */
size_t cnp_code_size(const cnp_code *, size_t index);

typedef union cnp_any {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    void *address;
} cnp_any;

/* Calls one of the functions: as many arguments as it has parameters. CNP_TRAP_NONE, and the result, if it returned. If it
 * trapped, the trap. `result` and `trap` may be NULL. */
cnp_trap_kind cnp_call(const cnp_code *, size_t index, const cnp_any *arguments, cnp_any *result, cnp_trap *trap);

/* A budget, so that a guest cannot run for ever: gives this thread so many ticks, unless `fuel` is negative, and returns what it
 * had, or -1 without memory. Loops take one for a jump back, functions that call compiled code one when they are entered.
 * What would be more than there is traps, between two ops. */
#define CNP_UNLIMITED_FUEL ((int64_t)1 << 62)
int64_t cnp_fuel(cnp_session *, int64_t fuel);

/* ---- the ops ---- */

#include "ops.h"
#include "tables_of_bytecode.h"

#ifdef __cplusplus
}
#endif
#endif
