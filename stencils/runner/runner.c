/* A process that runs compiled code where Python is not: on an emulated machine, mostly. It has no C library and no
 * variables of its own, shares one file's memory with its driver (cnp/tools/emulator.py) and does what commands on its
 * standard input say. Words are 64 bits, little-endian: six in a command, two in a reply on standard output. Where compiled
 * code takes a side exit, or calls back, the reply says so; the driver then asks for whatever it likes, and at last to go on. */
#include "../core/layout.h"

#ifndef CNP_SYS_READ /* the numbers of all newer Linux machines */
#define CNP_SYS_READ 63
#define CNP_SYS_WRITE 64
#define CNP_SYS_MMAP 222
#define CNP_SYS_MUNMAP 215
#define CNP_SYS_EXIT 93
#define CNP_SYS_CLOCK_GETTIME 113
#endif
enum { READ_WRITE_EXECUTE = 7, SHARED = 1, FIXED = 0x10, NO_REPLACE = 0x100000 };
enum { STANDARD_INPUT, STANDARD_OUTPUT };

/* Where the build has the loader put zeros. */
struct state {
    char *stack; /* as the process began */
    size_t stack_size;
    struct desk *desk;
    i64 file;
    const void *specific;
    struct threads threads;
};
static inline __attribute__((always_inline)) struct state *state_of_process(void) { return (struct state *)RUNNER_STATE; }

/* The start of the shared memory, as far as the runner itself looks at it; `Desk` in cnp/tools/guest.py goes on. */
struct desk {
    s64 interrupt; /* set by the driver: the next poll ends the call */
    i64 raised;    /* trap word of a call from C, which C cannot see; 0 for none */
    i64 integers[ARGUMENTS]; /* arguments: of what is run, and of a callback */
    f64 floats[ARGUMENTS];
};

struct command {
    i64 kind, a, b, c, d, e;
};
enum { MAP = 1, FLUSH, HOST, FUNCTIONS, RUN, CALL_FOR_INTEGER, CALL_FOR_FLOAT, GO_ON };

struct reply {
    i64 kind, value;
};
enum { DONE, CALLS_OUT };

/* ---- what the core asks of a C library ---- */

static void *get_specific(u32 key) {
    (void)key;
    return (void *)state_of_process()->specific;
}
static int set_specific(u32 key, const void *value) {
    (void)key;
    state_of_process()->specific = value;
    return 0;
}
static i64 self(void) { return 1; }
static int get_attributes(i64 thread, void *attributes) {
    (void)thread, (void)attributes;
    return 0;
}
/* What the kernel put above `stack` (arguments, environment) is not counted: there is a little more room. */
static int get_stack(const void *attributes, char **low, size_t *size) {
    (void)attributes;
    const struct state *state = state_of_process();
    *low = state->stack - state->stack_size;
    *size = state->stack_size;
    return 0;
}
static int destroy_attributes(void *attributes) {
    (void)attributes;
    return 0;
}
static char *map(void *address, size_t size, int protection, int flags, int file, s64 offset) {
    s64 result = CNP_SYSCALL(CNP_SYS_MMAP, address, size, (s64)protection, (s64)flags, (s64)file, offset);
    return result < 0 && result >= -4095 ? (char *)-1 : (char *)result;
}
static int unmap(void *address, size_t size) { return CNP_SYSCALL(CNP_SYS_MUNMAP, address, size, 0, 0, 0, 0) ? -1 : 0; }
static int get_time(int clock, s64 *time) {
    return CNP_SYSCALL(CNP_SYS_CLOCK_GETTIME, (s64)clock, time, 0, 0, 0, 0) ? -1 : 0;
}

/* ---- and of its host ---- */

static int poll(struct context *context) {
    (void)context;
    return *(volatile s64 *)&state_of_process()->desk->interrupt != 0;
}
static void trapped(const struct signature *signature, i64 trap) {
    (void)signature;
    state_of_process()->desk->raised = trap;
}

static int serve(struct command *command);
static int reply(i64 kind, i64 value);

/* Of what a record describes, which the driver knows by its address. */
static int call_out(const void *record, struct cnp_result *result) {
    struct command command;
    if (!reply(CALLS_OUT, (i64)record) || !serve(&command))
        return 1;
    result->i = command.a;
    __builtin_memcpy(&result->f, &command.b, sizeof result->f);
    return command.c != 0;
}

/* The exit's record is in memory that the driver sees, the frame is not: the values go where constants would be. */
static int left(const struct side_exit *exit, const char *frame, struct cnp_result *result) {
    for (u32 k = 0; k < exit->n_values; k++) {
        struct side_exit_value *value = &exit->values[k];
        if (!value->is_constant)
            value->constant = *(const i64 __attribute__((may_alias)) *)(frame + value->slot);
    }
    return call_out(exit, result);
}
static int called(const struct callback *callback, const i64 *integers, const f64 *floats, struct cnp_result *result) {
    struct desk *desk = state_of_process()->desk;
    for (u32 k = 0; k < ARGUMENTS; k++)
        desk->integers[k] = integers[k], desk->floats[k] = floats[k];
    return call_out(callback, result);
}

