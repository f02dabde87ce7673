/* Code that threads may be running, freed when they have left it: see core/retire.c. */

/* Frees what nobody can be running any more. With the lock. */
static void reclaim(cnp_session *session) {
    struct threads *threads = &session->threads;
    u64 oldest = session->retired ? ROUTINE(session, u64 (*)(struct threads *), cnp_oldest)(threads) : 0;
    while (session->retired && session->retired->epoch < oldest) {
        cnp_code *code = session->retired;
        session->retired = code->next;
        COMES_AFTER(exit_was_taken);
        end_code(code);
    }
    if (!session->retired)
        session->last_retired = &session->retired;
    threads->has_retired = session->retired != NULL;
}

/* What the core calls when a thread comes out of compiled code while something waits. */
static void came_out_host(const struct host *host) {
    cnp_session *session = session_of(host);
    pthread_mutex_lock(&session->lock);
    reclaim(session);
    pthread_mutex_unlock(&session->lock);
}

void cnp_retire(cnp_code *code) {
    cnp_session *session;
    if (!code)
        return;
    session = code->session;
    pthread_mutex_lock(&session->lock);
    UNLINK(code);
    code->next = NULL;
    code->epoch = ROUTINE(session, u64 (*)(struct threads *), cnp_retire)(&session->threads);
    *session->last_retired = code;
    session->last_retired = &code->next;
    reclaim(session);
    pthread_mutex_unlock(&session->lock);
}
