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
