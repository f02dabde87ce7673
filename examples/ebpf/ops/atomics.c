/* The atomic instructions, on words at addresses that are multiples of their size. All are sequentially consistent. A
 * call costs next to nothing beside what they do, and a copy for every placement would take long to build. */
#include "cnp.h"

#define UPDATE(name, word, builtin)                                                                           \
    OP(name, CALL, void, ptr address, i64 operand) { builtin((word *)address, (word)operand, __ATOMIC_SEQ_CST); }

/* These give what was there, the upper half of a small word zero. */
#define FETCH(name, word, builtin)                                                                            \
    OP(name, CALL, i64, ptr address, i64 operand) {                                                           \
        return builtin((word *)address, (word)operand, __ATOMIC_SEQ_CST);                                     \
    }

#define COMPARE(name, word)                                                                                   \
    OP(name, CALL, i64, ptr address, i64 expected, i64 operand) {                                             \
        word old = (word)expected;                                                                            \
        __atomic_compare_exchange_n((word *)address, &old, (word)operand, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return old;                                                                                           \
    }

UPDATE(atomic_add32, u32, __atomic_fetch_add)
UPDATE(atomic_add64, u64, __atomic_fetch_add)
UPDATE(atomic_or32, u32, __atomic_fetch_or)
UPDATE(atomic_or64, u64, __atomic_fetch_or)
UPDATE(atomic_and32, u32, __atomic_fetch_and)
UPDATE(atomic_and64, u64, __atomic_fetch_and)
UPDATE(atomic_xor32, u32, __atomic_fetch_xor)
UPDATE(atomic_xor64, u64, __atomic_fetch_xor)

FETCH(atomic_fetch_add32, u32, __atomic_fetch_add)
FETCH(atomic_fetch_add64, u64, __atomic_fetch_add)
FETCH(atomic_fetch_or32, u32, __atomic_fetch_or)
FETCH(atomic_fetch_or64, u64, __atomic_fetch_or)
FETCH(atomic_fetch_and32, u32, __atomic_fetch_and)
FETCH(atomic_fetch_and64, u64, __atomic_fetch_and)
FETCH(atomic_fetch_xor32, u32, __atomic_fetch_xor)
FETCH(atomic_fetch_xor64, u64, __atomic_fetch_xor)
FETCH(atomic_xchg32, u32, __atomic_exchange_n)
FETCH(atomic_xchg64, u64, __atomic_exchange_n)

COMPARE(atomic_cmpxchg32, u32)
COMPARE(atomic_cmpxchg64, u64)
