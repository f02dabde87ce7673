/* Faults in compiled code, and in the C that it calls, become traps where the user has asked for it. */
#include "border.h"

enum { SIGNAL_STACK = 64 << 10, DEFAULT_HANDLER = 0, IGNORED = 1, WITH_INFO = 4 /* SA_SIGINFO */, DISABLED = 2 /* SS_DISABLE */ };
struct signal_stack { /* stack_t */
    char *start;
    s32 flags, zero;
    size_t size;
};
struct signal_info { /* the start of siginfo_t */
    s32 number, error, code, zero;
    i64 address;
};

/* The only word of the core that is not the same in every process. The run time writes it before the core is placed: a
 * signal handler is told nothing from which it could find out. */
__attribute__((used)) const volatile i64 cnp_own_host = 0;

/* What Python executes on this thread, as far as it tells: NULL where the thread does not hold the GIL, or there is no
 * Python. */
static const void *python_frame(const struct python *python) {
    static const char none;
    if (!python->PyGILState_Check || !python->PyGILState_Check())
        return 0;
    const void *frame = python->PyEval_GetFrame();
    return frame ? frame : &none;
}

/* A handler must have a stack even where there is none left. One that the thread has already is good enough. */
static void need_signal_stack(struct context *context) {
    const struct host *host = context->host;
    struct signal_stack stack;
    if (context->signal_stack || host->sigaltstack(0, &stack) || !(stack.flags & DISABLED))
        return;
    char *start = host->mmap(0, SIGNAL_STACK, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
    if ((s64)start == -1)
        return;
    context->signal_stack = start;
    stack = (struct signal_stack){.start = start, .size = SIGNAL_STACK};
    host->sigaltstack(&stack, 0);
}

static void drop_signal_stack(struct context *context) {
    const struct signal_stack none = {.flags = DISABLED};
    struct signal_stack stack;
    if (!context->signal_stack)
        return;
    if (!context->host->sigaltstack(0, &stack) && stack.start == context->signal_stack)
        context->host->sigaltstack(&none, 0);
    context->host->munmap(context->signal_stack, SIGNAL_STACK);
}

/* Before compiled code is entered: only what happens while Python is where it is now can be left. */
static __attribute__((noinline)) void expect_faults(struct context *context, int releases_gil) {
    need_signal_stack(context);
    context->python_frame = releases_gil ? 0 : python_frame(&context->host->python);
}

/* As if it had been asked first. Where the default is to end the process, that comes of the same instruction again. */
static void ask_old_handler(const struct host *host, int signal, const struct signal_info *info, void *state) {
    struct old_action *old = host->threads->old;
    while (old->signal != (u32)signal)
        old++;
    int is_sent = info->code <= 0; /* by a process; no instruction is at fault */
    if (is_sent && old->handler == IGNORED)
        return;
    if (old->handler == DEFAULT_HANDLER || old->handler == IGNORED || (is_sent && old->depth)) {
        /* One that sends the signal again when it is done, as faulthandler does, has had its turn. */
        static const i64 action[32]; /* struct sigaction: the default, whatever its layout */
        host->sigaction(signal, action, 0);
        if (is_sent)
            host->raise(signal);
        return;
    }
    old->depth++;
    if (old->flags & WITH_INFO)
        ((void (*)(int, const void *, void *))old->handler)(signal, info, state);
    else
        ((void (*)(int))old->handler)(signal);
    old->depth--;
}

/* The signal handler. It runs on the thread that is at fault. */
void cnp_fault(int signal, const struct signal_info *info, void *state) {
    const struct host *host = (const struct host *)cnp_own_host;
    struct context *context = host->pthread_getspecific(host->context_key);
    if (!context || !context->inside || info->code <= 0 || context->python_frame != python_frame(&host->python)) {
        ask_old_handler(host, signal, info, state);
        return;
    }
    context->trap = MEMORY_FAULT;
    context->fault_address = info->address;
    context->fault_signal = (u64)(u32)info->code << 32 | (u32)signal;
    cnp_unwind(context);
}

/* The latest fault of this thread that became a trap. */
void cnp_latest_fault(const struct host *host, i64 *address, i64 *signal) {
    const struct context *context = host->pthread_getspecific(host->context_key);
    *address = context ? context->fault_address : 0;
    *signal = context ? context->fault_signal : 0;
}
