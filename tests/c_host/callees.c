/* What guest bytecode calls, and how many registers it has. The table is in guest_calls.py. */
#include "check.h"

enum { PUSH = 1, GET, SET, CALL, TELL, MIX, ABSOLUTE, RETURN, ADD, UNLESS, JUMP, SMALL };

static const cnp_type two_numbers[] = {CNP_I64, CNP_I64}, real_and_number[] = {CNP_F64, CNP_I64};

static int64_t minus_one(int64_t x) { return x - 1; }
static int64_t told;
static void tell(int64_t a, int64_t b) { told = 100 * a + b; }
static double mix(double x, int64_t y) { return 10 * x + (double)y; }
static cnp_guest_callee of_c(cnp_c_function c, cnp_type result, const cnp_type *parameters, size_t n) {
    return (cnp_guest_callee){.c = c, .result = result, .parameters = parameters, .n_parameters = n};
}

static cnp_function *translated(cnp_session *session, const void *code, size_t size, const cnp_guest *guest) {
    cnp_function *f = cnp_new(session, "guest", CNP_I64);
    cnp_parameter(f, CNP_I64);
    cnp_translate(f, &cnp_bytecode_calls, code, size, guest);
    return f;
}
#define TRANSLATED(session, code, guest) translated(session, code, sizeof code, guest)

static int64_t run(const cnp_code *code, int64_t n) {
    cnp_any argument, result = {0};
    argument.i64 = n;
    CHECK(cnp_call(code, 0, &argument, &result, NULL) == CNP_TRAP_NONE);
    return result.i64;
}

static cnp_code *constant(cnp_session *session, int64_t value) {
    cnp_function *f = cnp_new(session, "constant", CNP_I64);
    cnp_parameter(f, CNP_I64);
    cnp_ret(f, cnp_const_i64(value));
    return compile_one(session, f);
}

/* One bytecode calls a function under construction, itself, finished code, a cell, and C. */
void guest_callees(void) {
    /* sum(n) = n ? n + sum(minus_one(n)) : 0 */
    static const unsigned char sum[] = {GET, 0, UNLESS, 12, GET, 0, GET, 0, CALL, 1, CALL, 0, ADD, RETURN, PUSH, 0, RETURN};
    static const unsigned char all[] = {GET, 0, CALL, 0, CALL, 1, SET, 1, GET, 0, CALL, 2, GET, 1, ADD, TELL, 3, PUSH, 2,
                                        MIX, 4, ABSOLUTE, RETURN};
    cnp_session *session = open_session();
    cnp_function *function[2], *f = cnp_new(session, "sum", CNP_I64);
    cnp_guest_callee of_sum[2] = {{0}, {0}}, callee[5] = {{0}, {0}, {0}, {0}, {0}};
    cnp_guest guest = {.callees = of_sum, .n_callees = 2};
    cnp_code *one = constant(session, 1), *two = constant(session, 2), *code;
    cnp_cell *cell = cnp_new_cell(session, "site", one, 0, NULL);
    cnp_parameter(f, CNP_I64);
    of_sum[0].function = f;
    of_sum[1] = of_c((cnp_c_function)minus_one, CNP_I64, two_numbers, 1);
    cnp_translate(f, &cnp_bytecode_calls, sum, sizeof sum, &guest);
    callee[0].function = f;
    callee[1].code = compile(session, &f, 1);
    callee[2].cell = cell;
    callee[3] = of_c((cnp_c_function)tell, CNP_VOID, two_numbers, 2);
    callee[4] = of_c((cnp_c_function)mix, CNP_F64, real_and_number, 2);
    guest = (cnp_guest){.callees = callee, .n_callees = 5};
    function[0] = TRANSLATED(session, all, &guest), function[1] = f;
    memset(of_sum, 0, sizeof of_sum), memset(callee, 0, sizeof callee); /* they have been copied */
    code = compile(session, function, 2);
    /* sum(sum(4)) = 55; with what the cell gives that is s, and the end |10 * 2 + s| */
    CHECK(run(code, 4) == 20 + 55 + 1 && told == 101 * 56);
    CHECK(cnp_set_cell(cell, two, 0, NULL) && run(code, 4) == 20 + 55 + 2 && told == 101 * 57);
    cnp_set_cell(cell, one, 0, NULL);
    CHECK(run(code, 0) == 21 && told == 101);
    cnp_delete(function[0]), cnp_delete(f);
    cnp_close(session);
}

