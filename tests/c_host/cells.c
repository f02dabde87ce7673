/* Cells, assumptions, and code that is retired while threads may be running it. */
#include "check.h"

#include <pthread.h>
#include <sched.h>

static cnp_code *constant(cnp_session *session, int64_t value) {
    cnp_function *f = cnp_new(session, "constant", CNP_I64);
    cnp_parameter(f, CNP_I64);
    cnp_ret(f, cnp_const_i64(value));
    return compile_one(session, f);
}

/* What calls a cell of one parameter. */
static cnp_code *caller_of(cnp_session *session, const cnp_cell *cell) {
    cnp_function *f = cnp_new(session, "caller", CNP_I64);
    cnp_value x = cnp_parameter(f, CNP_I64);
    cnp_call_cell(f, x, cell, &x, 1);
    cnp_ret(f, x);
    return compile_one(session, f);
}

/* 2 x as long as an assumption holds, then -x. */
static cnp_code *doubled(cnp_session *session, const cnp_assumption *assumption) {
    cnp_function *f = cnp_new(session, "doubled", CNP_I64);
    cnp_value x = cnp_parameter(f, CNP_I64);
    cnp_label otherwise = cnp_new_label(f);
    cnp_assume(f, assumption, otherwise);
    cnp_i64_add(f, x, x, x);
    cnp_ret(f, x);
    cnp_place(f, otherwise);
    cnp_i64_sub(f, x, cnp_const_i64(0), x);
    cnp_ret(f, x);
    return compile_one(session, f);
}

static int64_t run(const cnp_code *code, int64_t x) { return ((int64_t(*)(int64_t))cnp_pointer(code, 0))(x); }

