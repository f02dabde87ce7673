/* What is found out about the loops of a function, and what is to become of their instructions. */
#ifndef CNP_LOOPS_H
#define CNP_LOOPS_H
#include "values.h"

enum { MOST_LEVELS = 3, MOST_CONSTANTS = 8, REMEMBERED = 8, NEAR = 64, STAYS = 0xffffffff };

struct loop {
    u32 head, end; /* the label, and the last jump back to it */
    u32 entry;     /* where to compute what the loop needs */
    u32 level;     /* 0 for an innermost loop */
};

/* What is computed in front of a loop, and was nowhere before. */
struct added {
    struct instruction instruction;
    u32 before; /* which instruction */
    struct added *next;
};

struct hoisting {
    struct compilation *c;
    struct loop *loops;
    u32 n_loops;
    u32 *first_source, *last_source; /* by label: instructions that go there */
    u32 *moved_to;                   /* by instruction: in front of which one it goes, or STAYS */
    u32 *defined_in;                 /* by register: the latest loop looked at that defines it */
    u32 *defined_at;                 /* by register: the only instruction of that loop that does; STAYS if there are several */
    u32 *made_by;                    /* by register: instruction + 1 that defined it last in the code looked at */
    u8 *types;
    u32 *node_of;                    /* by register: node + 1 of the loop looked at that is its value now */
    u32 *counted_in;                 /* by register: the loop in which it has been counted */
    struct added *added, **last_added;
    u32 n_added, n_moved;
    struct wide_constant {
        i64 value;
        s32 reg;
        u8 type;
    } constants[MOST_CONSTANTS];
    u32 n_constants;
    u32 n_repeated; /* loops that do two rounds between jumps back: in the end, the first ones of the list */
};
#endif
