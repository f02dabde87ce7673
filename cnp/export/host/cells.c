/* Cells: callees, and numbers, that are exchanged while threads run the code that reads them. */

static void describe_types(const struct callee *types, char *text, size_t size) {
    size_t at = (size_t)snprintf(text, size, "(");
    for (u32 k = 0; k < types->n_parameters; k++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", k ? ", " : "", type_name(types->parameter_type[k]));
    snprintf(text + at, size - at, ") -> %s", type_name(types->result_type));
}

static int is_target(const cnp_session *session, const char *name, struct target target, cnp_error *error) {
    const char *wrong = wrong_target(session, target.code, target.index);
    return !wrong || (fail(error, CNP_ERROR_FUNCTION, "cell '%s': %s", name, wrong), 0);
}

static int fits(const cnp_cell *cell, struct target target, cnp_error *error) {
    struct callee found;
    char wanted[80], text[80];
    if (!is_target(cell->session, cell->name, target, error))
        return 0;
    found = row_of_code(target.code, target.index, CALLEE_CELL, 0);
    if (found.result_type == cell->types.result_type && found.n_parameters == cell->types.n_parameters &&
        !memcmp(found.parameter_type, cell->types.parameter_type, found.n_parameters))
        return 1;
    describe_types(&cell->types, wanted, sizeof wanted);
    describe_types(&found, text, sizeof text);
    fail(error, CNP_ERROR_FUNCTION, "cell '%s': '%.80s' is %s; accepted: %s", cell->name, target.code->parts[target.index].name,
         text, wanted);
    return 0;
}

cnp_cell *cnp_new_cell(cnp_session *session, const char *name, const cnp_code *code, size_t index, cnp_error *error) {
    const struct target target = {code, index};
    cnp_cell *cell;
    if (!is_target(session, name, target, error))
        return NULL;
    if (!(cell = calloc(1, sizeof *cell)) || !(cell->name = copy_text(name))) {
        free(cell);
        return out_of_memory(error);
    }
    cell->session = session;
    cell->types = row_of_code(code, index, CALLEE_CELL, (u64)(uintptr_t)&cell->word);
    cell->fallback = target;
    point_to(cell, target);
    pthread_mutex_lock(&session->lock);
    LINK(session->cells, cell);
    pthread_mutex_unlock(&session->lock);
    return cell;
}

void cnp_delete_cell(cnp_cell *cell) {
    if (!cell)
        return;
    pthread_mutex_lock(&cell->session->lock);
    UNLINK(cell);
    pthread_mutex_unlock(&cell->session->lock);
    free(cell->name);
    free(cell);
}

static int set_cell(cnp_cell *cell, struct target target, int is_fallback, cnp_error *error) {
    int is_right;
    if (!fits(cell, target, error))
        return 0;
    pthread_mutex_lock(&cell->session->lock);
    if ((is_right = !has_broken(target.code))) {
        point_to(cell, target);
        if (is_fallback)
            cell->fallback = target;
    }
    pthread_mutex_unlock(&cell->session->lock);
    if (!is_right)
        fail(error, CNP_ERROR_BROKEN, "cell '%s': '%s' depends on an assumption that is broken", cell->name,
             target.code->parts[target.index].name);
    return is_right;
}

int cnp_set_cell(cnp_cell *cell, const cnp_code *code, size_t index, cnp_error *error) {
    return set_cell(cell, (struct target){code, index}, 0, error);
}

int cnp_set_fallback(cnp_cell *cell, const cnp_code *code, size_t index, cnp_error *error) {
    return set_cell(cell, (struct target){code, index}, 1, error);
}

void cnp_reset_cell(cnp_cell *cell) {
    pthread_mutex_lock(&cell->session->lock);
    point_to(cell, cell->fallback);
    pthread_mutex_unlock(&cell->session->lock);
}

void cnp_call_cell(cnp_function *f, cnp_value d, const cnp_cell *callee, const cnp_value *arguments, size_t n) {
    if (callee->session == f->session)
        put_call(f, d, &callee->types, NULL, arguments, n);
    else if (!f->error.kind)
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (call): cell '%s' is another session's", f->name,
             (unsigned)f->n_ops, callee->name);
}

/* ---- cells of data ---- */

void cnp_load_cell(cnp_function *f, cnp_value d, const cnp_data_cell *cell) { cnp_i64_load(f, d, cnp_const_address(cell), 0); }

void cnp_set_data_cell(cnp_session *session, cnp_data_cell *cell, int64_t value) {
    u64 word;
    memcpy(&word, &value, sizeof word);
    set_word(session, (u64 *)(void *)&cell->value, word);
}
