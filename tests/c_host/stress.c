/* Four threads run guest bytecode, interpreted and compiled by a table: they enter its loop, call through inline caches, and are
 * left at guards. Meanwhile another exchanges the targets of all calls, breaks what they depend on, and retires or frees code.
 * Every result must be what plain C gives. The table is in guest_calls.py. */
#include "check.h"

#include <pthread.h>
#include <sched.h>

enum { PUSH = 1, GET, SET, ADD, MULTIPLY, REMAINDER, SEND, AT_GUARD, SMALL, EQUAL, LOOP, STOP, RETURN };
enum { N, X, TOTAL, KEY, LOCALS, DEPTH = 4, KEYS = 3, SITES = 2, THREADS = 4, CHANGES = 240, ROUNDS = 40 };

/* Adds what both sites give for x % 3 and x, x + 1, ..., n times. */
static const unsigned char program[] = {
    AT_GUARD, 0, GET, X, PUSH, KEYS, REMAINDER, SET, KEY, GET, KEY, GET, X, SEND, 0, GET, TOTAL, ADD, SET, TOTAL, GET, KEY, GET, X,
    SEND, 1, GET, TOTAL, ADD, SMALL, 1, SET, TOTAL, GET, X, PUSH, 1, ADD, SET, X, LOOP, N, (unsigned char)-40, STOP};

/* What a site's targets give: x * (2 * key + 1) + key. */
static int64_t sent(int64_t key, int64_t x) { return x * (2 * key + 1) + key; }

static int64_t expected(int64_t n, int64_t x) {
    int64_t total = 0;
    for (; n; n--, x++)
        total += SITES * sent(x % KEYS, x);
    return total;
}

/* What all threads share. What sites and the entry have comes from the one who exchanges it. */
struct shared {
    cnp_session *session;
    cnp_cell *site[SITES], *entry;
    const cnp_code *send[SITES], *enter; /* that call these */
    cnp_code *miss, *stay, *target[SITES], *entered;
    cnp_assumption *of_targets, *of_program;
    cnp_data_cell limit, stop;
};

struct vm {
    const struct shared *shared;
    int64_t local[LOCALS], stack[DEPTH], depth;
    uint64_t at;
    int has_left;
    int64_t exits, misses, entries, wrong;
    cnp_data_cell visits;
};

/* ---- what goes on where compiled code is left ---- */

static int leave_program(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    struct vm *vm = values[0].address;
    (void)result; /* it has none */
    vm->at = ((const cnp_guest_point *)point)->offset;
    memcpy(vm->local, values + 1, sizeof vm->local);
    vm->depth = (int64_t)n - 1 - LOCALS;
    memcpy(vm->stack, values + 1 + LOCALS, (size_t)vm->depth * sizeof *vm->stack);
    vm->has_left = 1;
    vm->exits++;
    return 0;
}

static int leave_target(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    struct vm *vm = values[0].address;
    (void)point, (void)n;
    vm->misses++;
    result->i64 = sent(values[1].i64, values[2].i64);
    return 0;
}

/* ---- the interpreter ---- */

static int64_t send(struct vm *vm, int site, int64_t key, int64_t x) {
    cnp_any arguments[3], result = {0};
    arguments[0].address = vm, arguments[1].i64 = key, arguments[2].i64 = x;
    vm->wrong += cnp_call(vm->shared->send[site], 0, arguments, &result, NULL) != CNP_TRAP_NONE;
    return result.i64;
}

/* At a jump back: 1 if compiled code went on, and left. */
static int enter(struct vm *vm) {
    cnp_any values[1 + LOCALS], argument;
    values[0].address = vm;
    for (int k = 0; k < LOCALS; k++)
        values[1 + k].i64 = vm->local[k];
    argument.address = values;
    vm->has_left = 0;
    vm->wrong += cnp_call(vm->shared->enter, 0, &argument, NULL, NULL) != CNP_TRAP_NONE;
    vm->entries += vm->has_left;
    return vm->has_left;
}

