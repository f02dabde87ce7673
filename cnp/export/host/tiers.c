/* When an interpreter compiles what it runs: counters of one guest function, and the policy that they ask. As cnp/tiers.py. */

/* What there is of a function: all of it, or the loop at a point. Never taken out of its list, which is read without a lock. */
struct entry {
    int64_t point;
    cnp_code *code;   /* while it is in use */
    int64_t is_taken; /* by who compiles it, or did in vain */
    struct entry *next;
};

struct cnp_tiered {
    cnp_session *session;
    cnp_tiered *next, **link; /* among the session's; what points here */
    cnp_tier_host host;
    cnp_policy policy;
    pthread_mutex_t lock; /* for all of these: */
    struct entry *entries;
    int64_t count[CNP_EXIT_EVENT + 1], limit[CNP_EXIT_EVENT + 1]; /* how often an event came; when the policy is asked next */
    int64_t given_up;
    int is_refused;
    cnp_code **former; /* given up, but somebody may be about to call it */
    size_t n_former, n_made, former_capacity; /* there is always room for all that is made */
    cnp_error error;
};

static struct entry *entry_at(const cnp_tiered *tiered, int64_t point) {
    struct entry *entry = LOAD_WORD(tiered->entries);
    while (entry && entry->point != point)
        entry = entry->next;
    return entry;
}

/* Ever since there was any; NULL without memory. */
static struct entry *add_entry(cnp_tiered *tiered, int64_t point) {
    struct entry *entry = entry_at(tiered, point);
    if (!entry && (entry = calloc(1, sizeof *entry))) {
        entry->point = point;
        entry->next = tiered->entries;
        STORE_WORD(tiered->entries, entry);
    }
    return entry;
}

/* ---- with the lock ---- */

static void give_up(cnp_tiered *tiered, cnp_code *code) {
    tiered->n_made--;
    if (!code)
        return;
    if (tiered->host.drop)
        tiered->host.drop(tiered->host.data, code);
    else
        tiered->former[tiered->n_former++] = code;
}

static void cool_down(cnp_tiered *tiered, int64_t limit) {
    for (struct entry *entry = tiered->entries; entry; entry = entry->next) {
        cnp_code *code = entry->code;
        STORE_WORD(entry->is_taken, 0);
        STORE_WORD(entry->code, NULL);
        if (code)
            give_up(tiered, code);
    }
    for (int event = CNP_CALL_EVENT; event <= CNP_EXIT_EVENT; event++) {
        if (!tiered->is_refused)
            STORE_WORD(tiered->count[event], 0);
        STORE_WORD(tiered->limit[event], limit);
    }
}

static void refuse(cnp_tiered *tiered) {
    tiered->is_refused = 1;
    cool_down(tiered, INT64_MAX);
}

static cnp_counts counts_of(const cnp_tiered *tiered) {
    const struct entry *whole = entry_at(tiered, CNP_WHOLE);
    const int64_t *count = tiered->count;
    cnp_tier_state state = tiered->is_refused           ? CNP_REFUSED
                           : !whole || !whole->is_taken ? CNP_COLD
                           : whole->code                ? CNP_COMPILED
                                                        : CNP_COMPILING;
    return (cnp_counts){state, LOAD_WORD(count[CNP_CALL_EVENT]), LOAD_WORD(count[CNP_LOOP_EVENT]),
                        LOAD_WORD(count[CNP_EXIT_EVENT]), tiered->given_up};
}

static int is_due(cnp_tiered *tiered, cnp_event event) {
    const cnp_counts counts = counts_of(tiered);
    int64_t wait = (tiered->policy.ask ? tiered->policy.ask : cnp_ask)(&tiered->policy, &counts, event);
    int64_t count = LOAD_WORD(tiered->count[event]);
    if (wait < 0 && event != CNP_EXIT_EVENT)
        refuse(tiered);
    else
        STORE_WORD(tiered->limit[event], wait < 0 || wait > INT64_MAX - count ? INT64_MAX : count + wait);
    return wait == 0;
}

/* Whether nobody else has begun to compile this: two threads may have come as far. */
static int claim(cnp_tiered *tiered, int64_t point) {
    struct entry *entry = tiered->is_refused ? NULL : add_entry(tiered, point);
    if (!entry || entry->is_taken)
        return 0;
    STORE_WORD(entry->is_taken, 1);
    return 1;
}

/* ---- without it ---- */

static void release(cnp_tiered *tiered, int64_t point) {
    struct entry *entry;
    pthread_mutex_lock(&tiered->lock);
    if ((entry = entry_at(tiered, point)) && !entry->code)
        STORE_WORD(entry->is_taken, 0);
    pthread_mutex_unlock(&tiered->lock);
}

/* Room for the entry, and for the code once it is given up. */
static int expect_code(cnp_tiered *tiered, int64_t point) {
    int is_room;
    pthread_mutex_lock(&tiered->lock);
    is_room = add_entry(tiered, point) && make_room(&tiered->former, &tiered->former_capacity,
                                                    tiered->n_former + tiered->n_made + 1, sizeof *tiered->former);
    tiered->n_made += is_room;
    pthread_mutex_unlock(&tiered->lock);
    return is_room;
}

