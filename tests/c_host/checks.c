/* What the C host must do, one check a name: `checks WAY NAME...`, or all of them: with memory mapped "twice" or "once".
 * Prints what is wrong, if anything is. */
#include "cnp.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;
static const char *current;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            printf("%s, line %d: %s\n", current, __LINE__, #condition);                                      \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)
#define EXPECT_MESSAGE(error, expected_kind, text)                                                           \
    do {                                                                                                     \
        CHECK((error).kind == (expected_kind));                                                              \
        if (!strstr((error).message, text)) {                                                                \
            printf("%s, line %d: message is: %s\n", current, __LINE__, (error).message);                     \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static int one_mapping;

static cnp_session *open_with(cnp_options options) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_session *session;
    options.one_mapping = one_mapping;
    session = cnp_open(&options, &error);
    if (!session) {
        printf("%s: %s\n", current, error.message);
        exit(1);
    }
    return session;
}

static cnp_session *open_session(void) {
    cnp_options options = {0, NULL, NULL, NULL, 0};
    return open_with(options);
}

static cnp_code *compile(cnp_session *session, cnp_function *const *functions, size_t n) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_code *code = cnp_compile(session, functions, n, &error);
    if (!code) {
        printf("%s: %s\n", current, error.message);
        exit(1);
    }
    return code;
}

static cnp_code *compile_one(cnp_session *session, cnp_function *f) {
    cnp_code *code = compile(session, &f, 1);
    cnp_delete(f);
    return code;
}

/* The sum of i * i % 7 for i from 0 to n. */
static cnp_function *sum_of_squares(cnp_session *session) {
    cnp_function *f = cnp_new(session, "sum_of_squares_mod_7", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), i = cnp_register(f, CNP_I64);
    cnp_value total = cnp_register(f, CNP_I64), term = cnp_register(f, CNP_I64);
    cnp_label head = cnp_new_label(f), done = cnp_new_label(f);
    cnp_move(f, i, cnp_const_i64(0));
    cnp_move(f, total, cnp_const_i64(0));
    cnp_place(f, head);
    cnp_branch_i64_ge_s(f, i, n, done);
    cnp_i64_mul(f, term, i, i);
    cnp_i64_rem_s(f, term, term, cnp_const_i64(7));
    cnp_i64_add(f, total, total, term);
    cnp_i64_add(f, i, i, cnp_const_i64(1));
    cnp_jump(f, head);
    cnp_place(f, done);
    cnp_ret(f, total);
    return f;
}

static int64_t expected_sum(int64_t n) {
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += i * i % 7;
    return total;
}

static void a_loop(void) {
    cnp_session *session = open_session();
    cnp_code *code = compile_one(session, sum_of_squares(session));
    int64_t (*sum)(int64_t) = (int64_t(*)(int64_t))cnp_pointer(code, 0);
    cnp_any argument, result;
    CHECK(sum(1000) == expected_sum(1000));
    CHECK(sum(100000) == expected_sum(100000));
    argument.i64 = 77;
    CHECK(cnp_call(code, 0, &argument, &result, NULL) == CNP_TRAP_NONE && result.i64 == expected_sum(77));
    CHECK(cnp_code_size(code, 0) > 0 && cnp_code_size(code, 1) == 0 && !cnp_pointer(code, 1));
    cnp_free(code);
    cnp_close(session);
}

/* Eight parameters of four types, through both ways in. */
static void types(void) {
    cnp_session *session = open_session();
    static const cnp_type given[] = {CNP_I32, CNP_F32, CNP_I64, CNP_F64, CNP_I32, CNP_F32, CNP_I64, CNP_F64};
    static const cnp_type results[] = {CNP_I32, CNP_I64, CNP_F32, CNP_F64};
    cnp_any arguments[8], result;
    cnp_code *codes[4];
    for (int which = 0; which < 4; which++) {
        cnp_function *f = cnp_new(session, "of_types", results[which]);
        cnp_value parameters[8], sum;
        for (int k = 0; k < 8; k++)
            parameters[k] = cnp_parameter(f, given[k]);
        sum = cnp_register(f, results[which]);
        switch (results[which]) {
        case CNP_I32: cnp_i32_sub(f, sum, parameters[0], parameters[4]); break;
        case CNP_I64: cnp_i64_sub(f, sum, parameters[2], parameters[6]); break;
        case CNP_F32: cnp_f32_sub(f, sum, parameters[1], parameters[5]); break;
        default: cnp_f64_sub(f, sum, parameters[3], parameters[7]);
        }
        cnp_ret(f, sum);
        codes[which] = compile_one(session, f);
    }
    arguments[0].i32 = -5, arguments[1].f32 = 1.25f, arguments[2].i64 = -50000000000, arguments[3].f64 = 1e300;
    arguments[4].i32 = 7, arguments[5].f32 = -2.5f, arguments[6].i64 = 1, arguments[7].f64 = 2e300;
#define AS(type) ((type(*)(int32_t, float, int64_t, double, int32_t, float, int64_t, double))cnp_pointer(code, 0))
#define VALUES -5, 1.25f, -50000000000, 1e300, 7, -2.5f, 1, 2e300
    for (int which = 0; which < 4; which++) {
        cnp_code *code = codes[which];
        CHECK(cnp_call(code, 0, arguments, &result, NULL) == CNP_TRAP_NONE);
        switch (results[which]) {
        case CNP_I32: CHECK(result.i32 == -12 && AS(int32_t)(VALUES) == -12); break;
        case CNP_I64: CHECK(result.i64 == -50000000001 && AS(int64_t)(VALUES) == -50000000001); break;
        case CNP_F32: CHECK(result.f32 == 3.75f && AS(float)(VALUES) == 3.75f); break;
        default: CHECK(result.f64 == -1e300 && AS(double)(VALUES) == -1e300);
        }
        cnp_free(code);
    }
    cnp_close(session);
}

/* Constants of each type, moved, selected and added. */
static void constants(void) {
    cnp_session *session = open_session();
    cnp_function *f = cnp_new(session, "constants", CNP_F64);
    cnp_value condition = cnp_parameter(f, CNP_I32), i = cnp_register(f, CNP_I32), l = cnp_register(f, CNP_I64);
    cnp_value s = cnp_register(f, CNP_F32), d = cnp_register(f, CNP_F64), e = cnp_register(f, CNP_F64);
    cnp_code *code;
    cnp_move(f, i, cnp_const_i32(-3));
    cnp_select(f, l, cnp_const_i64(INT64_MIN), cnp_const_i64(1) , condition);
    cnp_move(f, s, cnp_const_f32(0.5f));
    cnp_f64_convert_i32_s(f, d, i);
    cnp_f64_convert_i64_s(f, e, l);
    cnp_f64_add(f, d, d, e);
    cnp_f64_promote_f32(f, e, s);
    cnp_f64_add(f, d, d, e);
    cnp_f64_add(f, d, d, cnp_const_f64(0.25));
    cnp_ret(f, d);
    code = compile_one(session, f);
    CHECK(((double (*)(int32_t))cnp_pointer(code, 0))(0) == -3 + 1 + 0.5 + 0.25);
    CHECK(((double (*)(int32_t))cnp_pointer(code, 0))(1) == -3 + -0x1p63 + 0.5 + 0.25);
    cnp_free(code);
    cnp_close(session);
}

static void memory(void) {
    cnp_session *session = open_session();
    cnp_function *f = cnp_new(session, "sum_bytes", CNP_I64);
    cnp_value at = cnp_parameter(f, CNP_I64), n = cnp_parameter(f, CNP_I64), sum = cnp_register(f, CNP_I64);
    cnp_value byte = cnp_register(f, CNP_I64), end = cnp_register(f, CNP_I64);
    cnp_label again = cnp_new_label(f);
    char text[] = "abcd";
    cnp_code *code;
    cnp_move(f, sum, cnp_const_i64(0));
    cnp_i64_add(f, end, at, n);
    cnp_place(f, again);
    cnp_i64_load8_u(f, byte, at, 0);
    cnp_i64_add(f, sum, sum, byte);
    cnp_i64_store8(f, cnp_const_i64('x'), at, 0);
    cnp_i64_add(f, at, at, cnp_const_i64(1));
    cnp_branch_i64_lt_u(f, at, end, again);
    cnp_ret(f, sum);
    code = compile_one(session, f);
    CHECK(((int64_t(*)(char *, int64_t))cnp_pointer(code, 0))(text, 4) == 'a' + 'b' + 'c' + 'd');
    CHECK(!strcmp(text, "xxxx"));
    cnp_free(code);
    cnp_close(session);
}

static cnp_function *fib(cnp_session *session) {
    cnp_function *f = cnp_new(session, "fib", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), a = cnp_register(f, CNP_I64), b = cnp_register(f, CNP_I64);
    cnp_label more = cnp_new_label(f);
    cnp_branch_i64_ge_s(f, n, cnp_const_i64(2), more);
    cnp_ret(f, n);
    cnp_place(f, more);
    cnp_i64_sub(f, a, n, cnp_const_i64(1));
    cnp_call_function(f, a, f, &a, 1);
    cnp_i64_sub(f, b, n, cnp_const_i64(2));
    cnp_call_function(f, b, f, &b, 1);
    cnp_i64_add(f, a, a, b);
    cnp_ret(f, a);
    return f;
}

/* Of themselves, of one another, of code that is there already, some of it. */
static void calls(void) {
    cnp_session *session = open_session();
    cnp_function *f[2];
    cnp_value parameter[2], n, r;
    cnp_label zero;
    cnp_code *of_fib = compile_one(session, fib(session)), *code;
    for (int k = 0; k < 2; k++)
        f[k] = cnp_new(session, k ? "odd" : "even", CNP_I32);
    for (int k = 0; k < 2; k++)
        parameter[k] = cnp_parameter(f[k], CNP_I64);
    for (int k = 0; k < 2; k++) {
        r = cnp_register(f[k], CNP_I32);
        zero = cnp_new_label(f[k]);
        cnp_branch_i64_eqz(f[k], parameter[k], zero);
        cnp_i64_sub(f[k], parameter[k], parameter[k], cnp_const_i64(1));
        cnp_call_function(f[k], r, f[1 - k], &parameter[k], 1);
        cnp_ret(f[k], r);
        cnp_place(f[k], zero);
        cnp_ret(f[k], cnp_const_i32(k == 0));
    }
    code = compile(session, f, 2);
    CHECK(((int32_t(*)(int64_t))cnp_pointer(code, 0))(10) == 1 && ((int32_t(*)(int64_t))cnp_pointer(code, 1))(10) == 0);
    CHECK(((int64_t(*)(int64_t))cnp_pointer(of_fib, 0))(20) == 6765);
    cnp_delete(f[0]), cnp_delete(f[1]);

    f[0] = cnp_new(session, "fib_if_odd", CNP_I64);
    n = cnp_parameter(f[0], CNP_I64);
    r = cnp_register(f[0], CNP_I32);
    zero = cnp_new_label(f[0]);
    cnp_call_code(f[0], r, code, 1, &n, 1);
    cnp_branch_i32_eqz(f[0], r, zero);
    cnp_call_code(f[0], n, of_fib, 0, &n, 1);
    cnp_ret(f[0], n);
    cnp_place(f[0], zero);
    cnp_ret(f[0], cnp_const_i64(-1));
    cnp_code *caller = compile_one(session, f[0]);
    CHECK(((int64_t(*)(int64_t))cnp_pointer(caller, 0))(21) == 10946 && ((int64_t(*)(int64_t))cnp_pointer(caller, 0))(20) == -1);
    cnp_free(caller);
    cnp_free(code);
    cnp_free(of_fib);
    cnp_close(session);
}

static int64_t seen[9];
static int64_t take_integers(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g, int32_t h) {
    int64_t all[] = {a, b, c, d, e, f, g, h};
    memcpy(seen, all, sizeof all);
    seen[8]++;
    return 42;
}
static double take_floats(float a, double b, int32_t c) { return a + 2 * b + 4 * c; }
static void take_nothing(void) { seen[8] += 100; }

static void c_functions(void) {
    cnp_session *session = open_session();
    cnp_function *f = cnp_new(session, "calls_c", CNP_I64);
    cnp_value arguments[8], d = cnp_register(f, CNP_I64), x = cnp_register(f, CNP_F64), y = cnp_register(f, CNP_I64);
    cnp_code *code;
    for (int k = 0; k < 7; k++)
        arguments[k] = cnp_const_i64((int64_t)k << 40);
    arguments[7] = cnp_const_i32(-9);
    cnp_call_c(f, d, (cnp_c_function)take_integers, arguments, 8);
    cnp_call_c(f, cnp_none(), take_nothing, NULL, 0);
    arguments[0] = cnp_const_f32(0.5f), arguments[1] = cnp_const_f64(100), arguments[2] = cnp_const_i32(-1);
    cnp_call_c(f, x, (cnp_c_function)take_floats, arguments, 3);
    cnp_i64_trunc_f64_s(f, y, x);
    cnp_i64_add(f, d, d, y);
    cnp_ret(f, d);
    code = compile_one(session, f);
    seen[8] = 0;
    CHECK(((int64_t(*)(void))cnp_pointer(code, 0))() == 42 + 196);
    for (int k = 0; k < 7; k++)
        CHECK(seen[k] == (int64_t)k << 40);
    CHECK(seen[7] == -9 && seen[8] == 101);
    cnp_free(code);
    cnp_close(session);
}

static void branch_table(void) {
    cnp_session *session = open_session();
    cnp_function *f = cnp_new(session, "choose", CNP_I64);
    cnp_value index = cnp_parameter(f, CNP_I32);
    cnp_label otherwise = cnp_new_label(f), labels[20];
    cnp_code *code;
    for (int k = 0; k < 20; k++)
        labels[k] = cnp_new_label(f);
    cnp_branch_table(f, index, otherwise, labels, 20);
    for (int k = 0; k < 20; k++) {
        cnp_place(f, labels[k]);
        cnp_ret(f, cnp_const_i64(k * 1000003));
    }
    cnp_place(f, otherwise);
    cnp_ret(f, cnp_const_i64(-1));
    code = compile_one(session, f);
    for (int k = -1; k < 22; k++)
        CHECK(((int64_t(*)(int32_t))cnp_pointer(code, 0))(k) == (k >= 0 && k < 20 ? k * 1000003 : -1));
    cnp_free(code);
    cnp_close(session);
}

/* ---- traps ---- */

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

static void traps(void) {
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
static void traps_in_callees(void) {
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

static cnp_function *endless_recursion(cnp_session *session) {
    cnp_function *f = cnp_new(session, "deep", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), m = cnp_register(f, CNP_I64);
    cnp_i64_add(f, m, n, cnp_const_i64(1));
    cnp_call_function(f, m, f, &m, 1);
    cnp_i64_add(f, m, m, n);
    cnp_ret(f, m);
    return f;
}

static void stack_overflow(void) {
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

static void polls(void) {
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
static void fuel(void) {
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

/* A C function that guest code calls compiles and runs guest code itself. */
static cnp_session *inner_session;
static int64_t compile_and_run(int64_t n) {
    cnp_code *code = compile_one(inner_session, sum_of_squares(inner_session));
    int64_t result = ((int64_t(*)(int64_t))cnp_pointer(code, 0))(n);
    cnp_free(code);
    return result;
}

static void nested(void) {
    cnp_session *session = inner_session = open_session();
    cnp_function *f = cnp_new(session, "nested", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), d = cnp_register(f, CNP_I64);
    cnp_code *code;
    cnp_call_c(f, d, (cnp_c_function)compile_and_run, &n, 1);
    cnp_i64_add(f, d, d, n);
    cnp_ret(f, d);
    code = compile_one(session, f);
    CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(50) == expected_sum(50) + 50);
    cnp_free(code);
    cnp_close(session);
}

/* ---- threads ---- */

struct work {
    cnp_session *session;
    cnp_code *shared;
    int64_t wrong;
};

static void *run_shared(void *data) {
    struct work *work = data;
    int64_t (*sum)(int64_t) = (int64_t(*)(int64_t))cnp_pointer(work->shared, 0);
    cnp_trap trap;
    for (int64_t n = 1; n < 60; n++)
        work->wrong += sum(n) != expected_sum(n);
    for (int k = 0; k < 5; k++) {
        cnp_code *own = compile_one(work->session, sum_of_squares(work->session));
        cnp_code *deep = compile_one(work->session, endless_recursion(work->session));
        cnp_any argument;
        argument.i64 = 3;
        work->wrong += ((int64_t(*)(int64_t))cnp_pointer(own, 0))(9) != expected_sum(9);
        work->wrong += cnp_call(deep, 0, &argument, NULL, &trap) != CNP_TRAP_STACK_OVERFLOW;
        cnp_free(own);
        cnp_free(deep);
    }
    return NULL;
}

static void threads(void) {
    cnp_session *session = open_session();
    cnp_code *code = compile_one(session, sum_of_squares(session));
    pthread_t thread[8];
    struct work work[8];
    for (int k = 0; k < 8; k++) {
        work[k].session = session, work[k].shared = code, work[k].wrong = 0;
        if (pthread_create(&thread[k], NULL, run_shared, &work[k]))
            exit(1);
    }
    for (int k = 0; k < 8; k++) {
        pthread_join(thread[k], NULL);
        CHECK(work[k].wrong == 0);
    }
    CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(30) == expected_sum(30));
    cnp_free(code);
    cnp_close(session);
}

/* ---- nothing is left ---- */

/* Bytes of address space. */
static size_t address_space(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    size_t start, end, bytes = 0;
    while (file && fscanf(file, "%zx-%zx%*[^\n]", &start, &end) == 2)
        bytes += end - start;
    if (!file || fclose(file) || !bytes)
        exit(1);
    return bytes;
}

static void nothing_is_left(void) {
    cnp_session *session = open_session();
    size_t before;
    const char *place = NULL;
    for (int k = 0; k < 300; k++) {
        cnp_code *code = compile_one(session, sum_of_squares(session)), *other = compile_one(session, fib(session));
        CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(5) == expected_sum(5));
        if (!place)
            place = (const char *)(intptr_t)cnp_pointer(other, 0);
        CHECK(place == (const char *)(intptr_t)cnp_pointer(other, 0));
        cnp_free(k & 1 ? code : other);
        cnp_free(k & 1 ? other : code);
    }
    cnp_close(session);
    before = address_space();
    for (int k = 0; k < 20; k++) { /* each maps a MiB for the thread's context, and more for code */
        session = open_session();
        cnp_code *code = compile_one(session, sum_of_squares(session));
        CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(5) == expected_sum(5));
        if (k & 1)
            cnp_free(code); /* else with the session */
        cnp_close(session);
    }
CHECK(address_space() < before + (10 << 20));
}

static void full_code_memory(void) {
    cnp_options options = {1 << 20, NULL, NULL, NULL, 0};
    cnp_session *session = open_with(options);
    cnp_function *f = sum_of_squares(session);
    static cnp_code *codes[1 << 15];
    cnp_error error;
    int n = 0;
    while ((codes[n] = cnp_compile(session, &f, 1, &error)))
        n++;
    EXPECT_MESSAGE(error, CNP_ERROR_CODE_MEMORY, "memory for code is full: ");
    CHECK(n > 100);
    for (int k = 0; k < n; k += 97)
        CHECK(((int64_t(*)(int64_t))cnp_pointer(codes[k], 0))(5) == expected_sum(5));
    for (int k = 0; k < n; k += 2) /* leaves holes */
        cnp_free(codes[k]);
    for (int k = 0; k < n; k += 2)
        CHECK((codes[k] = cnp_compile(session, &f, 1, &error)) != NULL);
    CHECK(!cnp_compile(session, &f, 1, NULL));
    for (int k = n; k-- > 0;)
        cnp_free(codes[k]);
    cnp_delete(f);
    cnp_close(session);
    options.code_size = 4096; /* not even the core fits */
    options.one_mapping = one_mapping;
    CHECK(!cnp_open(&options, &error) && error.kind == CNP_ERROR_CODE_MEMORY);
    options.code_size = (size_t)1 << 62;
    CHECK(!cnp_open(&options, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_SYSTEM, "memory for code");
}

/* Many values alive at once, and many ops: scratch grows, slots are used, code is large. */
static void large(void) {
    cnp_session *session = open_session();
    cnp_function *f = cnp_new(session, "large", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), sum = cnp_register(f, CNP_I64);
    static cnp_value values[5000];
    cnp_code *code;
    int64_t expected = 0;
    for (int k = 0; k < 5000; k++) {
        values[k] = cnp_register(f, CNP_I64);
        cnp_i64_add(f, values[k], n, cnp_const_i64(k));
    }
    cnp_move(f, sum, cnp_const_i64(0));
    for (int k = 0; k < 5000; k++) {
        cnp_i64_add(f, sum, sum, values[k]);
        expected += 3 + k;
    }
    cnp_ret(f, sum);
    code = compile_one(session, f);
    CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(3) == expected);
    cnp_free(code);
    cnp_close(session);
}

/* ---- mistakes ---- */

static cnp_session *errors_session;
static void expect_error(cnp_function *f, const char *text) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    CHECK(!cnp_compile(errors_session, &f, 1, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, text);
    CHECK(!cnp_compile(errors_session, &f, 1, NULL));
    cnp_delete(f);
}

static void errors(void) {
    cnp_session *session = errors_session = open_session(), *other = open_session();
    cnp_function *f, *g;
    cnp_value a, b, x;
    cnp_label label;
    cnp_error error;
    cnp_code *code;
#define BEGIN()                                                                                              \
    f = cnp_new(session, "f", CNP_I64), a = cnp_parameter(f, CNP_I64), b = cnp_register(f, CNP_I64);                 \
    x = cnp_register(f, CNP_F32), label = cnp_new_label(f)
    BEGIN();
    expect_error(f, "function 'f': it has no ops");
    BEGIN();
    cnp_i64_add(f, b, a, a);
    expect_error(f, "function 'f', op 0 (i64.add): control goes on past the last op");
    BEGIN();
    cnp_i64_add(f, b, a, x);
    expect_error(f, "function 'f', op 0 (i64.add), operand b: found register 2 of type f32; accepted: an i64 register or constant");
    BEGIN();
    cnp_i64_add(f, cnp_const_i64(5), a, a);
    expect_error(f, "op 0 (i64.add), operand d: found the i64 constant 5; accepted: an i64 register");
    BEGIN();
    cnp_place(f, label);
    cnp_f32_add(f, x, x, cnp_const_f64(1.5));
    expect_error(f, "op 1 (f32.add), operand b: found the f64 constant 1.5; accepted: an f32 register or constant");
    BEGIN();
    cnp_i64_add(f, b, cnp_none(), a);
    expect_error(f, "operand a: found nothing");
    BEGIN();
    g = cnp_new(session, "g", CNP_I64);
    cnp_i64_add(f, b, cnp_register(g, CNP_I64), a);
    expect_error(f, "operand a: found register 0 of another function of type i64; accepted: an i64 register or constant");
    BEGIN();
    cnp_jump(f, cnp_new_label(g));
    expect_error(f, "op 0 (jump), operand label: found label 0 of another function; accepted: a label of this function");
    BEGIN();
    cnp_jump(f, label);
    expect_error(f, "op 0 (jump): label 0 is placed nowhere");
    BEGIN();
    cnp_place(f, label);
    cnp_place(f, label);
    cnp_ret(f, a);
    expect_error(f, "op 1 (place): label 0 is placed a second time");
    BEGIN();
    cnp_ret(f, b);
    expect_error(f, "op 0 (ret): register 1 of type i64 is read where some path has not assigned it");
    BEGIN();
    cnp_ret(f, cnp_none());
    expect_error(f, "op 0 (ret), operand value: found nothing; accepted: an i64 register or constant");
    BEGIN();
    cnp_op(f, CNP_I64_ADD, &a, 1);
    expect_error(f, "op 0 (i64.add): 1 operands; accepted: 3");
    BEGIN();
    cnp_op(f, 60000, &a, 1);
    expect_error(f, "op 0: there is no op 60000");
    BEGIN();
    cnp_move(f, cnp_const_i64(1), a);
    expect_error(f, "op 0 (move), operand d: found the i64 constant 1; accepted: a register");
    BEGIN();
    cnp_branch_table(f, a, label, &label, 1);
    expect_error(f, "op 0 (branch_table), operand index: found register 0 of type i64; accepted: an i32 register or constant");
    BEGIN();
    cnp_call_function(f, b, f, NULL, 0);
    expect_error(f, "op 0 (call): 0 arguments; accepted: 1");
    BEGIN();
    cnp_call_function(f, b, f, &x, 1);
    expect_error(f, "op 0 (call), operand argument 0: found register 2 of type f32; accepted: an i64 register or constant");
    BEGIN();
    cnp_call_function(f, x, f, &a, 1);
    expect_error(f, "op 0 (call), operand d: found register 2 of type f32; accepted: an i64 register");
    BEGIN();
    cnp_call_function(f, b, g, NULL, 0);
    cnp_ret(f, b);
    expect_error(f, "function 'f' calls 'g', which is not among those compiled");
    BEGIN();
    cnp_i64_load(f, b, a, INT32_MIN);
    cnp_ret(f, b);
    expect_error(f, "op 0 (i64.load): offset -2147483648");
    BEGIN();
    cnp_parameter(f, CNP_I64);
    expect_error(f, "function 'f': parameter 1; accepted: up to 8 of them, before any other register and any op");
    BEGIN();
    cnp_register(f, CNP_VOID);
    expect_error(f, "function 'f': a register of type 255");
    BEGIN();
    {
        cnp_value nine[9];
        for (int k = 0; k < 9; k++)
            nine[k] = a;
        cnp_call_c(f, b, take_nothing, nine, 9);
    }
    expect_error(f, "op 0 (call): 9 arguments; accepted by C functions: up to 8 integers and 8 floats");
    f = cnp_new(session, "f", CNP_VOID);
    cnp_ret(f, cnp_const_i64(1));
    expect_error(f, "op 0 (ret): a value is returned; accepted: cnp_none()");
    f = cnp_new(session, "f", CNP_VOID);
    cnp_ret(f, cnp_none());
    code = compile(session, &f, 1);
    cnp_delete(f);
    BEGIN();
    cnp_call_code(f, b, code, 0, NULL, 0);
    expect_error(f, "op 0 (call): the callee has no result");
    BEGIN();
    cnp_call_code(f, b, code, 1, NULL, 0);
    expect_error(f, "op 0 (call): the code has not so many functions");
    f = cnp_new(other, "f", CNP_I64);
    cnp_call_code(f, cnp_none(), code, 0, NULL, 0);
    CHECK(!cnp_compile(session, &f, 1, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, "function 'f' is another session's");
    CHECK(!cnp_compile(other, &f, 1, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, "the code is another session's");
    CHECK(!cnp_compile(session, NULL, 0, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, "0 functions to compile");
    cnp_delete(f);
    CHECK(!strcmp(cnp_op_name(CNP_I64_ADD), "i64.add") && !strcmp(cnp_op_name(CNP_BRANCH_I64_LT_S), "branch i64.lt_s"));
    CHECK(!cnp_op_name(60000));
    cnp_delete(NULL), cnp_free(NULL), cnp_close(NULL);
    cnp_delete(g);
    cnp_close(other);
    cnp_close(session); /* and the code with it */
}

static const struct {
    const char *name;
    void (*run)(void);
} checks[] = {
    {"a_loop", a_loop},
    {"types", types},
    {"constants", constants},
    {"memory", memory},
    {"calls", calls},
    {"c_functions", c_functions},
    {"branch_table", branch_table},
    {"traps", traps},
    {"traps_in_callees", traps_in_callees},
    {"stack_overflow", stack_overflow},
    {"polls", polls},
    {"fuel", fuel},
    {"nested", nested},
    {"threads", threads},
    {"nothing_is_left", nothing_is_left},
    {"full_code_memory", full_code_memory},
    {"large", large},
    {"errors", errors},
};

int main(int n, char **words) {
    one_mapping = n > 1 && !strcmp(words[1], "once");
    for (size_t k = 0; k < sizeof checks / sizeof *checks; k++) {
        int chosen = n < 3;
        for (int i = 2; i < n; i++)
            chosen |= !strcmp(words[i], checks[k].name);
        current = checks[k].name;
        if (chosen)
            checks[k].run();
    }
    return failures != 0;
}