static int64_t interpret(struct vm *vm) {
    for (;;) {
        const unsigned char *op = program + vm->at;
        int64_t *top = vm->stack + vm->depth;
        switch (*op) {
        case PUSH: top[0] = op[1], vm->depth++, vm->at += 2; break;
        case GET: top[0] = vm->local[op[1]], vm->depth++, vm->at += 2; break;
        case SET: vm->local[op[1]] = top[-1], vm->depth--, vm->at += 2; break;
        case ADD: top[-2] += top[-1], vm->depth--, vm->at++; break;
        case REMAINDER: top[-2] %= top[-1], vm->depth--, vm->at++; break;
        case SEND: top[-2] = send(vm, op[1], top[-2], top[-1]), vm->depth--, vm->at += 2; break;
        case LOOP:
            if (!--vm->local[op[1]])
                vm->at += 3;
            else if (vm->at = 0, enter(vm))
                continue;
            break;
        case STOP: return vm->local[TOTAL];
        default: vm->at += 2; break; /* guards are for compiled code */
        }
    }
}

static void *run_guest(void *data) {
    struct vm *vm = data;
    int64_t round = 0;
    while (!*(volatile const int64_t *)&vm->shared->stop.value) {
        int64_t x = round++ % 1000;
        vm->at = 0, vm->depth = 0;
        vm->local[N] = ROUNDS, vm->local[X] = x, vm->local[TOTAL] = vm->local[KEY] = 0;
        vm->wrong += interpret(vm) != expected(ROUNDS, x);
        cnp_set_data_cell(vm->shared->session, &vm->visits, round);
    }
    return NULL;
}

/* ---- what is compiled ---- */

static cnp_function *translated(struct shared *shared, const void *code, size_t size, cnp_type result, int parameters,
                                const cnp_guest *guest) {
    cnp_function *f = cnp_new(shared->session, "guest", result);
    for (int k = 0; k <= parameters; k++)
        cnp_parameter(f, CNP_I64);
    cnp_translate(f, &cnp_bytecode_stress, code, size, guest);
    return f;
}

/* A target for one key: for another one, or if what it depends on is broken, it is left. */
static cnp_code *special(struct shared *shared, int key) {
    const unsigned char code[] = {AT_GUARD, 0, GET, 0, PUSH, (unsigned char)key, EQUAL, GET, 1, PUSH, (unsigned char)(2 * key + 1),
                                  MULTIPLY, PUSH, (unsigned char)key, ADD, RETURN};
    const cnp_guest_cell cell = {NULL, shared->of_targets};
    const cnp_guest_size size = {CNP_FILE_STRESS_LOCAL, 2};
    const cnp_guest guest = {.cells = &cell, .n_cells = 1, .handler = leave_target, .sizes = &size, .n_sizes = 1};
    return compile_one(shared->session, translated(shared, code, sizeof code, CNP_I64, 2, &guest));
}

/* The program, entered in its loop. */
static cnp_code *entered(struct shared *shared) {
    const cnp_guest_callee callees[SITES] = {{.cell = shared->site[0]}, {.cell = shared->site[1]}};
    const cnp_guest_cell cells[2] = {{NULL, shared->of_program}, {&shared->limit, NULL}};
    const cnp_guest guest = {.callees = callees, .n_callees = SITES, .cells = cells, .n_cells = 2, .handler = leave_program};
    cnp_function *f = translated(shared, program, sizeof program, CNP_VOID, LOCALS, &guest), *entry;
    cnp_value live[1 + LOCALS];
    cnp_code *code;
    cnp_registers(f, CNP_FILE_STRESS_VM, live, 1);
    cnp_registers(f, CNP_FILE_STRESS_LOCAL, live + 1, LOCALS);
    entry = cnp_entered_at(f, cnp_label_at(f, 0), live, 1 + LOCALS);
    code = compile(shared->session, &entry, 1);
    cnp_delete(f), cnp_delete(entry);
    return code;
}

static int64_t general(int64_t vm, int64_t key, int64_t x) { return (void)vm, sent(key, x); }

