/* A small stack machine whose hot loops are compiled by cnp: what an interpreter's author has to write, besides the table of its
 * instructions, table.py. Made and run in this directory by
 *
 *     cnp export-c --bytecode table:GUEST && cc -O2 main.c cnp.c -I. -lpthread && ./a.out
 *
 * A program is checked once, before it runs. The interpreter reports jumps back; a hot loop is compiled from its bytecode, and
 * entered with the variables as they are. Compiled code knows numbers and jumps: a division by zero and returning are side exits,
 * where the interpreter goes on. Both take the ticks of one budget. */
#include "cnp.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- the guest ---- */

enum op { PUSH, LOAD, STORE, ADD, REM, LESS, JUMP, JUMP_UNLESS, RETURN, OPS };
static const unsigned char pops[OPS] = {0, 0, 1, 2, 2, 2, 0, 1, 1}, pushes[OPS] = {1, 1, 0, 1, 1, 1, 0, 0, 0};
enum { N, I, TOTAL, VARIABLES, DEEPEST = 8, LONGEST = 32 };
#define LENGTH(program) (sizeof program / sizeof *program)

struct instruction { /* two bytes each: an enum op; a number, a variable, or the instruction to jump to */
    uint16_t op, argument;
};

/* The sum of i % (i % 1000) for i below n. The remainder by zero is zero. */
static const struct instruction remainders[] = {
    {LOAD, I}, {LOAD, N}, {LESS, 0}, {JUMP_UNLESS, 17},                                              /* while i < n */
    {LOAD, TOTAL}, {LOAD, I}, {LOAD, I}, {PUSH, 1000}, {REM, 0}, {REM, 0}, {ADD, 0}, {STORE, TOTAL}, /* total += */
    {LOAD, I}, {PUSH, 1}, {ADD, 0}, {STORE, I}, {JUMP, 0},                                           /* i += 1 */
    {LOAD, TOTAL}, {RETURN, 0},
};
static const struct instruction endless[] = {{JUMP, 0}};
static const struct instruction careless[] = {{LOAD, I}, {JUMP_UNLESS, 3}, {LOAD, N}, {ADD, 0}, {RETURN, 0}};

/* What is wrong with a program, and in `at` where; NULL if it stays within its code, stack and variables. Jumps and their
 * destinations have to find the stack empty. */
static const char *check(const struct instruction *program, size_t length, size_t *at) {
    size_t depth[LONGEST + 1] = {0};
    for (*at = 0; *at < length; ++*at) {
        const struct instruction *i = &program[*at];
        if (*at == LONGEST || i->op >= OPS || ((i->op == LOAD || i->op == STORE) && i->argument >= VARIABLES))
            return "one too many, or no such op or variable";
        if (depth[*at] < pops[i->op] || depth[*at] - pops[i->op] + pushes[i->op] > DEEPEST)
            return "too little on the stack, or too much";
        depth[*at + 1] = i->op == RETURN ? 0 : depth[*at] - pops[i->op] + pushes[i->op];
    }
    if (!length || (program[length - 1].op != JUMP && program[length - 1].op != RETURN))
        return "the last one goes on";
    for (*at = 0; *at < length; ++*at)
        if ((program[*at].op == JUMP || program[*at].op == JUMP_UNLESS) &&
            (program[*at].argument >= length || depth[program[*at].argument] || depth[*at + 1]))
            return "a jump out of the program, or not with an empty stack";
    return NULL;
}

/* ---- the machine ---- */

struct machine {
    cnp_session *session;
    cnp_tiered *tier; /* counts, and has the code of loops */
    const struct instruction *program;
    size_t length;
    uint64_t variable[VARIABLES], stack[DEEPEST];
    size_t depth, at;    /* of the stack; the next instruction */
    const char *stopped; /* why */
};

/* ---- compiled: each place on the stack is a register ---- */

/* What goes on is the interpreter, once compiled code has returned: at an instruction, with all of its operands on the stack. */
static int leave(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    const cnp_guest_point *left = point;
    struct machine *m = left->data;
    (void)result; /* the function has none */
    m->at = (size_t)left->offset / sizeof *m->program;
    m->depth = n - VARIABLES;
    memcpy(m->variable, values, sizeof m->variable);
    memcpy(m->stack, values + VARIABLES, m->depth * sizeof *m->stack);
    return 0;
}

