/* The border to C where Python is the host: entering compiled code, and leaving it early. */
#include "border.h"

/* The destructor of the thread-specific key. */
void cnp_free_context(struct context *context) { context->host->munmap(context, CNP_STACK_SIZE); }

/* Runs compiled code on this thread. Returns the trap word, 0 if it returned. */
static inline i64 enter(const struct signature *signature, const i64 *integers, const f64 *floats, struct cnp_result *result) {
    const struct host *host = signature->host;
    struct context *context = host->pthread_getspecific(host->context_key);
    if (__builtin_expect(!context, 0) && !(context = new_context(host)))
        return STACK_OVERFLOW;
    char *frame = context->frame;
    struct invocation invocation = {signature->entry, frame + CNP_SMALL_FRAME, integers, signature->uses_floats ? floats : 0, {0, 0}};
    s64 ticks = ticks_left(context, invocation.frame);
    if (__builtin_expect(ticks <= 0, 0))
        return trap_word(signature->number, 0, STACK_OVERFLOW);
    int trapped = cnp_guard(context, &invocation, (u32)ticks);
    context->frame = frame;
    *result = invocation.result;
    return __builtin_expect(trapped, 0) ? context->trap : 0;
}

/* The same for hosts that are not Python. */
i64 cnp_run(const struct signature *signature, const i64 *integers, const f64 *floats, struct cnp_result *result) {
    return enter(signature, integers, floats, result);
}

/* The end of cnp_trap. */
__attribute__((used, noreturn, visibility("hidden"))) void cnp_stop(u32 function, u32 place, char *frame) {
    struct context *context = context_of(frame);
    context->trap = trap_word(function, place >> 4, place & 15);
    cnp_unwind(context);
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
static void ask_python(struct context *context) {
    const struct python *python = &context->host->python;
    if (context->host->pthread_self() != context->host->main_thread || (!python->PyGILState_Check() && !has_waited(context)))
        return;
    int state = python->PyGILState_Ensure();
    int raised = python->PyErr_CheckSignals();
    python->PyGILState_Release(state);
    if (raised) {
        context->trap = INTERRUPTED;
        cnp_unwind(context);
    }
}

/* Where ticks have run out: returns new ones. `innermost` is as in the context; `function` is 0 in a loop, which needs no
 * more room than it has, and the number of a function that is about to call another. */
__attribute__((used, visibility("hidden"))) u32 cnp_poll(char *frame, char *innermost, u32 function) {
    struct context *context = context_of(frame);
    char *end = innermost + CNP_SMALL_FRAME;
    if (function && ticks_left(context, end) <= 0)
        cnp_stop(function, STACK_OVERFLOW, frame);
    context->frame = innermost;
    ask_python(context);
    s64 ticks = ticks_left(context, end);
    return ticks > 0 ? (u32)ticks : 1;
}

CNP_BORDER_ASSEMBLY
