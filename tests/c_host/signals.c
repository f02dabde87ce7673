/* A signal of the system, such as Ctrl-C, ends a compiled loop: the host's handler sets what its poll reads. */
#define _GNU_SOURCE /* sigaction */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

enum { INTERRUPTS = 12, MORE = 20000 };

static volatile sig_atomic_t interrupted;
static void interrupt(int signal) { interrupted = signal; }
static int is_interrupted(void *data) { return (void)data, interrupted == SIGINT; }

/* The guest's state: each round stores both numbers, as long as `last` says. */
struct state {
    int64_t rounds, total, last;
};

static uint64_t next_total(uint64_t total, uint64_t round) { return total * 3 + round; }

/* Goes on with the state as it is; `by_c` has C calculate. */
static cnp_code *looping(cnp_session *session, struct state *state, int by_c) {
    cnp_function *f = cnp_new(session, "loop", CNP_I64);
    cnp_value rounds = cnp_register(f, CNP_I64), total = cnp_register(f, CNP_I64), last = cnp_register(f, CNP_I64);
    const cnp_value arguments[2] = {total, rounds};
    cnp_label again = cnp_new_label(f);
    cnp_i64_load(f, rounds, cnp_const_address(&state->rounds), 0);
    cnp_i64_load(f, total, cnp_const_address(&state->total), 0);
    cnp_place(f, again);
    cnp_i64_add(f, rounds, rounds, cnp_const_i64(1));
    if (by_c)
        cnp_call_c(f, total, (cnp_c_function)next_total, arguments, 2);
    else {
        cnp_i64_mul(f, total, total, cnp_const_i64(3));
        cnp_i64_add(f, total, total, rounds);
    }
    cnp_i64_store(f, rounds, cnp_const_address(&state->rounds), 0);
    cnp_i64_store(f, total, cnp_const_address(&state->total), 0);
    cnp_i64_load(f, last, cnp_const_address(&state->last), 0);
    cnp_branch_i64_lt_s(f, rounds, last, again);
    cnp_ret(f, total);
    return compile_one(session, f);
}

static uint64_t expected_total(int64_t from, uint64_t total, int64_t rounds) {
    while (from < rounds)
        total = total * 3 + (uint64_t)++from;
    return total;
}

struct sender {
    pthread_t to;
    const struct state *state;
    int of_process; /* to the process, not to a thread of it */
};

/* Sends the signal once the loop has come along. */
static void *send_signal(void *data) {
    const struct sender *sender = data;
    volatile const int64_t *rounds = &sender->state->rounds;
    int64_t before = *rounds;
    while (*rounds < before + 1000)
        sched_yield();
    if (sender->of_process)
        kill(getpid(), SIGINT);
    else
        pthread_kill(sender->to, SIGINT);
    return NULL;
}

static void expect_interrupts(cnp_session *session, int by_c) {
    struct state state = {0, 0, INT64_MAX};
    cnp_code *loop = looping(session, &state, by_c), *other = compile_one(session, sum_of_squares(session));
    cnp_any result;
    cnp_trap trap;
    int64_t before = 0;
    uint64_t total = 0;
    for (int k = 0; k < INTERRUPTS; k++) {
        struct sender sender = {pthread_self(), &state, k % 2};
        pthread_t thread;
        if (pthread_create(&thread, NULL, send_signal, &sender))
            exit(1);
        CHECK(cnp_call(loop, 0, NULL, &result, &trap) == CNP_TRAP_INTERRUPTED && interrupted);
        CHECK(!strcmp(trap.reason, "interrupted") && !strcmp(trap.function, "loop"));
        pthread_join(thread, NULL);
        total = expected_total(before, total, state.rounds);
        CHECK(state.rounds > before && (uint64_t)state.total == total); /* all of a round has happened, or nothing */
        before = state.rounds;
        interrupted = 0;
        CHECK(((int64_t(*)(int64_t))cnp_pointer(other, 0))(9000) == expected_sum(9000)); /* it polls, and goes on */
    }
    state.last = state.rounds + MORE; /* it goes on where it was, to the end */
    CHECK(cnp_call(loop, 0, NULL, &result, NULL) == CNP_TRAP_NONE);
    CHECK((uint64_t)result.i64 == expected_total(before, total, before + MORE) && state.rounds == before + MORE);
}

void signals(void) {
    cnp_options options = {0, is_interrupted, NULL, NULL, 0};
    struct sigaction mine, before;
    cnp_session *session = open_with(options);
    memset(&mine, 0, sizeof mine);
    mine.sa_handler = interrupt;
    sigaction(SIGINT, &mine, &before);
    for (int by_c = 0; by_c < 2; by_c++)
        expect_interrupts(session, by_c);
    sigaction(SIGINT, &before, NULL);
    cnp_close(session);
}
