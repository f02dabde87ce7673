/* Signals of faults in compiled code -> traps, by the core's handler. It knows one session: see cnp_own_host in core/fault.c. */

enum { FAULTS = 3 };
static const int fault_signals[FAULTS] = {SIGSEGV, SIGBUS, SIGFPE};

static pthread_mutex_t faults_lock = PTHREAD_MUTEX_INITIALIZER;
static const cnp_session *catching; /* of all sessions of the process */

typedef void (*fault_routine)(int, siginfo_t *, void *);
static fault_routine handler_of(const cnp_session *session) { return ROUTINE(session, fault_routine, cnp_fault); }

static void take_signals(cnp_session *session) {
    struct sigaction mine = {.sa_sigaction = handler_of(session), .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, found;
    sigemptyset(&mine.sa_mask);
    for (int k = 0; k < FAULTS; k++) { /* first what was there before, for a fault may come at once */
        sigaction(fault_signals[k], NULL, &found);
        session->threads.old[k] = (struct old_action){.signal = (u32)fault_signals[k], .flags = (u32)found.sa_flags,
                                                      .handler = (u64)(uintptr_t)found.sa_handler};
        session->old_actions[k] = found;
    }
    session->threads.catches = 1;
    for (int k = 0; k < FAULTS; k++)
        sigaction(fault_signals[k], &mine, NULL);
}

int cnp_catch_faults(cnp_session *session, cnp_error *error) {
    int is_free;
    pthread_mutex_lock(&faults_lock);
    if ((is_free = !catching)) {
        catching = session;
        take_signals(session);
    }
    is_free |= catching == session;
    pthread_mutex_unlock(&faults_lock);
    if (!is_free)
        fail(error, CNP_ERROR_SYSTEM, "another session catches faults; accepted: one at a time");
    return is_free;
}

/* The signals go back to whoever had them, unless somebody else has taken them meanwhile. */
static void stop_catching(const cnp_session *session) {
    struct sigaction found;
    pthread_mutex_lock(&faults_lock);
    if (catching == session) {
        for (int k = 0; k < FAULTS; k++)
            if (!sigaction(fault_signals[k], NULL, &found) && found.sa_sigaction == handler_of(session))
                sigaction(fault_signals[k], &session->old_actions[k], NULL);
        catching = NULL;
    }
    pthread_mutex_unlock(&faults_lock);
}

/* The latest of this thread, into a trap. */
static void describe_fault(cnp_session *session, cnp_trap *trap) {
    u64 address, signal;
    ROUTINE(session, void (*)(const struct host *, u64 *, u64 *), cnp_latest_fault)(&session->host, &address, &signal);
    trap->signal = (int)(u32)signal;
    trap->address = (const void *)(uintptr_t)address;
}
