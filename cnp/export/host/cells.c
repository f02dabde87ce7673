/* Cells and assumptions: eight bytes of memory that compiled code reads while other threads write them, each all at once. */

struct callback_of_host {
    void (*function)(void *);
    void *data;
};

struct cnp_assumption {
    u64 word; /* not 0 once it is broken */
    cnp_session *session;
    cnp_assumption *next, **link; /* among the session's; what points here */
    struct callback_of_host *callbacks;
    size_t n_callbacks, callbacks_capacity;
};

struct target {
    const cnp_code *code;
    size_t index;
};

struct cnp_cell {
    u64 word; /* where the target's code begins */
    cnp_session *session;
    cnp_cell *next, **link; /* as above */
    char *name;
    struct callee types;
    struct target target, fallback;
};

/* A store that every thread sees all at once. */
static void set_word(cnp_session *session, u64 *word, u64 value) { ROUTINE(session, void (*)(u64 *, u64), cnp_set)(word, value); }

static void point_to(cnp_cell *cell, struct target target) {
    cell->target = target;
    set_word(cell->session, &cell->word, target.code->parts[target.index].signature.entry);
}

/* ---- assumptions ---- */

/* A function's code will depend on it; 0 without memory. */
static int depend_on(cnp_function *f, const cnp_assumption *assumption) {
    if (!make_room(&f->assumptions, &f->assumptions_capacity, f->n_assumptions + 1, sizeof *f->assumptions))
        return 0;
    f->assumptions[f->n_assumptions++] = assumption;
    return 1;
}

/* What a piece of code depends on; 0 without memory. */
static int keep_assumptions(cnp_code *code, cnp_function *const *functions) {
    size_t n = 0;
    for (size_t k = 0; k < code->n; k++)
        n += functions[k]->n_assumptions;
    if (n && !(code->assumptions = calloc(n, sizeof *code->assumptions)))
        return 0;
    for (size_t k = 0; k < code->n; k++)
        for (size_t a = 0; a < functions[k]->n_assumptions; a++)
            code->assumptions[code->n_assumptions++] = functions[k]->assumptions[a];
    return 1;
}

static int has_broken(const cnp_code *code) {
    for (size_t k = 0; k < code->n_assumptions; k++)
        if (cnp_is_broken(code->assumptions[k]))
            return 1;
    return 0;
}

cnp_assumption *cnp_new_assumption(cnp_session *session) {
    cnp_assumption *assumption = calloc(1, sizeof *assumption);
    if (!assumption)
        return NULL;
    assumption->session = session;
    pthread_mutex_lock(&session->lock);
    LINK(session->assumptions, assumption);
    pthread_mutex_unlock(&session->lock);
    return assumption;
}

void cnp_delete_assumption(cnp_assumption *assumption) {
    if (!assumption)
        return;
    pthread_mutex_lock(&assumption->session->lock);
    UNLINK(assumption);
    pthread_mutex_unlock(&assumption->session->lock);
    free(assumption->callbacks);
    free(assumption);
}

int cnp_is_broken(const cnp_assumption *assumption) { return *(volatile const u64 *)&assumption->word != 0; }

void cnp_assume(cnp_function *f, const cnp_assumption *assumption, cnp_label otherwise) {
    cnp_value flag = cnp_register(f, CNP_I64);
    if (f->error.kind || !allocated(f, depend_on(f, assumption)))
        return;
    cnp_i64_load(f, flag, cnp_const_address(&assumption->word), 0);
    cnp_branch_i64_nez(f, flag, otherwise);
}

int cnp_on_invalidate(cnp_assumption *assumption, void (*callback)(void *data), void *data) {
    int is_broken, done = 1;
    pthread_mutex_lock(&assumption->session->lock);
    is_broken = cnp_is_broken(assumption);
    if (!is_broken &&
        (done = make_room(&assumption->callbacks, &assumption->callbacks_capacity, assumption->n_callbacks + 1,
                          sizeof *assumption->callbacks)))
        assumption->callbacks[assumption->n_callbacks++] = (struct callback_of_host){callback, data};
    pthread_mutex_unlock(&assumption->session->lock);
    if (is_broken)
        callback(data);
    return done;
}

void cnp_invalidate(cnp_assumption *assumption) {
    cnp_session *session = assumption->session;
    size_t n;
    pthread_mutex_lock(&session->lock);
    n = cnp_is_broken(assumption) ? 0 : assumption->n_callbacks;
    set_word(session, &assumption->word, 1);
    for (cnp_cell *cell = session->cells; cell; cell = cell->next)
        if (has_broken(cell->target.code))
            point_to(cell, cell->fallback);
    pthread_mutex_unlock(&session->lock);
    for (size_t k = 0; k < n; k++) /* nobody adds any once it is broken */
        assumption->callbacks[k].function(assumption->callbacks[k].data);
}

/* ---- cells ---- */

static void describe_types(const struct callee *types, char *text, size_t size) {
    size_t at = (size_t)snprintf(text, size, "(");
    for (u32 k = 0; k < types->n_parameters; k++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", k ? ", " : "", type_name(types->parameter_type[k]));
    snprintf(text + at, size - at, ") -> %s", type_name(types->result_type));
}

static int is_target(const cnp_session *session, const char *name, struct target target, cnp_error *error) {
    const char *wrong = target.code->session != session           ? "the code is another session's"
                        : target.index >= target.code->n ? "the code has not so many functions"
                                                                  : NULL;
    return !wrong || (fail(error, CNP_ERROR_FUNCTION, "cell '%s': %s", name, wrong), 0);
}

static int fits(const cnp_cell *cell, struct target target, cnp_error *error) {
    struct callee found;
    char wanted[80], text[80];
    if (!is_target(cell->session, cell->name, target, error))
        return 0;
    found = row_of_code(target.code, target.index, CALLEE_CELL, 0);
    describe_types(&cell->types, wanted, sizeof wanted);
    describe_types(&found, text, sizeof text);
    if (!strcmp(wanted, text))
        return 1;
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
    put_call(f, d, &callee->types, NULL, arguments, n);
}

/* ---- cells of data ---- */

void cnp_load_cell(cnp_function *f, cnp_value d, const cnp_data_cell *cell) { cnp_i64_load(f, d, cnp_const_address(cell), 0); }

void cnp_set_data_cell(cnp_session *session, cnp_data_cell *cell, int64_t value) {
    u64 word;
    memcpy(&word, &value, sizeof word);
    set_word(session, (u64 *)(void *)&cell->value, word);
}
