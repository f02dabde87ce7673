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

/* 1 if all went well, 0 after an error, which must be that there is no memory. */
static int live(void) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_session *session = cnp_open(NULL, &error);
    cnp_function *f = session ? cnp_new(session, "f", CNP_I64) : NULL, *g = session ? cnp_new(session, "g", CNP_I64) : NULL;
    cnp_code *code = NULL;
    int64_t result = 0;
    if (f && g) {
        cnp_function *functions[2];
        cnp_value a = cnp_parameter(f, CNP_I64), b = cnp_parameter(g, CNP_I64);
        functions[0] = f, functions[1] = g;
        for (int k = 0; k < 40; k++) {
            cnp_label label = cnp_new_label(f);
            cnp_branch_i64_ge_s(f, a, cnp_const_i64(1000 + k), label);
            cnp_call_function(f, a, g, &a, 1);
            cnp_place(f, label);
        }
        cnp_ret(f, a);
        cnp_i64_add(g, b, b, cnp_const_i64(1));
        cnp_ret(g, b);
        code = cnp_compile(session, functions, 2, &error);
    }
    if (code) {
        cnp_any argument, of_call;
        argument.i64 = 2;
        if (cnp_call(code, 0, &argument, &of_call, NULL) == CNP_TRAP_NONE) /* else there was none for the thread's context */
            result = of_call.i64;
    } else if (session && f && g && error.kind != CNP_ERROR_MEMORY) {
        printf("%s\n", error.message);
        exit(1);
    }
    cnp_delete(f);
    cnp_delete(g);
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
