/* Guards in guest bytecode: an interpreter of it goes on where compiled code leaves. The table is in guest_guards.py. */
#include "check.h"

enum { PUSH = 1, GET, SET, ADD, LOOP, ASK, TEST, RETURN, REFUSE_ZERO, LOCALS = 3, DEPTH = 4, MOST_LEFT = 8 };

/* Adds n, n - 1, ..., 1 and what is in cell 0, as long as assumption 1 holds. */
static const unsigned char sum[] = {TEST, 1,      GET, 1, GET, 0, ADD, SET, 1, LOOP, 0, (unsigned char)-7,
                                    ASK,  0,      GET, 1, ADD, RETURN};
enum { AT_TEST = 0, AT_ADD = 6, AT_LOOP = 9, AT_LAST_ADD = 16 };

struct guest {
    const unsigned char *code;
    cnp_data_cell cell, limit;
    uint64_t left[MOST_LEFT]; /* offsets */
    size_t n_left;
};

static int64_t interpret(const struct guest *guest, uint64_t at, int64_t *local, int64_t *stack, size_t depth) {
    for (;;) {
        const unsigned char *op = guest->code + at;
        switch (*op) {
        case PUSH: stack[depth++] = op[1], at += 2; break;
        case GET: stack[depth++] = local[op[1]], at += 2; break;
        case SET: local[op[1]] = stack[--depth], at += 2; break;
        case ADD: depth--, stack[depth - 1] += stack[depth], at++; break;
        case LOOP: at = --local[op[1]] ? at + op[2] - 256 : at + 3; break;
        case ASK: stack[depth++] = guest->cell.value, at += 2; break;
        case TEST: at += 2; break;
        default: return stack[depth - 1];
        }
    }
}

static int go_on(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    const cnp_guest_point *at = point;
    struct guest *guest = at->data;
    int64_t local[LOCALS], stack[DEPTH];
    CHECK(n >= 1 + LOCALS && n <= 1 + LOCALS + DEPTH && values[0].f64 == 0.5 && guest->n_left < MOST_LEFT);
    for (size_t k = 0; k < LOCALS; k++)
        local[k] = values[1 + k].i64;
    for (size_t k = 1 + LOCALS; k < n; k++)
        stack[k - 1 - LOCALS] = values[k].i64;
    guest->left[guest->n_left++] = at->offset;
    result->i64 = interpret(guest, at->offset, local, stack, n - 1 - LOCALS);
    return 0;
}

/* Everything that a function of a table refers to, for one of `sum`. */
struct setting {
    cnp_session *session;
    cnp_assumption *numbered, *unread, *named;
    cnp_guest_cell of_table[2], cells[3];
    struct guest guest;
    cnp_guest refers;
};

static void set_up(struct setting *s) {
    memset(s, 0, sizeof *s);
    s->session = open_session();
    s->numbered = cnp_new_assumption(s->session), s->unread = cnp_new_assumption(s->session);
    s->named = cnp_new_assumption(s->session);
    s->guest.code = sum;
    s->guest.cell.value = 1000, s->guest.limit.value = INT64_MAX;
    s->cells[0].data = &s->guest.cell, s->cells[1].assumption = s->numbered;
    s->cells[2].assumption = s->unread;
    s->of_table[0].data = &s->guest.limit, s->of_table[1].assumption = s->named;
    s->refers.cells = s->cells, s->refers.n_cells = 3;
    s->refers.named = s->of_table, s->refers.n_named = 2;
    s->refers.handler = go_on, s->refers.data = &s->guest;
}

static cnp_function *translated(const struct setting *s, const void *code, size_t size) {
    cnp_function *f = cnp_new(s->session, "guest", CNP_I64);
    cnp_parameter(f, CNP_I64);
    cnp_translate(f, &cnp_bytecode_guards, code, size, &s->refers);
    return f;
}

static int64_t run(const cnp_code *code, int64_t n) {
    cnp_any argument, result = {0};
    argument.i64 = n;
    CHECK(cnp_call(code, 0, &argument, &result, NULL) == CNP_TRAP_NONE);
    return result.i64;
}

static void expect_left(struct setting *s, const uint64_t *offsets, size_t n) {
    CHECK(s->guest.n_left == n && (!n || !memcmp(s->guest.left, offsets, n * sizeof *offsets)));
    s->guest.n_left = 0;
}

