/* What the C host must do: `checks WAY NAME...`, or all of them: with memory mapped "twice" or "once". Prints what is wrong,
 * if anything is. */
#include "check.h"

int failures;
const char *current;
int one_mapping;

cnp_session *open_with(cnp_options options) {
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

cnp_session *open_session(void) {
    cnp_options options = {0, NULL, NULL, NULL, 0};
    return open_with(options);
}

cnp_code *compile(cnp_session *session, cnp_function *const *functions, size_t n) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_code *code = cnp_compile(session, functions, n, &error);
    if (!code) {
        printf("%s: %s\n", current, error.message);
        exit(1);
    }
    return code;
}

cnp_code *compile_one(cnp_session *session, cnp_function *f) {
    cnp_code *code = compile(session, &f, 1);
    cnp_delete(f);
    return code;
}

cnp_function *sum_of_squares(cnp_session *session) {
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

int64_t expected_sum(int64_t n) {
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += i * i % 7;
    return total;
}

cnp_function *fib(cnp_session *session) {
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

cnp_function *endless_recursion(cnp_session *session) {
    cnp_function *f = cnp_new(session, "deep", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), m = cnp_register(f, CNP_I64);
    cnp_i64_add(f, m, n, cnp_const_i64(1));
    cnp_call_function(f, m, f, &m, 1);
    cnp_i64_add(f, m, m, n);
    cnp_ret(f, m);
    return f;
}

#define ROW(name) {#name, name},
static const struct {
    const char *name;
    void (*run)(void);
} checks[] = {ALL_CHECKS(ROW)};

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
