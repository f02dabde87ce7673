/* A table of bytecode whose instructions are ops of examples/ops, in a C program: what it is left with, results, a trap. */
#include "cnp.h"
#include "vm.h"

#include <stdio.h>

enum { GET = 1, FIND, ITEM, SAT_ADD, FORGET, POLYNOMIAL, ABSOLUTE, RETURN };

static int go_on(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    const cnp_guest_point *at = point;
    printf("left at %d with %d values, the last %lld: ", (int)at->offset, (int)n, (long long)values[n - 1].i64);
    result->i64 = -1;
    return 0;
}

static void run(const cnp_code *code, const struct vm *vm, int64_t a, int64_t b) {
    cnp_any arguments[3], result;
    cnp_trap trap;
    arguments[0].address = (void *)(uintptr_t)vm, arguments[1].i64 = a, arguments[2].i64 = b;
    if (cnp_call(code, 0, arguments, &result, &trap))
        printf("%s in %s\n", trap.reason, trap.function);
    else
        printf("%lld, %llu\n", (long long)result.i64, (unsigned long long)vm->executed);
}

int main(void) {
    static const long long items[] = {-9, 1, 5, INT64_MAX - 1};
    static const unsigned char find[] = {GET, 0, FIND, GET, 1, FIND, ITEM, SAT_ADD, FORGET, RETURN};
    static const unsigned char numbers[] = {GET, 0, POLYNOMIAL, ABSOLUTE, RETURN}, past[] = {GET, 0, ITEM, RETURN};
    struct vm vm = {7, items, 4};
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_session *session = cnp_open(NULL, &error);
    const cnp_guest guest = {.handler = go_on};
    const struct {
        const unsigned char *code;
        size_t size;
    } programs[] = {{find, sizeof find}, {numbers, sizeof numbers}, {past, sizeof past}};
    cnp_code *code[3] = {NULL, NULL, NULL};
    for (int k = 0; k < 3; k++) {
        cnp_function *f = cnp_new(session, "guest", CNP_I64);
        for (int n = 0; n < 3; n++)
            cnp_parameter(f, CNP_I64);
        cnp_translate(f, &cnp_bytecode_table, programs[k].code, programs[k].size, &guest);
        code[k] = cnp_compile(session, &f, 1, &error);
        cnp_delete(f);
        if (!code[k])
            return printf("%s\n", error.message), 1;
    }
    run(code[0], &vm, 5, 4);
    run(code[0], &vm, 5, INT64_MAX - 1);
    run(code[1], &vm, -40, 0);
    run(code[2], &vm, 4, 0);
    cnp_close(session);
    return 0;
}
