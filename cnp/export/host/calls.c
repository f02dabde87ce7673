/* Calls: of functions of the same compilation, of compiled code, of C. */

/* A row more of callees: with room for it, it may be filled in and counted. */
static int room_for_callee(cnp_function *f) {
    return allocated(f, make_room(&f->callees, &f->callees_capacity, f->n_callees + 1, sizeof *f->callees) &&
                            make_room(&f->targets, &f->targets_capacity, f->n_callees + 1, sizeof *f->targets));
}

static struct callee row_of_function(const cnp_function *callee) {
    struct callee row = {.kind = CALLEE_MEMBER, .result_type = callee->result, .n_parameters = callee->n_parameters};
    if (callee->n_parameters)
        memcpy(row.parameter_type, callee->types, callee->n_parameters);
    return row;
}

static struct callee row_of_code(const cnp_code *code, size_t index, u8 kind, u64 address) {
    const struct signature *signature = &code->parts[index].signature;
    struct callee row = {.address = address, .kind = kind, .result_type = signature->result_type,
                         .n_parameters = signature->n_parameters};
    memcpy(row.parameter_type, signature->parameter_type, sizeof signature->parameter_type);
    return row;
}

/* What is wrong with a function of a piece of code, as what a session's code calls; NULL if nothing is. */
static const char *wrong_target(const cnp_session *session, const cnp_code *code, size_t index) {
    return code->session != session ? "the code is another session's"
           : index >= code->n       ? "the code has not so many functions"
                                    : NULL;
}

/* A parameter more of a C function; 0 if it cannot have so many. */
static int add_parameter(struct callee *row, u8 type) {
    u32 of_its_kind = 0;
    for (u32 k = 0; k < row->n_parameters; k++)
        of_its_kind += IS_FLOAT(row->parameter_type[k]) == IS_FLOAT(type);
    if (of_its_kind == ARGUMENTS)
        return 0;
    row->parameter_type[row->n_parameters++] = type;
    return 1;
}

static void put_call(cnp_function *f, cnp_value d, const struct callee *callee, const void *target, const cnp_value *arguments,
                     size_t n) {
    struct operand expected = {D_OPERAND, callee->result_type};
    u32 *words;
    if (f->error.kind)
        return;
    if (n != callee->n_parameters) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (call): %zu arguments; accepted: %u", f->name,
             (unsigned)f->n_ops, n, (unsigned)callee->n_parameters);
        return;
    }
    if (callee->result_type == NO_TYPE && d.kind != CNP_NO_VALUE) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (call): the callee has no result; accepted: cnp_none()",
             f->name, (unsigned)f->n_ops);
        return;
    }
    if (!room_for_callee(f) || !(words = begin_op(f, IR_CALL, n + 2)))
        return;
    if (d.kind == CNP_NO_VALUE)
        words[0] = NO_OPERAND_WORD;
    else if (!put_operand(f, IR_CALL, 0, &expected, &d, words))
        return;
    words[1] = (u32)f->n_callees;
    for (size_t k = 0; k < n; k++) {
        expected = (struct operand){ARGUMENT_OPERAND, callee->parameter_type[k]};
        if (!put_operand(f, IR_CALL, k + 1, &expected, &arguments[k], words + k + 2))
            return;
    }
    f->callees[f->n_callees] = *callee;
    f->targets[f->n_callees++] = target;
    end_op(f, n + 2);
}

void cnp_call_function(cnp_function *f, cnp_value d, cnp_function *callee, const cnp_value *arguments, size_t n) {
    struct callee row = row_of_function(callee);
    if (!f->error.kind) /* a callee's mistake may be why it seems to have other parameters */
        f->error = callee->error;
    put_call(f, d, &row, callee, arguments, n);
}

void cnp_call_code(cnp_function *f, cnp_value d, const cnp_code *callee, size_t index, const cnp_value *arguments, size_t n) {
    const char *wrong = wrong_target(f->session, callee, index);
    struct callee row;
    if (wrong) {
        if (!f->error.kind)
            fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (call): %s", f->name, (unsigned)f->n_ops, wrong);
        return;
    }
    row = row_of_code(callee, index, CALLEE_CODE, callee->parts[index].signature.entry);
    put_call(f, d, &row, NULL, arguments, n);
}

void cnp_call_c(cnp_function *f, cnp_value d, cnp_c_function callee, const cnp_value *arguments, size_t n) {
    struct callee row = {.kind = CALLEE_C, .address = (u64)(uintptr_t)callee, .result_type = type_of_register(d)};
    size_t k = 0;
    while (k < n && add_parameter(&row, has_type(arguments[k], CNP_CONSTANT) ? (u8)(arguments[k].kind - CNP_CONSTANT)
                                                                              : type_of_register(arguments[k])))
        k++;
    if (k == n)
        put_call(f, d, &row, NULL, arguments, n);
    else if (!f->error.kind)
        fail(&f->error, CNP_ERROR_FUNCTION,
             "function '%s', op %u (call): %zu arguments; accepted by C functions: up to %d integers and %d floats", f->name,
             (unsigned)f->n_ops, n, ARGUMENTS, ARGUMENTS);
}
