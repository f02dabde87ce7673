/* Counters and policies: when a guest function is compiled, entered in a loop, given up, refused. As tests/test_tiers.py. */
#include "check.h"

#include <pthread.h>

enum { MOST = 100, NEVER_CAME = MOST + 1, THREADS = 4 };

/* What the interpreter does for its tiers, and what it was asked. */
struct guest {
    cnp_session *session;
    cnp_tiered *tiered;
    int64_t asked[MOST], refused; /* points; the one that cannot be compiled */
    int n_asked, n_dropped, n_started, is_full;
    int64_t waiting; /* a point that is to be compiled later */
    cnp_tier_state state_meanwhile;
};

static cnp_code *compile_at(void *data, int64_t point, cnp_error *error) {
    struct guest *guest = data;
    cnp_function *f;
    int n;
    guest->asked[guest->n_asked++ % MOST] = point;
    guest->state_meanwhile = cnp_tiered_counts(guest->tiered).state;
    n = guest->n_asked;
    point == CNP_WHOLE ? cnp_called(guest->tiered) : cnp_looped(guest->tiered, point);
    CHECK(guest->n_asked == n); /* a compilation that runs the function does not start another */
    if (point == guest->refused) {
        error->kind = CNP_ERROR_FUNCTION;
        strcpy(error->message, "no loops");
        return NULL;
    }
    f = cnp_new(guest->session, "tiered", CNP_I64);
    cnp_ret(f, cnp_const_i64(point));
    return compile_one(guest->session, f);
}

static void drop(void *data, cnp_code *code) {
    struct guest *guest = data;
    guest->n_dropped++;
    cnp_retire(code);
}

static int start_later(void *data, cnp_tiered *tiered, int64_t point) {
    struct guest *guest = data;
    CHECK(tiered == guest->tiered);
    guest->waiting = point;
    guest->n_started++;
    return !guest->is_full;
}

static int64_t run(const cnp_code *code) {
    cnp_any result;
    CHECK(cnp_call(code, 0, NULL, &result, NULL) == CNP_TRAP_NONE);
    return result.i64;
}

static void begin(struct guest *guest, cnp_policy policy, cnp_tier_host host) {
    memset(guest, 0, sizeof *guest);
    guest->session = open_session();
    guest->refused = -2;
    host.compile = compile_at, host.data = guest;
    guest->tiered = cnp_new_tiered(guest->session, &policy, &host);
}

/* How many events it takes for something to be compiled. */
static int calls_until(const struct guest *guest, int most) {
    int n = 1;
    while (n <= most && !cnp_called(guest->tiered))
        n++;
    return n;
}
static int loops_until(const struct guest *guest, int64_t point, int most) {
    int n = 1;
    while (n <= most && !cnp_looped(guest->tiered, point))
        n++;
    return n;
}

static void expect_counts(const struct guest *guest, cnp_tier_state state, int64_t calls, int64_t loops, int64_t exits) {
    cnp_counts found = cnp_tiered_counts(guest->tiered);
    CHECK(found.state == state && found.calls == calls && found.loops == loops && found.exits == exits);
}

static const cnp_tier_host plain = {NULL, NULL, NULL, NULL};

void tiers(void) {
    static const int thresholds[] = {1, 2, 10};
    struct guest guest;
    for (int k = 0; k < 3; k++) {
        begin(&guest, (cnp_policy){thresholds[k], 5, 50, 3, NULL}, plain);
        expect_counts(&guest, CNP_COLD, 0, 0, 0);
        CHECK(calls_until(&guest, MOST) == thresholds[k] && guest.n_asked == 1 && guest.asked[0] == CNP_WHOLE);
        CHECK(guest.state_meanwhile == CNP_COMPILING);
        expect_counts(&guest, CNP_COMPILED, thresholds[k] + 1, 0, 0);
        CHECK(run(cnp_called(guest.tiered)) == CNP_WHOLE);
        cnp_close(guest.session);
    }
    begin(&guest, (cnp_policy){100, 5, 50, 3, NULL}, plain);
    CHECK(loops_until(&guest, 30, MOST) == 5 && run(cnp_looped(guest.tiered, 30)) == 30);
    CHECK(loops_until(&guest, 0, MOST) == 1 && run(cnp_looped(guest.tiered, 0)) == 0); /* the function is hot already */
    CHECK(run(cnp_looped(guest.tiered, 30)) == 30 && guest.n_asked == 2);
    CHECK(cnp_tiered_counts(guest.tiered).state == CNP_COLD);
    cnp_delete_tiered(guest.tiered), cnp_delete_tiered(NULL);
    guest.tiered = cnp_new_tiered(guest.session, NULL, &(cnp_tier_host){compile_at, NULL, NULL, &guest});
    CHECK(calls_until(&guest, 1000) == 100); /* of the usual policy */
    cnp_close(guest.session);
}

