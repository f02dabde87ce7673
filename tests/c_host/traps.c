/* Traps, polls and budgets. */
#include "check.h"

#include <setjmp.h>

static cnp_function *divide(cnp_session *session) {
    cnp_function *f = cnp_new(session, "divide", CNP_I64);
    cnp_value a = cnp_parameter(f, CNP_I64), b = cnp_parameter(f, CNP_I64);
    cnp_label start = cnp_new_label(f);
    cnp_place(f, start);
    cnp_i64_div_s(f, a, a, b);
    cnp_ret(f, a);
    return f;
}

static cnp_trap told;
static jmp_buf way_out;
static void keep_trap(const cnp_trap *trap, void *data) {
    told = *trap;
    ++*(int *)data;
    if (*(int *)data == 2)
        longjmp(way_out, 1);
}

void traps(void) {
    int count = 0;
    cnp_options options = {0, NULL, keep_trap, NULL, 0};
    cnp_session *session;
    cnp_code *code;
    cnp_any arguments[2], result;
    cnp_trap trap;
    options.data = &count;
    session = open_with(options);
    code = compile_one(session, divide(session));
    arguments[0].i64 = 7, arguments[1].i64 = 0;
    CHECK(cnp_call(code, 0, arguments, &result, &trap) == CNP_TRAP_INTEGER_DIVIDE_BY_ZERO);
    CHECK(trap.kind == CNP_TRAP_INTEGER_DIVIDE_BY_ZERO && trap.op == 1 && !strcmp(trap.function, "divide"));
    CHECK(!strcmp(trap.reason, "integer divide by zero"));
    arguments[0].i64 = INT64_MIN, arguments[1].i64 = -1;
    CHECK(cnp_call(code, 0, arguments, NULL, NULL) == CNP_TRAP_INTEGER_OVERFLOW);
    arguments[1].i64 = 2;
    CHECK(cnp_call(code, 0, arguments, &result, NULL) == CNP_TRAP_NONE && result.i64 == INT64_MIN / 2);
    CHECK(count == 0);
    CHECK(((int64_t(*)(int64_t, int64_t))cnp_pointer(code, 0))(7, 0) == 0);
    CHECK(count == 1 && told.kind == CNP_TRAP_INTEGER_DIVIDE_BY_ZERO && told.op == 1 && !strcmp(told.function, "divide"));
    if (!setjmp(way_out)) {
        ((int64_t(*)(int64_t, int64_t))cnp_pointer(code, 0))(7, 0);
        CHECK(!"reached");
    }
    CHECK(count == 2);
    CHECK(((int64_t(*)(int64_t, int64_t))cnp_pointer(code, 0))(7, 2) == 3);
    cnp_free(code);
    cnp_close(session);
}

/* In a callee, by unreachable code, and where the callee is in another piece of code. */
void traps_in_callees(void) {
    cnp_session *session = open_session();
    cnp_function *f[2];
    cnp_code *code, *outer;
    cnp_trap trap;
    f[0] = cnp_new(session, "inner", CNP_VOID);
    cnp_unreachable(f[0]);
    f[1] = cnp_new(session, "outer", CNP_VOID);
    cnp_call_function(f[1], cnp_none(), f[0], NULL, 0);
    cnp_ret(f[1], cnp_none());
    code = compile(session, f, 2);
    cnp_delete(f[0]), cnp_delete(f[1]);
    CHECK(cnp_call(code, 1, NULL, NULL, &trap) == CNP_TRAP_UNREACHABLE && !strcmp(trap.function, "inner") && trap.op == 0);
    f[0] = cnp_new(session, "outermost", CNP_VOID);
    cnp_call_code(f[0], cnp_none(), code, 1, NULL, 0);
    cnp_ret(f[0], cnp_none());
    outer = compile_one(session, f[0]);
    CHECK(cnp_call(outer, 0, NULL, NULL, &trap) == CNP_TRAP_UNREACHABLE && !strcmp(trap.function, "inner"));
    cnp_free(outer);
    cnp_free(code);
    cnp_close(session);
}

void stack_overflow(void) {
    cnp_session *session = open_session();
    cnp_code *code = compile_one(session, endless_recursion(session));
    cnp_any argument;
    cnp_trap trap;
    argument.i64 = 0;
    for (int k = 0; k < 3; k++)
        CHECK(cnp_call(code, 0, &argument, NULL, &trap) == CNP_TRAP_STACK_OVERFLOW && !strcmp(trap.function, "deep"));
    cnp_free(code);
    cnp_close(session);
}

static int stop_after(void *data) { return --*(int *)data <= 0; }

void polls(void) {
    int left = 5;
    cnp_options options = {0, stop_after, NULL, NULL, 0};
    cnp_session *session;
    cnp_function *f;
    cnp_label again;
    cnp_code *code;
    cnp_trap trap;
    options.data = &left;
    session = open_with(options);
    f = cnp_new(session, "forever", CNP_VOID);
    again = cnp_new_label(f);
    cnp_place(f, again);
    cnp_jump(f, again);
    code = compile_one(session, f);
    CHECK(cnp_call(code, 0, NULL, NULL, &trap) == CNP_TRAP_INTERRUPTED && left == 0);
    CHECK(!strcmp(trap.function, "forever") && !strcmp(trap.reason, "interrupted"));
    cnp_free(code);
    cnp_close(session);
}

/* Counts its rounds in memory, where they can be seen when it has been stopped. */
void fuel(void) {
    cnp_session *session = open_session();
    cnp_function *f = cnp_new(session, "count", CNP_VOID);
    cnp_value at = cnp_parameter(f, CNP_I64), n = cnp_register(f, CNP_I64);
    cnp_label again = cnp_new_label(f);
    int64_t rounds = 0;
    cnp_any argument;
    cnp_trap trap;
    cnp_code *code;
    cnp_place(f, again);
    cnp_i64_load(f, n, at, 0);
    cnp_i64_add(f, n, n, cnp_const_i64(1));
    cnp_i64_store(f, n, at, 0);
    cnp_jump(f, again);
    code = compile_one(session, f);
    argument.address = &rounds;
    CHECK(cnp_fuel(session, 100000) == CNP_UNLIMITED_FUEL);
    CHECK(cnp_call(code, 0, &argument, NULL, &trap) == CNP_TRAP_OUT_OF_FUEL && !strcmp(trap.reason, "out of fuel"));
    CHECK(rounds > 100000 && rounds <= 200002); /* one round or two a tick */
    CHECK(cnp_fuel(session, CNP_UNLIMITED_FUEL) == 0);
    cnp_free(code);
    cnp_close(session);
}
