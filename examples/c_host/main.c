/* A small stack machine whose hot loops are compiled by cnp: what an interpreter's author has to write. Made and run by
 *
 *     cnp export-c && cc -O2 main.c cnp.c -I. -lpthread && ./a.out
 *
 * The interpreter counts jumps back. A hot loop is compiled and entered with the variables as they are. Compiled code knows
 * numbers and jumps: a division by zero, printing and returning are side exits, where the interpreter goes on. Both take the
 * ticks of one budget. */
#include "cnp.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- the guest ---- */

enum op { PUSH, LOAD, STORE, ADD, MUL, DIV, REM, LESS, JUMP, JUMP_UNLESS, PRINT, RETURN };
enum variable { N, I, TOTAL, VARIABLES };
enum { DEEPEST = 8, LONGEST = 32 };

/* Jumps and their destinations find the stack empty. */
struct instruction {
    enum op op;
    int64_t argument; /* a number, a variable, or the instruction to jump to */
};

/* The sum of i * i / (i % 1000) for i below n. What is divided by zero gives zero. */
static const struct instruction quotients[] = {
    {LOAD, I},     {LOAD, N}, {LESS, 0}, {JUMP_UNLESS, 19},                                 /* while i < n */
    {LOAD, TOTAL}, {LOAD, I}, {LOAD, I}, {MUL, 0}, {LOAD, I}, {PUSH, 1000}, {REM, 0},       /* total += */
    {DIV, 0},      {ADD, 0},  {STORE, TOTAL},                                               /* i * i / (i % 1000) */
    {LOAD, I},     {PUSH, 1}, {ADD, 0},  {STORE, I},                                        /* i += 1 */
    {JUMP, 0},     {LOAD, TOTAL},        {PRINT, 0},      {LOAD, TOTAL},    {RETURN, 0},
};
static const struct instruction endless[] = {{JUMP, 0}};
#define LENGTH(program) (sizeof program / sizeof *program)

/* ---- the machine ---- */

enum { HOT = 100, USELESS = 5000 }; /* jumps back until a loop is compiled; exits until its code is given up, for good */

struct machine {
    cnp_session *session; /* NULL: everything is interpreted */
    const struct instruction *program;
    size_t length;
    cnp_any variable[VARIABLES], stack[DEEPEST]; /* as compiled code takes and leaves them */
    size_t depth, at;                            /* of the stack; the next instruction */
    struct loop {
        int count, exits;
        cnp_code *code;
    } loop[LONGEST]; /* by the instruction it begins with */
    int compiled, left;
    const char *stopped; /* why */
};

/* ---- compiled: each place on the stack is a register ---- */

/* What goes on here is the interpreter, once compiled code has returned. */
static int leave(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    struct machine *m = values[0].address;
    (void)result; /* the function has none */
    m->at = (size_t)((const struct instruction *)point - m->program);
    m->depth = n - 1 - VARIABLES;
    memcpy(m->variable, values + 1, sizeof m->variable);
    memcpy(m->stack, values + 1 + VARIABLES, m->depth * sizeof *m->stack);
    return 0;
}

/* The loop that begins with an instruction, and all that can be reached from it. */
static cnp_code *compile(struct machine *m, size_t head) {
    cnp_function *f = cnp_new(m->session, "guest", CNP_VOID), *entered;
    cnp_value state[1 + VARIABLES + DEEPEST], *variable = state + 1, *top = variable + VARIABLES, outcome;
    cnp_label label[LONGEST], out;
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_code *code = NULL;
    if (!f)
        return NULL;
    outcome = cnp_register(f, CNP_I32);
    state[0] = cnp_const_address(m);
    for (size_t k = 1; k < sizeof state / sizeof *state; k++)
        state[k] = cnp_register(f, CNP_I64);
    for (size_t k = 0; k < m->length; k++)
        label[k] = cnp_new_label(f);
    for (size_t k = 0; k < m->length; k++) {
        const struct instruction *i = &m->program[k];
        out = cnp_exit(f, leave, (void *)(uintptr_t)i, state, (size_t)(top - state));
        cnp_place(f, label[k]);
        switch (i->op) {
        case PUSH: cnp_move(f, *top++, cnp_const_i64(i->argument)); break;
        case LOAD: cnp_move(f, *top++, variable[i->argument]); break;
        case STORE: cnp_move(f, variable[i->argument], *--top); break;
        case ADD: top--, cnp_i64_add(f, top[-1], top[-1], *top); break;
        case MUL: top--, cnp_i64_mul(f, top[-1], top[-1], *top); break;
        case DIV:
        case REM: /* with everything still on the stack where it is left */
            cnp_branch_i64_eqz(f, *--top, out);
            i->op == DIV ? cnp_i64_div_s(f, top[-1], top[-1], *top) : cnp_i64_rem_s(f, top[-1], top[-1], *top);
            break;
        case LESS: top--, cnp_i64_lt_s(f, outcome, top[-1], *top), cnp_i64_extend_i32_u(f, top[-1], outcome); break;
        case JUMP: cnp_jump(f, label[i->argument]); break;
        case JUMP_UNLESS: cnp_branch_i64_eqz(f, *--top, label[i->argument]); break;
        case PRINT:
        case RETURN: cnp_jump(f, out), top--; break;
        }
    }
    entered = cnp_entered_at(f, label[head], variable, VARIABLES);
    if (entered && !(code = cnp_compile(m->session, &entered, 1, &error)))
        fprintf(stderr, "%s\n", error.message); /* it is interpreted, then */
    cnp_delete(f);
    cnp_delete(entered);
    return code;
}

