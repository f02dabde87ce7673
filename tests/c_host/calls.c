/* Calls: of functions, of code, of C, which may call compiled code again. */
#include "check.h"

/* Of themselves, of one another, of code that is there already, some of it. */
void calls(void) {
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

void c_functions(void) {
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

/* A C function that guest code calls compiles and runs guest code itself. */
static cnp_session *inner_session;
static int64_t compile_and_run(int64_t n) {
    cnp_code *code = compile_one(inner_session, sum_of_squares(inner_session));
    int64_t result = ((int64_t(*)(int64_t))cnp_pointer(code, 0))(n);
    cnp_free(code);
    return result;
}

void nested(void) {
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
