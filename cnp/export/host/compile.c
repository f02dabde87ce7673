/* Functions that may call one another -> requests to the core -> one piece of code. */

enum { FIRST_SCRATCH = 256 << 10, ENTRY_ALIGNMENT = 16 };

/* Scratch memory number k of the session, of at least a size; the core's result stays there until it is emitted. */
static struct scratch *scratch_of(cnp_session *session, size_t k, size_t size) {
    if (k >= session->n_scratch) {
        struct scratch *grown = realloc(session->scratch, (k + 1) * sizeof *grown);
        if (!grown)
            return NULL;
        session->scratch = grown;
        grown[k] = (struct scratch){NULL, 0};
        session->n_scratch = k + 1;
    }
    if (size > session->scratch[k].size) {
        free(session->scratch[k].start);
        session->scratch[k] = (struct scratch){malloc(size), size};
        if (!session->scratch[k].start)
            session->scratch[k].size = 0;
    }
    return session->scratch[k].start ? &session->scratch[k] : NULL;
}

/* Where the callees of a function are, once the members have their places; before that, whether they are members. */
static int find_callees(cnp_function *f, const cnp_code *code, u64 executable, cnp_error *error) {
    for (size_t k = 0; k < f->n_callees; k++) {
        const cnp_function *target = f->targets[k];
        if (!target)
            continue;
        if (target->code != code)
            return fail(error, CNP_ERROR_FUNCTION,
                        "function '%s' calls '%s', which is not among those compiled; accepted: all of them in one cnp_compile",
                        f->name, target->name), 0;
        f->callees[k].address = executable ? executable + code->parts[target->index].offset : target->index;
    }
    return 1;
}

/* Everything but the copying. */
static int prepare(cnp_session *session, cnp_function *f, cnp_code *code, int far_calls, struct request *request,
                   cnp_error *error) {
    struct part *part = &code->parts[f->index];
    size_t size = FIRST_SCRATCH;
    if (f->error.kind) {
        if (error)
            *error = f->error;
        return 0;
    }
    if (!find_callees(f, code, 0, error))
        return 0;
    do {
        struct scratch *scratch = scratch_of(session, f->index, size);
        if (!scratch)
            return out_of_memory(error), 0;
        *request = (struct request){
            .words = f->words, .n_words = f->n_words, .constants = f->constants, .n_constants = (u32)f->n_constants,
            .type_bytes = f->types, .callees = f->callees, .n_callees = (u32)f->n_callees, .scratch = scratch->start,
            .scratch_size = scratch->size, .serial = f->serial, .function_number = part->signature.number,
            .n_registers = (u32)f->n_registers, .n_parameters = f->n_parameters, .n_labels = f->n_labels,
            .result_type = f->result, .safepoints = 1, .far_calls = (u8)far_calls, .exits = part->exits, .n_exits = part->n_exits,
            .leave = IS_FLOAT(f->result) ? ROUTINE(session, u64, cnp_leave_float) : ROUTINE(session, u64, cnp_leave_integer)};
        ROUTINE(session, compile_routine, cnp_compile)(&session->library, NULL, request);
        size = request->scratch_used;
    } while (request->error == NEED_SCRATCH);
    if (request->error)
        return ill_formed(f, request, error), 0;
    part->size = request->code_size;
    return 1;
}

/* The way in from C for a function. Bytes of it; none are written if `writable` is NULL. */
static size_t emit_entry(const cnp_session *session, const struct part *part, char *writable, u64 executable) {
    u32 is_float = IS_FLOAT(part->signature.result_type);
    u64 signature = (u64)(uintptr_t)&part->signature;
    return ROUTINE(session, entry_routine, cnp_emit_entry)(&session->library, is_float, signature, writable, executable);
}

/* Bytes of all functions and of their entries; each gets its place. */
static size_t lay_out(cnp_session *session, cnp_code *code, const struct request *requests) {
    size_t size = 0;
    for (size_t k = 0; k < code->n; k++) {
        size = (size + requests[k].alignment - 1) / requests[k].alignment * requests[k].alignment;
        code->parts[k].offset = size;
        size += requests[k].code_size;
    }
    for (size_t k = 0; k < code->n; k++) {
        size = (size + ENTRY_ALIGNMENT - 1) / ENTRY_ALIGNMENT * ENTRY_ALIGNMENT;
        code->parts[k].entry = size;
        size += emit_entry(session, &code->parts[k], NULL, 0);
    }
    return size;
}

