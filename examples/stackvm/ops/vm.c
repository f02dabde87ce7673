#include "cnp.h"

struct vm { /* the machine's own structure, as its ops see it */
    const s64 *items; /* as words, see below */
    u64 length;
};

OP(vm_length, PLAIN, i64, ptr vm) { return ((struct vm *)vm)->length; }

OP(vm_item, PLAIN, i64, ptr vm, i64 index) { return (i64)((struct vm *)vm)->items[index]; }

/* A word is twice a number, or odd: a large number, which is for the interpreter. */
OP(vm_either_large, COMPARISON(vm_either_large, NONE), i32, i64 a, i64 b) { return (a | b) & 1; }

OP(vm_sum_large, COMPARISON(vm_sum_large, NONE), i32, i64 a, i64 b) {
    s64 sum;
    return __builtin_add_overflow((s64)a, (s64)b, &sum);
}

OP(vm_product_large, COMPARISON(vm_product_large, NONE), i32, i64 a, i64 b) {
    s64 product;
    return __builtin_mul_overflow((s64)a, (s64)b, &product);
}