static void keep_code(cnp_tiered *tiered, int64_t point, cnp_code *code) {
    struct entry *entry = entry_at(tiered, point);
    cnp_code *before = entry->code;
    if (tiered->is_refused || !code) {
        give_up(tiered, code);
        if (!code && point == CNP_WHOLE)
            refuse(tiered);
        return;
    }
    STORE_WORD(entry->code, code);
    STORE_WORD(entry->is_taken, 1);
    if (before)
        give_up(tiered, before);
}

void cnp_compile_tiered(cnp_tiered *tiered, int64_t point) {
    cnp_error error = {CNP_ERROR_NONE, ""};
    cnp_code *code;
    if (!expect_code(tiered, point)) {
        release(tiered, point);
        return;
    }
    code = tiered->host.compile(tiered->host.data, point, &error);
    pthread_mutex_lock(&tiered->lock);
    if (!code)
        tiered->error = error;
    keep_code(tiered, point, code);
    pthread_mutex_unlock(&tiered->lock);
}

static cnp_code *count_event(cnp_tiered *tiered, cnp_event event, int64_t point) {
    struct entry *entry = entry_at(tiered, point);
    cnp_code *code = entry ? LOAD_WORD(entry->code) : NULL;
    int64_t count = LOAD_WORD(tiered->count[event]) + 1;
    int is_mine;
    if (code)
        return code;
    STORE_WORD(tiered->count[event], count);
    if (count < LOAD_WORD(tiered->limit[event]) || (entry && LOAD_WORD(entry->is_taken)))
        return NULL;
    pthread_mutex_lock(&tiered->lock);
    is_mine = is_due(tiered, event) && claim(tiered, point);
    pthread_mutex_unlock(&tiered->lock);
    if (!is_mine)
        return NULL;
    if (!tiered->host.start)
        cnp_compile_tiered(tiered, point);
    else if (!tiered->host.start(tiered->host.data, tiered, point))
        release(tiered, point);
    return LOAD_WORD(entry_at(tiered, point)->code);
}

cnp_code *cnp_called(cnp_tiered *tiered) { return count_event(tiered, CNP_CALL_EVENT, CNP_WHOLE); }

cnp_code *cnp_looped(cnp_tiered *tiered, int64_t point) { return count_event(tiered, CNP_LOOP_EVENT, point); }

static int is_in_use(const cnp_tiered *tiered) {
    const struct entry *entry = tiered->entries;
    while (entry && !entry->is_taken)
        entry = entry->next;
    return entry != NULL;
}

void cnp_left(cnp_tiered *tiered) {
    pthread_mutex_lock(&tiered->lock);
    if (is_in_use(tiered)) { /* else it was given up while it ran */
        STORE_WORD(tiered->count[CNP_EXIT_EVENT], tiered->count[CNP_EXIT_EVENT] + 1);
        if (tiered->count[CNP_EXIT_EVENT] >= tiered->limit[CNP_EXIT_EVENT] && is_due(tiered, CNP_EXIT_EVENT)) {
            tiered->given_up++;
            cool_down(tiered, 0);
        }
    }
    pthread_mutex_unlock(&tiered->lock);
}

void cnp_refuse(cnp_tiered *tiered) {
    pthread_mutex_lock(&tiered->lock);
    refuse(tiered);
    pthread_mutex_unlock(&tiered->lock);
}

cnp_counts cnp_tiered_counts(cnp_tiered *tiered) {
    cnp_counts counts;
    pthread_mutex_lock(&tiered->lock);
    counts = counts_of(tiered);
    pthread_mutex_unlock(&tiered->lock);
    return counts;
}

cnp_error cnp_tiered_error(cnp_tiered *tiered) {
    cnp_error error;
    pthread_mutex_lock(&tiered->lock);
    error = tiered->error;
    pthread_mutex_unlock(&tiered->lock);
    return error;
}

/* ---- made and deleted ---- */

cnp_tiered *cnp_new_tiered(cnp_session *session, const cnp_policy *policy, const cnp_tier_host *host) {
    cnp_tiered *tiered = calloc(1, sizeof *tiered);
    if (!tiered)
        return NULL;
    tiered->session = session;
    tiered->host = *host;
    tiered->policy = policy ? *policy : usual_policy;
    pthread_mutex_init(&tiered->lock, NULL);
    pthread_mutex_lock(&session->lock);
    LINK(session->tiered, tiered);
    pthread_mutex_unlock(&session->lock);
    return tiered;
}

void cnp_delete_tiered(cnp_tiered *tiered) {
    if (!tiered)
        return;
    pthread_mutex_lock(&tiered->session->lock);
    UNLINK(tiered);
    pthread_mutex_unlock(&tiered->session->lock);
    while (tiered->entries) {
        struct entry *entry = tiered->entries;
        tiered->entries = entry->next;
        cnp_free(entry->code);
        free(entry);
    }
    while (tiered->n_former)
        cnp_free(tiered->former[--tiered->n_former]);
    free(tiered->former);
    pthread_mutex_destroy(&tiered->lock);
    free(tiered);
}
