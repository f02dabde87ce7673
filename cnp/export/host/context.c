/* What the core asks of its host: contexts of threads kept, polls, traps told. */

static cnp_session *session_of(const struct host *host) { return (cnp_session *)(uintptr_t)host; }

/* pthread_setspecific for the context that the core has just made of mapped memory, which it unmaps if this fails. */
static int remember_context(u32 key, const void *value) {
    struct context *context = (struct context *)(uintptr_t)value;
    cnp_session *session = session_of(context->host);
    int failed;
    pthread_mutex_lock(&session->lock);
    failed = !make_room(&session->contexts, &session->contexts_capacity, session->n_contexts + 1, sizeof *session->contexts) ||
             pthread_setspecific(key, context);
    if (!failed)
        session->contexts[session->n_contexts++] = context;
    pthread_mutex_unlock(&session->lock);
    return failed;
}

/* When a thread ends. */
static void forget_context(void *value) {
    struct context *context = value;
    cnp_session *session = session_of(context->host);
    pthread_mutex_lock(&session->lock);
    for (size_t k = 0; k < session->n_contexts; k++)
        if (session->contexts[k] == context) {
            session->contexts[k] = session->contexts[--session->n_contexts];
            break;
        }
    pthread_mutex_unlock(&session->lock);
    ROUTINE(session, void (*)(struct context *), cnp_free_context)(context);
}

static int poll_host(struct context *context) {
    const cnp_options *options = &session_of(context->host)->options;
    return options->poll ? options->poll(options->data) : 0;
}

/* A trap word in words; `entered` is what C has called. */
static cnp_trap describe_trap(cnp_session *session, u64 word, const struct signature *entered) {
    static const char *const reasons[] = {
        "?", "unreachable", "integer divide by zero", "integer overflow", "invalid conversion to integer", "stack overflow",
        "interrupted", "out of fuel", "memory fault"};
    const struct part *part;
    cnp_trap trap = {0};
    u32 kind = word & 15, number = (u32)(word >> 32);
    trap.kind = (cnp_trap_kind)kind;
    trap.op = (u32)word >> 4;
    trap.reason = reasons[kind < sizeof reasons / sizeof *reasons ? kind : 0];
    pthread_mutex_lock(&session->lock);
    part = session->parts[(number ? number : entered->number) - 1];
    snprintf(trap.function, sizeof trap.function, "%s", part ? part->name : "?");
    pthread_mutex_unlock(&session->lock);
    if (trap.kind == CNP_TRAP_MEMORY_FAULT)
        describe_fault(session, &trap);
    return trap;
}

/* In a function that C called by a pointer. */
static void trapped_host(const struct signature *signature, u64 word) {
    cnp_session *session = session_of(signature->host);
    cnp_trap trap = describe_trap(session, word, signature);
    if (session->options.trapped) {
        session->options.trapped(&trap, session->options.data);
        return;
    }
    fprintf(stderr, "cnp: %s in function %s at op %u\n", trap.reason, trap.function, (unsigned)trap.op);
    abort();
}

/* A number for trap words; 0 without memory. */
static u32 take_number(cnp_session *session, const struct part *part) {
    size_t number = session->n_free_numbers ? session->free_numbers[session->n_free_numbers - 1] : session->n_parts + 1;
    if (session->n_free_numbers)
        session->n_free_numbers--;
    else {
        size_t parts = session->parts_capacity, numbers = parts;
        if (!make_room(&session->parts, &parts, number, sizeof *session->parts) ||
            !make_room(&session->free_numbers, &numbers, number, sizeof *session->free_numbers))
            return 0;
        session->parts_capacity = parts;
        session->n_parts++;
    }
    session->parts[number - 1] = part;
    return (u32)number;
}

static void give_number(cnp_session *session, u32 number) {
    session->parts[number - 1] = NULL;
    session->free_numbers[session->n_free_numbers++] = number; /* there is room: see take_number */
}
