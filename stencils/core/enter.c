/* The border to C: contexts of threads, entering compiled code, and leaving it early. */
#include "layout.h"

/* One entry into compiled code: what to load, and where the result goes. */
struct invocation {
    i64 entry;
    char *frame;
    const i64 *integers; /* ARGUMENTS of them */
    const f64 *floats;   /* the same, or NULL */
    struct cnp_result result;
};
_Static_assert(__builtin_offsetof(struct invocation, entry) == 0 && __builtin_offsetof(struct invocation, frame) == 8 &&
                   __builtin_offsetof(struct invocation, integers) == 16 && __builtin_offsetof(struct invocation, floats) == 24 &&
                   __builtin_offsetof(struct invocation, result.i) == 32 && __builtin_offsetof(struct invocation, result.f) == 40 &&
                   __builtin_offsetof(struct context, native_stack) == 0,
               "the assembly of the target's header knows these offsets");

/* Runs an invocation with every register saved; 1 if cnp_unwind ended it. In the target's header. */
int cnp_guard(struct context *context, struct invocation *invocation, u32 ticks) __attribute__((visibility("hidden")));
void cnp_unwind(struct context *context) __attribute__((noreturn, visibility("hidden")));

/* What C functions that compiled code calls may count on having left of the native stack; a quarter of a small one. */
#define NATIVE_RESERVE (128u << 10)

/* A thread's context and frame stack: reserved as twice its size, cut to the aligned half. NULL without memory. */
static __attribute__((noinline)) struct context *new_context(const struct host *host) {
    char *start = host->mmap(0, 2 * CNP_STACK_SIZE, 3 /* read, write */, 0x4022 /* private, anonymous, noreserve */, -1, 0);
    if ((s64)start == -1)
        return 0;
    char *aligned = (char *)(((i64)start + CNP_STACK_SIZE - 1) & ~(i64)(CNP_STACK_SIZE - 1));
    if (aligned > start)
        host->munmap(start, (size_t)(aligned - start));
    host->munmap(aligned + CNP_STACK_SIZE, (size_t)(start + CNP_STACK_SIZE - aligned));
    struct context *context = (struct context *)aligned;
    *context = (struct context){.frame = context->frames, .host = host};
    i64 attributes[16]; /* pthread_attr_t is 56 bytes */
    char *low;
    size_t size;
    if (host->pthread_getattr_np(host->pthread_self(), attributes) == 0) {
        if (host->pthread_attr_getstack(attributes, &low, &size) == 0)
            context->native_limit = low + (size / 4 < NATIVE_RESERVE ? size / 4 : NATIVE_RESERVE);
        host->pthread_attr_destroy(attributes);
    }
    if (host->pthread_setspecific(host->context_key, context)) {
        host->munmap(aligned, CNP_STACK_SIZE);
        return 0;
    }
    return context;
}

/* The destructor of the thread-specific key. */
void cnp_free_context(struct context *context) { context->host->munmap(context, CNP_STACK_SIZE); }

/* How many ticks may be handed out while the frame stack is used up to `end`: at most what is left of it and of the
 * native stack, plus one, since the last one only asks for more. Less than one if either is used up. */
static inline s64 ticks_left(const struct context *context, const char *end) {
    s64 frames = (s64)((char *)context + CNP_STACK_SIZE - CNP_STACK_RESERVE - end) >> __builtin_ctz(CNP_TICK_FRAME);
    s64 native = (s64)((char *)__builtin_frame_address(0) - context->native_limit) >> __builtin_ctz(CNP_TICK_NATIVE);
    s64 least = frames < native ? frames : native;
    return least < CNP_TICKS ? least + 1 : CNP_TICKS;
}

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
