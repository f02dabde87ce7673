/* What compiled code and the core share at run time: the context of a thread, and how C enters and leaves. */
#ifndef CNP_CONTEXT_H
#define CNP_CONTEXT_H
#include "cnp.h"

/* Frames of compiled code live on a stack of their own, one a thread, aligned to its size with the context at its
 * start: one register (frame) reaches both. CNP_STACK_RESERVE is left for functions that call nothing and so do not
 * check. A call uses 16 bytes of the native stack and at least CNP_MINIMUM_FRAME of this one, so that this check
 * bounds both. */
#define CNP_STACK_SIZE (1u << 20)
#define CNP_STACK_RESERVE 4096u
#define CNP_MINIMUM_FRAME 32u

struct context {
    char *native_stack; /* where cnp_unwind goes: the stack pointer of the innermost cnp_guard; must stay first */
    char *top;          /* first free byte of the frame stack whenever C runs */
    i64 trap;           /* why cnp_unwind was called: see trap_word in core/layout.h */
    s64 ticks;          /* calls of compiled functions until the next safepoint */
    const struct host *host;
    char *native_limit; /* lowest address of the native stack that compiled code may reach */
    s64 last_poll; /* milliseconds, when the GIL was last asked for by code that had released it */
    i64 unused;
    char frames[];
};

/* Rounds of a loop, or calls, between two safepoints: at 1 ns each Ctrl-C is seen within 10 microseconds. */
#define ROUNDS_BETWEEN_POLLS 8192

static inline __attribute__((always_inline)) struct context *context_of(char *frame) {
    return (struct context *)((i64)frame & ~(i64)(CNP_STACK_SIZE - 1));
}

struct cnp_result {
    i64 i;
    f64 f;
};
struct signature;

/* The core's routines that stencils reach. */
void cnp_trap(char *frame, i64 word) __attribute__((noreturn, visibility("hidden")));
void cnp_poll_preserving_all(void) __attribute__((visibility("hidden")));
struct cnp_result cnp_enter_from_c(const struct signature *signature, i64 *integers, f64 *floats)
    __attribute__((visibility("hidden")));
#endif
