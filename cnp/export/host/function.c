/* Functions under construction: made, given registers and labels, deleted. */

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

cnp_function *cnp_new(cnp_session *session, const char *name, cnp_type result) {
    cnp_function *f = calloc(1, sizeof *f);
    if (!f || !(f->name = copy_text(name))) {
        free(f);
        return NULL;
    }
    f->session = session;
    f->result = (u8)result;
    pthread_mutex_lock(&session->lock);
    f->serial = ++session->serials;
    pthread_mutex_unlock(&session->lock);
    return f;
}

void cnp_delete(cnp_function *f) {
    if (!f)
        return;
    free(f->name);
    free(f->words);
    free(f->constants);
    free(f->types);
    free(f->callees);
    free(f->offsets);
    free(f->files);
    free(f->exits);
    free(f->exit_values);
    free((void *)f->assumptions);
    free((void *)f->targets);
    free(f);
}

static int is_type(cnp_type type) { return (u32)type <= CNP_F64; }

cnp_value cnp_register(cnp_function *f, cnp_type type) {
    if (f->error.kind)
        return cnp_none();
    if (!is_type(type)) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s': a register of type %d; accepted: CNP_I32, CNP_I64, CNP_F32, CNP_F64",
             f->name, (int)type);
        return cnp_none();
    }
    if (!allocated(f, make_room(&f->types, &f->types_capacity, f->n_registers + 1, 1)))
        return cnp_none();
    f->types[f->n_registers] = (u8)type;
    return own_value(f, f->n_registers++, CNP_REGISTER + (u32)type);
}

cnp_value cnp_parameter(cnp_function *f, cnp_type type) {
    cnp_value parameter;
    if (!f->error.kind && (f->n_registers != f->n_parameters || f->n_ops || f->n_parameters == ARGUMENTS))
        fail(&f->error, CNP_ERROR_FUNCTION,
             "function '%s': parameter %u; accepted: up to %d of them, before any other register and any op", f->name,
             (unsigned)f->n_parameters, ARGUMENTS);
    parameter = cnp_register(f, type);
    f->n_parameters += has_type(parameter, CNP_REGISTER);
    return parameter;
}

cnp_label cnp_new_label(cnp_function *f) {
    cnp_label label;
    if (!f->error.kind && f->n_labels == MOST_ELEMENTS)
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s': more than %d labels", f->name, MOST_ELEMENTS);
    label.place = f->error.kind ? cnp_none() : own_value(f, f->n_labels++, CNP_LABEL);
    return label;
}
