/* Guest programs of varints and tables from standard input, a line each: two arguments, and the bytecode as hexadecimal digits.
 * For each the result, or what is wrong. */
#include "cnp.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONGEST = 4096 };

static int stop_after(void *polls) { return ++*(int *)polls % 100 == 0; } /* what is damaged may run for ever */

static void run(cnp_session *session, const void *code, size_t size, const cnp_any *arguments) {
    cnp_function *f = cnp_new(session, "guest", CNP_I64);
    cnp_error error;
    cnp_any result;
    cnp_trap trap;
    cnp_code *compiled;
    cnp_parameter(f, CNP_I64);
    cnp_parameter(f, CNP_I64);
    cnp_translate(f, &cnp_bytecode_table, code, size, NULL);
    if (!(compiled = cnp_compile(session, &f, 1, &error)))
        printf("%s\n", error.message);
    else if (cnp_call(compiled, 0, arguments, &result, &trap))
        printf("%s at %lld\n", trap.reason, (long long)cnp_bytecode_offset(f, trap.op));
    else
        printf("%lld\n", (long long)result.i64);
    cnp_free(compiled);
    cnp_delete(f);
}

int main(void) {
    static char digits[2 * LONGEST + 1];
    int polls = 0;
    cnp_options options = {0, stop_after, NULL, &polls, 0};
    cnp_session *session = cnp_open(&options, NULL);
    cnp_any arguments[2];
    long long a, b;
    while (session && scanf("%lld %lld %8192s", &a, &b, digits) == 3) {
        size_t size = strlen(digits) / 2;
        unsigned char *code = malloc(size ? size : 1); /* of that size, so that a sanitizer sees what reads past the end */
        if (!code)
            return 1;
        for (size_t k = 0; k < size; k++) {
            char pair[3] = {digits[2 * k], digits[2 * k + 1], 0};
            code[k] = (unsigned char)strtoul(pair, NULL, 16);
        }
        arguments[0].i64 = a, arguments[1].i64 = b;
        run(session, code, size, arguments);
        free(code);
    }
    cnp_close(session);
    return session == NULL;
}