/* ---- interpreted ---- */

/* A jump back: takes a tick, and may compile the loop and run it. 0 if that ends the machine. */
static int jump_back(struct machine *m, size_t to) {
    struct loop *loop = &m->loop[to];
    int64_t fuel = m->session ? cnp_fuel(m->session, -1) : 0;
    cnp_any argument;
    cnp_trap trap;
    m->at = to;
    if (!m->session)
        return 1;
    if (cnp_fuel(m->session, fuel - 1) <= 0)
        return m->stopped = "out of fuel", 0;
    if (!loop->code && ++loop->count == HOT)
        m->compiled += (loop->code = compile(m, to)) != NULL;
    if (!loop->code)
        return 1;
    argument.address = m->variable;
    if (cnp_call(loop->code, 0, &argument, NULL, &trap))
        return m->stopped = trap.reason, 0;
    m->left++;
    if (++loop->exits == USELESS)
        cnp_free(loop->code), loop->code = NULL;
    return 1;
}

/* 1, and a result, if the guest returns. */
static int run(struct machine *m, int64_t *result) {
    for (;;) {
        const struct instruction *i = &m->program[m->at++];
        cnp_any *top = m->stack + m->depth; /* the operands end here */
        switch (i->op) {
        case PUSH: top[0].i64 = i->argument, m->depth++; break;
        case LOAD: top[0] = m->variable[i->argument], m->depth++; break;
        case STORE: m->variable[i->argument] = top[-1], m->depth--; break;
        case ADD: top[-2].i64 += top[-1].i64, m->depth--; break;
        case MUL: top[-2].i64 *= top[-1].i64, m->depth--; break;
        case DIV: top[-2].i64 = top[-1].i64 ? top[-2].i64 / top[-1].i64 : 0, m->depth--; break;
        case REM: top[-2].i64 = top[-1].i64 ? top[-2].i64 % top[-1].i64 : 0, m->depth--; break;
        case LESS: top[-2].i64 = top[-2].i64 < top[-1].i64, m->depth--; break;
        case JUMP_UNLESS:
            m->depth--;
            if (top[-1].i64)
                break;
            /* fall through */
        case JUMP:
            if ((size_t)i->argument >= m->at)
                m->at = (size_t)i->argument;
            else if (!jump_back(m, (size_t)i->argument))
                return 0;
            break;
        case PRINT: printf("the guest prints %" PRId64 "\n", top[-1].i64), m->depth--; break;
        case RETURN: *result = top[-1].i64; return 1;
        }
    }
}

/* 0 if it did not return. */
static int64_t start(cnp_session *session, const struct instruction *program, size_t length, int64_t n) {
    struct machine m = {.session = session, .program = program, .length = length, .variable = {[N] = {.i64 = n}}};
    int64_t result = 0;
    printf("%s: ", session ? "with a JIT" : "interpreted");
    if (!run(&m, &result))
        printf("%s\n", m.stopped);
    if (session)
        printf("loops compiled: %d, exits taken: %d, ticks left: %" PRId64 "\n", m.compiled, m.left, cnp_fuel(session, -1));
    for (size_t k = 0; k < LONGEST; k++)
        cnp_free(m.loop[k].code);
    return result;
}

/* With the word `once` for processors that do not see what is written through another mapping: emulators, mostly. */
int main(int n, char **words) {
    enum { ROUNDS = 100000, BUDGET = 1000000 };
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_options options = {.one_mapping = n > 1 && !strcmp(words[1], "once")};
    cnp_session *session = cnp_open(&options, &error);
    if (!session)
        return fprintf(stderr, "%s\n", error.message), 1;
    int64_t expected = start(NULL, quotients, LENGTH(quotients), ROUNDS);
    cnp_fuel(session, BUDGET);
    int64_t found = start(session, quotients, LENGTH(quotients), ROUNDS);
    printf("%s\n", found == expected ? "the same" : "DIFFERENT");
    start(session, endless, LENGTH(endless), 0); /* until the budget is spent */
    cnp_close(session);
    return found != expected;
}
