/* The border to C: entering compiled code, and leaving it early. */
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

/* A call from C, by a function pointer: a trap is the host's to tell, and the result is 0 then. */
struct cnp_result cnp_enter_from_c(const struct signature *signature, i64 *integers, f64 *floats) {
    struct cnp_result result = {0, 0};
    for (u32 k = 0, n = 0; k < signature->n_parameters; k++)
        if (!IS_FLOAT(signature->parameter_type[k])) {
            if (signature->parameter_type[k] == TYPE_I32) /* C leaves the upper half of a register undefined */
                integers[n] = CNP_EXTEND_I32(integers[n]);
            n++;
        }
    i64 trap = enter(signature, integers, floats, &result);
    if (__builtin_expect(!trap, 1))
        return result;
    signature->host->trapped(signature, trap);
    return (struct cnp_result){0, 0};
}

/* The end of cnp_trap. */
__attribute__((used, noreturn, visibility("hidden"))) void cnp_stop(u32 function, u32 place, char *frame) {
    struct context *context = context_of(frame);
    context->trap = trap_word(function, place >> 4, place & 15);
    cnp_unwind(context);
}

/* Where ticks have run out: returns new ones. `innermost` is as in the context; `function` is 0 in a loop, which needs no
 * more room than it has, and the number of a function that is about to call another. */
__attribute__((used, visibility("hidden"))) u32 cnp_poll(char *frame, char *innermost, u32 function) {
    struct context *context = context_of(frame);
    char *end = innermost + CNP_SMALL_FRAME;
    if (function && ticks_left(context, end) <= 0)
        cnp_stop(function, STACK_OVERFLOW, frame);
    context->frame = innermost;
    if (context->host->poll(context)) {
        context->trap = INTERRUPTED;
        cnp_unwind(context);
    }
    s64 ticks = ticks_left(context, end);
    return ticks > 0 ? (u32)ticks : 1;
}

CNP_BORDER_ASSEMBLY
