/* The border to C: contexts of threads, entering compiled code, and leaving it early. */
#include "layout.h"

typedef CNP_CONVENTION struct cnp_result code(CNP_PARAMETERS);

/* One entry into compiled code: what to load, and where the result goes. */
struct invocation {
    code *entry;
    char *frame;
    const i64 *integers;
    const f64 *floats;
    struct cnp_result result;
};

/* Calls routine(invocation) with every register saved; 1 if cnp_unwind ended it. In the target's header. */
int cnp_guard(struct context *context, CNP_CONVENTION void (*routine)(struct invocation *), struct invocation *invocation)
    __attribute__((visibility("hidden")));
void cnp_unwind(struct context *context) __attribute__((noreturn, visibility("hidden")));

static CNP_CONVENTION void enter_with_integers(struct invocation *v) {
    const i64 *a = v->integers;
    i64 i_;
    f64 f_;
    v->result = v->entry(i_, v->frame, i_, i_, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], f_, f_, f_, f_, f_, f_, f_, f_);
}
static CNP_CONVENTION void enter_with_all(struct invocation *v) {
    const i64 *a = v->integers;
    const f64 *x = v->floats;
    i64 i_;
    v->result = v->entry(i_, v->frame, i_, i_, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], x[0], x[1], x[2], x[3], x[4], x[5],
                         x[6], x[7]);
}

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
    *context = (struct context){.top = context->frames, .host = host, .ticks = ROUNDS_BETWEEN_POLLS};
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

/* Frames start where C left off, or further up if the native stack would end first: a call takes 16 bytes of it and
 * at least CNP_MINIMUM_FRAME of ours, so that what is left of one bounds the other and `enter` checks one of them. */
static inline char *first_frame(const struct context *context) {
    s64 native = 2 * ((char *)__builtin_frame_address(0) - context->native_limit);
    char *start = (char *)(((i64)context->top + 15) & ~15ull), *end = (char *)context + CNP_STACK_SIZE;
    return end - start <= native ? start : native <= 0 ? end : (char *)((i64)(end - native) & ~15ull);
}

/* Runs compiled code on this thread. Returns the trap word, 0 if it returned. */
static inline i64 enter(const struct signature *signature, const i64 *integers, const f64 *floats, struct cnp_result *result) {
    const struct host *host = signature->host;
    struct context *context = host->pthread_getspecific(host->context_key);
    if (__builtin_expect(!context, 0) && !(context = new_context(host)))
        return STACK_OVERFLOW;
    struct invocation invocation = {(code *)signature->entry, first_frame(context), integers, floats, {0, 0}};
    if (__builtin_expect(invocation.frame > (char *)context + CNP_STACK_SIZE - CNP_STACK_RESERVE, 0))
        return trap_word(signature->number, 0, STACK_OVERFLOW);
    char *top = context->top;
    int trapped = cnp_guard(context, signature->uses_floats ? enter_with_all : enter_with_integers, &invocation);
    context->top = top;
    *result = invocation.result;
    return __builtin_expect(trapped, 0) ? context->trap : 0;
}

void cnp_trap(char *frame, i64 word) {
    struct context *context = context_of(frame);
    context->trap = word;
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

/* A safepoint's slow path: lets Python's signal handlers run, which they do on the main thread only; whatever they raise
 * ends the call. */
__attribute__((used, visibility("hidden"))) void cnp_poll(char *frame) {
    struct context *context = context_of(frame);
    const struct python *python = &context->host->python;
    context->ticks = ROUNDS_BETWEEN_POLLS;
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

CNP_BORDER_ASSEMBLY
