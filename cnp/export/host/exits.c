/* Side exits: what a function says of them -> the core's records, which its code points to; and the way to their handlers. */

enum { MOST_EXIT_VALUES = 1000 };

/* A side exit of a function under construction. */
struct exit {
    cnp_exit_handler handler;
    void *point; /* or, of one in bytecode, the handler's data */
    u32 label;
    u32 n_values;
    u32 offset;         /* in the bytecode, or NO_GUEST_OFFSET */
    size_t first_value; /* among those of the function; exits of bytecode share them */
};

static int is_passed_on(const cnp_function *f, cnp_value value) {
    return has_type(value, CNP_CONSTANT) || (has_type(value, CNP_REGISTER) && is_own(f, value));
}

/* Values for exits to pass on, which begin where the latest end. */
static int add_exit_values(cnp_function *f, const cnp_value *values, size_t n) {
    if (!allocated(f, make_room(&f->exit_values, &f->exit_values_capacity, f->n_exit_values + n, sizeof *f->exit_values)))
        return 0;
    for (size_t k = 0; k < n; k++)
        f->exit_values[f->n_exit_values++] = values[k];
    return 1;
}

static int add_exit(cnp_function *f, struct exit exit) {
    if (!allocated(f, make_room(&f->exits, &f->exits_capacity, f->n_exits + 1, sizeof *f->exits)))
        return 0;
    f->exits[f->n_exits++] = exit;
    return 1;
}

cnp_label cnp_exit(cnp_function *f, cnp_exit_handler handler, void *point, const cnp_value *values, size_t n) {
    cnp_label label = cnp_new_label(f);
    char text[80];
    if (f->error.kind)
        return label;
    if (!handler) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', exit %zu: found NULL as its handler; accepted: a function", f->name,
             f->n_exits);
        return label;
    }
    if (n > MOST_EXIT_VALUES) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', exit %zu: %zu values; accepted: up to %d", f->name, f->n_exits, n,
             MOST_EXIT_VALUES);
        return label;
    }
    for (size_t k = 0; k < n; k++)
        if (!is_passed_on(f, values[k])) {
            describe_value(f, values[k], text, sizeof text);
            fail(&f->error, CNP_ERROR_FUNCTION,
                 "function '%s', exit %zu, value %zu: found %s; accepted: a register of this function, or a constant", f->name,
                 f->n_exits, k, text);
            return label;
        }
    if (add_exit_values(f, values, n))
        add_exit(f, (struct exit){handler, point, index_of(label.place), (u32)n, NO_GUEST_OFFSET, f->n_exit_values - n});
    return label;
}

size_t cnp_exit_values(const cnp_function *f, size_t k, cnp_value *values, size_t room) {
    const struct exit *exit = k < f->n_exits ? &f->exits[k] : NULL;
    for (size_t v = 0; exit && v < exit->n_values && v < room; v++)
        values[v] = f->exit_values[exit->first_value + v];
    return exit ? exit->n_values : 0;
}

/* The exits of a function that is going to be compiled, for the core to complete; 0 without memory. */
static int describe_exits(const cnp_function *f, struct part *part) {
    if (!f->n_exits)
        return 1;
    part->exits = calloc(f->n_exits, sizeof *part->exits);
    part->exit_values = calloc(f->n_exit_values + 1, sizeof *part->exit_values);
    part->points = calloc(f->n_exits, sizeof *part->points);
    if (!part->exits || !part->exit_values || !part->points)
        return 0;
    part->n_exits = (u32)f->n_exits;
    for (size_t v = 0; v < f->n_exit_values; v++) {
        cnp_value value = f->exit_values[v];
        struct side_exit_value *to = &part->exit_values[v];
        to->is_constant = has_type(value, CNP_CONSTANT);
        to->type = (u8)(value.kind - (to->is_constant ? CNP_CONSTANT : CNP_REGISTER));
        to->constant = value.bits;
        to->reg = to->is_constant ? 0 : index_of(value);
    }
    for (size_t k = 0; k < f->n_exits; k++) {
        const struct exit *exit = &f->exits[k];
        part->exits[k] = (struct side_exit){.host = &f->session->host, .handler = (void *)(uintptr_t)exit->handler,
                                            .point = exit->point, .values = part->exit_values + exit->first_value,
                                            .n_values = exit->n_values, .label = exit->label, .result_type = f->result};
        if (exit->offset != NO_GUEST_OFFSET) {
            part->points[k] = (cnp_guest_point){exit->point, exit->offset};
            part->exits[k].point = &part->points[k];
        }
    }
    return 1;
}

/* What the core calls for a side exit: values from the frame, to the handler, whose result is as compiled code gives it. */
static int left_host(const struct side_exit *exit, const char *frame, struct cnp_result *result) {
    cnp_any values[MOST_EXIT_VALUES], given = {0};
    u64 *integer = &result->i;
    f64 *real = &result->f;
    int stops;
    COMES_AFTER(cell_was_set); /* that led to the code */
    for (u32 k = 0; k < exit->n_values; k++) {
        const struct side_exit_value *value = &exit->values[k];
        memcpy(&values[k], value->is_constant ? (const char *)&value->constant : frame + value->slot, sizeof *values);
    }
    stops = ((cnp_exit_handler)(uintptr_t)exit->handler)(exit->point, values, exit->n_values, &given);
    if (!stops && exit->result_type != NO_TYPE)
        pass(&session_of(exit->host)->library, exit->result_type, given, &integer, &real);
    COMES_BEFORE(exit_was_taken); /* the code is freed once all have left it */
    return stops != 0;
}

/* ---- what is said of them ---- */

static const struct side_exit *exit_of(const cnp_code *code, size_t index, size_t k) {
    return index < code->n && k < code->parts[index].n_exits ? &code->parts[index].exits[k] : NULL;
}

int cnp_exit_at(const cnp_code *code, size_t index, size_t k, cnp_exit_place *place) {
    const struct side_exit *exit = exit_of(code, index, k);
    if (!exit)
        return 0;
    *place = (cnp_exit_place){exit->point, exit->position == NO_POSITION ? SIZE_MAX : exit->position, exit->n_values};
    return 1;
}

int cnp_exit_value_at(const cnp_code *code, size_t index, size_t k, size_t value, cnp_value_place *place) {
    const struct side_exit *exit = exit_of(code, index, k);
    const struct side_exit_value *row;
    if (!exit || value >= exit->n_values)
        return 0;
    row = &exit->values[value];
    *place = (cnp_value_place){.type = (cnp_type)row->type, .is_constant = row->is_constant, .place = row->place,
                               .slot = row->slot};
    memcpy(&place->constant, &row->constant, sizeof place->constant);
    return 1;
}