void refused_tiers(void) {
    struct guest guest;
    begin(&guest, (cnp_policy){6, 3, 50, 3, NULL}, plain);
    guest.refused = 1;
    CHECK(loops_until(&guest, 1, 20) == 21 && guest.n_asked == 1);
    CHECK(!strcmp(cnp_tiered_error(guest.tiered).message, "no loops"));
    CHECK(run(cnp_looped(guest.tiered, 2)) == 2);
    guest.refused = CNP_WHOLE;
    CHECK(calls_until(&guest, 20) == 21 && cnp_tiered_counts(guest.tiered).state == CNP_REFUSED);
    CHECK(!cnp_looped(guest.tiered, 2) && loops_until(&guest, 3, 20) == 21 && guest.n_asked == 3);
    cnp_close(guest.session);
    begin(&guest, (cnp_policy){2, 2, 50, 3, NULL}, plain);
    CHECK(calls_until(&guest, MOST) == 2);
    cnp_refuse(guest.tiered);
    CHECK(!cnp_called(guest.tiered) && cnp_tiered_counts(guest.tiered).state == CNP_REFUSED);
    cnp_compile_tiered(guest.tiered, 7); /* too late */
    CHECK(!cnp_looped(guest.tiered, 7) && cnp_tiered_counts(guest.tiered).state == CNP_REFUSED);
    cnp_close(guest.session);
}

void given_up_tiers(void) {
    static const cnp_tier_host dropping = {NULL, NULL, drop, NULL};
    struct guest guest;
    for (int drops = 0; drops < 2; drops++) {
        begin(&guest, (cnp_policy){4, 2, 3, 2, NULL}, drops ? dropping : plain);
        for (int attempt = 0; attempt < 2; attempt++) {
            cnp_code *code;
            CHECK(calls_until(&guest, MOST) == 4 && loops_until(&guest, 5, MOST) <= 2);
            code = cnp_called(guest.tiered);
            cnp_left(guest.tiered), cnp_left(guest.tiered);
            CHECK(cnp_called(guest.tiered) == code && cnp_tiered_counts(guest.tiered).given_up == attempt);
            cnp_left(guest.tiered);
            expect_counts(&guest, CNP_COLD, 0, 0, 0);
            CHECK(cnp_tiered_counts(guest.tiered).given_up == attempt + 1);
            CHECK(drops ? guest.n_dropped == 2 * (attempt + 1) : run(code) == CNP_WHOLE); /* it is there still */
            cnp_left(guest.tiered); /* of an activation that still runs */
            expect_counts(&guest, CNP_COLD, 0, 0, 0);
        }
        CHECK(calls_until(&guest, 20) == 21 && cnp_tiered_counts(guest.tiered).state == CNP_REFUSED);
        CHECK(loops_until(&guest, 5, 20) == 21 && guest.n_asked == 4);
        cnp_close(guest.session);
    }
}

static cnp_counts seen[MOST];
static cnp_event event_of[MOST];
static int n_seen;

static int64_t ask(const cnp_policy *policy, const cnp_counts *counts, cnp_event event) {
    seen[n_seen] = *counts;
    event_of[n_seen++] = event;
    CHECK(policy->calls == 7);
    return event == CNP_CALL_EVENT ? (counts->calls < 6 ? 3 : 0) : event == CNP_LOOP_EVENT ? 2 : CNP_NEVER;
}

