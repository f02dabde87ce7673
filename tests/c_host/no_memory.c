/* Every allocation of a program's life fails once, each in a life of its own: an error, and nothing left, or all is well. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

static long left; /* allocations until one fails */
static void *may_fail(void *memory) {
    if (--left == 0) {
        free(memory);
        return NULL;
    }
    return memory;
}
static void *failing_realloc(void *old, size_t size) { return --left == 0 ? NULL : realloc(old, size); }
#define malloc(size) may_fail(malloc(size))
#define calloc(n, size) may_fail(calloc(n, size))
#define realloc(old, size) failing_realloc(old, size)
#include "cnp.c"

static int no_handler(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    (void)point, (void)values, (void)n, (void)result;
    return 1;
}

/* A function of bytecode that has exits, and depends on assumptions. 0 without memory. */
static int translate_guards(cnp_session *session, cnp_assumption *assumption) {
    static const unsigned char bytecode[] = {7, 0, 2, 0, 2, 0, 4, 8};
    static const cnp_data_cell limit = {100};
    const cnp_guest_cell field = {NULL, assumption}, named[] = {{&limit, NULL}, {NULL, assumption}};
    const cnp_guest_callee callee = {.c = (cnp_c_function)abort, .result = CNP_VOID};
    const cnp_guest_size size = {CNP_FILE_GUARDS_LOCAL, 2};
    const cnp_guest guest = {&callee, 1, &field, 1, named, 2, no_handler, NULL, &size, 1};
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_function *f = cnp_new(session, "f", CNP_I64);
    cnp_code *code = NULL;
    if (f) {
        cnp_parameter(f, CNP_I64);
        cnp_translate(f, &cnp_bytecode_guards, bytecode, sizeof bytecode, &guest);
        code = cnp_compile(session, &f, 1, &error);
    }
    cnp_delete(f);
    cnp_free(code);
    if (f && !code && error.kind != CNP_ERROR_MEMORY) {
        printf("%s\n", error.message);
        exit(1);
    }
    return code != NULL;
}

/* Code that depends on an assumption, in a cell, and is retired. 0 without memory. */
static int exchange(cnp_session *session, const cnp_code *code) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_assumption *assumption = cnp_new_assumption(session);
    cnp_cell *cell = cnp_new_cell(session, "cell", code, 1, NULL);
    cnp_function *f = cnp_new(session, "f", CNP_I64);
    cnp_code *special = NULL;
    int done = f && assumption && cell && cnp_on_invalidate(assumption, free, NULL);
    if (done) {
        cnp_value a = cnp_parameter(f, CNP_I64);
        cnp_label otherwise = cnp_new_label(f);
        cnp_assume(f, assumption, otherwise);
        cnp_call_cell(f, a, cell, &a, 1);
        cnp_place(f, otherwise);
        cnp_ret(f, a);
        special = cnp_compile(session, &f, 1, &error);
        done = special && cnp_set_cell(cell, special, 0, NULL) && translate_guards(session, assumption);
        cnp_invalidate(assumption);
    }
    cnp_delete(f);
    cnp_retire(special);
    cnp_delete_cell(cell);
    cnp_delete_assumption(assumption);
    if (!done && error.kind != CNP_ERROR_NONE && error.kind != CNP_ERROR_MEMORY) {
        printf("%s\n", error.message);
        exit(1);
    }
    return done;
}

static cnp_code *compile_point(void *session, int64_t point, cnp_error *error) {
    cnp_function *f = cnp_new(session, "f", CNP_I64);
    cnp_code *code = NULL;
    if (f) {
        cnp_ret(f, cnp_const_i64(point));
        code = cnp_compile(session, &f, 1, error);
        if (!code && error->kind != CNP_ERROR_MEMORY)
            exit(1);
    }
    cnp_delete(f);
    return code;
}

/* Code that a tier has asked for, given up and asked for again. 0 without memory. */
static int tier(cnp_session *session) {
    static const cnp_policy policy = {1, 1, 1, 2, NULL};
    const cnp_tier_host host = {compile_point, NULL, NULL, session};
    cnp_tiered *tiered = cnp_new_tiered(session, &policy, &host);
    int done = tiered != NULL;
    for (int64_t k = 0; done && k < 2; k++) {
        done = cnp_called(tiered) && cnp_looped(tiered, k);
        cnp_left(tiered);
    }
    cnp_delete_tiered(tiered);
    return done;
}

/* 1 if all went well, 0 after an error, which must be that there is no memory. */
static int live(void) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_session *session = cnp_open(NULL, &error);
    cnp_function *f = session ? cnp_new(session, "f", CNP_I64) : NULL, *g = session ? cnp_new(session, "g", CNP_I64) : NULL;
    cnp_function *entered = NULL;
    cnp_code *code = NULL;
    int64_t result = 0;
    if (f && g) {
        cnp_function *functions[3];
        cnp_value a = cnp_parameter(f, CNP_I64), b = cnp_parameter(g, CNP_I64);
        cnp_label head = cnp_new_label(g);
        for (int k = 0; k < 40; k++) {
            cnp_label label = cnp_new_label(f);
            cnp_branch_i64_ge_s(f, a, cnp_const_i64(1000 + k), label);
            cnp_call_function(f, a, g, &a, 1);
            cnp_place(f, label);
        }
        cnp_ret(f, a);
        cnp_place(g, head);
        cnp_branch_i64_gt_s(g, b, cnp_const_i64(100), cnp_exit(g, no_handler, NULL, &b, 1));
        cnp_i64_add(g, b, b, cnp_const_i64(1));
        cnp_ret(g, b);
        entered = cnp_entered_at(g, head, &b, 1);
        functions[0] = f, functions[1] = g, functions[2] = entered;
        if (entered)
            code = cnp_compile(session, functions, 3, &error);
    }
    if (code) {
        cnp_any argument, of_call;
        argument.i64 = 2;
        if (cnp_call(code, 0, &argument, &of_call, NULL) == CNP_TRAP_NONE) /* else there was none for the thread's context */
            result = exchange(session, code) && tier(session) ? of_call.i64 : 0;
    } else if (entered && error.kind != CNP_ERROR_MEMORY) {
        printf("%s\n", error.message);
        exit(1);
    }
    cnp_delete(f);
    cnp_delete(g);
    cnp_delete(entered);
    cnp_close(session);
    return result == 42;
}

int main(void) {
    long n = 1;
    do
        left = n;
    while (!live() && n++ < 10000);
    printf("%ld allocations\n", n - 1);
    return left <= 0 || n < 20;
}
