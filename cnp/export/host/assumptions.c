/* Assumptions: what code depends on them, and what happens when they are broken. */

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
