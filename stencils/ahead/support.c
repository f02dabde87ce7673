/* What an object file of `cnp emit` carries beside its functions: contexts of threads, the way in from C, polls and traps.
 * It calls the C library and has variables of its own. Object files that are linked together share one: all of it is in a
 * section group. */
#include "../core/border.h"

/* ---- the C library ---- */

char *mmap(void *, size_t, int, int, int, s64);
int munmap(void *, size_t);
s64 write(int, const void *, size_t);
void abort(void) __attribute__((noreturn));
int pthread_once(int *, void (*)(void));
int pthread_key_create(u32 *, void (*)(void *));
void *pthread_getspecific(u32);
int pthread_setspecific(u32, const void *);
i64 pthread_self(void);
int pthread_getattr_np(i64, void *);
int pthread_attr_getstack(const void *, char **, size_t *);
int pthread_attr_destroy(void *);

/* ---- traps ---- */

/* Part of the header that `cnp emit --header` writes (cnp/tools/header.py). */
struct cnp_trap_info {
    s32 kind;
    u32 op;
    const char *reason;
    const char *function;
};
typedef void (*cnp_trap_handler)(const struct cnp_trap_info *);

static cnp_trap_handler current_handler;

__attribute__((visibility("hidden"))) cnp_trap_handler cnp_set_trap_handler(cnp_trap_handler handler) {
    return __atomic_exchange_n(&current_handler, handler, __ATOMIC_SEQ_CST);
}

enum { KINDS = STACK_OVERFLOW + 1, LONGEST_MESSAGE = 256, STANDARD_ERROR = 2 };
/* No array of pointers, which a loader would have to fill in. As str(cnp.TrapKind) has them. */
static const char reasons[KINDS][32] = {
    [UNREACHABLE] = "unreachable",
    [INTEGER_DIVIDE_BY_ZERO] = "integer divide by zero",
    [INTEGER_OVERFLOW] = "integer overflow",
    [INVALID_CONVERSION_TO_INTEGER] = "invalid conversion to integer",
    [STACK_OVERFLOW] = "stack overflow",
};

struct message {
    u32 size;
    char text[LONGEST_MESSAGE];
};

static __attribute__((noinline)) void add(struct message *to, const char *text) {
    while (*text && to->size < LONGEST_MESSAGE - 32)
        to->text[to->size++] = *text++;
}

static void add_number(struct message *to, u32 number) {
    char digits[12], *at = digits + 11;
    *at = 0;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    for (; *at; at++)
        to->text[to->size++] = *at;
}

static __attribute__((noreturn)) void give_up(const struct cnp_trap_info *trap) {
    struct message message;
    message.size = 0;
    add(&message, "cnp: ");
    add(&message, trap->reason);
    add(&message, " in function ");
    add(&message, trap->function);
    if (trap->kind != STACK_OVERFLOW) { /* which is no op's doing */
        add(&message, " at op ");
        add_number(&message, trap->op);
    }
    message.text[message.size++] = '\n';
    write(STANDARD_ERROR, message.text, message.size);
    abort();
}

/* ---- the way in ---- */

/* What describes a function that C may call: right behind the function's own way in. `DESCRIPTION` in
 * cnp/tools/emission.py. */
struct exported {
    s32 entry;     /* from here to the function's code */
    s32 names;     /* from here to distances from there to the names of all functions, by the numbers in trap words */
    u32 number;    /* of this function */
    u8 uses_floats;
    u8 narrow;     /* bit per integer argument: an i32 */
    u8 zero[2];
};

static int once;
static u32 key;
static u8 has_key;

static void free_context(void *context) { munmap(context, CNP_STACK_SIZE); }
static void make_key(void) { __atomic_store_n(&has_key, pthread_key_create(&key, free_context) == 0, __ATOMIC_RELEASE); }

static __attribute__((noinline)) struct context *first_context(void) {
    struct host host;
    host.mmap = mmap;
    host.munmap = munmap;
    host.pthread_self = pthread_self;
    host.pthread_getattr_np = pthread_getattr_np;
    host.pthread_attr_getstack = pthread_attr_getstack;
    host.pthread_attr_destroy = pthread_attr_destroy;
    host.pthread_setspecific = pthread_setspecific;
    host.context_key = key;
    struct context *context = new_context(&host);
    if (context)
        context->host = 0;
    return context;
}

static inline struct context *context_of_thread(void) {
    if (__builtin_expect(!__atomic_load_n(&has_key, __ATOMIC_ACQUIRE), 0)) {
        pthread_once(&once, make_key);
        if (!has_key)
            return 0;
    }
    struct context *context = pthread_getspecific(key);
    return __builtin_expect(context != 0, 1) ? context : first_context();
}

/* Outside of compiled code, whose frames are given up: the handler may leave by longjmp. */
static __attribute__((noinline)) struct cnp_result tell(const struct exported *exported, i64 word) {
    const s32 *names = (const s32 *)((const char *)exported + exported->names);
    struct cnp_trap_info trap = {.kind = word & 15, .op = (u32)word >> 4};
    trap.reason = reasons[trap.kind < KINDS ? trap.kind : 0];
    trap.function = (const char *)names + names[word >> 32];
    cnp_trap_handler handler = __atomic_load_n(&current_handler, __ATOMIC_SEQ_CST);
    if (!handler)
        give_up(&trap);
    handler(&trap);
    return (struct cnp_result){0, 0};
}

/* The name and the type that stencils know; `signature` is a struct exported. */
struct cnp_result cnp_enter_from_c(const struct signature *signature, i64 *integers, f64 *floats) {
    const struct exported *exported = (const struct exported *)signature;
    for (u32 k = 0, narrow = exported->narrow; narrow; k++, narrow >>= 1)
        if (narrow & 1) /* C leaves the upper half of a register undefined */
            integers[k] = CNP_EXTEND_I32(integers[k]);
    i64 overflow = trap_word(exported->number, 0, STACK_OVERFLOW);
    struct context *context = context_of_thread();
    if (__builtin_expect(!context, 0))
        return tell(exported, overflow);
    char *frame = context->frame;
    struct invocation invocation = {(i64)exported + (i64)(s64)exported->entry, frame + CNP_SMALL_FRAME, integers,
                                    exported->uses_floats ? floats : 0, {0, 0}, 0};
    s64 ticks = ticks_left(context, invocation.frame);
    if (__builtin_expect(ticks <= 0, 0))
        return tell(exported, overflow);
    int trapped = cnp_guard(context, &invocation, (u32)ticks);
    context->frame = frame;
    return __builtin_expect(trapped, 0) ? tell(exported, context->trap) : invocation.result;
}

/* ---- what the assembly of the target's header calls ---- */

/* What the assembly passes besides, the ticks that are left, only a host with budgets wants. */
__attribute__((used, noreturn, visibility("hidden"))) void cnp_stop(u32 function, u32 place, char *frame) {
    struct context *context = context_of(frame);
    context->trap = trap_word(function, place >> 4, place & 15);
    cnp_unwind(context);
}

/* New ticks, if the stacks have room. Nobody interrupts: there is nothing else to look for. */
__attribute__((used, visibility("hidden"))) u32 cnp_poll(char *frame, char *innermost, u32 function) {
    struct context *context = context_of(frame);
    s64 ticks = ticks_left(context, innermost + CNP_SMALL_FRAME);
    if (function && ticks <= 0)
        cnp_stop(function, STACK_OVERFLOW, frame);
    return ticks > 0 ? (u32)ticks : 1;
}

CNP_BORDER_ASSEMBLY
