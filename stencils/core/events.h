/* What selection leaves to be settled once positions are known: labels, branches, alignment, addresses. */
#ifndef CNP_EVENTS_H
#define CNP_EVENTS_H
#include "compile.h"

enum event_kind {
    LABEL_EVENT,   /* target is bound here, and extra more, each addend bytes behind the one before */
    ALIGN_EVENT,   /* item is the first of extra items of padding up to a multiple of addend; if that is a line of the cache,
                      in front of a loop that ends where target begins */
    BRANCH_EVENT,  /* item holds a displacement to target; its short form may replace it, or the other way round */
    POLL_EVENT,    /* the same, to a safepoint's slow path, which comes back to target + 1 */
    CHECK_EVENT,   /* the same, in front of the first call */
    EXIT_EVENT,    /* item holds a displacement to a trap's place out of line: op number and kind in extra */
    VENEER_EVENT,  /* item holds a displacement to a veneer out of line, which goes on to the address in extra and addend */
    LIBRARY_EVENT, /* item holds a displacement to extra, an offset in the blob */
    CALLEE_EVENT,  /* the same, to callee number target */
    POOL_EVENT,    /* item holds (part of) the distance to the pool's row target */
    TABLE_EVENT,   /* the same, to the jump table of instruction target */
    ROW_EVENT      /* item is a row of a jump table among the code: the distance to target from addend bytes in front of it */
};

struct event {
    u32 item;
    u32 position; /* of the hole, or of the label; bytes from the start of the function */
    s32 target;
    s32 addend;
    u32 extra;      /* exit: op << 4 | trap kind; branch that has a short form: index of the long one */
    u16 saved;      /* by the short form: bytes, until forms are chosen of what may have it, then of what has it; or 0 */
    u8 kind;
    u8 field;       /* the patch kind */
};

static inline struct event *event_at(const struct compilation *c, u32 k) { return c->events - 1 - k; }
#define FOR_EACH_EVENT(c, event) for (struct event *event = event_at(c, 0), *end = event_at(c, (c)->n_events); event != end; event--)

/* Loop heads start at a multiple of LOOP_ALIGNMENT. An innermost loop that fits into one line of the instruction cache,
 * and of the cache of decoded instructions, is put into one: across two it took 1.4 times as long. */
enum { LOOP_ALIGNMENT = 16, CACHE_LINE = 64 };
/* Some processors want it of the places where indirect jumps arrive. */
enum { PAD_ALIGNMENT = 4 };
#endif
