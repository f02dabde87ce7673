/* What everybody needs who enters compiled code: contexts of threads, one entry, and how far the stacks reach. */
#ifndef CNP_BORDER_H
#define CNP_BORDER_H
#include "layout.h"

/* One entry into compiled code: what to load, and where the result goes. */
struct invocation {
    i64 entry;
    char *frame;
    const i64 *integers; /* ARGUMENTS of them */
    const f64 *floats;   /* the same, or NULL */
    struct cnp_result result;
    s32 ticks;           /* left when it returned */
};
_Static_assert(__builtin_offsetof(struct invocation, entry) == 0 && __builtin_offsetof(struct invocation, frame) == 8 &&
                   __builtin_offsetof(struct invocation, integers) == 16 && __builtin_offsetof(struct invocation, floats) == 24 &&
                   __builtin_offsetof(struct invocation, result.i) == 32 && __builtin_offsetof(struct invocation, result.f) == 40 &&
                   __builtin_offsetof(struct invocation, ticks) == 48 &&
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
    context->frame = context->frames; /* and the rest is zero */
    context->host = host;
    context->fuel = CNP_UNLIMITED;
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

/* How many ticks may be handed out while the frame stack is used up to `end`: at most what is left of it and of the
 * native stack, plus one, since the last one only asks for more. Less than one if either is used up. */
static inline s64 ticks_left(const struct context *context, const char *end) {
    s64 frames = (s64)((char *)context + CNP_STACK_SIZE - CNP_STACK_RESERVE - end) >> __builtin_ctz(CNP_TICK_FRAME);
    s64 native = (s64)((char *)__builtin_frame_address(0) - context->native_limit) >> __builtin_ctz(CNP_TICK_NATIVE);
    s64 least = frames < native ? frames : native;
    return least < CNP_TICKS ? least + 1 : CNP_TICKS;
}
#endif
