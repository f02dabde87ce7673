/* Mistakes and their messages. */
#include "check.h"

static void take_nothing(void) {}
static int no_handler(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    (void)point, (void)values, (void)n, (void)result;
    CHECK(!"reached");
    return 1;
}

static cnp_session *errors_session;
static void expect_error(cnp_function *f, const char *text) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    CHECK(!cnp_compile(errors_session, &f, 1, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, text);
    CHECK(!cnp_compile(errors_session, &f, 1, NULL));
    cnp_delete(f);
}

/* A function with an i64 parameter a, another i64 b, an f32 x, and a label. */
#define BEGIN()                                                                                              \
    f = cnp_new(session, "f", CNP_I64), a = cnp_parameter(f, CNP_I64), b = cnp_register(f, CNP_I64);                 \
    x = cnp_register(f, CNP_F32), label = cnp_new_label(f)

void errors(void) {
    cnp_session *session = errors_session = open_session(), *other = open_session();
    cnp_function *f, *g;
    cnp_value a, b, x;
    cnp_label label;
    cnp_error error;
    cnp_code *code;
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

void errors_of_exits(void) {
    cnp_session *session = errors_session = open_session();
    cnp_function *f, *g = cnp_new(session, "g", CNP_I64);
    cnp_value a, b, x, foreign = cnp_register(g, CNP_I64);
    static cnp_value many[1001];
    cnp_label label, exit;
    BEGIN();
    cnp_exit(f, no_handler, NULL, &foreign, 1);
    expect_error(f, "function 'f', exit 0, value 0: found register 0 of another function of type i64; accepted: a register of "
                    "this function, or a constant");
    BEGIN();
    many[0] = a, many[1] = label.place;
    cnp_exit(f, no_handler, NULL, &a, 1);
    cnp_exit(f, no_handler, NULL, many, 2);
    expect_error(f, "function 'f', exit 1, value 1: found label 0; accepted: ");
    BEGIN();
    for (int k = 0; k < 1001; k++)
        many[k] = a;
    cnp_exit(f, no_handler, NULL, many, 1001);
    expect_error(f, "function 'f', exit 0: 1001 values; accepted: up to 1000");
    BEGIN();
    cnp_exit(f, no_handler, NULL, &a, 1);
    cnp_exit(f, NULL, NULL, &a, 1);
    expect_error(f, "function 'f', exit 1: found NULL as its handler; accepted: a function");
    BEGIN();
    exit = cnp_exit(f, no_handler, NULL, NULL, 0);
    cnp_place(f, exit);
    cnp_ret(f, a);
    expect_error(f, "function 'f', op 0 (place): label 1 is a side exit; accepted: a label that cnp_new_label made");
    BEGIN();
    many[0] = a, many[1] = cnp_const_i64(5), many[2] = b, many[3] = x;
    exit = cnp_exit(f, no_handler, NULL, many, 4);
    cnp_move(f, x, cnp_const_f32(0));
    cnp_branch_i64_eq(f, a, cnp_const_i64(3), exit);
    cnp_ret(f, a);
    expect_error(f, "function 'f', op 1 (branch i64.eq), side exit: register 1 of type i64 is read where some path has not");
    BEGIN();
    cnp_ret(f, a);
    expect_error(cnp_entered_at(f, label, &a, 1), "function 'f' cannot be entered there; accepted: a label of this function that");
    expect_error(cnp_entered_at(f, cnp_new_label(g), &a, 1), "function 'f' cannot be entered there");
    cnp_delete(f);
    BEGIN();
    cnp_move(f, b, a);
    cnp_place(f, label);
    cnp_i64_add(f, a, a, b);
    cnp_ret(f, a);
    expect_error(cnp_entered_at(f, label, &foreign, 1), "function 'f' cannot be entered with register 0 of another function");
    many[0] = cnp_const_i64(1);
    expect_error(cnp_entered_at(f, label, many, 1), "function 'f' cannot be entered with the i64 constant 1; accepted: a register");
    expect_error(cnp_entered_at(f, label, &a, 1), "op 2 (i64.add): register 2 of type i64 is read where some path has not");
    cnp_i64_add(f, a, a, x);
    expect_error(cnp_entered_at(f, label, &a, 1), "function 'f', op 4 (i64.add), operand b: found register 2 of type f32");
    cnp_delete(f);
    cnp_delete(g);
    cnp_close(session);
}
