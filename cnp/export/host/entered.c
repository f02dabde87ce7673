/* A function and a label of it -> a function that goes on there: entry in the middle of a loop that already runs. */

typedef int (*enter_routine)(const struct library *, struct entered *);

/* For the core. */
static struct entered ops_of(const cnp_function *f) {
    return (struct entered){.words = f->words, .offsets = f->offsets, .n_words = f->n_words, .n_offsets = f->n_offsets,
                            .n_labels = f->n_labels};
}

/* What the ops refer to. The buffer's address is register 0; the others come behind it. */
static int copy_tables(cnp_function *made, const cnp_function *f) {
    if (!make_room(&made->types, &made->types_capacity, f->n_registers + 1, 1) ||
        !make_room(&made->constants, &made->constants_capacity, f->n_constants, sizeof *f->constants))
        return 0;
    if (f->n_registers)
        memcpy(made->types + 1, f->types, f->n_registers);
    made->n_registers = f->n_registers + 1;
    if (f->n_constants)
        memcpy(made->constants, f->constants, f->n_constants * sizeof *f->constants);
    made->n_constants = f->n_constants;
    made->n_labels = f->n_labels;
    for (size_t k = 0; k < f->n_callees; k++) {
        if (!room_for_callee(made))
            return 0;
        made->callees[made->n_callees] = f->callees[k];
        made->targets[made->n_callees++] = f->targets[k];
    }
    if (!room_for_exits(made, f->n_exits, f->n_exit_values))
        return 0;
    copy_exits(f, made->exits, made->exit_values);
    made->n_exits = f->n_exits;
    made->n_exit_values = f->n_exit_values;
    for (size_t k = 0; k < made->n_exit_values; k++)
        made->exit_values[k].reg += !made->exit_values[k].is_constant;
    for (size_t k = 0; k < f->n_assumptions; k++)
        if (!depend_on(made, f->assumptions[k]))
            return 0;
    return 1;
}

static int is_live(cnp_function *made, const cnp_function *f, cnp_value value) {
    char text[80];
    if (has_type(value, CNP_REGISTER) && is_own(f, value))
        return 1;
    describe_value(f, value, text, sizeof text);
    fail(&made->error, CNP_ERROR_FUNCTION, "function '%s' cannot be entered with %s; accepted: a register of this function",
         f->name, text);
    return 0;
}

static int load_live(cnp_function *made, const cnp_function *f, const cnp_value *live, size_t n) {
    static const u32 loads[] = {CNP_I32_LOAD, CNP_I64_LOAD, CNP_F32_LOAD, CNP_F64_LOAD};
    for (size_t k = 0; k < n; k++) {
        cnp_value operands[3];
        if (!is_live(made, f, live[k]))
            return 0;
        operands[0] = own_value(made, (size_t)index_of(live[k]) + 1, live[k].kind);
        operands[1] = own_value(made, 0, CNP_REGISTER + CNP_I64);
        operands[2] = cnp_offset((s32)(k * sizeof(cnp_any)));
        cnp_op(made, loads[live[k].kind - CNP_REGISTER], operands, 3);
    }
    return 1;
}

/* Copies of the ops that the core has left in scratch memory, behind those that load; of bytecode, with their places. */
static int take_reached(cnp_function *made, const struct entered *entered) {
    size_t n_ops = (size_t)made->n_ops + entered->n_ops;
    if (!make_room(&made->words, &made->words_capacity, made->n_words + entered->n_made, sizeof *made->words) ||
        !make_room(&made->offsets, &made->offsets_capacity, n_ops, sizeof *made->offsets))
        return 0;
    memcpy(made->words + made->n_words, entered->made, entered->n_made * sizeof *made->words);
    made->n_words += entered->n_made;
    for (u32 k = 0; k < made->n_ops; k++)
        made->offsets[k] = NO_GUEST_OFFSET;
    memcpy(made->offsets + made->n_ops, entered->places, entered->n_ops * sizeof *made->offsets);
    made->n_ops = (u32)n_ops;
    made->n_offsets = entered->n_offsets ? n_ops : 0;
    return 1;
}

/* 0 without memory, or with the function's error. */
static int enter_locked(cnp_function *made, const cnp_function *f, cnp_label label, const cnp_value *live, size_t n) {
    struct entered entered = ops_of(f);
    size_t size = FIRST_SCRATCH;
    int error = label.place.kind == CNP_LABEL && is_own(f, label.place) ? NEED_SCRATCH : UNBOUND_LABEL;
    while (error == NEED_SCRATCH) {
        struct scratch *scratch = scratch_of(f->session, 0, size);
        if (!scratch)
            return 0;
        entered.label = index_of(label.place);
        entered.scratch = scratch->start;
        entered.scratch_size = scratch->size;
        error = ROUTINE(f->session, enter_routine, cnp_enter)(&f->session->library, &entered);
        size = entered.scratch_used;
    }
    if (error) {
        fail(&made->error, CNP_ERROR_FUNCTION,
             "function '%s' cannot be entered there; accepted: a label of this function that has been placed", f->name);
        return 0;
    }
    return load_live(made, f, live, n) && take_reached(made, &entered);
}

static int enter_at(cnp_function *made, const cnp_function *f, cnp_label label, const cnp_value *live, size_t n) {
    int done = copy_tables(made, f);
    pthread_mutex_lock(&f->session->lock);
    done = done && enter_locked(made, f, label, live, n);
    pthread_mutex_unlock(&f->session->lock);
    return done;
}

cnp_function *cnp_entered_at(const cnp_function *f, cnp_label label, const cnp_value *live, size_t n) {
    cnp_function *made = cnp_new(f->session, f->name, (cnp_type)f->result);
    if (!made)
        return NULL;
    if (f->error.kind)
        made->error = f->error;
    else {
        cnp_parameter(made, CNP_I64);
        allocated(made, enter_at(made, f, label, live, n));
    }
    return made;
}
