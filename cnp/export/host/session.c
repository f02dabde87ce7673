/* Sessions: the core loaded into memory for code, and told where the C library is. */

enum { DEFAULT_CODE_SIZE = 64 << 20 };

/* The host's functions have other types than the C library's, of the same representation. */
#define HOST(member, function) host->member = (__typeof__(host->member))(void (*)(void))(function)

static void fill_in_host(struct host *host, pthread_key_t key) {
    host->poll = poll_host;
    host->trapped = trapped_host;
    host->left = left_host;
    host->came_out = came_out_host;
    HOST(pthread_getspecific, pthread_getspecific);
    host->pthread_setspecific = remember_context;
    HOST(pthread_self, pthread_self);
    HOST(pthread_getattr_np, pthread_getattr_np);
    HOST(pthread_attr_getstack, pthread_attr_getstack);
    HOST(pthread_attr_destroy, pthread_attr_destroy);
    HOST(mmap, mmap);
    HOST(munmap, munmap);
    HOST(clock_gettime, clock_gettime);
    HOST(sigaction, sigaction);
    HOST(sigaltstack, sigaltstack);
    HOST(raise, raise);
    host->context_key = (u32)key;
    host->threads = &session_of(host)->threads;
    host->threads->epoch = 1;
}

/* First of all in the arena: the core wants to start at a page. */
static int place_core(cnp_session *session, cnp_error *error) {
    struct extent *extent = take_code(&session->arena, BLOB_SIZE, error);
    u64 host = (u64)(uintptr_t)&session->host;
    if (!extent)
        return 0;
    session->blob = session->arena.executable + extent->start;
    memcpy(session->arena.writable + extent->start, library_data + BLOB_AT, BLOB_SIZE);
    memcpy(session->arena.writable + extent->start + AT_cnp_own_host, &host, sizeof host);
    fill_imports(session->arena.writable + extent->start);
    if (!commit_code(&session->arena, extent, error)) {
        give_code(&session->arena, extent);
        return 0;
    }
    free(extent); /* the core stays */
    session->library = library_values;
    point_to_sections(&session->library);
    session->library.blob = (u64)(uintptr_t)session->blob;
    return 1;
}

/* The processor must have what the stencils use, as /proc/cpuinfo spells it; where that does not say, it is believed. */
static int has_features(cnp_error *error) {
    char line[8192], *flags = NULL;
    FILE *file = features[0] ? fopen("/proc/cpuinfo", "r") : NULL;
    while (file && !flags && fgets(line, sizeof line - 1, file))
        if (!strncmp(line, "flags", 5))
            flags = strchr(line, ':');
    if (file)
        fclose(file);
    for (const char *const *feature = features; flags && *feature; feature++) {
        size_t length = strlen(*feature);
        const char *at = flags;
        while ((at = strstr(at, *feature)) && !(at[-1] == ' ' && strchr(" \n", at[length])))
            at += length;
        if (!at)
            return fail(error, CNP_ERROR_SYSTEM, "this processor lacks %s, which the stencils use", *feature), 0;
    }
    return 1;
}

cnp_session *cnp_open(const cnp_options *options, cnp_error *error) {
    cnp_session *session;
    pthread_key_t key;
    size_t size = options && options->code_size ? options->code_size : DEFAULT_CODE_SIZE;
    if (!has_features(error))
        return NULL;
    if (!(session = calloc(1, sizeof *session)))
        return out_of_memory(error);
    if (pthread_key_create(&key, forget_context)) {
        free(session);
        return fail(error, CNP_ERROR_SYSTEM, "no thread-specific key is left");
    }
    pthread_mutex_init(&session->lock, NULL);
    fill_in_host(&session->host, key);
    if (options)
        session->options = *options;
    session->last_retired = &session->retired;
    prepare_synchronize();
    if (!open_arena(&session->arena, size, session->options.one_mapping, error) || !place_core(session, error)) {
        cnp_close(session);
        return NULL;
    }
    return session;
}

void cnp_close(cnp_session *session) {
    void *own;
    if (!session)
        return;
    stop_catching(session);
    while (session->tiered)
        cnp_delete_tiered(session->tiered);
    while (session->codes)
        cnp_free(session->codes);
    while (session->retired) {
        cnp_code *code = session->retired;
        session->retired = code->next;
        end_code(code);
    }
    while (session->cells)
        cnp_delete_cell(session->cells);
    while (session->assumptions)
        cnp_delete_assumption(session->assumptions);
    if ((own = pthread_getspecific(session->host.context_key)))
        forget_context(own); /* with its stack for signals; those of other threads, which are in use there, stay */
    pthread_key_delete(session->host.context_key);
    for (size_t k = 0; k < session->n_contexts; k++)
        munmap(session->contexts[k], CNP_STACK_SIZE);
    close_arena(&session->arena);
    for (size_t k = 0; k < session->n_scratch; k++)
        free(session->scratch[k].start);
    free(session->scratch);
    free(session->contexts);
    free((void *)session->parts);
    free(session->free_numbers);
    pthread_mutex_destroy(&session->lock);
    free(session);
}
