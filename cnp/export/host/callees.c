/* What calls in guest bytecode call -> rows of callees: what templates name, and behind it what fields number. */

static int add_callee(cnp_function *f, const struct callee *row, const void *target) {
    if (!room_for_callee(f))
        return 0;
    f->callees[f->n_callees] = *row;
    f->targets[f->n_callees++] = target;
    return 1;
}

static int take_template_callees(cnp_function *f, const cnp_bytecode *bytecode) {
    for (size_t k = 0; k < bytecode->n_callees; k++) {
        const struct template_callee *callee = &bytecode->callees[k];
        struct callee row = callee->row;
        row.address = callee->function ? (u64)(uintptr_t)callee->function : (u64)(uintptr_t)(f->session->blob + callee->at);
        if (!add_callee(f, &row, NULL))
            return 0;
    }
    return 1;
}

/* Of a C function; NULL if all is well. */
static const char *describe_c(const cnp_guest_callee *callee, struct callee *row) {
    *row = (struct callee){.kind = CALLEE_C, .address = (u64)(uintptr_t)callee->c, .result_type = (u8)callee->result};
    if (callee->result != CNP_VOID && !is_type(callee->result))
        return "there is no such type of a result";
    for (size_t k = 0; k < callee->n_parameters; k++) {
        if (!is_type(callee->parameters[k]))
            return "there is no such type of a parameter";
        if (!add_parameter(row, (u8)callee->parameters[k]))
            return "it has too many parameters; accepted: up to 8 integers and 8 floats";
    }
    return NULL;
}

/* What a callee is; NULL if all is well. */
static const char *describe_callee(const cnp_function *f, const cnp_guest_callee *callee, struct callee *row) {
    const char *wrong;
    int n = (callee->function != NULL) + (callee->code != NULL) + (callee->cell != NULL) + (callee->c != NULL);
    if (n != 1)
        return n ? "found several; accepted: one of a function, code, a cell and a C function"
                 : "found none; accepted: a function, code, a cell or a C function";
    if (callee->c)
        return describe_c(callee, row);
    if (callee->function)
        *row = row_of_function(callee->function);
    else if (callee->cell) {
        if (callee->cell->session != f->session)
            return "the cell is another session's";
        *row = callee->cell->types;
    } else {
        if ((wrong = wrong_target(f->session, callee->code, callee->index)))
            return wrong;
        *row = row_of_code(callee->code, callee->index, CALLEE_CODE, callee->code->parts[callee->index].signature.entry);
    }
    return NULL;
}

/* 0 without memory, or with an error. */
static int take_callees(cnp_function *f, const cnp_guest *guest) {
    for (size_t k = 0; k < guest->n_callees; k++) {
        struct callee row;
        const char *wrong = describe_callee(f, &guest->callees[k], &row);
        if (wrong) {
            fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', callee %zu: %s", f->name, k, wrong);
            return 0;
        }
        if (!add_callee(f, &row, guest->callees[k].function))
            return 0;
    }
    return 1;
}
