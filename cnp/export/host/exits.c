/* Side exits: what a function says of them -> the core's records, which its code points to; and the way to their handlers. */

enum { MOST_EXIT_VALUES = 1000 };

static int is_passed_on(const cnp_function *f, cnp_value value) {
    return has_type(value, CNP_CONSTANT) || (has_type(value, CNP_REGISTER) && is_own(f, value));
}

/* A function's exits -> copies of them, or the same ones, that point to copies of their values. */
static void copy_exits(const cnp_function *f, struct side_exit *exits, struct side_exit_value *values) {
    for (size_t k = 0; k < f->n_exits; k++) {
        exits[k] = f->exits[k];
        exits[k].values = values + (f->exits[k].values - f->exit_values);
    }
    if (f->n_exit_values)
        memcpy(values, f->exit_values, f->n_exit_values * sizeof *values);
}

/* For so many exits more, with so many values together; 0 without memory. */
static int room_for_exits(cnp_function *f, size_t n, size_t n_values) {
    struct side_exit_value *values = NULL;
    size_t capacity = 0;
    if (!allocated(f, make_room(&f->exits, &f->exits_capacity, f->n_exits + n, sizeof *f->exits)))
        return 0;
    if (!n || f->n_exit_values + n_values < f->exit_values_capacity)
        return 1;
    if (!allocated(f, make_room(&values, &capacity, 2 * f->n_exit_values + n_values + 1, sizeof *values)))
        return 0;
    copy_exits(f, f->exits, values); /* they point to their values */
    free(f->exit_values);
    f->exit_values = values;
    f->exit_values_capacity = capacity;
    return 1;
}

/* What a function's exits have in common that have that handler. */
static struct side_exit exit_to(const cnp_function *f, cnp_exit_handler handler, void *point) {
    return (struct side_exit){.host = &f->session->host, .handler = (void *)(uintptr_t)handler, .point = point,
                              .result_type = f->result, .offset = NO_GUEST_OFFSET};
}

static struct side_exit_value row_of_value(cnp_value value) {
    int is_constant = has_type(value, CNP_CONSTANT);
    return (struct side_exit_value){.constant = value.bits, .reg = is_constant ? 0 : index_of(value),
                                    .type = (u8)(value.kind - (is_constant ? CNP_CONSTANT : CNP_REGISTER)),
                                    .is_constant = (u8)is_constant};
}

static cnp_value value_of_row(const cnp_function *f, const struct side_exit_value *row) {
    return row->is_constant ? cnp_make_value(row->constant, CNP_CONSTANT + (u32)row->type)
                            : own_value(f, row->reg, CNP_REGISTER + (u32)row->type);
}

cnp_label cnp_exit(cnp_function *f, cnp_exit_handler handler, void *point, const cnp_value *values, size_t n) {
    cnp_label label = cnp_new_label(f);
    struct side_exit exit;
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
    if (!room_for_exits(f, 1, n))
        return label;
    exit = exit_to(f, handler, point);
    exit.label = index_of(label.place);
    exit.values = f->exit_values + f->n_exit_values;
    exit.n_values = (u32)n;
    for (size_t k = 0; k < n; k++)
        f->exit_values[f->n_exit_values++] = row_of_value(values[k]);
    f->exits[f->n_exits++] = exit;
    return label;
}

size_t cnp_exit_values(const cnp_function *f, size_t k, cnp_value *values, size_t room) {
    const struct side_exit *exit = k < f->n_exits ? &f->exits[k] : NULL;
    for (size_t v = 0; exit && v < exit->n_values && v < room; v++)
        values[v] = value_of_row(f, &exit->values[v]);
    return exit ? exit->n_values : 0;
}

/* The exits of a function that is going to be compiled, for the core to complete; 0 without memory. */
static int describe_exits(const cnp_function *f, struct part *part) {
    if (!f->n_exits)
        return 1;
    part->exits = malloc(f->n_exits * sizeof *part->exits);
    part->exit_values = malloc((f->n_exit_values + 1) * sizeof *part->exit_values);
    part->points = calloc(f->n_exits, sizeof *part->points);
    if (!part->exits || !part->exit_values || !part->points)
        return 0;
    part->n_exits = (u32)f->n_exits;
    copy_exits(f, part->exits, part->exit_values);
    for (size_t k = 0; k < f->n_exits; k++)
        if (f->exits[k].offset != NO_GUEST_OFFSET) {
            part->points[k] = (cnp_guest_point){f->exits[k].point, f->exits[k].offset};
            part->exits[k].point = &part->points[k];
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