static void expect_error(cnp_session *session, cnp_function *f, const char *text) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    CHECK(!cnp_compile(session, &f, 1, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_FUNCTION, text);
    cnp_delete(f);
}

void errors_of_guest_callees(void) {
    static const unsigned char call[] = {GET, 0, CALL, 0, RETURN}, none[] = {GET, 0, RETURN};
    static const cnp_type many[] = {CNP_F32, CNP_F32, CNP_F32, CNP_F64, CNP_F64, CNP_F64, CNP_F64, CNP_F64, CNP_I64, CNP_F64};
    static const cnp_type unknown[] = {CNP_VOID};
    cnp_session *session = open_session(), *other = open_session();
    cnp_code *foreign = constant(other, 1), *own = constant(session, 1);
    cnp_cell *cell = cnp_new_cell(other, "site", foreign, 0, NULL);
    cnp_function *f = cnp_new(session, "left out", CNP_I64);
    cnp_guest_callee callee = {0};
    const cnp_guest guest = {.callees = &callee, .n_callees = 1}, without = {0};
#define EXPECT(code, text) expect_error(session, TRANSLATED(session, code, &guest), text)
    EXPECT(none, "function 'guest', callee 0: found none; accepted: a function, code, a cell or a C function");
    callee.c = (cnp_c_function)minus_one, callee.code = own;
    EXPECT(none, "function 'guest', callee 0: found several; accepted: one of a function, code, a cell and a C function");
    callee = (cnp_guest_callee){.code = foreign};
    EXPECT(none, "function 'guest', callee 0: the code is another session's");
    callee = (cnp_guest_callee){.code = own, .index = 1};
    EXPECT(none, "function 'guest', callee 0: the code has not so many functions");
    callee = (cnp_guest_callee){.cell = cell};
    EXPECT(none, "function 'guest', callee 0: the cell is another session's");
    callee = of_c((cnp_c_function)minus_one, (cnp_type)7, two_numbers, 1);
    EXPECT(none, "function 'guest', callee 0: there is no such type of a result");
    callee = of_c((cnp_c_function)minus_one, CNP_I64, unknown, 1);
    EXPECT(none, "function 'guest', callee 0: there is no such type of a parameter");
    callee = of_c((cnp_c_function)minus_one, CNP_I64, many, 9);
    EXPECT(call, "(call) at bytecode offset 2: it has another number of operands");
    callee = of_c((cnp_c_function)minus_one, CNP_I64, many, 10);
    EXPECT(none, "function 'guest', callee 0: it has too many parameters; accepted: up to 8 integers and 8 floats");
    callee = of_c((cnp_c_function)minus_one, CNP_F64, two_numbers, 1);
    EXPECT(call, "(call) at bytecode offset 2: operand 0 is of another type");
    callee = (cnp_guest_callee){.function = f};
    EXPECT(call, "function 'guest' calls 'left out', which is not among those compiled");
    expect_error(session, TRANSLATED(session, call, &without), "bytecode offset 2: callee 0; accepted: one of 0, from 0");
#undef EXPECT
    cnp_delete(f);
    f = cnp_new(session, "caller", CNP_I64);
    callee = (cnp_guest_callee){0};
    {
        cnp_value d = cnp_parameter(f, CNP_I64);
        cnp_call_cell(f, d, cell, &d, 1);
        cnp_ret(f, d);
    }
    expect_error(session, f, "function 'caller', op 0 (call): cell 'site' is another session's");
    cnp_close(session);
    cnp_close(other);
}

