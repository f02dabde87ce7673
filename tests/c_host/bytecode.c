/* Guest programs from standard input, a line each: the table's letter, two arguments, the bytecode as hexadecimal digits. For
 * each the result, or what is wrong. */
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

static void run(cnp_session *session, const cnp_bytecode *table, const void *code, size_t size, const cnp_any *arguments) {
    cnp_function *f = cnp_new(session, "guest", CNP_I64);
    cnp_error error;
    cnp_any result;
    cnp_trap trap;
    cnp_code *compiled;
    cnp_parameter(f, CNP_I64);
    cnp_parameter(f, CNP_I64);
    cnp_translate(f, table, code, size, NULL, 0);
    if (!(compiled = cnp_compile(session, &f, 1, &error)))
        printf("%s\n", error.message);
    else if (cnp_call(compiled, 0, arguments, &result, &trap))
        printf("%s at %lld\n", trap.reason, (long long)cnp_bytecode_offset(f, trap.op));
    else
        printf("%lld\n", (long long)result.i64);
    cnp_free(compiled);
    cnp_delete(f);
}

static int stop_after(void *polls) { return ++*(int *)polls % 100 == 0; } /* noise may run for ever */

int main(void) {
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
        run(session, letter == 'w' ? &cnp_bytecode_words : &cnp_bytecode_bytes, copy, size, arguments);
        free(copy);
    }
    cnp_close(session);
    return session == NULL;
}
