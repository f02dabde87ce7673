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
    CNP_ERROR_BROKEN,      /* an assumption that the code depends on does not hold any more */
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
    CNP_TRAP_INTERRUPTED = 6, /* by the session's poll, or the handler of a side exit */
    CNP_TRAP_OUT_OF_FUEL = 7, /* see cnp_fuel */
    CNP_TRAP_MEMORY_FAULT = 8 /* see cnp_catch_faults */
} cnp_trap_kind;

typedef struct cnp_trap {
    cnp_trap_kind kind;
    uint32_t op;        /* of the function, counted from 0, labels included; 0 for kinds from CNP_TRAP_STACK_OVERFLOW on */
    const char *reason; /* "integer divide by zero" */
    char function[64];  /* the name, cut off if longer, of what trapped, or of what was called where nobody knows; "?" if its
                           code has been freed meanwhile */
    int signal;         /* of a memory fault, and the address that was accessed, as far as the kernel says */
    const void *address;
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

/* Frees the session with all its code, cells, assumptions and tiers. No thread may run its code, nor end during the call if it
 * ever ran any. */
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

/* A value outside of compiled code; its register's type says which member. */
typedef union cnp_any {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    void *address;
} cnp_any;

void cnp_place(cnp_function *, cnp_label); /* once for each label */
void cnp_jump(cnp_function *, cnp_label);
/* To labels[index], or to `otherwise` if there are not so many. `index` is an i32; at most 65,000 labels. */
void cnp_branch_table(cnp_function *, cnp_value index, cnp_label otherwise, const cnp_label *labels, size_t n);
void cnp_move(cnp_function *, cnp_value d, cnp_value a);
/* d = condition ? a : b. The condition is an i32. */
void cnp_select(cnp_function *, cnp_value d, cnp_value a, cnp_value b, cnp_value condition);
void cnp_ret(cnp_function *, cnp_value); /* cnp_none() from a function without result */
void cnp_unreachable(cnp_function *);    /* traps */
void cnp_safepoint(cnp_function *);      /* takes a tick, and polls if it was the last: see cnp_fuel */

/* Calls. A function under construction must be among those that cnp_compile is given together with the caller, and may be
 * the caller itself; compiled code must outlive the caller's. Arguments are of the parameters' types. */
void cnp_call_function(cnp_function *, cnp_value d, cnp_function *callee, const cnp_value *arguments, size_t n);
void cnp_call_code(cnp_function *, cnp_value d, const cnp_code *callee, size_t index, const cnp_value *arguments, size_t n);
/* A C function, whose types are those of d (none: void) and of the arguments: at most eight integers and eight floats. It
 * may call compiled code, and must return. */
typedef void (*cnp_c_function)(void);
void cnp_call_c(cnp_function *, cnp_value d, cnp_c_function callee, const cnp_value *arguments, size_t n);

/* Any op of the table at the end of this file, its operands in the order of the function of that name. */
void cnp_op(cnp_function *, uint32_t op, const cnp_value *operands, size_t n);
/* The name of an op, such as "i64.add". NULL past the last one. */
const char *cnp_op_name(uint32_t op);

/* ---- side exits, and entry in loops: an interpreter and compiled code take over from one another ---- */

/* What goes on where compiled code was left: gets the values of the exit, and gives the result of the function that was left, of
 * its type. 0 if all is well; else all compiled code ends, up to the call from C, by a trap: CNP_TRAP_INTERRUPTED. It may call
 * compiled code, and must return. */
typedef int (*cnp_exit_handler)(void *point, const cnp_any *values, size_t n, cnp_any *result);
/* A label that leads out of compiled code, and is placed nowhere; any number of jumps, branches and tables may lead to it.
 * The handler is a function, not NULL; `point` is for it: a place in the guest's code. Values are registers, which are read where
 * the jump is, or constants; at most 1,000. They cost nothing on the way past the exit. */
cnp_label cnp_exit(cnp_function *, cnp_exit_handler handler, void *point, const cnp_value *values, size_t n);

/* A new function that goes on at a label of this one, with what can be reached from there; the label must have been placed.
 * Its one parameter is the address of the values of the `live` registers, one cnp_any each, in this order. What it calls has
 * to be compiled together with it, as ever: this function, too, if it calls itself. NULL without memory. */
cnp_function *cnp_entered_at(const cnp_function *, cnp_label, const cnp_value *live, size_t n);

/* ---- cells and assumptions: what may change while threads run the code ----
 *
 * They belong to a session, and must outlive the code that refers to them. What is described here may be called by any thread
 * at any time, from C that compiled code has called as well. */

typedef struct cnp_cell cnp_cell;             /* a callee that can be exchanged */
typedef struct cnp_assumption cnp_assumption; /* something that holds until it is invalidated, and never again */

/* Eight bytes of the caller's, aligned to as many, that compiled code reads and any thread sets. */
typedef struct cnp_data_cell {
    int64_t value;
} cnp_data_cell;
void cnp_load_cell(cnp_function *, cnp_value d, const cnp_data_cell *);
void cnp_set_data_cell(cnp_session *, cnp_data_cell *, int64_t value); /* all eight bytes at once */

/* A cell with the parameters and the result of its first target, which is its fallback, too. Its name is copied, for messages.
 * NULL, and the error filled in, if there is no memory or no such function. */
cnp_cell *cnp_new_cell(cnp_session *, const char *name, const cnp_code *target, size_t index, cnp_error *error);
void cnp_delete_cell(cnp_cell *); /* NULL is accepted */
/* Has another target called from now on: one store of eight bytes. A call that has begun goes on in the target that it found,
 * which is yours to retire (cnp_retire). 0, and the error filled in, if the target has another signature or depends on an
 * assumption that is broken. */
int cnp_set_cell(cnp_cell *, const cnp_code *target, size_t index, cnp_error *error);
/* The same, for the fallback as well. */
int cnp_set_fallback(cnp_cell *, const cnp_code *target, size_t index, cnp_error *error);
void cnp_reset_cell(cnp_cell *); /* to its fallback */
void cnp_call_cell(cnp_function *, cnp_value d, const cnp_cell *callee, const cnp_value *arguments, size_t n);

/* NULL without memory. */
cnp_assumption *cnp_new_assumption(cnp_session *);
void cnp_delete_assumption(cnp_assumption *); /* NULL is accepted */
/* A guard: goes on at `otherwise` if the assumption is broken. One load and a branch. */
void cnp_assume(cnp_function *, const cnp_assumption *, cnp_label otherwise);
/* From now on code that depends on it takes the other way at its next guard. Cells whose target was compiled with such a guard,
 * or together with what was, are reset; then the callbacks run, on this thread. A second time nothing happens. */
void cnp_invalidate(cnp_assumption *);
int cnp_is_broken(const cnp_assumption *);
/* Has callback(data) called once the assumption is broken; at once if it is. 0 without memory. */
int cnp_on_invalidate(cnp_assumption *, void (*callback)(void *data), void *data);

/* ---- guest bytecode ---- */

/* What a guard in bytecode reads: one of the two, the other NULL. */
typedef struct cnp_guest_cell {
    const cnp_data_cell *data;
    const cnp_assumption *assumption;
} cnp_guest_cell;

/* What a call in bytecode calls: one of function, code, cell and c, the others NULL. */
typedef struct cnp_guest_callee {
    cnp_function *function; /* under construction: cnp_compile must be given it in the same array */
    const cnp_code *code;   /* its function `index` */
    size_t index;
    const cnp_cell *cell;
    cnp_c_function c; /* of these types, in number as for cnp_call_c: */
    cnp_type result;  /* or CNP_VOID */
    const cnp_type *parameters;
    size_t n_parameters;
} cnp_guest_callee;

/* How many registers a function has of a file, up to those of the table; the operand stack is one, too. */
typedef struct cnp_guest_size {
    uint32_t file; /* as the table's declaration numbers them */
    uint32_t count;
} cnp_guest_size;

/* What a handler gets as its point if the exit is one in bytecode, and cnp_exit_at gives. It lives as long as the code. */
typedef struct cnp_guest_point {
    void *data;      /* of the cnp_guest */
    uint64_t offset; /* of the instruction, its prefixes included, which is to be done from its start */
} cnp_guest_point;

/* What a function of bytecode refers to, and a table does not know. The arrays may be forgotten after cnp_translate; code, cells,
 * assumptions and data must outlive the code. */
typedef struct cnp_guest {
    const cnp_guest_callee *callees; /* that fields number, from 0 */
    size_t n_callees;
    const cnp_guest_cell *cells; /* that fields number, from 0 */
    size_t n_cells;
    const cnp_guest_cell *named; /* that templates name: as many, and in this order, as the table's declaration says */
    size_t n_named;
    cnp_exit_handler handler; /* of all exits; its values are what the table's Exit passes on. NULL if there are none */
    void *data;               /* for it */
    const cnp_guest_size *sizes; /* of files of which the function has not all registers */
    size_t n_sizes;
} cnp_guest;

/* Adds the ops of bytecode, to a function that has nothing but parameters: by a table that `cnp export-c --bytecode` was given,
 * declared at the end of this file. Code depends on the assumptions that its instructions read. NULL for a guest of zeros. */
typedef struct cnp_bytecode cnp_bytecode;
void cnp_translate(cnp_function *, const cnp_bytecode *, const void *code, size_t size, const cnp_guest *);
/* Where in the bytecode an op comes from, by number as in traps; -1 if it does not. */
int64_t cnp_bytecode_offset(const cnp_function *, uint32_t op);
/* The registers of a file of the table in a function that cnp_translate has made, from number 0 or the bottom of the stack on; so
 * many values, of which up to `room` are written. 0 if there is no such file. */
size_t cnp_registers(const cnp_function *, uint32_t file, cnp_value *values, size_t room);
/* The label of the instruction at an offset that jumps lead to, for cnp_entered_at, which refuses what this gives for others. */
cnp_label cnp_label_at(const cnp_function *, uint64_t offset);
/* What exit k of a function passes on, in the order they were made; so many values, of which up to `room` are written. 0 past the
 * last. The exits of bytecode are there once it has been translated: what they pass on is what to enter with. */
size_t cnp_exit_values(const cnp_function *, size_t k, cnp_value *values, size_t room);

/* ---- compiling and calling ---- */

/* Compiles functions that may call one another to one piece of code. NULL, and the error filled in, if it cannot. */
cnp_code *cnp_compile(cnp_session *, cnp_function *const *functions, size_t n, cnp_error *error);
/* Frees the code, which nothing may run or call any more. NULL is accepted. */
void cnp_free(cnp_code *);
/* The same as soon as all threads that are in compiled code now have left it, for code that some of them may be running: at
 * once if there are none. Who enters from here on must not be able to reach it: no cell has it, and no pointer to it is called.
 * To call from C what may be retired, compile a function that calls it through a cell. NULL is accepted. */
void cnp_retire(cnp_code *);

/* One of the functions, as a pointer: cast it to the C type, in which an i64 may be a pointer. */
cnp_c_function cnp_pointer(const cnp_code *, size_t index);
/* Bytes of machine code of one of the functions. */
size_t cnp_code_size(const cnp_code *, size_t index);

/* Side exits as they were compiled. */
typedef struct cnp_exit_place {
    void *point;
    size_t offset; /* of its code, from the start of the function's; SIZE_MAX if nothing leads there */
    size_t n_values;
} cnp_exit_place;
typedef struct cnp_value_place {
    cnp_type type;
    int is_constant;
    cnp_any constant; /* if it is one, else */
    int place;        /* the hardware register it is in, as stencils number them, or -1: */
    int32_t slot;     /* bytes from the frame to where it is found when the exit is taken */
} cnp_value_place;
/* Exit k of one of the functions, in the order they were made, and value number `value` of it. 0 past the last. */
int cnp_exit_at(const cnp_code *, size_t index, size_t k, cnp_exit_place *);
int cnp_exit_value_at(const cnp_code *, size_t index, size_t k, size_t value, cnp_value_place *);

/* Calls one of the functions: as many arguments as it has parameters. CNP_TRAP_NONE, and the result, if it returned. If it
 * trapped, the trap. `result` and `trap` may be NULL. */
cnp_trap_kind cnp_call(const cnp_code *, size_t index, const cnp_any *arguments, cnp_any *result, cnp_trap *trap);

/* A budget, so that a guest cannot run for ever: gives this thread so many ticks, unless `fuel` is negative, and returns what it
 * had, or -1 without memory. Loops take one for a jump back, functions that call compiled code one when they are entered.
 * What would be more than there is traps, between two ops. */
#define CNP_UNLIMITED_FUEL ((int64_t)1 << 62)
int64_t cnp_fuel(cnp_session *, int64_t fuel);

/* Makes SIGSEGV, SIGBUS and SIGFPE traps where they happen in the session's compiled code, or in C that it has called: C is left
 * in its middle then. Elsewhere they go to whoever handled the signal before. Until the session is closed, and for one session
 * a process at a time: 0, and the error filled in, if another has them. What takes the signals over later must not pass them on
 * once the session is closed. */
int cnp_catch_faults(cnp_session *, cnp_error *error);

/* ---- when to compile: counters of one guest function, and the policy that they ask ---- */

typedef struct cnp_tiered cnp_tiered; /* one guest function: it belongs to a session */

typedef enum cnp_tier_state {
    CNP_COLD,      /* it is interpreted, and counted */
    CNP_COMPILING, /* it is interpreted in the meantime */
    CNP_COMPILED,
    CNP_REFUSED    /* it is interpreted from now on */
} cnp_tier_state;
typedef enum cnp_event {
    CNP_CALL_EVENT,
    CNP_LOOP_EVENT, /* a jump back */
    CNP_EXIT_EVENT  /* compiled code was left for the interpreter */
} cnp_event;
typedef struct cnp_counts {
    cnp_tier_state state;
    int64_t calls, loops, exits;
    int64_t given_up; /* how often exits have made code useless */
} cnp_counts;

/* Compile at the `calls`th call, or a loop at the `loops`th jump back; give the code up at the `exits`th exit. All count anew
 * from then on. Once code has been given up `attempts` times the function is refused. */
typedef struct cnp_policy cnp_policy;
struct cnp_policy {
    int64_t calls, loops, exits, attempts;
    /* How many more of these events to let pass before it is asked again; 0 to act now, which is to compile, or to give the code
     * up after an exit; CNP_NEVER to refuse the function, or after an exit to leave the code alone. It must not call functions
     * that take a cnp_tiered. NULL for cnp_ask. */
    int64_t (*ask)(const cnp_policy *, const cnp_counts *, cnp_event);
};
#define CNP_NEVER (-1)
int64_t cnp_ask(const cnp_policy *, const cnp_counts *, cnp_event); /* what is said above of the four numbers */

/* What an interpreter does for its tiers. */
#define CNP_WHOLE (-1) /* the point that is the function, from its start; all others are from 0 on: offsets, or addresses */
typedef struct cnp_tier_host {
    /* Code whose first function is the guest's, or goes on in its loop at a point. NULL, and the error filled in, if there is
     * none: that is not tried again. */
    cnp_code *(*compile)(void *data, int64_t point, cnp_error *error);
    /* Has cnp_compile_tiered called, now or later, on this thread or another; 0 if it cannot, which may be tried again. NULL for
     * now, on this thread. */
    int (*start)(void *data, cnp_tiered *, int64_t point);
    /* Takes code that has been given up: cnp_retire, once it is in no cell, if nobody calls it but through cells, or if there is
     * one thread. It must not call functions that take a cnp_tiered. NULL: the code is kept until cnp_delete_tiered, for another
     * thread may have asked for it, and be about to call it. */
    void (*drop)(void *data, cnp_code *);
    void *data;
} cnp_tier_host;

/* Both structures are copied. NULL for the policy {100, 1000, 50, 3, NULL}. NULL without memory. */
cnp_tiered *cnp_new_tiered(cnp_session *, const cnp_policy *, const cnp_tier_host *);
/* And frees its code, which nothing may run or call any more. NULL is accepted. */
void cnp_delete_tiered(cnp_tiered *);

/* Any thread may call these, the handlers of exits among them. An interpreter asks, where it begins to run the function, and at
 * jumps back: they give compiled code, to be called with index 0, or NULL: go on interpreting, which is counted. */
cnp_code *cnp_called(cnp_tiered *);
cnp_code *cnp_looped(cnp_tiered *, int64_t point);
/* Compiled code of the function was left. It may be given up, to be compiled again once it is hot again. */
void cnp_left(cnp_tiered *);
void cnp_refuse(cnp_tiered *); /* interpret the function from now on; code that runs goes on */
/* Compiles, whether the function is hot or not. */
void cnp_compile_tiered(cnp_tiered *, int64_t point);
cnp_counts cnp_tiered_counts(cnp_tiered *);
cnp_error cnp_tiered_error(cnp_tiered *); /* what compiling failed with, the last time it did */

/* ---- the ops ---- */

#include "ops.h"
#include "tables_of_bytecode.h"

#ifdef __cplusplus
}
#endif
#endif