static void fill_in(struct host *host) {
    host->poll = poll;
    host->trapped = trapped;
    host->left = left;
    host->called = called;
    host->pthread_getspecific = get_specific;
    host->pthread_setspecific = set_specific;
    host->pthread_self = self;
    host->pthread_getattr_np = get_attributes;
    host->pthread_attr_getstack = get_stack;
    host->pthread_attr_destroy = destroy_attributes;
    host->mmap = map;
    host->munmap = unmap;
    host->clock_gettime = get_time;
    host->threads = &state_of_process()->threads;
    host->threads->epoch = 1;
}

/* ---- C functions for compiled code to call, which is how tests see that calls of C are right ---- */

static s64 sum_integers(s64 a, s64 b, s64 c, s64 d, s64 e, s64 f, s64 g, s64 h) {
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
static f64 sum_floats(f64 a, f64 b, f64 c, f64 d, f64 e, f64 f, f64 g, f64 h) {
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
static f64 sum_mixed(s64 a, f64 s, s32 b, f32 t, s64 c, f64 u) {
    return (f64)a + 2 * s + 3 * (f64)b + 4 * (f64)t + 5 * (f64)c + 6 * u;
}
static f32 half(f32 x) { return x / 2; }
/* An i32 as an ABI may return it: with anything in the upper half of the register. */
static i64 narrow(i64 x) { return (u32)x | 0xDEADBEEF00000000; }
static s64 call_again(s64 (*function)(s64), s64 x) { return function(x) + 1; }
static f64 call_again_float(f64 (*function)(f64), f64 x) { return function(x) + 1; }

/* In the order of FUNCTIONS in cnp/tools/guest.py. Returns how many there are. */
static i64 list_functions(i64 *table) {
    i64 *next = table;
    *next++ = (i64)sum_integers;
    *next++ = (i64)sum_floats;
    *next++ = (i64)sum_mixed;
    *next++ = (i64)half;
    *next++ = (i64)narrow;
    *next++ = (i64)call_again;
    *next++ = (i64)call_again_float;
    return (i64)(next - table);
}

/* ---- commands ---- */

/* The driver's file at the driver's address. Returns where it is. */
static i64 map_file(i64 file, i64 address, i64 size, i64 stack_size) {
    struct state *state = state_of_process();
    state->file = file;
    state->stack_size = stack_size;
    state->desk = (struct desk *)address;
    return (i64)map((void *)address, size, READ_WRITE_EXECUTE, SHARED | FIXED | NO_REPLACE, (int)file, 0);
}

/* Pages whose code the driver has written. An emulator does not see that, but it forgets what it has translated of
 * pages that are mapped anew. */
static i64 flush(i64 start, i64 end) {
    const struct state *state = state_of_process();
    s64 offset = (s64)(start - (i64)state->desk);
    i64 mapped = (i64)map((void *)start, end - start, READ_WRITE_EXECUTE, SHARED | FIXED, (int)state->file, offset);
    CNP_FLUSH(start, end);
    return mapped;
}

typedef i64 (*run_function)(const struct signature *, const i64 *, const f64 *, struct cnp_result *);
typedef i64 (*integer_function)(i64, i64, i64, i64, i64, i64, f64, f64, f64, f64, f64, f64, f64, f64, i64, i64);
typedef f64 (*float_function)(i64, i64, i64, i64, i64, i64, f64, f64, f64, f64, f64, f64, f64, f64, i64, i64);
/* Integers and floats are numbered apart, as long as there are registers. */
#define CALL(function)                                                                                              \
    function(i[0], i[1], i[2], i[3], i[4], i[5], x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], i[6], i[7])

static i64 perform(const struct command *command) {
    const i64 *i = (const i64 *)command->b;
    const f64 *x = (const f64 *)command->c;
    struct cnp_result *result = (struct cnp_result *)command->d;
    switch (command->kind) {
    case MAP: return map_file(command->a, command->b, command->c, command->d);
    case FLUSH: return flush(command->a, command->b);
    case HOST: fill_in((struct host *)command->a); return sizeof(struct host);
    case FUNCTIONS: return list_functions((i64 *)command->a);
    case RUN: return ((run_function)command->a)((const struct signature *)command->e, i, x, result);
    case CALL_FOR_INTEGER: result->i = CALL(((integer_function)command->a)); return 0;
    case CALL_FOR_FLOAT: result->f = CALL(((float_function)command->a)); return 0;
    default: return (i64)-1;
    }
}

/* Whether all bytes came in, or went out. */
static int transfer(i64 call, i64 file, void *data, size_t size) {
    for (size_t done = 0; done < size;) {
        s64 n = CNP_SYSCALL(call, file, (char *)data + done, size - done, 0, 0, 0);
        if (n <= 0)
            return 0;
        done += (size_t)n;
    }
    return 1;
}

static int reply(i64 kind, i64 value) {
    struct reply reply = {kind, value};
    return transfer(CNP_SYS_WRITE, STANDARD_OUTPUT, &reply, sizeof reply);
}

/* Does what is asked for, up to a command to go on. 0 if the driver has gone. */
static int serve(struct command *command) {
    while (transfer(CNP_SYS_READ, STANDARD_INPUT, command, sizeof *command)) {
        if (command->kind == GO_ON)
            return 1;
        if (!reply(DONE, perform(command)))
            break;
    }
    return 0;
}

__attribute__((used, noreturn, visibility("hidden"))) void runner_main(char *stack) {
    struct command command;
    state_of_process()->stack = stack;
    while (serve(&command))
        ;
    for (;;)
        CNP_SYSCALL(CNP_SYS_EXIT, 0, 0, 0, 0, 0, 0);
}

CNP_START;