void guards(void) {
    struct setting s;
    cnp_code *code;
    cnp_exit_place place;
    cnp_value_place value;
    static const uint64_t adds[] = {AT_ADD, AT_ADD, AT_LAST_ADD};
    static const struct {
        uint64_t offset;
        size_t n_values;
    } exits[] = {{AT_TEST, 4}, {AT_ADD, 6}, {AT_LOOP, 4}, {AT_LAST_ADD, 6}};
    set_up(&s);
    code = compile_one(s.session, translated(&s, sum, sizeof sum));
    memset(s.cells, 0, sizeof s.cells), memset(s.of_table, 0, sizeof s.of_table); /* they have been copied */
    CHECK(run(code, 100) == 6050);
    expect_left(&s, NULL, 0);
    cnp_set_data_cell(s.session, &s.guest.cell, -50); /* compiled code sees it */
    CHECK(run(code, 100) == 5000);
    expect_left(&s, NULL, 0);
    cnp_set_data_cell(s.session, &s.guest.limit, 4000);
    CHECK(run(code, 100) == 5000 && run(code, 1000) == 500450 && run(code, 10) == 5);
    cnp_set_data_cell(s.session, &s.guest.cell, 5000);
    CHECK(run(code, 10) == 5055);
    expect_left(&s, adds, 3);
    for (size_t k = 0; k < 4; k++) {
        CHECK(cnp_exit_at(code, 0, k, &place) && place.n_values == exits[k].n_values && place.offset < cnp_code_size(code, 0));
        CHECK(((cnp_guest_point *)place.point)->offset == exits[k].offset);
        CHECK(((cnp_guest_point *)place.point)->data == &s.guest);
    }
    CHECK(!cnp_exit_at(code, 0, 4, &place));
    CHECK(cnp_exit_value_at(code, 0, 1, 0, &value) && value.type == CNP_F64 && !value.is_constant);
    CHECK(cnp_exit_value_at(code, 0, 1, 5, &value) && value.type == CNP_I64 && !cnp_exit_value_at(code, 0, 1, 6, &value));
    cnp_free(code);
    cnp_close(s.session);
}

/* Code depends on what its instructions read: a cell that has it as its target is reset, or is not. */
void broken_guards(void) {
    struct setting s;
    cnp_code *code, *fallback;
    cnp_cell *cell;
    static const unsigned char plain[] = {GET, 0, RETURN};
    static const uint64_t numbered[] = {AT_TEST}, named[] = {AT_LOOP};
    for (int which = 0; which < 3; which++) {
        set_up(&s);
        code = compile_one(s.session, translated(&s, sum, sizeof sum));
        fallback = compile_one(s.session, translated(&s, plain, sizeof plain));
        cell = cnp_new_cell(s.session, "site", fallback, 0, NULL);
        CHECK(cnp_set_cell(cell, code, 0, NULL) && run(code, 4) == 1010);
        cnp_invalidate(which == 0 ? s.unread : which == 1 ? s.numbered : s.named);
        CHECK(run(code, 4) == 1010);
        expect_left(&s, which == 1 ? numbered : named, which != 0);
        CHECK(cnp_set_cell(cell, code, 0, NULL) == (which == 0) && cnp_set_cell(cell, fallback, 0, NULL));
        cnp_close(s.session);
    }
}

/* The interpreter enters the loop in round after round, with the registers that the exit at its end passes on; and goes on after
 * it, where it is left. */
void entered_guards(void) {
    enum { START = 2, N_LIVE = 1 + LOCALS };
    static const uint64_t left[] = {AT_LOOP};
    struct setting s;
    cnp_function *f, *entered;
    cnp_value live[N_LIVE + 1];
    cnp_any values[N_LIVE], argument, result;
    cnp_code *code;
    set_up(&s);
    f = translated(&s, sum, sizeof sum);
    CHECK(cnp_exit_values(f, 1, live, 2) == 6 && cnp_exit_values(f, 4, live, 1) == 0);
    CHECK(cnp_exit_values(f, 2, live, N_LIVE + 1) == N_LIVE);
    CHECK(cnp_label_at(f, AT_TEST).place.kind == CNP_NO_VALUE && cnp_label_at(f, 1000).place.kind == CNP_NO_VALUE);
    entered = cnp_entered_at(f, cnp_label_at(f, AT_LOOP), live, N_LIVE);
    CHECK(!cnp_compile(s.session, &entered, 1, NULL));
    cnp_delete(entered);
    entered = cnp_entered_at(f, cnp_label_at(f, START), live, N_LIVE);
    code = compile_one(s.session, entered);
    cnp_delete(f);
    argument.address = values;
    for (int broken = 0; broken < 2; broken++) {
        for (int64_t n = 1; n < 9; n++) {
            values[0].f64 = 0.5, values[1].i64 = n, values[2].i64 = 100 * n, values[3].i64 = 0;
            CHECK(cnp_call(code, 0, &argument, &result, NULL) == CNP_TRAP_NONE);
            CHECK(result.i64 == 1000 + 100 * n + n * (n + 1) / 2);
            expect_left(&s, left, (size_t)broken);
        }
        cnp_invalidate(s.named);
    }
    cnp_close(s.session);
}

