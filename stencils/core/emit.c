/* Items -> machine code: copying and patching, and nothing else. */
#include "events.h"

static inline const struct chunk *chunk_of(const struct chunk *chunks, const struct item *item) {
    return (const struct chunk *)((const char *)chunks + item->chunk);
}

/* The first bytes of a function: nothing may be written before its start. */
static char *copy_exactly(const struct chunk *chunks, const struct item *item, char *end) {
    const struct chunk *chunk = chunk_of(chunks, item);
    u8 code[16];
    for (u32 k = 0; k < 12; k++)
        code[k] = chunk->code[k];
    for (u32 k = 0; k < 4; k++)
        code[12 + k] = (u8)(item->value >> 8 * k);
    for (s64 k = chunk->minus_size; k < 0; k++)
        end[k] = (char)code[16 + k];
    return end + chunk->minus_size;
}

/* Backwards: a chunk is copied as sixteen bytes that end where it ends, its last four are the item's value (with the
 * hole filled in), and whatever that spilled in front of it is overwritten by the chunk before. So no chunk needs
 * to know where its hole is, or whether it has one: six instructions a chunk. */
static void emit_items(const struct chunk *chunks, const struct item *items, u32 n, char *end) {
    typedef u64 vector __attribute__((vector_size(16), aligned(1), may_alias));
    typedef u32 word __attribute__((aligned(1), may_alias));
    u32 exact = 0, covered = 0;
    while (exact < n && covered < 16) /* items whose sixteen bytes would begin before the function does */
        covered -= (u32)chunk_of(chunks, &items[exact++])->minus_size;
    if (covered >= 16)
        exact--;
    const struct item *item = items + n, *first = items + exact;
#pragma clang loop unroll_count(8)
    while (item != first) {
        item--;
        const struct chunk *chunk = chunk_of(chunks, item);
        *(vector *)(end - 16) = *(const vector *)chunk->code;
        *(word *)(end - 4) = item->value;
        end += chunk->minus_size;
    }
    while (item != items)
        end = copy_exactly(chunks, --item, end);
}

/* Makes the function at `executable`, written through `writable`. Returns OK or what cannot be encoded. */
int cnp_emit(struct request *request, char *writable, i64 executable) {
    struct compilation *c = request->compilation;
    for (u32 k = 0; k < c->n_events; k++) {
        const struct event *event = event_at(c, k);
        struct item *item = &c->items[event->item];
        i64 target = 0;
        switch (event->kind) {
        case TABLE_EVENT:
            item->value = (u32)((executable + (u32)event->addend) >> (event->extra ? 32 : 0));
            continue;
        case LIBRARY_EVENT: target = c->library->blob + event->extra; break;
        case CALLEE_EVENT: target = request->callees[event->target].address; break;
        default: continue;
        }
        s64 displacement = (s64)(target - (executable + event->position)) + event->addend;
        if (displacement != (s32)displacement)
            return TOO_LARGE;
        item->value = (u32)displacement;
    }
    emit_items(c->library->chunks, c->items, c->n_items, writable + c->code_end);
    for (u32 k = 0; k < c->n_events; k++) {
        const struct event *event = event_at(c, k);
        if (event->kind != TABLE_EVENT || event->extra)
            continue;
        const struct instruction *at = &c->instructions[event->target];
        for (s32 i = 0; i <= at->operand[1]; i++)
            *(u64 __attribute__((may_alias)) *)(writable + event->addend + 8 * i) =
                executable + c->target_position[block_of(c, list_at(c, at->other)[i])];
    }
    return OK;
}

/* One hand-written stencil on its own: the way in from C. Returns its size; writes nothing if writable is NULL. */
u32 cnp_emit_entry(const struct library *library, u32 is_float, i64 signature, char *writable, i64 executable) {
    const struct stencil *stencil = &library->stencils[library->control[is_float ? C_ENTRY_FLOAT : C_ENTRY_INTEGER]];
    struct item items[32];
    if (!writable || stencil->chunks > 32)
        return stencil->size;
    for (u32 k = 0; k < stencil->chunks; k++)
        items[k] = (struct item){(stencil->chunk + k) * (u32)sizeof(struct chunk),
            last_four(&library->chunks[stencil->chunk + k])};
    for (u32 k = 0; k < stencil->holes; k++) {
        const struct hole *hole = &library->holes[stencil->hole + k];
        i64 value = hole->value == LIBRARY_VALUE ? library->blob + hole->extra - (executable + hole->offset) : signature;
        value += (i64)(s64)hole->addend;
        items[hole->chunk].value = (u32)(hole->flags & HIGH_HALF ? value >> 32 : value);
    }
    emit_items(library->chunks, items, stencil->chunks, writable + stencil->size);
    return stencil->size;
}