void asked_tiers(void) {
    static const int64_t calls[] = {1, 4, 7};
    struct guest guest;
    n_seen = 0;
    begin(&guest, (cnp_policy){7, 0, 0, 0, ask}, plain);
    CHECK(calls_until(&guest, MOST) == 7);
    for (int k = 0; k < 5; k++) {
        cnp_left(guest.tiered);
        CHECK(!cnp_looped(guest.tiered, 1));
    }
    CHECK(n_seen >= 6);
    for (int k = 0; k < 3; k++)
        CHECK(event_of[k] == CNP_CALL_EVENT && seen[k].calls == calls[k] && seen[k].exits == 0);
    CHECK(event_of[3] == CNP_EXIT_EVENT && seen[3].exits == 1); /* and never again */
    for (int k = 4; k < n_seen; k++)
        CHECK(event_of[k] == CNP_LOOP_EVENT);
    CHECK(cnp_called(guest.tiered));
    cnp_close(guest.session);
}

void started_tiers(void) {
    static const cnp_tier_host later = {NULL, start_later, NULL, NULL};
    struct guest guest;
    begin(&guest, (cnp_policy){2, 2, 50, 3, NULL}, later);
    CHECK(calls_until(&guest, 20) == 21 && guest.waiting == CNP_WHOLE && guest.n_started == 1 && !guest.n_asked);
    CHECK(cnp_tiered_counts(guest.tiered).state == CNP_COMPILING);
    cnp_compile_tiered(guest.tiered, guest.waiting);
    CHECK(run(cnp_called(guest.tiered)) == CNP_WHOLE);
    guest.is_full = 1;
    CHECK(loops_until(&guest, 4, 20) == 21 && guest.waiting == 4 && guest.n_started > 2); /* it may be tried again */
    guest.is_full = 0;
    CHECK(loops_until(&guest, 4, 20) == 21);
    cnp_compile_tiered(guest.tiered, 4);
    CHECK(run(cnp_looped(guest.tiered, 4)) == 4);
    cnp_compile_tiered(guest.tiered, 4); /* once more, in place of the former */
    CHECK(run(cnp_looped(guest.tiered, 4)) == 4 && guest.n_asked == 3);
    cnp_refuse(guest.tiered);
    cnp_close(guest.session);
}

/* ---- threads call one guest function, which is compiled, left and given up in between ---- */

static cnp_code *compile_constant(void *data, int64_t point, cnp_error *error) {
    cnp_function *f = cnp_new(data, "tiered", CNP_I64);
    cnp_code *code;
    cnp_ret(f, cnp_const_i64(point));
    code = cnp_compile(data, &f, 1, error);
    cnp_delete(f);
    return code;
}

struct caller {
    cnp_tiered *tiered;
    int64_t wrong, compiled;
};

static void *call_often(void *data) {
    struct caller *caller = data;
    for (int n = 0; n < 4000; n++) {
        int64_t point = n % 5 - 1;
        cnp_code *code = point < 0 ? cnp_called(caller->tiered) : cnp_looped(caller->tiered, point);
        cnp_any result;
        if (!code)
            continue;
        caller->compiled++;
        caller->wrong += cnp_call(code, 0, NULL, &result, NULL) != CNP_TRAP_NONE || result.i64 != point;
        if (n % 3 == 0)
            cnp_left(caller->tiered);
    }
    return NULL;
}

void tiers_and_threads(void) {
    static const cnp_policy policy = {10, 10, 40, 1 << 20, NULL};
    cnp_session *session = open_session();
    const cnp_tier_host host = {compile_constant, NULL, NULL, session};
    cnp_tiered *tiered = cnp_new_tiered(session, &policy, &host);
    struct caller caller[THREADS];
    pthread_t thread[THREADS];
    for (int k = 0; k < THREADS; k++) {
        caller[k] = (struct caller){tiered, 0, 0};
        if (pthread_create(&thread[k], NULL, call_often, &caller[k]))
            exit(1);
    }
    for (int k = 0; k < THREADS; k++) {
        pthread_join(thread[k], NULL);
        CHECK(caller[k].wrong == 0 && caller[k].compiled > 100);
    }
    CHECK(cnp_tiered_counts(tiered).given_up > 10);
    cnp_close(session);
}
