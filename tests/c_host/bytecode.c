/* Guest programs from standard input, a line each: the table's letter, two arguments, the bytecode as hexadecimal digits. For
 * each the result, or what is wrong. With a limit as this program's argument, the tables are those with guards: where a value
 * is greater, the offset, and what an interpreter goes on with. */
#include "cnp.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONGEST = 4096 };

static size_t read_code(unsigned char *code, const char *digits) {
    size_t n = 0;
    for (; digits[2 * n] && digits[2 * n + 1] && n < LONGEST; n++) {
        char pair[3] = {digits[2 * n], digits[2 * n + 1], 0};
        code[n] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return n;
}

static int leave(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    const cnp_guest_point *at = point;
    (void)result;
    *(int *)at->data = 1;
    printf("left %llu", (unsigned long long)at->offset);
    for (size_t k = 0; k < n; k++)
        printf(" %lld", (long long)values[k].i64);
    printf("\n");
    return 0;
}

static void run(cnp_session *session, const cnp_bytecode *table, const void *code, size_t size, const cnp_any *arguments,
                const cnp_data_cell *limit) {
    int has_left = 0;
    const cnp_guest_cell named = {limit, NULL};
    const cnp_guest guest = {NULL, 0, NULL, 0, &named, limit != NULL, leave, &has_left, NULL, 0};
    cnp_function *f = cnp_new(session, "guest", CNP_I64);
    cnp_error error;
    cnp_any result;
    cnp_trap trap;
    cnp_code *compiled;
    cnp_parameter(f, CNP_I64);
    cnp_parameter(f, CNP_I64);
    cnp_translate(f, table, code, size, &guest);
    if (!(compiled = cnp_compile(session, &f, 1, &error)))
        printf("%s\n", error.message);
    else if (cnp_call(compiled, 0, arguments, &result, &trap))
        printf("%s at %lld\n", trap.reason, (long long)cnp_bytecode_offset(f, trap.op));
    else if (!has_left)
        printf("%lld\n", (long long)result.i64);
    cnp_free(compiled);
    cnp_delete(f);
}

static int stop_after(void *polls) { return ++*(int *)polls % 100 == 0; } /* noise may run for ever */

int main(int n, char **words) {
    static const cnp_bytecode *const tables[2][2] = {{&cnp_bytecode_bytes, &cnp_bytecode_words},
                                                     {&cnp_bytecode_guarded_bytes, &cnp_bytecode_guarded_words}};
    const cnp_data_cell limit = {n > 1 ? atoll(words[1]) : 0};
    int polls = 0;
    cnp_options options = {0, stop_after, NULL, NULL, 0};
    cnp_session *session;
    static char digits[2 * LONGEST + 1];
    static unsigned char code[LONGEST];
    char letter;
    long long a, b;
    options.data = &polls;
    session = cnp_open(&options, NULL);
    while (session && scanf(" %c %lld %lld %8192s", &letter, &a, &b, digits) == 4) {
        size_t size = read_code(code, digits);
        unsigned char *copy = malloc(size ? size : 1); /* so that a sanitizer sees what reads past the end */
        cnp_any arguments[2];
        arguments[0].i64 = a, arguments[1].i64 = b;
        if (!copy)
            return 1;
        memcpy(copy, code, size);
        run(session, tables[n > 1][letter == 'w'], copy, size, arguments, n > 1 ? &limit : NULL);
        free(copy);
    }
    cnp_close(session);
    return session == NULL;
}
