/* What a tier does besides compiling, from C. With the word `count` each work is done once and three times between two calls of
 * cnp_mark, with a number that many rounds are timed: a line each, of the work, and nanoseconds. */
#include "cnp.c"
#include "programs.c" /* programs[] and HEAD, which the bench writes */

enum { PROGRAMS = 2, REGISTERS = 16, VALUES = 8, LEAST_NANOSECONDS = 200000 };

static cnp_session *session;
static cnp_function *whole[PROGRAMS];
static cnp_label head[PROGRAMS]; /* of the loop that all of it is */
static cnp_value live[PROGRAMS][REGISTERS];
static cnp_code *leaving, *again, *entry; /* see small() */
static cnp_cell *cell;
static cnp_data_cell data_cell;

static int go_on(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    (void)point, (void)n;
    result->i64 = values[0].i64;
    return 0;
}

static int64_t called(const cnp_code *code, int64_t first) {
    cnp_any arguments[VALUES] = {{.i64 = first}}, result = {.i64 = 0};
    cnp_call(code, 0, arguments, &result, NULL);
    return result.i64;
}

static int64_t entered(const cnp_code *code, cnp_any *values) {
    cnp_any argument = {.address = values}, result = {.i64 = 0};
    cnp_call(code, 0, &argument, &result, NULL);
    return result.i64;
}

static int64_t entered_small(void) {
    cnp_any values[VALUES] = {{.i64 = 1}};
    return entered(entry, values);
}

static void compile(int which) { cnp_free(cnp_compile(session, &whole[which], 1, NULL)); }
static void enter(int which) { cnp_delete(cnp_entered_at(whole[which], head[which], live[which], REGISTERS)); }
static void call(int value) { called(leaving, value); }
static void run_entry(int unused) { (void)unused, entered_small(); }

static void rewrite(int unused) {
    static int turn;
    (void)unused;
    cnp_set_cell(cell, (turn ^= 1) ? again : leaving, 0, NULL);
}

static void rewrite_data(int unused) {
    (void)unused;
    cnp_set_data_cell(session, &data_cell, 5);
}

static const struct work {
    const char *name;
    void (*run)(int);
    int argument;
} works[] = {
    {"function.compile", compile, 0},
    {"function.entered_at", enter, 0},
    {"bytecode.compile", compile, 1},
    {"bytecode.entered_at", enter, 1},
    {"call", call, 1},
    {"enter", run_entry, 0},
    {"leave", call, -1},
    {"set_cell", rewrite, 0},
    {"set_data_cell", rewrite_data, 0},
};
enum { WORKS = sizeof works / sizeof *works };

__attribute__((noinline)) void cnp_mark(void) { __asm__ volatile(""); }

static void count(const struct work *work) {
    for (int calls = 1; calls <= 3; calls += 2) {
        work->run(work->argument); /* warm */
        cnp_mark();
        for (int k = 0; k < calls; k++)
            work->run(work->argument);
        cnp_mark();
    }
    printf("%s\n", work->name);
}

static u64 nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

static void measure(const struct work *work) {
    enum { CALLS = 16 }; /* between two looks at the clock, which costs as much as some works do */
    u64 start = nanoseconds(), end = start, calls = 0;
    for (; end - start < LEAST_NANOSECONDS; end = nanoseconds(), calls += CALLS)
        for (int k = 0; k < CALLS; k++)
            work->run(work->argument);
    printf("%s %.2f\n", work->name, (f64)(end - start) / (f64)calls);
}

/* A function that leaves with all its parameters if the first is negative, as it does in front of a loop down from that; and what
 * enters the loop. Both give its last number: 0. */
static int small(void) {
    cnp_function *f = cnp_new(session, "leaving", CNP_I64), *at_loop;
    cnp_value values[VALUES];
    cnp_label loop;
    for (int k = 0; k < VALUES; k++)
        values[k] = cnp_parameter(f, CNP_I64);
    loop = cnp_new_label(f);
    cnp_branch_i64_lt_s(f, values[0], cnp_const_i64(0), cnp_exit(f, go_on, NULL, values, VALUES));
    cnp_place(f, loop);
    cnp_i64_sub(f, values[0], values[0], cnp_const_i64(1));
    cnp_branch_i64_gt_s(f, values[0], cnp_const_i64(0), loop);
    cnp_ret(f, values[0]);
    at_loop = cnp_entered_at(f, loop, values, VALUES);
    leaving = cnp_compile(session, &f, 1, NULL);
    again = cnp_compile(session, &f, 1, NULL);
    entry = cnp_compile(session, &at_loop, 1, NULL);
    cnp_delete(at_loop);
    cnp_delete(f);
    return leaving && again && entry && called(leaving, 1) == 0 && called(leaving, -1) == -1 && entered_small() == 0;
}

/* The loop of one program, entered at its beginning, does what the whole function does. */
static int large(int which) {
    cnp_any values[REGISTERS] = {{.i64 = 5}}; /* and all others 0, as the whole one has them */
    cnp_function *f = whole[which] = programs[which].build(session), *at_head;
    cnp_code *codes[2];
    int is_right;
    head[which] = which ? cnp_label_at(f, 0) : (cnp_label){own_value(f, HEAD, CNP_LABEL)};
    for (size_t k = 0; k < REGISTERS; k++)
        live[which][k] = own_value(f, k, CNP_REGISTER + CNP_I64);
    at_head = cnp_entered_at(f, head[which], live[which], REGISTERS);
    codes[0] = cnp_compile(session, &f, 1, NULL);
    codes[1] = cnp_compile(session, &at_head, 1, NULL);
    is_right = codes[0] && codes[1] && called(codes[0], 5) == entered(codes[1], values);
    cnp_free(codes[0]), cnp_free(codes[1]), cnp_delete(at_head);
    return is_right;
}

int main(int n, char **words) {
    int rounds = n > 1 ? atoi(words[1]) : 0;
    session = cnp_open(NULL, NULL);
    if (!session || !small() || !large(0) || !large(1) || !(cell = cnp_new_cell(session, "cell", leaving, 0, NULL))) {
        fprintf(stderr, "what is measured does not do what it should\n");
        return 1;
    }
    for (int round = 0; round < (rounds ? rounds : 1); round++)
        for (int k = 0; k < WORKS; k++)
            (rounds ? measure : count)(&works[k]);
    cnp_delete(whole[0]), cnp_delete(whole[1]);
    cnp_close(session);
    return 0;
}
