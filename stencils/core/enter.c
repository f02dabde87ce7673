/* The border to C: entering compiled code, and leaving it early, by traps and by side exits. */
#include "border.h"

/* The destructor of the thread-specific key. */
void cnp_free_context(struct context *context) {
    dismiss(context);
    drop_signal_stack(context);
    context->host->munmap(context, CNP_STACK_SIZE);
}

static inline struct context *context_of_thread(const struct host *host) {
    struct context *context = host->pthread_getspecific(host->context_key);
    if (__builtin_expect(!context, 0) && (context = new_context(host)))
        enlist(context);
    return context;
}

/* ---- fuel: what is handed out of it; the last tick of each hand asks for more, and is not paid before it gets it ---- */

static inline u32 hand_out(struct context *context, s64 ticks) {
    s64 paid = ticks - 1 < context->fuel ? ticks - 1 : context->fuel;
    context->fuel -= paid;
    return (u32)paid + 1;
}
static inline void take_back(struct context *context, s32 ticks) { context->fuel += ticks > 0 ? ticks - 1 : 0; }

/* Sets what this thread has left unless `fuel` is negative. Returns what it had, or -1 without memory. */
s64 cnp_fuel(const struct host *host, s64 fuel) {
    struct context *context = context_of_thread(host);
    if (!context)
        return -1;
    s64 before = context->fuel;
    if (fuel >= 0)
        context->fuel = fuel;
    return before;
}

/* Runs compiled code on this thread. Returns the trap word, 0 if it returned. */
static inline i64 enter(const struct signature *signature, const i64 *integers, const f64 *floats, struct cnp_result *result,
                        int from_c) {
    const struct host *host = signature->host;
    struct context *context = context_of_thread(host);
    if (__builtin_expect(!context, 0))
        return STACK_OVERFLOW;
    char *frame = context->frame;
    struct invocation invocation = {signature->entry, frame + CNP_SMALL_FRAME, integers, signature->uses_floats ? floats : 0, {0, 0}, 0};
    s64 ticks = ticks_left(context, invocation.frame);
    if (__builtin_expect(ticks <= 0, 0))
        return trap_word(signature->number, 0, STACK_OVERFLOW);
    int releases_gil = !from_c && signature->releases_gil;
    const void *python_frame = context->python_frame;
    if (__builtin_expect(host->threads->catches, 0))
        expect_faults(context, releases_gil);
    u64 before = come_in(context, host->threads, from_c || signature->lacks_gil);
    void *state = releases_gil ? host->python.PyEval_SaveThread() : 0;
    int trapped = cnp_guard(context, &invocation, hand_out(context, ticks));
    if (releases_gil)
        host->python.PyEval_RestoreThread(state);
    go_out(context, before);
    context->frame = frame;
    context->python_frame = python_frame;
    if (__builtin_expect(__atomic_load_n(&host->threads->has_retired, __ATOMIC_RELAXED), 0))
        host->came_out(host);
    *result = invocation.result;
    if (__builtin_expect(!trapped, 1)) {
        take_back(context, invocation.ticks);
        return 0;
    }
    /* Who polls in a loop does not say which function it is, nor does a fault. */
    return context->trap >> 32 ? context->trap : trap_word(signature->number, 0, (u32)context->trap);
}

/* The same for hosts that are not Python. */
i64 cnp_run(const struct signature *signature, const i64 *integers, const f64 *floats, struct cnp_result *result) {
    return enter(signature, integers, floats, result, 1);
}

/* A call from C, by a function pointer: a trap is the host's to tell, and the result is 0 then. */
struct cnp_result cnp_enter_from_c(const struct signature *signature, i64 *integers, f64 *floats) {
    struct cnp_result result = {0, 0};
    for (u32 k = 0, n = 0; k < signature->n_parameters; k++)
        if (!IS_FLOAT(signature->parameter_type[k])) {
            if (signature->parameter_type[k] == TYPE_I32) /* C leaves the upper half of a register undefined */
                integers[n] = CNP_EXTEND_I32(integers[n]);
            n++;
        }
    i64 trap = enter(signature, integers, floats, &result, 1);
    if (__builtin_expect(!trap, 1))
        return result;
    signature->host->trapped(signature, trap);
    return (struct cnp_result){0, 0};
}

static __attribute__((noreturn)) void interrupt(struct context *context) {
    context->trap = INTERRUPTED;
    cnp_unwind(context);
}

/* What a callback's own few instructions call: they have put the arguments into memory, by class. */
struct cnp_result cnp_call_back(const struct callback *callback, const i64 *integers, const f64 *floats) {
    const struct host *host = callback->host;
    struct cnp_result result = {0, 0};
    if (host->called(callback, integers, floats, &result))
        interrupt(host->pthread_getspecific(host->context_key));
    return result;
}

/* What a side exit calls, once it has put its values into the frame: from here on they are part of it. */
static inline struct cnp_result leave(const struct side_exit *exit) {
    const struct host *host = exit->host;
    struct context *context = host->pthread_getspecific(host->context_key);
    char *frame = context->frame - (exit->frame_size > CNP_SMALL_FRAME ? exit->frame_size : 0);
    struct cnp_result result = {0, 0};
    context->frame = exit->extent > CNP_SMALL_FRAME ? frame + exit->extent : frame;
    if (host->left(exit, frame, &result))
        interrupt(context);
    return result;
}
i64 cnp_leave_integer(const struct side_exit *exits, u64 number) { return leave(&exits[number]).i; }
f64 cnp_leave_float(const struct side_exit *exits, u64 number) { return leave(&exits[number]).f; }

/* The end of cnp_trap; `ticks` are those that the function has left. */
__attribute__((used, noreturn, visibility("hidden"))) void cnp_stop(u32 function, u32 place, char *frame, s32 ticks) {
    struct context *context = context_of(frame);
    take_back(context, ticks);
    context->trap = trap_word(function, place >> 4, place & 15);
    cnp_unwind(context);
}

/* Where ticks have run out: returns new ones. `innermost` is as in the context; `function` is 0 in a loop, which needs no
 * more room than it has, and the number of a function that is about to call another. `lacking` is 0, or by how much less
 * there was than a large frame takes. */
__attribute__((used, visibility("hidden"))) u32 cnp_poll(char *frame, char *innermost, u32 function, s32 lacking) {
    struct context *context = context_of(frame);
    char *end = innermost + CNP_SMALL_FRAME;
    if (function && ticks_left(context, end) <= 0)
        cnp_stop(function, STACK_OVERFLOW, frame, 0);
    context->frame = innermost;
    if (context->host->poll(context))
        interrupt(context);
    s64 unpaid = 1 - (s64)lacking;
    if (__builtin_expect(context->fuel < unpaid, 0)) {
        context->fuel = 0;
        context->trap = OUT_OF_FUEL;
        cnp_unwind(context);
    }
    context->fuel -= unpaid;
    s64 ticks = ticks_left(context, end);
    return hand_out(context, ticks > 0 ? ticks : 1);
}

CNP_BORDER_ASSEMBLY
