/* A function and a label of it -> a function that goes on there: entry in the middle of a loop that already runs. */

enum { NOT_PLACED = -1 };

/* The ops of a function, by number: where their words begin, and which are reached. */
struct reach {
    const cnp_function *f;
    u32 *first; /* word of an op */
    u32 *work;  /* ops that are reached and not looked at */
    s32 *label_at; /* the op that places a label, or NOT_PLACED */
    u8 *is_reached;
    size_t n_work;
};

static void end_reach(struct reach *reach) {
    free(reach->first);
    free(reach->work);
    free(reach->label_at);
    free(reach->is_reached);
}

static int begin_reach(struct reach *reach, const cnp_function *f) {
    size_t n = (size_t)f->n_ops + 1, labels = (size_t)f->n_labels + 1;
    *reach = (struct reach){f, malloc(n * sizeof(u32)), malloc(n * sizeof(u32)), malloc(labels * sizeof(s32)), calloc(n, 1), 0};
    if (!reach->first || !reach->work || !reach->label_at || !reach->is_reached)
        return 0;
    for (size_t k = 0; k < labels; k++)
        reach->label_at[k] = NOT_PLACED;
    for (u32 number = 0, at = 0; number < f->n_ops; number++) {
        u32 head = f->words[at];
        if ((head & 0xffff) == IR_PLACE && reach->label_at[f->words[at + 1]] == NOT_PLACED)
            reach->label_at[f->words[at + 1]] = (s32)number;
        reach->first[number] = at;
        at += (head >> 16) + 1;
    }
    return 1;
}

static void go_to(struct reach *reach, s64 number) {
    if (number < 0 || number >= reach->f->n_ops || reach->is_reached[number])
        return;
    reach->is_reached[number] = 1;
    reach->work[reach->n_work++] = (u32)number;
}

static int ends(u32 code) { return code == IR_JUMP || code == IR_RET || code == IR_TABLE || code == IR_TRAP; }

static void follow(struct reach *reach, u32 start) {
    go_to(reach, start);
    while (reach->n_work) {
        u32 number = reach->work[--reach->n_work], head, code;
        const u32 *words = reach->f->words + reach->first[number];
        head = *words++;
        code = head & 0xffff;
        for (u32 k = 0; code != IR_PLACE && k < head >> 16; k++)
            if (role_of(code, k) == LABEL_ROLE)
                go_to(reach, reach->label_at[words[k]]);
        if (!ends(code))
            go_to(reach, (s64)number + 1);
    }
}

/* The buffer's address is register 0; the others come behind it. */
static cnp_value moved(const cnp_function *made, cnp_value value) {
    return has_type(value, CNP_REGISTER) ? own_value(made, (size_t)index_of(value) + 1, value.kind) : value;
}

static void copy_op(cnp_function *made, const u32 *words) {
    u32 code = *words & 0xffff, n = *words >> 16, *to = begin_op(made, code, n);
    if (!to)
        return;
    words++;
    for (u32 k = 0; k < n; k++)
        to[k] = words[k] + (role_of(code, k) == REGISTER_ROLE && !(words[k] & CONSTANT_WORD));
    end_op(made, n);
}

/* What the ops refer to. */
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
    if (!add_exit_values(made, f->exit_values, f->n_exit_values))
        return 0;
    for (size_t k = 0; k < f->n_exits; k++)
        if (!add_exit(made, f->exits[k]))
            return 0;
    for (size_t k = 0; k < made->n_exit_values; k++)
        made->exit_values[k] = moved(made, made->exit_values[k]);
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
        operands[0] = moved(made, live[k]);
        operands[1] = own_value(made, 0, CNP_REGISTER + CNP_I64);
        operands[2] = cnp_offset((s32)(k * sizeof(cnp_any)));
        cnp_op(made, loads[live[k].kind - CNP_REGISTER], operands, 3);
    }
    return 1;
}

static int copy_reached(cnp_function *made, const struct reach *reach, u32 start) {
    const cnp_function *f = reach->f;
    u32 first = 0;
    while (!reach->is_reached[first])
        first++;
    if (first != start) {
        cnp_label label;
        label.place = own_value(made, f->words[reach->first[start] + 1], CNP_LABEL);
        cnp_jump(made, label);
    }
    if (f->n_offsets) {
        if (!make_room(&made->offsets, &made->offsets_capacity, (size_t)made->n_ops + f->n_ops, sizeof *made->offsets))
            return 0;
        for (; made->n_offsets < made->n_ops; made->n_offsets++)
            made->offsets[made->n_offsets] = NO_GUEST_OFFSET;
    }
    for (u32 number = first; number < f->n_ops; number++) {
        if (!reach->is_reached[number])
            continue;
        if (number < f->n_offsets)
            made->offsets[made->n_offsets++] = f->offsets[number];
        copy_op(made, f->words + reach->first[number]);
    }
    return 1;
}

static int enter_at(cnp_function *made, const cnp_function *f, cnp_label label, const cnp_value *live, size_t n) {
    struct reach reach;
    int done = begin_reach(&reach, f) && copy_tables(made, f);
    s32 start = NOT_PLACED;
    if (done) {
        if (label.place.kind == CNP_LABEL && is_own(f, label.place))
            start = reach.label_at[index_of(label.place)];
        if (start == NOT_PLACED)
            fail(&made->error, CNP_ERROR_FUNCTION,
                 "function '%s' cannot be entered there; accepted: a label of this function that has been placed", f->name);
        else if (load_live(made, f, live, n)) {
            follow(&reach, (u32)start);
            done = copy_reached(made, &reach, (u32)start);
        }
    }
    end_reach(&reach);
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