static int refuse(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    (void)values, (void)result;
    CHECK(n == 0 && ((cnp_guest_point *)point)->offset == 2);
    return 1;
}

/* A handler that stops everything, and an exit that nothing leads to, which needs none. */
void refusing_guards(void) {
    static const unsigned char code[] = {GET, 0, REFUSE_ZERO, RETURN}, without[] = {GET, 0, RETURN, REFUSE_ZERO};
    struct setting s;
    cnp_code *refusing, *plain;
    cnp_any argument = {0};
    cnp_trap trap;
    set_up(&s);
    s.refers.handler = refuse;
    refusing = compile_one(s.session, translated(&s, code, sizeof code));
    CHECK(run(refusing, 3) == 3);
    CHECK(cnp_call(refusing, 0, &argument, NULL, &trap) == CNP_TRAP_INTERRUPTED);
    s.refers.handler = NULL;
    plain = compile_one(s.session, translated(&s, without, sizeof without));
    CHECK(run(plain, 0) == 0);
    cnp_close(s.session);
}

static void expect_error(cnp_function *f, cnp_session *session, const char *text) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    CHECK(!cnp_compile(session, &f, 1, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, text);
    cnp_delete(f);
}

void errors_of_guards(void) {
    static const unsigned char ask[] = {ASK, 3, RETURN}, leave[] = {1}, uses_none[] = {GET, 0, RETURN};
    struct setting s;
    cnp_function *f;
#define EXPECT(code, text) expect_error(translated(&s, code, sizeof code), s.session, text)
    set_up(&s);
    EXPECT(ask, "function 'guest', bytecode offset 0: cell 3; accepted: one of 3, from 0");
    s.refers.n_cells = 0;
    EXPECT(sum, "function 'guest', bytecode offset 0: cell 1; accepted: one of 0, from 0");
    s.refers.n_cells = 3;
    s.refers.handler = NULL;
    EXPECT(sum, "function 'guest', bytecode offset 0: it has an exit; accepted: with a handler");
    s.refers.handler = go_on;
    s.refers.n_named = 1;
    EXPECT(uses_none, "function 'guest': 1 named cells; accepted: 2, which the table's declaration lists");
    s.refers.n_named = 2;
    s.of_table[0].assumption = s.named, s.of_table[0].data = NULL;
    EXPECT(uses_none, "function 'guest', named cell 0: found an assumption; accepted: a data cell");
    s.of_table[0].assumption = NULL;
    EXPECT(uses_none, "function 'guest', named cell 0: found none; accepted: a data cell");
    s.of_table[1].data = s.of_table[0].data = &s.guest.limit;
    EXPECT(uses_none, "function 'guest', named cell 1: found both; accepted: an assumption");
    s.of_table[1].assumption = NULL;
    EXPECT(uses_none, "function 'guest', named cell 1: found a data cell; accepted: an assumption");
    s.cells[2].assumption = NULL;
    EXPECT(uses_none, "function 'guest', cell 2: found none; accepted: a data cell or an assumption, the other NULL");
#undef EXPECT
    f = cnp_new(s.session, "guest", CNP_I64);
    cnp_translate(f, &cnp_bytecode_guards, uses_none, sizeof uses_none, NULL);
    expect_error(f, s.session, "function 'guest': 0 named cells; accepted: 2");
    s.refers.n_named = 0, s.refers.n_cells = 0;
    f = cnp_new(s.session, "guest", CNP_I64);
    cnp_translate(f, &cnp_bytecode_too_many, leave, sizeof leave, &s.refers);
    expect_error(f, s.session, "function 'guest', bytecode offset 0: its exit has 1001 values; accepted: up to 1000");
    cnp_close(s.session);
}