/* What takes integers, and calls a cell, C, or nothing. */
static cnp_code *caller(cnp_session *session, cnp_type result, int n, const cnp_cell *cell, cnp_c_function c) {
    cnp_function *f = cnp_new(session, "caller", result);
    cnp_value parameters[3], d = cnp_none();
    for (int k = 0; k < n; k++)
        parameters[k] = cnp_parameter(f, CNP_I64);
    if (result != CNP_VOID)
        d = cnp_register(f, result);
    if (cell)
        cnp_call_cell(f, d, cell, parameters, (size_t)n);
    else if (c)
        cnp_call_c(f, d, c, parameters, (size_t)n);
    cnp_ret(f, d);
    return compile_one(session, f);
}

static void set_up(struct shared *shared) {
    *shared = (struct shared){.session = open_session(), .limit = {INT64_MAX}};
    shared->of_targets = cnp_new_assumption(shared->session), shared->of_program = cnp_new_assumption(shared->session);
    shared->miss = caller(shared->session, CNP_I64, 3, NULL, (cnp_c_function)general);
    shared->stay = caller(shared->session, CNP_VOID, 1, NULL, NULL);
    shared->entry = cnp_new_cell(shared->session, "entry", shared->stay, 0, NULL);
    shared->enter = caller(shared->session, CNP_VOID, 1, shared->entry, NULL);
    for (int k = 0; k < SITES; k++) {
        shared->site[k] = cnp_new_cell(shared->session, "site", shared->miss, 0, NULL);
        shared->send[k] = caller(shared->session, CNP_I64, 3, shared->site[k], NULL);
    }
}

/* ---- what changes meanwhile ---- */

static void change_site(struct shared *shared, int site, int key) {
    cnp_code *old = shared->target[site];
    shared->target[site] = special(shared, key);
    CHECK(cnp_set_cell(shared->site[site], shared->target[site], 0, NULL));
    cnp_retire(old);
}

static void change_entry(struct shared *shared) {
    cnp_code *old = shared->entered;
    shared->entered = entered(shared);
    CHECK(cnp_set_cell(shared->entry, shared->entered, 0, NULL));
    cnp_retire(old);
}

static void break_targets(struct shared *shared) {
    cnp_invalidate(shared->of_targets); /* which resets the sites */
    for (int k = 0; k < SITES; k++) {
        CHECK(!shared->target[k] || !cnp_set_cell(shared->site[k], shared->target[k], 0, NULL));
        cnp_retire(shared->target[k]);
        shared->target[k] = NULL;
    }
    shared->of_targets = cnp_new_assumption(shared->session); /* threads may be at guards of the old one: the session frees it */
}

static void break_program(struct shared *shared) {
    cnp_invalidate(shared->of_program);
    cnp_retire(shared->entered);
    shared->entered = NULL;
    shared->of_program = cnp_new_assumption(shared->session);
}

static void change(struct shared *shared, int n) {
    switch (n % 8) {
    case 0:
    case 1:
    case 2:
    case 3: change_site(shared, n % SITES, n / 3 % KEYS); break;
    case 4: change_entry(shared); break;
    case 5: cnp_set_data_cell(shared->session, &shared->limit, n % 16 == 5 ? 500 : INT64_MAX); break;
    case 6: n % 3 ? break_targets(shared) : cnp_free(special(shared, 1)); break;
    default: n % 3 ? sched_yield() : (break_program(shared), 0); break;
    }
}

void stress(void) {
    struct shared shared;
    struct vm vm[THREADS];
    pthread_t thread[THREADS];
    set_up(&shared);
    memset(vm, 0, sizeof vm);
    for (int k = 0; k < THREADS; k++) {
        vm[k].shared = &shared;
        if (pthread_create(&thread[k], NULL, run_guest, &vm[k]))
            exit(1);
    }
    for (int n = 0; n < CHANGES; n++) {
        change(&shared, n);
        for (int k = 0; n % 100 == 99 && k < THREADS; k++) { /* all of them come along */
            int64_t before = *(volatile int64_t *)&vm[k].visits.value;
            while (*(volatile int64_t *)&vm[k].visits.value < before + 2)
                sched_yield();
        }
    }
    cnp_set_data_cell(shared.session, &shared.stop, 1);
    for (int k = 0; k < THREADS; k++) {
        pthread_join(thread[k], NULL);
        CHECK(vm[k].wrong == 0 && vm[k].exits > 10 && vm[k].misses > 10 && vm[k].entries > 10);
    }
    cnp_close(shared.session);
}