/* The loop that begins with an instruction, and all that can be reached from it. */
static cnp_code *compile(void *machine, int64_t head, cnp_error *error) {
    struct machine *m = machine;
    const cnp_guest guest = {.handler = leave, .data = m};
    cnp_function *f = cnp_new(m->session, "guest", CNP_VOID), *entered;
    cnp_value variable[VARIABLES];
    cnp_code *code;
    if (!f)
        return NULL;
    cnp_translate(f, &cnp_bytecode_guest, m->program, m->length * sizeof *m->program, &guest);
    cnp_registers(f, CNP_FILE_GUEST_VARIABLES, variable, VARIABLES);
    entered = cnp_entered_at(f, cnp_label_at(f, (uint64_t)head * sizeof *m->program), variable, VARIABLES);
    code = entered ? cnp_compile(m->session, &entered, 1, error) : NULL;
    cnp_delete(f), cnp_delete(entered);
    return code;
}

/* ---- interpreted ---- */

/* A jump back takes a tick, and may compile the loop and run it. 0 if that ends the machine. */
static int jump(struct machine *m, size_t to) {
    int is_back = to < m->at;
    cnp_code *code;
    cnp_any argument;
    cnp_trap trap;
    m->at = to;
    if (is_back && cnp_fuel(m->session, cnp_fuel(m->session, -1) - 1) <= 0)
        return m->stopped = "out of fuel", 0;
    if (!is_back || !(code = cnp_looped(m->tier, (int64_t)to)))
        return 1;
    argument.address = m->variable;
    if (cnp_call(code, 0, &argument, NULL, &trap))
        return m->stopped = trap.reason, 0;
    cnp_left(m->tier);
    return 1;
}

/* 1 if the guest returns what is on top of the stack. */
static int run(struct machine *m) {
    for (;;) {
        const struct instruction *i = &m->program[m->at++];
        uint64_t *top = m->stack + m->depth; /* the operands end here */
        switch (i->op) {
        case PUSH: top[0] = i->argument, m->depth++; break;
        case LOAD: top[0] = m->variable[i->argument], m->depth++; break;
        case STORE: m->variable[i->argument] = top[-1], m->depth--; break;
        case ADD: top[-2] += top[-1], m->depth--; break;
        case REM: top[-2] = top[-1] ? top[-2] % top[-1] : 0, m->depth--; break;
        case LESS: top[-2] = top[-2] < top[-1], m->depth--; break;
        case JUMP_UNLESS:
            if (m->depth--, top[-1])
                break;
            /* fall through */
        case JUMP:
            if (!jump(m, (size_t)i->argument))
                return 0;
            break;
        default: return 1;
        }
    }
}

/* 0 if it did not return. */
static uint64_t start(cnp_session *session, int64_t hot, const struct instruction *program, size_t length, uint64_t n) {
    struct machine m = {.session = session, .program = program, .length = length, .variable = {[N] = n}};
    const cnp_policy policy = {.loops = hot, .exits = 5000, .attempts = 1}; /* code that useless is given up, for good */
    const cnp_tier_host host = {.compile = compile, .data = &m};
    const char *wrong = check(program, length, &m.at);
    cnp_counts counts;
    m.tier = wrong ? NULL : cnp_new_tiered(session, &policy, &host);
    if (!m.tier)
        return printf("instruction %d: %s\n", (int)m.at, wrong ? wrong : "there is no memory"), 0;
    m.at = 0;
    printf("%s: ", run(&m) ? "returned" : m.stopped);
    counts = cnp_tiered_counts(m.tier);
    printf("%d jumps back, %d exits, %d ticks left\n", (int)counts.loops, (int)counts.exits, (int)cnp_fuel(session, -1));
    cnp_delete_tiered(m.tier); /* and its code */
    return m.depth ? m.stack[m.depth - 1] : 0;
}

/* With the word `once` for processors that do not see what is written through another mapping: emulators, mostly. */
int main(int n, char **words) {
    enum { ROUNDS = 100000, BUDGET = 1000000, HOT = 100 /* jumps back */ };
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_options options = {.one_mapping = n > 1 && !strcmp(words[1], "once")};
    cnp_session *session = cnp_open(&options, &error);
    uint64_t expected, found;
    if (!session)
        return fprintf(stderr, "%s\n", error.message), 1;
    cnp_fuel(session, BUDGET);
    expected = start(session, INT64_MAX, remainders, LENGTH(remainders), ROUNDS); /* interpreted */
    cnp_fuel(session, BUDGET);
    found = start(session, HOT, remainders, LENGTH(remainders), ROUNDS);
    printf("%" PRIu64 " and %" PRIu64 "\n", expected, found);
    start(session, HOT, endless, LENGTH(endless), 0); /* until the budget is spent */
    start(session, HOT, careless, LENGTH(careless), 0);
    cnp_close(session);
    return found != expected;
}
