/* Faults of the processor in compiled code, and in C that it calls. */
#define _GNU_SOURCE /* sigaction */
#include "check.h"

#include <setjmp.h>
#include <signal.h>

static volatile uintptr_t nowhere = 16;
static sigjmp_buf back;
static void handle(int signal) { siglongjmp(back, signal); }

static volatile int64_t seen; /* what valgrind sees nobody look at is not read there */

static int64_t peek(const volatile int64_t *at) { return *at; }

static cnp_code *peeking(cnp_session *session, int by_c) {
    cnp_function *f = cnp_new(session, "peek", CNP_I64);
    cnp_value at = cnp_parameter(f, CNP_I64), d = cnp_register(f, CNP_I64);
    if (by_c)
        cnp_call_c(f, d, (cnp_c_function)peek, &at, 1);
    else
        cnp_i64_load(f, d, at, 0);
    cnp_ret(f, d);
    return compile_one(session, f);
}

/* 1 if a fault outside of compiled code comes to the handler that was there before. */
static int has_own_handler(void) {
    if (sigsetjmp(back, 1) == SIGSEGV)
        return 1;
    seen = peek((const volatile int64_t *)nowhere);
    return 0;
}

void faults(void) {
    struct sigaction mine, before;
    memset(&mine, 0, sizeof mine);
    mine.sa_handler = handle;
    sigaction(SIGSEGV, &mine, &before);
    for (int again = 0; again < 2; again++) { /* with another session */
        cnp_session *session = open_session(), *other = open_session();
        cnp_error error;
        int64_t word = 77;
        CHECK(cnp_catch_faults(session, &error) && cnp_catch_faults(session, &error));
        CHECK(!cnp_catch_faults(other, &error));
        EXPECT_MESSAGE(error, CNP_ERROR_SYSTEM, "another session catches faults; accepted: one at a time");
        for (int by_c = 0; by_c < 2; by_c++) {
            cnp_code *code = peeking(session, by_c);
            cnp_any argument, result;
            cnp_trap trap;
            argument.address = &word;
            CHECK(cnp_call(code, 0, &argument, &result, &trap) == CNP_TRAP_NONE && result.i64 == 77);
            argument.i64 = 24;
            for (int k = 0; k < 3; k++) {
                CHECK(cnp_call(code, 0, &argument, &result, &trap) == CNP_TRAP_MEMORY_FAULT);
                CHECK(trap.signal == SIGSEGV && trap.address == argument.address);
                CHECK(!strcmp(trap.reason, "memory fault") && !strcmp(trap.function, "peek"));
            }
            cnp_free(code);
        }
        CHECK(has_own_handler());
        cnp_close(session);
        cnp_close(other);
        sigaction(SIGSEGV, NULL, &mine);
        CHECK(mine.sa_handler == handle && has_own_handler());
    }
    sigaction(SIGSEGV, &before, NULL);
}

/* ---- C that a compiled loop calls is at fault: the guest's state is there, and it goes on, by side exits as well ---- */

enum { N_ITEMS = 300, BY_HOST = -1 };

/* What the loop works on, and where it has come to: stored in front of what may go wrong. */
struct guest {
    const volatile int64_t *items[N_ITEMS]; /* NULL: for the host */
    int64_t at, total, left;
};

static int64_t look(const struct guest *guest, int64_t at) { return peek(guest->items[at]); }

static int leave(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    struct guest *guest = point;
    CHECK(n == 2 && guest->at == values[0].i64);
    guest->total = values[1].i64;
    guest->left++;
    result->i64 = BY_HOST;
    return 0;
}

/* Adds the items from guest->at on, to guest->total. */
static cnp_code *adding(cnp_session *session, struct guest *guest) {
    cnp_function *f = cnp_new(session, "add", CNP_I64), *entered;
    cnp_value live[2] = {cnp_register(f, CNP_I64), cnp_register(f, CNP_I64)}, arguments[2], at = live[0], total = live[1];
    cnp_value item = cnp_register(f, CNP_I64);
    cnp_label again = cnp_new_label(f), out = cnp_exit(f, leave, guest, live, 2);
    cnp_code *code;
    arguments[0] = cnp_const_address(guest), arguments[1] = at;
    cnp_place(f, again);
    cnp_i64_store(f, at, cnp_const_address(&guest->at), 0);
    cnp_i64_store(f, total, cnp_const_address(&guest->total), 0);
    cnp_i64_shl(f, item, at, cnp_const_i64(3));
    cnp_i64_add(f, item, item, cnp_const_address(guest->items));
    cnp_i64_load(f, item, item, 0);
    cnp_branch_i64_eqz(f, item, out);
    cnp_call_c(f, item, (cnp_c_function)look, arguments, 2);
    cnp_i64_add(f, total, total, item);
    cnp_i64_add(f, at, at, cnp_const_i64(1));
    cnp_branch_i64_lt_s(f, at, cnp_const_i64(N_ITEMS), again);
    cnp_ret(f, total);
    entered = cnp_entered_at(f, again, live, 2);
    code = compile_one(session, entered);
    cnp_delete(f);
    return code;
}

void faults_in_loops(void) {
    static int64_t numbers[N_ITEMS];
    static struct guest guest;
    cnp_session *session = open_session();
    cnp_code *code;
    int64_t total = 0, n_faults = 0, n_left = 0;
    int outcome;
    cnp_any state[2], argument = {.address = state}, result = {0};
    cnp_trap trap;
    CHECK(cnp_catch_faults(session, NULL));
    for (int k = 0; k < N_ITEMS; k++) {
        numbers[k] = k * 7 % 31;
        guest.items[k] = k % 9 == 4 ? (const volatile int64_t *)(uintptr_t)(16 + k) : k % 7 == 3 ? NULL : &numbers[k];
        total += guest.items[k] == &numbers[k] ? numbers[k] : guest.items[k] ? 1000 : 100000;
    }
    code = adding(session, &guest);
    do {
        state[0].i64 = guest.at, state[1].i64 = guest.total;
        outcome = (int)cnp_call(code, 0, &argument, &result, &trap);
        if (outcome == CNP_TRAP_NONE && result.i64 != BY_HOST)
            break;
        if (outcome != CNP_TRAP_NONE) {
            CHECK(outcome == CNP_TRAP_MEMORY_FAULT && (uintptr_t)trap.address == 16 + (uintptr_t)guest.at && ++n_faults);
            guest.total += 1000;
        } else {
            CHECK(guest.items[guest.at] == NULL && ++n_left);
            guest.total += 100000;
        }
    } while (++guest.at < N_ITEMS);
    CHECK((guest.at == N_ITEMS ? guest.total : result.i64) == total && n_faults > 20 && n_left > 20 && guest.left == n_left);
    cnp_close(session);
}
