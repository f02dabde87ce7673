/* Which threads are inside compiled code, since when: so that code is freed only when nobody can be running it.
 *
 * A thread that enters compiled code from outside writes down the epoch. Who has made a piece of code unreachable (from
 * cells: those who hold an object of Python keep what it runs alive) advances the epoch, and frees it when everybody who
 * is inside has entered later (Fraser, 2004). What has to be seen in which order is this: either a thread that enters sees
 * the cell's new target, or its entry is seen. The GIL gives that order to those who take it; who does not, fences. */
#include "border.h"

static void lock(struct threads *threads) {
    while (__atomic_exchange_n(&threads->lock, 1, __ATOMIC_ACQUIRE))
        ;
}
static void unlock(struct threads *threads) { __atomic_store_n(&threads->lock, 0, __ATOMIC_RELEASE); }

static void enlist(struct context *context) {
    struct threads *threads = context->host->threads;
    lock(threads);
    context->next = threads->first;
    if (context->next)
        context->next->previous = context;
    threads->first = context;
    unlock(threads);
}

static void dismiss(struct context *context) {
    struct threads *threads = context->host->threads;
    lock(threads);
    *(context->previous ? &context->previous->next : &threads->first) = context->next;
    if (context->next)
        context->next->previous = context->previous;
    unlock(threads);
}

/* Returns what context->inside has to be again when this entry ends. */
static inline u64 come_in(struct context *context, const struct threads *threads, int fences) {
    u64 before = context->inside;
    if (!before) {
        __atomic_store_n(&context->inside, __atomic_load_n(&threads->epoch, __ATOMIC_ACQUIRE), __ATOMIC_RELAXED);
        if (fences)
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return before;
}
static inline void go_out(struct context *context, u64 before) { __atomic_store_n(&context->inside, before, __ATOMIC_RELEASE); }

/* Ends an epoch: returns its number, with which goes what has become unreachable in it. */
u64 cnp_retire(struct threads *threads) { return __atomic_fetch_add(&threads->epoch, 1, __ATOMIC_SEQ_CST); }

/* The earliest epoch in which a thread that is inside has entered; the largest number if none is inside. */
u64 cnp_oldest(struct threads *threads) {
    u64 oldest = ~0ull;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    lock(threads);
    for (const struct context *each = threads->first; each; each = each->next) {
        u64 inside = __atomic_load_n(&each->inside, __ATOMIC_ACQUIRE);
        if (inside && inside < oldest)
            oldest = inside;
    }
    unlock(threads);
    return oldest;
}

/* In the child of a fork: of all threads only this one is there. */
void cnp_after_fork(const struct host *host) {
    struct context *own = host->pthread_getspecific(host->context_key);
    host->threads->lock = 0;
    host->threads->first = own;
    if (own)
        own->next = own->previous = 0;
}

/* What a cell holds, for every thread at once. */
void cnp_set(u64 *cell, u64 value) { __atomic_store_n(cell, value, __ATOMIC_SEQ_CST); }