/* Copies and patches. 0 if a call does not reach its target. */
static int emit(cnp_session *session, cnp_function *const *functions, cnp_code *code, struct request *requests) {
    char *writable = session->arena.writable + code->extent->start, *start = session->arena.executable + code->extent->start;
    u64 executable = (u64)(uintptr_t)start;
    for (size_t k = 0; k < code->n; k++) {
        struct part *part = &code->parts[k];
        find_callees(functions[k], code, executable, NULL);
        if (ROUTINE(session, emit_routine, cnp_emit)(&requests[k], writable + part->offset, executable + part->offset))
            return 0;
        part->signature.entry = executable + part->offset;
        emit_entry(session, part, writable + part->entry, executable + part->entry);
    }
    return 1;
}

/* 1, 0 with an error, or -1 if calls have to be made that reach anywhere. */
static int translate(cnp_session *session, cnp_function *const *functions, cnp_code *code, int far_calls,
                     struct request *requests, cnp_error *error) {
    for (size_t k = 0; k < code->n; k++)
        if (!prepare(session, functions[k], code, far_calls, &requests[k], error))
            return 0;
    if (!(code->extent = take_code(&session->arena, lay_out(session, code, requests), error)))
        return 0;
    if (emit(session, functions, code, requests))
        return commit_code(&session->arena, code->extent, error);
    give_code(&session->arena, code->extent);
    code->extent = NULL;
    if (far_calls)
        fail(error, CNP_ERROR_SYSTEM, "function '%s': a call does not reach its target", functions[0]->name);
    return far_calls ? 0 : -1;
}

/* What the code says of a function; 0 without memory. */
static int begin_part(cnp_session *session, cnp_code *code, size_t k, cnp_function *f) {
    struct part *part = &code->parts[k];
    *part = (struct part){.signature = {.host = &session->host, .n_parameters = f->n_parameters, .result_type = f->result},
                          .name = copy_text(f->name)};
    if (f->n_parameters)
        memcpy(part->signature.parameter_type, f->types, f->n_parameters);
    for (u32 p = 0; p < f->n_parameters; p++)
        part->signature.uses_floats |= IS_FLOAT(f->types[p]);
    f->code = code;
    f->index = k;
    return part->name && describe_exits(f, part) && (part->signature.number = take_number(session, part)) != 0;
}

static void end_code(cnp_code *code) {
    cnp_session *session = code->session;
    if (code->extent)
        give_code(&session->arena, code->extent);
    for (size_t k = 0; k < code->n; k++) {
        if (code->parts[k].signature.number)
            give_number(session, code->parts[k].signature.number);
        free((void *)(uintptr_t)code->parts[k].name);
        free(code->parts[k].exits);
        free(code->parts[k].exit_values);
        free(code->parts[k].points);
    }
    free((void *)code->assumptions);
    free(code);
}

static cnp_code *compile_locked(cnp_session *session, cnp_function *const *functions, size_t n, cnp_error *error) {
    cnp_code *code = calloc(1, sizeof *code + n * sizeof *code->parts);
    struct request *requests = calloc(n, sizeof *requests);
    int done = code && requests;
    if (code) {
        code->session = session;
        code->n = n;
    }
    for (size_t k = 0; done && k < n; k++)
        done = begin_part(session, code, k, functions[k]);
    if (!done || !(done = keep_assumptions(code, functions)))
        out_of_memory(error);
    else if ((done = translate(session, functions, code, 0, requests, error)) < 0)
        done = translate(session, functions, code, 1, requests, error);
    for (size_t k = 0; k < n; k++)
        functions[k]->code = NULL;
    free(requests);
    if (done) {
        LINK(session->codes, code);
        return code;
    }
    if (code)
        end_code(code);
    return NULL;
}

cnp_code *cnp_compile(cnp_session *session, cnp_function *const *functions, size_t n, cnp_error *error) {
    cnp_code *code;
    if (!n || n > MOST_ELEMENTS)
        return fail(error, CNP_ERROR_FUNCTION, "%zu functions to compile; accepted: 1 to %d", n, MOST_ELEMENTS);
    for (size_t k = 0; k < n; k++)
        if (functions[k]->session != session)
            return fail(error, CNP_ERROR_FUNCTION, "function '%s' is another session's", functions[k]->name);
    pthread_mutex_lock(&session->lock);
    code = compile_locked(session, functions, n, error);
    pthread_mutex_unlock(&session->lock);
    return code;
}

void cnp_free(cnp_code *code) {
    cnp_session *session;
    if (!code)
        return;
    session = code->session;
    pthread_mutex_lock(&session->lock);
    UNLINK(code);
    end_code(code);
    pthread_mutex_unlock(&session->lock);
}
