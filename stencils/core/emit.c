/* Items -> machine code: copying and patching, and nothing else. */
#include "events.h"

static inline const struct chunk *chunk_of(const struct chunk *chunks, const struct item *item) {
    return (const struct chunk *)((const char *)chunks + item->chunk);
}

typedef u32 vector __attribute__((vector_size(16), aligned(1), may_alias));

/* One chunk that ends at `end`. Returns where it begins. */
static inline char *copy_and_patch(const struct chunk *chunks, const struct item *item, char *end) {
    const struct chunk *chunk = chunk_of(chunks, item);
    vector code = *(const vector *)chunk->code;
    code[3] = item->value;
    *(vector *)(end - 16) = code;
    end += chunk->minus_size;
    __asm__("" : "+r"(end)); /* keeps clang from carrying the sum of two chunks along, an instruction more each */
    return end;
}

/* Backwards: a chunk is copied as sixteen bytes that end where it ends, its last four are the item's value (with the
 * hole filled in), and whatever that spilled in front of it is overwritten by the chunk before. So no chunk needs to
 * know where its hole is, or whether it has one: five instructions a chunk. The chunks that begin less than sixteen
 * bytes into the function go through a buffer, because what is in front of it is not ours. */
static void emit_items(const struct chunk *chunks, const struct item *items, u32 n, char *end) {
    u32 first = 0, covered = 0;
    while (first < n && covered < 16)
        covered -= (u32)chunk_of(chunks, &items[first++])->minus_size;
    const struct item *item = items + n;
#pragma clang loop unroll_count(16)
    while (item != items + first)
        end = copy_and_patch(chunks, --item, end);
    char buffer[64];
    char *start = buffer + 64;
    while (item != items)
        start = copy_and_patch(chunks, --item, start);
    memcpy(end - covered, buffer + 64 - covered, covered);
}

/* Jump tables hold addresses of blocks. */
static void fill_tables(const struct compilation *c, char *writable, i64 executable) {
    for (u32 k = 0; k < c->n_externals; k++) {
        const struct event *event = &c->externals[k];
        if (event->kind != TABLE_EVENT || event->extra)
            continue;
        const struct instruction *at = &c->instructions[event->target];
        for (s32 i = 0; i <= at->operand[1]; i++)
            *(u64 __attribute__((may_alias)) *)(writable + event->addend + 8 * i) =
                executable + c->target_position[block_of(c, list_at(c, at->other)[i])];
    }
}

/* Makes the function at `executable`, written through `writable`. Returns OK or what cannot be encoded. */
int cnp_emit(struct request *request, char *writable, i64 executable) {
    struct compilation *c = request->compilation;
    int has_tables = 0;
    /* No library reaches 16 MiB, no function a GiB: one look tells that all of one is within reach of all of the other. */
    s64 to_library = (s64)(c->library->blob - executable);
    if (to_library >= MAXIMUM_CODE || to_library <= -(s64)MAXIMUM_CODE)
        return TOO_LARGE;
    for (const struct event *event = c->externals, *end = event + c->n_externals; event != end; event++) {
        struct item *item = &c->items[event->item];
        if (event->kind == LIBRARY_EVENT)
            item->value = (u32)event->addend - (u32)executable;
        else if (event->kind == TABLE_EVENT) {
            item->value = (u32)((executable + (u32)event->addend) >> (event->extra ? 32 : 0));
            has_tables = 1;
        } else {
            s64 displacement = (s64)(request->callees[event->target].address - executable) + event->addend;
            if (displacement != (s32)displacement)
                return TOO_LARGE;
            item->value = (u32)displacement;
        }
    }
    emit_items(c->library->chunks, c->items, c->n_items, writable + c->code_end);
    if (has_tables)
        fill_tables(c, writable, executable);
    return OK;
}

/* One hand-written stencil on its own: the way in from C. Returns its size; writes nothing if writable is NULL. */
u32 cnp_emit_entry(const struct library *library, u32 is_float, i64 signature, char *writable, i64 executable) {
    const struct stencil *stencil = &library->stencils[library->control[is_float ? C_ENTRY_FLOAT : C_ENTRY_INTEGER]];
    struct item items[32];
    if (!writable || stencil->chunks > 32)
        return stencil->size;
    for (u32 k = 0; k < stencil->chunks; k++)
        items[k] = item_of(library, chunk_number(library, stencil, k));
    for (u32 k = 0; k < stencil->holes; k++) {
        const struct hole *hole = &library->holes[stencil->hole + k];
        i64 value = hole->value == LIBRARY_VALUE ? library->blob + hole->extra - (executable + hole->offset) : signature;
        value += (i64)(s64)hole->addend;
        items[hole->chunk].value = (u32)(hole->flags & HIGH_HALF ? value >> 32 : value);
    }
    emit_items(library->chunks, items, stencil->chunks, writable + stencil->size);
    return stencil->size;
}
