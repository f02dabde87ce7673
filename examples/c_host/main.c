/* A small stack machine, interpreted, then compiled by cnp: what an interpreter's author has to write. Made and run by
 *
 *     cnp export-c && cc -O2 main.c cnp.c -I. -lpthread && ./a.out
 */
#include "cnp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- the guest ---- */

enum op { PUSH, LOAD, STORE, ADD, MUL, DIV, LESS, JUMP, JUMP_UNLESS, PRINT, RETURN };
enum variable { N, D, I, TOTAL, VARIABLES };
enum { DEEPEST = 8, LONGEST = 64 };

/* Jumps and their destinations find the stack empty. */
struct instruction {
    enum op op;
    int64_t argument; /* a number, a variable, or the instruction to jump to */
};

/* The sum of i * i / d for i below n. */
static const struct instruction quotients[] = {
    {LOAD, I},     {LOAD, N}, {LESS, 0}, {JUMP_UNLESS, 17},                                       /* while i < n */
    {LOAD, TOTAL}, {LOAD, I}, {LOAD, I}, {MUL, 0}, {LOAD, D}, {DIV, 0}, {ADD, 0}, {STORE, TOTAL}, /* total += i * i / d */
    {LOAD, I},     {PUSH, 1}, {ADD, 0},  {STORE, I},                                              /* i += 1 */
    {JUMP, 0},     {LOAD, TOTAL},        {PRINT, 0},      {LOAD, TOTAL},    {RETURN, 0},
};
static const struct instruction endless[] = {{JUMP, 0}};
#define LENGTH(program) (sizeof program / sizeof *program)

static void print(int64_t x) { printf("the guest prints %" PRId64 "\n", x); }

/* ---- interpreted ---- */

static int64_t interpret(const struct instruction *program, int64_t n, int64_t d) {
    int64_t variable[VARIABLES] = {n, d, 0, 0}, stack[DEEPEST], *top = stack;
    for (const struct instruction *at = program;; at++)
        switch (at->op) {
        case PUSH: *top++ = at->argument; break;
        case LOAD: *top++ = variable[at->argument]; break;
        case STORE: variable[at->argument] = *--top; break;
        case ADD: top--, top[-1] += *top; break;
        case MUL: top--, top[-1] *= *top; break;
        case DIV: top--, top[-1] /= *top; break;
        case LESS: top--, top[-1] = top[-1] < *top; break;
        case JUMP: at = program + at->argument - 1; break;
        case JUMP_UNLESS:
            if (!*--top)
                at = program + at->argument - 1;
            break;
        case PRINT: print(*--top); break;
        case RETURN: return *--top;
        }
}

/* ---- compiled: each place on the stack is a register ---- */

static cnp_function *translate(cnp_session *session, const char *name, const struct instruction *program, size_t length) {
    cnp_function *f = cnp_new(session, name, CNP_I64);
    cnp_value variable[VARIABLES], stack[DEEPEST], *top = stack;
    cnp_label label[LONGEST];
    if (!f)
        return NULL;
    for (int k = 0; k < VARIABLES; k++)
        variable[k] = k <= D ? cnp_parameter(f, CNP_I64) : cnp_register(f, CNP_I64);
    for (int k = 0; k < DEEPEST; k++)
        stack[k] = cnp_register(f, CNP_I64);
    for (size_t k = 0; k < length; k++)
        label[k] = cnp_new_label(f);
    cnp_move(f, variable[I], cnp_const_i64(0));
    cnp_move(f, variable[TOTAL], cnp_const_i64(0));
    for (size_t k = 0; k < length; k++) {
        int64_t argument = program[k].argument;
        cnp_place(f, label[k]);
        switch (program[k].op) {
        case PUSH: cnp_move(f, *top++, cnp_const_i64(argument)); break;
        case LOAD: cnp_move(f, *top++, variable[argument]); break;
        case STORE: cnp_move(f, variable[argument], *--top); break;
        case ADD: top--, cnp_i64_add(f, top[-1], top[-1], *top); break;
        case MUL: top--, cnp_i64_mul(f, top[-1], top[-1], *top); break;
        case DIV: top--, cnp_i64_div_s(f, top[-1], top[-1], *top); break;
        case LESS: { /* of an i32; an i64 lies on the stack */
            cnp_value outcome = cnp_register(f, CNP_I32);
            top--;
            cnp_i64_lt_s(f, outcome, top[-1], *top);
            cnp_i64_extend_i32_u(f, top[-1], outcome);
            break;
        }
        case JUMP: cnp_jump(f, label[argument]); break;
        case JUMP_UNLESS: cnp_branch_i64_eqz(f, *--top, label[argument]); break;
        case PRINT: cnp_call_c(f, cnp_none(), (cnp_c_function)print, --top, 1); break;
        case RETURN: cnp_ret(f, *--top); break;
        }
    }
    return f;
}

/* ---- both, side by side ---- */

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static int stop(void *polls) { return ++*(int *)polls == 100; }

int main(void) {
    enum { ROUNDS = 1000000 };
    int polls = 0;
    cnp_options options = {0, stop, NULL, NULL, 0};
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_session *session;
    cnp_function *functions[2];
    cnp_code *code;
    cnp_any arguments[2];
    cnp_trap trap;

    options.data = &polls;
    if (!(session = cnp_open(&options, &error))) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    functions[0] = translate(session, "quotients", quotients, LENGTH(quotients));
    functions[1] = translate(session, "endless", endless, LENGTH(endless));
    code = functions[0] && functions[1] ? cnp_compile(session, functions, 2, &error) : NULL;
    cnp_delete(functions[0]);
    cnp_delete(functions[1]);
    if (!code) {
        fprintf(stderr, "%s\n", error.message);
        cnp_close(session);
        return 1;
    }

    /* By a function pointer, as any C function. Polls are not counted here. */
    int64_t (*compiled)(int64_t, int64_t) = (int64_t(*)(int64_t, int64_t))cnp_pointer(code, 0);
    double start = seconds();
    int64_t expected = interpret(quotients, ROUNDS, 7);
    double middle = seconds();
    polls = -1000000;
    int64_t found = compiled(ROUNDS, 7);
    double end = seconds();
    printf("interpreted and compiled: %s\n", found == expected ? "the same" : "DIFFERENT");
    fprintf(stderr, "%.1f ms interpreted, %.1f ms compiled\n", (middle - start) * 1e3, (end - middle) * 1e3);

    /* Where it may trap, so that the program is told. */
    arguments[N].i64 = 10, arguments[D].i64 = 0;
    if (cnp_call(code, 0, arguments, NULL, &trap))
        printf("%s in function %s at op %u\n", trap.reason, trap.function, (unsigned)trap.op);

    polls = 0;
    if (cnp_call(code, 1, arguments, NULL, &trap))
        printf("%s in function %s after %d polls\n", trap.reason, trap.function, polls);

    cnp_free(code);
    cnp_close(session);
    return found != expected;
}
