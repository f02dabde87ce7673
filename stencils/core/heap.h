/* Python's objects, as far as decoding reads them without asking CPython. */
#ifndef CNP_HEAP_H
#define CNP_HEAP_H
#include "layout.h"

/* Where CPython keeps what decoding reads. Known in advance it saves a tenth of the time, so there is a copy of decoding for
 * the usual layout, and one for any other; and a third that asks no heap, because the ops are packed words. */
struct heap {
    s64 type_offset, slot_offset, tuple_items;
    int is_packed;
};
static const struct heap usual_heap = {8, 16, 24, 0}, no_heap = {.is_packed = 1};
#define COMMON_PATH static inline __attribute__((always_inline))

static inline struct heap heap_of(const struct python *python) {
    return (struct heap){python->type_offset, python->slot_offset, python->tuple_items, 0};
}

COMMON_PATH object *type_of(struct heap heap, object *o) { return *(object **)((char *)o + heap.type_offset); }

/* The number that a register or a label carries. */
COMMON_PATH u64 code_of(struct heap heap, object *o) { return *(const u64 *)((char *)o + heap.slot_offset); }

static inline object *list_item(const struct python *python, object *list, u32 k) {
    if (python->tuple_items)
        return (*(object ***)((char *)list + python->slot_offset + 8))[k];
    return python->PyList_GetItem(list, k);
}
COMMON_PATH object *tuple_item(const struct python *python, struct heap heap, object *tuple, u32 k) {
    return heap.tuple_items ? ((object **)((char *)tuple + heap.tuple_items))[k] : python->PyTuple_GetItem(tuple, k);
}
COMMON_PATH u32 tuple_size(const struct python *python, struct heap heap, object *tuple) {
    return (u32)(heap.tuple_items ? *(s64 *)((char *)tuple + heap.slot_offset) : python->PyTuple_Size(tuple));
}
#endif
