/* Ops that are called: functions of C as large as they like to be, which call others in turn. */
#include "vm.h"
#include "cnp.h"

IMPORT(f64, pow, (f64, f64));

static i64 middle(i64 low, i64 high) { return low + (high - low) / 2; }

/* The index of the first item that is not less than key; items are sorted. */
static i64 lower_bound(const struct vm *machine, s64 key) {
    i64 low = 0, high = machine->length;
    while (low < high) {
        i64 at = middle(low, high);
        if (machine->items[at] < key)
            low = at + 1;
        else
            high = at;
    }
    return low;
}

/* The index of an item, or -1 where there is none. */
OP(vm_find, CALL, i64, ptr vm, i64 key) {
    const struct vm *machine = (const struct vm *)vm;
    i64 at = lower_bound(machine, (s64)key);
    return at < machine->length && machine->items[at] == (s64)key ? at : (i64)-1;
}

OP(vm_forget, CALL, void, ptr vm) { ((struct vm *)vm)->executed = 0; }

/* a0 + a1 x + a2 x^2 + ... + a6 x^6 */
OP(f64_polynomial, CALL, f64, f64 x, f64 a0, f64 a1, f64 a2, f64 a3, f64 a4, f64 a5, f64 a6) {
    const f64 a[] = {a0, a1, a2, a3, a4, a5, a6};
    f64 sum = 0;
    for (u32 k = 0; k < 7; k++)
        sum += a[k] * pow(x, k);
    return sum;
}
