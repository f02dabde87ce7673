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
static void emit_chunks(const struct chunk *chunks, const struct item *items, u32 n, char *end) {
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

/* Where each item is an instruction, its value is all of it. What is traced may have empty items, too. */
static void emit_items(const struct library *library, const struct item *restrict items, u32 n, char *restrict start,
                       u32 size) {
    if (!library->words || size != n * 4) {
        emit_chunks(library->chunks, items, n, start + size);
        return;
    }
    u32 __attribute__((may_alias)) *words = (u32 *)start;
    for (u32 k = 0; k < n; k++)
        words[k] = items[k].value;
}

/* Behind the code: the pool, then jump tables, whose rows are distances from the table to blocks. */
static void fill_tables(const struct compilation *c, char *writable) {
    u32 rows = c->table_offset;
    fill(writable + c->code_end, 0, rows - c->code_end);
    for (u32 k = 0; k < c->n_pool; k++, rows += 8)
        *(u64 __attribute__((may_alias)) *)(writable + rows) = c->pool[k];
    for (u32 k = 0; k < c->n_externals; k++) {
        const struct event *event = &c->externals[k];
        if (event->kind != TABLE_EVENT)
            continue;
        const struct instruction *at = &c->instructions[event->target];
        for (s32 i = 0; i <= at->operand[1]; i++)
            *(u32 __attribute__((may_alias)) *)(writable + event->addend + 4 * i) =
                c->target_position[block_of(c, list_at(c, at->other)[i])] - (u32)event->addend;
    }
}

/* Makes the function at `executable`, written through `writable`. Returns OK or what cannot be encoded. */
int cnp_emit(struct request *request, char *writable, i64 executable) {
    struct compilation *c = request->compilation;
    const struct library *library = c->library;
    const struct callee *callees = request->callees;
    const struct patch_kind *kinds = library->kinds;
    struct item *items = c->items;
    i64 blob = library->blob - executable;
    for (const struct event *event = c->externals, *end = event + c->n_externals; event != end; event++) {
        if (__builtin_expect(event->kind == TABLE_EVENT, 0))
            continue;
        s64 distance = event->addend;
        distance += (s64)(event->kind == LIBRARY_EVENT ? blob + event->extra : callees[event->target].address - executable);
        const struct patch_kind *kind = &kinds[event->field];
        struct item *item = &items[event->item];
        if (__builtin_expect(kind->shape == WHOLE, 1) && distance == (s32)distance)
            item->value = (u32)distance;
        else if (fits(kind, distance))
            item->value = (item->value & ~kind->mask) | encode(kind, (i64)distance); /* it may have been emitted before */
        else
            return TOO_LARGE;
    }
    emit_items(library, c->items, c->n_items, writable, c->code_end);
    if (request->code_size > c->code_end)
        fill_tables(c, writable);
    return OK;
}

/* What cnp_emit takes addresses for: at most `most` rows of it. Returns how many there are. */
u32 cnp_externals(const struct request *request, struct external *rows, u32 most) {
    const struct compilation *c = request->compilation;
    u32 n = 0;
    for (u32 k = 0; k < c->n_externals; k++) {
        const struct event *event = &c->externals[k];
        if (event->kind == TABLE_EVENT)
            continue;
        if (n < most)
            rows[n] = (struct external){.position = event->position, .field = event->field, .offset = event->extra,
                                        .callee = event->kind == CALLEE_EVENT ? (u32)event->target : NO_CALLEE,
                                        .addend = event->addend + (s32)event->position};
        n++;
    }
    return n;
}

/* One hand-written stencil on its own: the way in from C, for an integer result or a float, or the way out to a
 * callback, for either. Returns its size; writes nothing if writable is NULL. */
u32 cnp_emit_entry(const struct library *library, u32 which, i64 signature, char *writable, i64 executable) {
    const struct stencil *stencil = &library->stencils[library->control[C_ENTRY_INTEGER + which]];
    enum { MOST_CHUNKS = 96 };
    struct item items[MOST_CHUNKS];
    u32 size = ((stencil->size + 7u) & ~7u) + 8;
    if (!writable || stencil->chunks > MOST_CHUNKS)
        return size;
    for (u32 k = 0; k < stencil->chunks; k++)
        items[k] = item_of(library, chunk_number(library, stencil, k));
    for (u32 k = 0; k < stencil->holes; k++) {
        const struct hole *hole = &library->holes[stencil->hole + k];
        const struct patch_kind *kind = &library->kinds[hole->kind];
        i64 place = executable + hole->offset, value = signature;
        if (hole->value == LIBRARY_VALUE)
            value = library->blob + hole->extra - place;
        else if (kind->flags & PC_RELATIVE) { /* the pool has one row, behind the code */
            u32 row = (stencil->size + 7u) & ~7u;
            value = row - hole->offset;
            if (writable)
                *(u64 __attribute__((may_alias)) *)(writable + row) = signature;
        }
        items[hole->chunk].value |= encode(kind, value + (i64)(s64)hole->addend);
    }
    emit_items(library, items, stencil->chunks, writable, stencil->size);
    return size;
}
