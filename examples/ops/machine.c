/* Ops that look into the interpreter's own structure, which they are given the address of. */
#include "vm.h"
#include "cnp.h"

/* Adds to the number of executed things; the result is how many there were before. */
OP(vm_count, PLAIN, i64, ptr vm, i64 by) {
    struct vm *machine = (struct vm *)vm;
    u64 before = machine->executed;
    machine->executed = before + by;
    return before;
}

/* items[index], or a trap where there is no such item. */
OP(vm_item, PLAIN, i64, ptr vm, i64 index) {
    const struct vm *machine = (const struct vm *)vm;
    if (index >= machine->length) return TRAP(UNREACHABLE);
    return (i64)machine->items[index];
}

/* A load and a store of numbers of the other byte order. */
typedef u32 __attribute__((aligned(1), may_alias)) u32_anywhere;
OP(i32_load_swapped, LOAD, i32, ptr address) { return __builtin_bswap32(*(u32_anywhere *)address); }
OP(i32_store_swapped, STORE, void, ptr address, i32 value) { *(u32_anywhere *)address = __builtin_bswap32(value); }
