/* Side exits and entry in loops: an interpreter and compiled code take over from one another. */
#include "check.h"

/* ---- Collatz: how many steps it takes from n to 1; compiled for an n that stays small ---- */

enum { AT_HEAD, LARGE };
static const int64_t small = 1000;
static int times_left;

static int64_t interpret(int64_t n, int64_t steps) {
    for (; n != 1; steps++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return steps;
}

static int go_on(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    CHECK(n == 3 && *(int *)point == LARGE && values[2].i64 == 77 && values[0].i64 > small);
    times_left++;
    result->i64 = interpret(values[0].i64, values[1].i64);
    return 0;
}

struct collatz {
    cnp_function *f;
    cnp_label head;
    cnp_value live[2];
};

static struct collatz collatz(cnp_session *session) {
    static int large = LARGE;
    struct collatz c;
    cnp_function *f = c.f = cnp_new(session, "collatz", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), steps = cnp_register(f, CNP_I64), odd = cnp_register(f, CNP_I64), values[3];
    cnp_label head = c.head = cnp_new_label(f), halve = cnp_new_label(f), done = cnp_new_label(f), leave;
    c.live[0] = values[0] = n, c.live[1] = values[1] = steps, values[2] = cnp_const_i64(77);
    leave = cnp_exit(f, go_on, &large, values, 3);
    cnp_move(f, steps, cnp_const_i64(0));
    cnp_place(f, head);
    cnp_branch_i64_eq(f, n, cnp_const_i64(1), done);
    cnp_branch_i64_gt_s(f, n, cnp_const_i64(small), leave);
    cnp_i64_add(f, steps, steps, cnp_const_i64(1));
    cnp_i64_and(f, odd, n, cnp_const_i64(1));
    cnp_branch_i64_eqz(f, odd, halve);
    cnp_i64_mul(f, n, n, cnp_const_i64(3));
    cnp_i64_add(f, n, n, cnp_const_i64(1));
    cnp_jump(f, head);
    cnp_place(f, halve);
    cnp_i64_shr_u(f, n, n, cnp_const_i64(1));
    cnp_jump(f, head);
    cnp_place(f, done);
    cnp_ret(f, steps);
    return c;
}

void exits(void) {
    cnp_session *session = open_session();
    cnp_code *code = compile_one(session, collatz(session).f);
    int64_t (*compiled)(int64_t) = (int64_t(*)(int64_t))cnp_pointer(code, 0);
    cnp_exit_place place;
    cnp_value_place value;
    times_left = 0;
    CHECK(compiled(3) == 7 && times_left == 0);
    CHECK(compiled(27) == 111 && times_left == 1);
    for (int64_t n = 1; n < 500; n++)
        CHECK(compiled(n) == interpret(n, 0));
    CHECK(times_left > 10 && times_left < 490);
    CHECK(cnp_exit_at(code, 0, 0, &place) && *(int *)place.point == LARGE && place.n_values == 3);
    CHECK(place.offset > 0 && place.offset < cnp_code_size(code, 0));
    CHECK(!cnp_exit_at(code, 0, 1, &place) && !cnp_exit_at(code, 1, 0, &place));
    for (size_t k = 0; k < 2; k++)
        CHECK(cnp_exit_value_at(code, 0, 0, k, &value) && value.type == CNP_I64 && !value.is_constant && value.place >= 0);
    CHECK(cnp_exit_value_at(code, 0, 0, 2, &value) && value.is_constant && value.constant.i64 == 77);
    CHECK(!cnp_exit_value_at(code, 0, 0, 3, &value));
    cnp_free(code);
    cnp_close(session);
}

/* The interpreter enters the loop in round after round; what was given up there is the same function's other half. */
void entered_loops(void) {
    cnp_session *session = open_session();
    struct collatz c = collatz(session);
    cnp_function *entered = cnp_entered_at(c.f, c.head, c.live, 2);
    cnp_code *code;
    cnp_any values[2], argument, result;
    cnp_delete(c.f);
    code = compile_one(session, entered);
    argument.address = values;
    for (int64_t round = 0; round < 111; round++) {
        int64_t n = 27, steps = 0;
        for (; steps < round; steps++)
            n = n % 2 ? 3 * n + 1 : n / 2;
        values[0].i64 = n, values[1].i64 = steps;
        CHECK(cnp_call(code, 0, &argument, &result, NULL) == CNP_TRAP_NONE && result.i64 == 111);
    }
    cnp_free(code);
    cnp_close(session);
}

/* ---- all types, in registers, slots and constants; with few values alive, and with more than a small frame holds ---- */

enum { MANY = 30 };
static size_t expected_values;
static cnp_any result_of_handler;

static int check_types(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    CHECK(n == expected_values && point == &result_of_handler);
    for (size_t k = 0; k + 4 < n; k += 4) {
        CHECK(values[k].i32 == -(int32_t)k && values[k + 1].i64 == -((int64_t)k << 40));
        CHECK(values[k + 2].f32 == (float)k + 0.5f && values[k + 3].f64 == (double)k * 1e100);
    }
    CHECK(values[n - 4].i32 == -9 && values[n - 3].i64 == INT64_MIN && values[n - 2].f32 == 1.5f && values[n - 1].f64 == -1e300);
    *result = result_of_handler;
    return 0;
}

static cnp_code *exit_of_types(cnp_session *session, cnp_type type, int groups) {
    static const cnp_type types[] = {CNP_I32, CNP_I64, CNP_F32, CNP_F64};
    cnp_function *f = cnp_new(session, "of_types", type);
    cnp_value n = cnp_parameter(f, CNP_I64), values[4 * MANY + 4], d = cnp_none();
    for (int k = 0; k < 4 * groups; k++) {
        int group = k / 4 * 4;
        values[k] = cnp_register(f, types[k % 4]);
        switch (k % 4) {
        case 0: cnp_move(f, values[k], cnp_const_i32(-group)); break;
        case 1: cnp_move(f, values[k], cnp_const_i64(-((int64_t)group << 40))); break;
        case 2: cnp_move(f, values[k], cnp_const_f32((float)group + 0.5f)); break;
        default: cnp_move(f, values[k], cnp_const_f64((double)group * 1e100));
        }
    }
    values[4 * groups] = cnp_const_i32(-9), values[4 * groups + 1] = cnp_const_i64(INT64_MIN);
    values[4 * groups + 2] = cnp_const_f32(1.5f), values[4 * groups + 3] = cnp_const_f64(-1e300);
    cnp_branch_i64_gt_s(f, n, cnp_const_i64(0), cnp_exit(f, check_types, &result_of_handler, values, (size_t)(4 * groups + 4)));
    if (type != CNP_VOID) {
        d = cnp_register(f, type);
        cnp_move(f, d, type == CNP_I32   ? cnp_const_i32(-1)
                       : type == CNP_I64 ? cnp_const_i64(-1)
                       : type == CNP_F32 ? cnp_const_f32(-1)
                                         : cnp_const_f64(-1));
    }
    cnp_ret(f, d);
    return compile_one(session, f);
}

void exits_of_types(void) {
    cnp_session *session = open_session();
    static const cnp_type types[] = {CNP_I32, CNP_I64, CNP_F32, CNP_F64, CNP_VOID};
    static const int groups[] = {0, 1, 3, MANY};
    for (int which = 0; which < 5; which++)
        for (int g = 0; g < 4; g++) {
            cnp_code *code = exit_of_types(session, types[which], groups[g]);
            cnp_any argument, result;
            expected_values = (size_t)(4 * groups[g] + 4);
            switch (types[which]) {
            case CNP_I32: result_of_handler.i32 = -5; break;
            case CNP_F32: result_of_handler.f32 = 0.25f; break;
            case CNP_F64: result_of_handler.f64 = -1e-300; break;
            default: result_of_handler.i64 = INT64_MAX;
            }
            for (int leaves = 0; leaves < 2; leaves++) {
                argument.i64 = leaves;
                CHECK(cnp_call(code, 0, &argument, &result, NULL) == CNP_TRAP_NONE);
                switch (types[which]) {
                case CNP_I32: CHECK(result.i32 == (leaves ? -5 : -1)); break;
                case CNP_I64: CHECK(result.i64 == (leaves ? INT64_MAX : -1)); break;
                case CNP_F32: CHECK(result.f32 == (leaves ? 0.25f : -1)); break;
                case CNP_F64: CHECK(result.f64 == (leaves ? -1e-300 : -1)); break;
                default: break;
                }
            }
            cnp_free(code);
        }
    cnp_close(session);
}

/* ---- callers go on with what the handler gave; handlers run compiled code, which is left, too ---- */

static cnp_code *nested_code;
static int go_deeper(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    cnp_any argument;
    cnp_trap_kind kind = CNP_TRAP_NONE;
    (void)point, (void)n;
    argument.i64 = values[0].i64 - 1;
    if (values[0].i64 < 0)
        return 1;
    if (values[0].i64 > 0)
        kind = cnp_call(nested_code, 0, &argument, result, NULL);
    CHECK(kind == CNP_TRAP_NONE);
    result->i64 += values[0].i64;
    return 0;
}

/* inner(n), by the exit, is 0 + 1 + ... + n; outer(n) is that and the sum of what lives across the call. */
void exits_in_callees(void) {
    cnp_session *session = open_session();
    for (int live = 0; live < 50; live += 12) {
        cnp_function *f[2];
        cnp_value n, r, values[50];
        cnp_trap trap;
        cnp_any argument, result;
        f[0] = cnp_new(session, "inner", CNP_I64);
        n = cnp_parameter(f[0], CNP_I64);
        cnp_branch_i64_lt_s(f[0], n, cnp_const_i64(1000), cnp_exit(f[0], go_deeper, NULL, &n, 1));
        cnp_unreachable(f[0]);
        f[1] = cnp_new(session, "outer", CNP_I64);
        n = cnp_parameter(f[1], CNP_I64), r = cnp_register(f[1], CNP_I64);
        for (int k = 0; k < live; k++) {
            values[k] = cnp_register(f[1], CNP_I64);
            cnp_i64_add(f[1], values[k], n, cnp_const_i64(k));
        }
        cnp_call_function(f[1], r, f[0], &n, 1);
        for (int k = 0; k < live; k++)
            cnp_i64_add(f[1], r, r, values[k]);
        cnp_ret(f[1], r);
        nested_code = compile(session, f, 2);
        cnp_delete(f[0]), cnp_delete(f[1]);
        argument.i64 = 40;
        CHECK(cnp_call(nested_code, 1, &argument, &result, NULL) == CNP_TRAP_NONE);
        CHECK(result.i64 == 40 * 41 / 2 + live * 40 + live * (live - 1) / 2);
        argument.i64 = -1;
        CHECK(cnp_call(nested_code, 1, &argument, NULL, &trap) == CNP_TRAP_INTERRUPTED && !strcmp(trap.function, "outer"));
        argument.i64 = 1000;
        CHECK(cnp_call(nested_code, 1, &argument, NULL, &trap) == CNP_TRAP_UNREACHABLE && !strcmp(trap.function, "inner"));
        cnp_free(nested_code);
    }
    cnp_close(session);
}

static int say_which(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    result->i64 = 1000 * *(int *)point + values[n - 1].i64;
    return n > 2 || values[0].i64 != *(int *)point;
}

/* Each of them has values of its own, however many come after it. */
void many_exits(void) {
    enum { EXITS = 100 };
    cnp_session *session = open_session();
    cnp_function *f = cnp_new(session, "many", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), values[2] = {n}, found[3];
    int points[EXITS];
    cnp_code *code;
    for (int k = 0; k < EXITS; k++) {
        points[k] = k;
        values[1] = cnp_const_i64(7 * k);
        cnp_branch_i64_eq(f, n, cnp_const_i64(k), cnp_exit(f, say_which, &points[k], values, 1 + (size_t)k % 2));
    }
    cnp_ret(f, cnp_const_i64(-1));
    for (size_t k = 0; k < EXITS; k++) {
        CHECK(cnp_exit_values(f, k, found, 3) == 1 + k % 2 && found[0].bits == n.bits);
        CHECK(k % 2 == 0 || found[1].bits == 7 * k);
    }
    code = compile_one(session, f);
    for (int64_t k = 0; k < EXITS; k++) {
        cnp_any argument = {.i64 = k}, result;
        CHECK(cnp_call(code, 0, &argument, &result, NULL) == CNP_TRAP_NONE && result.i64 == 1000 * k + (k % 2 ? 7 * k : k));
    }
    cnp_free(code);
    cnp_close(session);
}

/* ---- random programs: left in a round of their loop, and entered there again, they give what they give undisturbed ---- */

static uint32_t seed;
static uint32_t choose(uint32_t n) { return (seed = seed * 1664525 + 1013904223, seed >> 8) % n; }

enum { REGISTERS = 12, ROUNDS = 9 };
static cnp_function *random_function;
static cnp_label random_head;
static cnp_value random_live[REGISTERS + 2];
static int times_entered;

/* Compiles the rest of the function, and goes on there. */
static int enter_again(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    cnp_session *session = point;
    cnp_function *f[2];
    cnp_code *code;
    cnp_any live[REGISTERS + 2], argument;
    CHECK(n == REGISTERS + 2);
    memcpy(live, values, sizeof live);
    live[REGISTERS + 1].i64 = -1; /* and is not left again */
    f[0] = cnp_entered_at(random_function, random_head, random_live, n);
    f[1] = random_function; /* which calls itself */
    code = compile(session, f, 2);
    argument.address = live;
    CHECK(cnp_call(code, 0, &argument, result, NULL) == CNP_TRAP_NONE);
    times_entered++;
    cnp_free(code);
    cnp_delete(f[0]);
    return 0;
}

static void random_op(cnp_function *f, const cnp_value *integer, const cnp_value *real) {
    cnp_value a = integer[choose(REGISTERS / 2)], b = choose(3) ? integer[choose(REGISTERS / 2)] : cnp_const_i64(choose(99));
    cnp_value d = integer[choose(REGISTERS / 2)];
    cnp_label over = cnp_new_label(f), table[2];
    cnp_value index;
    switch (choose(8)) {
    case 0: cnp_i64_add(f, d, a, b); break;
    case 1: cnp_i64_mul(f, d, a, b); break;
    case 2: cnp_i64_xor(f, d, a, b); break;
    case 3: cnp_i64_shl(f, d, a, cnp_const_i64(choose(64))); break;
    case 4: cnp_f64_add(f, real[choose(REGISTERS / 2)], real[choose(REGISTERS / 2)], real[choose(REGISTERS / 2)]); break;
    case 5: cnp_f64_convert_i64_s(f, real[choose(REGISTERS / 2)], a); break;
    case 6:
        cnp_branch_i64_lt_s(f, a, b, over);
        cnp_i64_sub(f, d, d, a);
        break;
    default:
        index = cnp_register(f, CNP_I32);
        table[0] = over, table[1] = cnp_new_label(f);
        cnp_i32_wrap_i64(f, index, a);
        cnp_i32_and(f, index, index, cnp_const_i32(3));
        cnp_branch_table(f, index, over, table, 2);
        cnp_place(f, table[1]);
        cnp_i64_add(f, d, d, cnp_const_i64(1));
    }
    cnp_place(f, over);
}

/* of(n, when): nine rounds; it is left where number `when` begins. */
static void make_random(cnp_session *session, uint32_t from) {
    cnp_function *f = random_function = cnp_new(session, "random", CNP_I64);
    cnp_value n = cnp_parameter(f, CNP_I64), when = cnp_parameter(f, CNP_I64), i = cnp_register(f, CNP_I64);
    cnp_value integer[REGISTERS / 2], real[REGISTERS / 2], sum = cnp_register(f, CNP_I64), arguments[2];
    cnp_label done = cnp_new_label(f), past = cnp_new_label(f);
    seed = from;
    random_head = cnp_new_label(f);
    for (int k = 0; k < REGISTERS / 2; k++) {
        random_live[k] = integer[k] = cnp_register(f, CNP_I64);
        random_live[REGISTERS / 2 + k] = real[k] = cnp_register(f, CNP_F64);
        cnp_i64_mul(f, integer[k], n, cnp_const_i64(k + 3));
        cnp_move(f, real[k], cnp_const_f64(k));
    }
    random_live[REGISTERS] = i, random_live[REGISTERS + 1] = when;
    cnp_move(f, i, cnp_const_i64(0));
    cnp_place(f, random_head);
    cnp_branch_i64_eq(f, i, when, cnp_exit(f, enter_again, session, random_live, REGISTERS + 2));
    cnp_branch_i64_ge_s(f, i, cnp_const_i64(ROUNDS), done);
    cnp_i64_add(f, i, i, cnp_const_i64(1));
    for (int k = choose(9); k >= 0; k--)
        random_op(f, integer, real);
    cnp_branch_i64_ne(f, i, cnp_const_i64(4), past);
    cnp_branch_i64_lt_s(f, when, cnp_const_i64(-1), past); /* once more, from the beginning, in a call of its own */
    arguments[0] = integer[0], arguments[1] = cnp_const_i64(-2);
    cnp_call_function(f, integer[1], f, arguments, 2);
    cnp_place(f, past);
    cnp_jump(f, random_head);
    cnp_place(f, done);
    cnp_move(f, sum, cnp_const_i64(0));
    for (int k = 0; k < REGISTERS / 2; k++) {
        cnp_value bits = cnp_register(f, CNP_I64);
        cnp_i64_reinterpret_f64(f, bits, real[k]);
        cnp_i64_rotl(f, sum, sum, cnp_const_i64(7));
        cnp_i64_add(f, sum, sum, integer[k]);
        cnp_i64_xor(f, sum, sum, bits);
    }
    cnp_ret(f, sum);
}

void entered_everywhere(void) {
    cnp_session *session = open_session();
    times_entered = 0;
    for (uint32_t from = 1; from <= 40; from++) {
        cnp_code *code;
        int64_t (*compiled)(int64_t, int64_t), expected;
        make_random(session, from);
        code = compile(session, &random_function, 1);
        compiled = (int64_t(*)(int64_t, int64_t))cnp_pointer(code, 0);
        expected = compiled(from, -1); /* left nowhere */
        for (int64_t when = 0; when <= ROUNDS; when += 1 + choose(3))
            CHECK(compiled(from, when) == expected);
        cnp_free(code);
        cnp_delete(random_function);
    }
    CHECK(times_entered > 100);
    cnp_close(session);
}
