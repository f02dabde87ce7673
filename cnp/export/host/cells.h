/* Eight bytes of memory that compiled code reads while other threads write them, each all at once: a callee, or whether an
 * assumption is broken. */

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
    COMES_BEFORE(cell_was_set);
    set_word(cell->session, &cell->word, target.code->parts[target.index].signature.entry);
}
