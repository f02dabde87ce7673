/* Random programs for the machine of examples/c_host: what its check refuses it explains; what it accepts runs, interpreted and
 * compiled, and comes to the same. Prints how many were accepted, refused, and compiled. */
#define main main_of_example
#include "../../examples/c_host/main.c"
#undef main

#include <stdlib.h>

static struct instruction code[LONGEST + 2];
static size_t length, first[LONGEST];

static uint64_t below(uint64_t n) { return (uint64_t)rand() % n; }
static void put(enum op op, uint64_t argument) { code[length++] = (struct instruction){(uint16_t)op, (uint16_t)argument}; }
static void put_value(void) { below(3) ? put(LOAD, below(VARIABLES)) : put(PUSH, below(4)); }

/* Assignments and jumps to their beginnings, with something wrong in every second program. */
static void make_program(void) {
    size_t n = 1 + below(5);
    length = 0;
    for (size_t k = 0; k < n; k++) {
        first[k] = length;
        put_value(), put_value();
        put(below(2) ? LESS : below(3) ? ADD : REM, 0);
        below(3) ? put(STORE, below(VARIABLES)) : put(JUMP_UNLESS, below(n));
    }
    first[n] = length;
    below(4) ? put(LOAD, TOTAL), put(RETURN, 0) : put(JUMP, below(n));
    for (size_t k = 0; k < length; k++)
        if (code[k].op == JUMP || code[k].op == JUMP_UNLESS)
            code[k].argument = (uint16_t)first[code[k].argument];
    if (below(2))
        code[below(length)] = (struct instruction){(uint16_t)below(OPS + 1), (uint16_t)below(LONGEST)};
    if (!below(9))
        length = below(length + 1);
}

int main(int n, char **words) {
    enum { PROGRAMS = 5000, ENOUGH = 1000 };
    cnp_session *session = cnp_open(&(cnp_options){.one_mapping = n > 1 && !strcmp(words[1], "once")}, NULL);
    int accepted = 0, refused = 0;
    for (int seed = 1; session && seed <= PROGRAMS; seed++) {
        uint64_t argument, interpreted, compiled;
        const char *wrong;
        size_t at;
        srand((unsigned)seed);
        make_program();
        argument = below(60);
        wrong = check(code, length, &at);
        if (wrong && *wrong && at <= length)
            refused++;
        if (wrong)
            continue;
        accepted++;
        cnp_fuel(session, ENOUGH);
        interpreted = start(session, INT64_MAX, code, length, argument);
        cnp_fuel(session, ENOUGH);
        compiled = start(session, 3, code, length, argument);
        if (interpreted != compiled) {
            fprintf(stderr, "seed %d: %d and %d\n", seed, (int)interpreted, (int)compiled);
            return 1;
        }
    }
    fprintf(stderr, "%d %d\n", accepted, refused);
    cnp_close(session);
    return accepted + refused != PROGRAMS;
}
