/* What functions compute: ops, types, constants, memory, tables. */
#include "check.h"

void a_loop(void) {
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
void types(void) {
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
void constants(void) {
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

void memory(void) {
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

void branch_table(void) {
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

/* Many values alive at once, and many ops: scratch grows, slots are used, code is large. */
void large(void) {
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
