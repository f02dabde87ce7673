/* What compiled code and the core share at run time: the context of a thread, and how C enters and leaves. */
#ifndef CNP_CONTEXT_H
#define CNP_CONTEXT_H
#include "cnp.h"

/* Frames of compiled code live on a stack of their own, one a thread, aligned to its size with the context at its
 * start: one register (frame) reaches both. CNP_STACK_RESERVE is left for functions that call no compiled code and so
 * do not count, and for what comes before the count. */
#define CNP_STACK_SIZE (1u << 20)
#define CNP_STACK_RESERVE 4096u
/* A frame up to this size is added to the frame register by an immediate of one byte. */
#define CNP_SMALL_FRAME 120u

/* A register counts ticks down (targets/): a jump back takes one, a function that is about to call one for each
 * CNP_TICK_FRAME bytes of its frame. Whoever has none left asks cnp_poll, which hands out what the stacks have room
 * for, a return address a tick, and so nobody else checks for room. It hands out no more than CNP_TICKS, though: at
 * 1 ns each Ctrl-C is seen within 10 microseconds. */
#define CNP_TICK_FRAME 128u
#define CNP_TICK_NATIVE 8u
#define CNP_TICKS 8192

/* Ticks that may be taken where there is no budget: for as long as any machine runs. */
#define CNP_UNLIMITED (1ll << 62)

struct context {
    char *native_stack; /* where cnp_unwind goes: the stack pointer of the innermost cnp_guard; must stay first */
    char *frame;        /* the innermost frame whenever C runs, its end if it is no small one */
    i64 trap;           /* why cnp_unwind was called: see trap_word in core/layout.h */
    const struct host *host;
    char *native_limit; /* lowest address of the native stack that compiled code may reach */
    s64 last_poll; /* milliseconds, when the GIL was last asked for by code that had released it */
    s64 fuel;      /* ticks that may still be handed out */
    u64 inside;    /* the epoch in which the thread entered compiled code; 0 outside of it: see retire.c */
    struct context *next, *previous; /* of all threads */
    /* For faults: what Python executed when compiled code was entered, where the signal handler's stack is, and the
     * latest that became a trap. */
    const void *python_frame;
    char *signal_stack;
    i64 fault_address;
    i64 fault_signal; /* the kernel's code for what happened in the upper half */
    char frames[];
};

static inline __attribute__((always_inline)) struct context *context_of(char *frame) {
    return (struct context *)((i64)frame & ~(i64)(CNP_STACK_SIZE - 1));
}

struct cnp_result {
    i64 i;
    f64 f;
};
struct signature;
struct callback;

/* The core's routines that stencils reach from C; those reached from assembly are in targets/. */
struct cnp_result cnp_enter_from_c(const struct signature *signature, i64 *integers, f64 *floats)
    __attribute__((visibility("hidden")));
struct cnp_result cnp_call_back(const struct callback *callback, const i64 *integers, const f64 *floats)
    __attribute__((visibility("hidden")));
#endif