void cells(void) {
    cnp_session *session = open_session(), *other = open_session();
    cnp_code *one = constant(session, 1), *two = constant(session, 2), *foreign = constant(other, 3), *caller, *reader;
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_cell *cell = cnp_new_cell(session, "site", one, 0, &error);
    cnp_data_cell data = {-5};
    cnp_function *f;
    cnp_value d;
    caller = caller_of(session, cell);
    CHECK(run(caller, 0) == 1);
    CHECK(cnp_set_cell(cell, two, 0, &error) && run(caller, 0) == 2);
    cnp_reset_cell(cell);
    CHECK(run(caller, 0) == 1);
    CHECK(cnp_set_fallback(cell, two, 0, &error) && run(caller, 0) == 2);
    cnp_retire(one); /* it is no fallback any more */
    cnp_reset_cell(cell);
    CHECK(run(caller, 0) == 2);

    f = cnp_new(session, "reader", CNP_I64);
    d = cnp_register(f, CNP_I64);
    cnp_load_cell(f, d, &data);
    cnp_ret(f, d);
    reader = compile_one(session, f);
    CHECK(((int64_t(*)(void))cnp_pointer(reader, 0))() == -5);
    cnp_set_data_cell(session, &data, INT64_MAX);
    CHECK(((int64_t(*)(void))cnp_pointer(reader, 0))() == INT64_MAX && data.value == INT64_MAX);

    CHECK(!cnp_set_cell(cell, foreign, 0, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, "cell 'site': the code is another session's");
    CHECK(!cnp_set_cell(cell, two, 1, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, "cell 'site': the code has not so many functions");
    CHECK(!cnp_set_cell(cell, reader, 0, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, "cell 'site': 'reader' is () -> i64; accepted: (i64) -> i64");
    CHECK(!cnp_new_cell(session, "new", foreign, 0, &error) && run(caller, 0) == 2);
    cnp_delete_cell(cell), cnp_delete_cell(NULL);
    cnp_close(other);
    cnp_close(session); /* and the code with it */
}

static void count(void *data) { ++*(int *)data; }

void assumptions(void) {
    cnp_session *session = open_session();
    cnp_assumption *assumption = cnp_new_assumption(session), *holds = cnp_new_assumption(session);
    cnp_code *slow = constant(session, 0), *fast = doubled(session, assumption), *other = doubled(session, holds), *caller;
    cnp_cell *cell = cnp_new_cell(session, "method", slow, 0, NULL), *second = cnp_new_cell(session, "second", slow, 0, NULL);
    cnp_error error = {CNP_ERROR_NONE, ""};
    int calls = 0;
    CHECK(cnp_set_cell(cell, fast, 0, &error) && cnp_set_cell(second, other, 0, &error));
    caller = caller_of(session, cell);
    CHECK(run(caller, 21) == 42 && run(fast, 21) == 42 && !cnp_is_broken(assumption));
    for (int k = 0; k < 20; k++)
        CHECK(cnp_on_invalidate(assumption, count, &calls));
    CHECK(calls == 0);
    cnp_invalidate(assumption);
    CHECK(calls == 20 && cnp_is_broken(assumption) && !cnp_is_broken(holds));
    CHECK(run(caller, 21) == 0 && run(fast, 21) == -21);
    cnp_invalidate(assumption);
    CHECK(calls == 20);
    CHECK(cnp_on_invalidate(assumption, count, &calls) && calls == 21);
    CHECK(!cnp_set_cell(cell, fast, 0, &error)); /* too late */
    EXPECT_MESSAGE(error, CNP_ERROR_BROKEN, "cell 'method': 'doubled' depends on an assumption that is broken");
    CHECK(run(other, 21) == 42);
    cnp_free(caller);
    caller = caller_of(session, second);
    CHECK(run(caller, 4) == 8); /* the other cell was left alone */
    cnp_retire(fast);
    cnp_delete_assumption(assumption), cnp_delete_assumption(NULL);
    cnp_close(session); /* and the rest with it */
}

/* ---- retired code is freed when the last thread that may be in it has come out, and not before ---- */

struct spin {
    cnp_data_cell inside, stop;
    const cnp_code *caller;
    int64_t result;
};

static cnp_code *spinning(cnp_session *session, struct spin *spin) {
    cnp_function *f = cnp_new(session, "spin", CNP_I64);
    cnp_value x = cnp_parameter(f, CNP_I64), flag = cnp_register(f, CNP_I64);
    cnp_label again = cnp_new_label(f);
    cnp_i64_store(f, cnp_const_i64(1), cnp_const_address(&spin->inside), 0);
    cnp_place(f, again);
    cnp_load_cell(f, flag, &spin->stop);
    cnp_branch_i64_eqz(f, flag, again);
    for (int k = 0; k < 64; k++) /* so much code that what it leaves behind is seen */
        cnp_i64_xor(f, x, x, cnp_const_i64(INT64_MAX));
    cnp_i64_add(f, x, x, cnp_const_i64(1));
    cnp_ret(f, x);
    return compile_one(session, f);
}

static void *run_spin(void *data) {
    struct spin *spin = data;
    spin->result = run(spin->caller, 41);
    return NULL;
}

static int64_t value_of(const cnp_data_cell *cell) { return *(volatile const int64_t *)&cell->value; }

/* How many functions fit into the rest of the memory for code: they are freed again. */
static int room_for(cnp_session *session) {
    static cnp_code *codes[4096];
    cnp_function *f = sum_of_squares(session);
    int n = 0;
    while (n < 4096 && (codes[n] = cnp_compile(session, &f, 1, NULL)))
        n++;
    for (int k = 0; k < n; k++)
        cnp_free(codes[k]);
    cnp_delete(f);
    return n;
}

void retired_code(void) {
    cnp_options options = {1 << 18, NULL, NULL, NULL, 0};
    cnp_session *session = open_with(options);
    struct spin spin = {{0}, {0}, NULL, 0};
    cnp_code *fallback = constant(session, 7), *target = spinning(session, &spin), *caller;
    cnp_cell *cell = cnp_new_cell(session, "site", fallback, 0, NULL);
    pthread_t thread;
    int before, meanwhile;
    spin.caller = caller = caller_of(session, cell);
    before = room_for(session);
    CHECK(before > 10 && before < 4096);
    CHECK(cnp_set_cell(cell, target, 0, NULL));
    if (pthread_create(&thread, NULL, run_spin, &spin))
        exit(1);
    while (!value_of(&spin.inside))
        sched_yield();
    cnp_reset_cell(cell);
    cnp_retire(target);
    for (int k = 0; k < 3; k++) { /* others come and go */
        CHECK(run(caller, 0) == 7);
        meanwhile = room_for(session);
        CHECK(meanwhile == before);
    }
    cnp_set_data_cell(session, &spin.stop, 1);
    pthread_join(thread, NULL);
    CHECK(spin.result == 42);
    CHECK(room_for(session) > before);
    cnp_retire(NULL);
    cnp_close(session);
}

/* ---- threads run code through cells while another exchanges, invalidates and retires what is in them ---- */

enum { SITES = 4, KEYS = 3, THREADS = 3, CHANGES = 600 };

/* What every target computes: x * (2 * key + 1) + key. */
static cnp_code *general(cnp_session *session) {
    cnp_function *f = cnp_new(session, "general", CNP_I64);
    cnp_value key = cnp_parameter(f, CNP_I64), x = cnp_parameter(f, CNP_I64), d = cnp_register(f, CNP_I64);
    cnp_i64_shl(f, d, key, cnp_const_i64(1));
    cnp_i64_add(f, d, d, cnp_const_i64(1));
    cnp_i64_mul(f, d, d, x);
    cnp_i64_add(f, d, d, key);
    cnp_ret(f, d);
    return compile_one(session, f);
}

/* The same for one key, which it checks, as long as an assumption holds: else it asks the general one. */
static cnp_code *special(cnp_session *session, int64_t wanted, const cnp_code *miss, const cnp_assumption *assumption) {
    cnp_function *f = cnp_new(session, "special", CNP_I64);
    cnp_value arguments[2], key = cnp_parameter(f, CNP_I64), x = cnp_parameter(f, CNP_I64), d = cnp_register(f, CNP_I64);
    cnp_label otherwise = cnp_new_label(f);
    arguments[0] = key, arguments[1] = x;
    cnp_assume(f, assumption, otherwise);
    cnp_branch_i64_ne(f, key, cnp_const_i64(wanted), otherwise);
    cnp_call_code(f, d, miss, 0, arguments, 2); /* so that there is something to return to */
    cnp_i64_mul(f, d, x, cnp_const_i64(2 * wanted + 1));
    cnp_i64_add(f, d, d, cnp_const_i64(wanted));
    cnp_ret(f, d);
    cnp_place(f, otherwise);
    cnp_call_code(f, d, miss, 0, arguments, 2);
    cnp_ret(f, d);
    return compile_one(session, f);
}

/* Calls every site with keys in turn, `rounds` times. How many results were wrong. */
static cnp_code *worker(cnp_session *session, cnp_cell *const *sites) {
    cnp_function *f = cnp_new(session, "worker", CNP_I64);
    cnp_value rounds = cnp_parameter(f, CNP_I64), x = cnp_register(f, CNP_I64), wrong = cnp_register(f, CNP_I64);
    cnp_value arguments[2], key = cnp_register(f, CNP_I64), found = cnp_register(f, CNP_I64), expected = cnp_register(f, CNP_I64);
    cnp_label again = cnp_new_label(f);
    arguments[0] = key, arguments[1] = x;
    cnp_move(f, x, cnp_const_i64(0));
    cnp_move(f, wrong, cnp_const_i64(0));
    cnp_place(f, again);
    for (int site = 0; site < SITES; site++) {
        cnp_value flag = cnp_register(f, CNP_I32), one = cnp_register(f, CNP_I64);
        cnp_i64_add(f, key, x, cnp_const_i64(site));
        cnp_i64_rem_u(f, key, key, cnp_const_i64(KEYS));
        cnp_call_cell(f, found, sites[site], arguments, 2);
        cnp_i64_shl(f, expected, key, cnp_const_i64(1));
        cnp_i64_add(f, expected, expected, cnp_const_i64(1));
        cnp_i64_mul(f, expected, expected, x);
        cnp_i64_add(f, expected, expected, key);
        cnp_i64_ne(f, flag, found, expected);
        cnp_i64_extend_i32_u(f, one, flag);
        cnp_i64_add(f, wrong, wrong, one);
    }
    cnp_i64_add(f, x, x, cnp_const_i64(1));
    cnp_branch_i64_lt_s(f, x, rounds, again);
    cnp_ret(f, wrong);
    return compile_one(session, f);
}

struct work {
    cnp_session *session;
    const cnp_code *code;
    const cnp_data_cell *stop;
    int64_t wrong;
    cnp_data_cell visits;
};

static void *work_on(void *data) {
    struct work *work = data;
    while (!value_of(work->stop)) {
        work->wrong += run(work->code, 300);
        cnp_set_data_cell(work->session, &work->visits, work->visits.value + 1);
    }
    return NULL;
}

/* Gives sites other targets, one after the other, and breaks assumptions. What no site has any more is retired. */
static void exchange(cnp_session *session, cnp_cell *const *sites, const cnp_code *miss) {
    cnp_code *target[SITES] = {NULL};
    cnp_assumption *assumption = cnp_new_assumption(session);
    for (int n = 0; n < CHANGES; n++) {
        int site = n * 7 % SITES;
        cnp_code *old = target[site];
        target[site] = special(session, n % KEYS, miss, assumption);
        CHECK(cnp_set_cell(sites[site], target[site], 0, NULL));
        cnp_retire(old);
        if (n % 20 == 19) {
            cnp_invalidate(assumption);
            CHECK(!cnp_set_cell(sites[site], target[site], 0, NULL));
            for (int k = 0; k < SITES; k++)
                cnp_retire(target[k]), target[k] = NULL;
            assumption = cnp_new_assumption(session); /* threads may be at guards of the old one: the session frees it */
        }
    }
    for (int k = 0; k < SITES; k++)
        cnp_reset_cell(sites[k]), cnp_retire(target[k]);
}

void cells_and_threads(void) {
    cnp_session *session = open_session();
    cnp_code *miss = general(session), *code;
    cnp_data_cell stop = {0};
    cnp_cell *sites[SITES];
    struct work work[THREADS];
    pthread_t thread[THREADS];
    for (int k = 0; k < SITES; k++)
        sites[k] = cnp_new_cell(session, "site", miss, 0, NULL);
    code = worker(session, sites);
    for (int k = 0; k < THREADS; k++) {
        work[k] = (struct work){session, code, &stop, 0, {0}};
        if (pthread_create(&thread[k], NULL, work_on, &work[k]))
            exit(1);
    }
    for (int k = 0; k < THREADS; k++)
        while (!value_of(&work[k].visits))
            sched_yield();
    exchange(session, sites, miss);
    cnp_set_data_cell(session, &stop, 1);
    for (int k = 0; k < THREADS; k++) {
        pthread_join(thread[k], NULL);
        CHECK(work[k].wrong == 0);
    }
    CHECK(run(code, 50) == 0);
    cnp_close(session);
}