static size_t n_left;
static int64_t last_left;

static int note(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    CHECK(((cnp_guest_point *)point)->offset == 4);
    n_left = n;
    result->i64 = last_left = values[n - 1].i64;
    return 0;
}

/* A function has of each file what its bytecode uses: exits pass on no more, and that is what it is entered with. */
void guest_sizes(void) {
    static const unsigned char code[] = {GET, 0, GET, 1, SMALL, ADD, SET, 1, GET, 0, CALL, 0, SET, 0, GET, 0, UNLESS, 4, JUMP,
                                         (unsigned char)-18, GET, 1, RETURN};
    static const unsigned char third[] = {GET, 2, RETURN}, deep[] = {GET, 0, GET, 0, GET, 0, ADD, ADD, RETURN};
    static const cnp_guest_size sizes[] = {{CNP_FILE_CALLS_LOCAL, 2}, {CNP_FILE_CALLS_STACK, 2}};
    static const cnp_guest_size wrong_file = {3, 1}, too_large = {CNP_FILE_CALLS_LOCAL, 101}, none = {CNP_FILE_CALLS_LOCAL, 0};
    cnp_session *session = open_session();
    const cnp_guest_callee callee = of_c((cnp_c_function)minus_one, CNP_I64, two_numbers, 1);
    cnp_guest guest = {.callees = &callee, .n_callees = 1, .handler = note, .sizes = sizes, .n_sizes = 2};
    cnp_function *f = TRANSLATED(session, code, &guest), *entered;
    cnp_value live[4];
    cnp_any values[2], argument, result;
    cnp_code *compiled;
    CHECK(cnp_registers(f, CNP_FILE_CALLS_LOCAL, live, 4) == 2 && cnp_registers(f, CNP_FILE_CALLS_STACK, live + 2, 1) == 2);
    CHECK(cnp_registers(f, CNP_FILE_CALLS_REAL, NULL, 0) == 1 && cnp_registers(f, 3, NULL, 0) == 0);
    entered = cnp_entered_at(f, cnp_label_at(f, 0), live, 2);
    compiled = compile_one(session, entered);
    for (int64_t n = 1; n < 60; n++) {
        values[0].i64 = n, values[1].i64 = 5, argument.address = values, n_left = 0;
        CHECK(cnp_call(compiled, 0, &argument, &result, NULL) == CNP_TRAP_NONE);
        CHECK(n_left ? n_left == 4 && result.i64 == last_left && last_left > 1000 : result.i64 == 5 + n * (n + 1) / 2);
        CHECK((n_left != 0) == (n > 44));
    }
    compiled = compile_one(session, f);
    CHECK(run(compiled, 10) == 55);
    expect_error(session, TRANSLATED(session, third, &guest), "bytecode offset 0: register 2; accepted: one of 2, from 0");
    expect_error(session, TRANSLATED(session, deep, &guest), "bytecode offset 4: the operand stack grows to 3; accepted: up to 2");
    guest.sizes = &wrong_file, guest.n_sizes = 1;
    expect_error(session, TRANSLATED(session, third, &guest), "function 'guest', sizes: file 3; accepted: one of 3, from 0");
    guest.sizes = &too_large;
    expect_error(session, TRANSLATED(session, third, &guest), "sizes: 101 registers of file 0; accepted: up to 100");
    guest.sizes = &none;
    expect_error(session, TRANSLATED(session, third, &guest), "bytecode; accepted: with parameters of the table's types, up to 0");
    guest.n_sizes = 0;
    f = TRANSLATED(session, third, &guest);
    CHECK(cnp_registers(f, CNP_FILE_CALLS_LOCAL, live, 1) == 100);
    CHECK(run(compile_one(session, f), 3) == 0);
    cnp_close(session);
}
