/* The state of one compilation and the passes over it, in the order in which cnp_compile runs them. */
#ifndef CNP_COMPILE_H
#define CNP_COMPILE_H
#include "layout.h"
#include "memory.h"

/* Operands: a register's index, or ~index of a constant. */
#define NOTHING_DEFINED (-0x7fffffff - 1)

/* Those behind CALL_OP say where control goes. A guard is a branch to a side exit: what does not leave stays in its block. */
enum kind { PLAIN_OP, LOAD_OP, STORE_OP, DROPPED_OP, GUARD_OP, CALL_OP, BRANCH_OP, JUMP_OP, TABLE_OP, RETURN_OP, TRAP_OP, PLACE_OP, SAFEPOINT_OP_KIND };
enum instruction_flag { NEEDS_SAFEPOINT = 1, IS_TURNED = 2 /* a guard that a loop's end has, too, and goes on behind */ };

struct instruction {
    u16 op;         /* row of the op table */
    u8 n;           /* source operands */
    u8 kind : 6, flags : 2;
    s32 d;          /* register defined, or NOTHING_DEFINED */
    s32 operand[3]; /* call: operand[0] is the number of arguments */
    s32 target;     /* branch, guard, jump, place: label; load, store: offset; call: callee; table: default label */
    s32 other;      /* rotated branch: label of the other way, else -1; call, table: handle of the list; what is indexed,
                       that is has an index for its last operand: by how much the index is shifted, else -1 */
    u32 number;     /* the user's op */
};

/* Where a register's value is needed, as one range: uses at even positions, definitions at odd ones. */
struct interval {
    s32 start, end;
    f32 weight;  /* loop-weighted number of uses and definitions */
    s32 hint;    /* register of the IR whose place would save a move, or -1 */
    s16 place;   /* hardware register, or -1 */
    s16 wish;    /* hardware register that would save a move, or -1 */
    s32 slot;    /* frame slot, or -1 */
    /* While intervals are found: */
    u32 defined_in; /* the latest block that defines the register + 1 */
    u32 sure_until; /* see liveness.c */
};
#define NOWHERE (-1)

enum { LOOP = 1, INNERMOST_LOOP };
struct block {
    u32 first, end; /* instructions */
    s32 successor[2];
    u32 predecessors, n_predecessors; /* range of c->predecessors, once they are found */
    u16 depth;
    u8 reachable;
    u8 loop_head; /* LOOP or INNERMOST_LOOP */
    u8 ends_in_table;
    u8 is_landed_on; /* from a jump table, in code that marks such places */
    u8 is_straight; /* every way to a later one leads through it */
    u32 loop;       /* around it (a head is in front of its own): head + 1 of the innermost, or 0 */
    s32 loop_end;   /* of a loop head: the block behind the loop; else 0 */
    u32 next_loop;  /* the first loop head behind it, or n_blocks */
};

struct compilation {
    const struct library *library;
    const struct python *python;
    struct request *request;
    const u8 *types;
    char *next, *end; /* scratch: arrays grow from the front, constants from the back */
    i64 *constants;   /* one past constant 0 */
    u32 n_constants;

    struct instruction *instructions;
    u32 n_instructions, n_registers;
    u32 *controls, *calls; /* instructions that say where control goes, and calls, in order */
    u32 n_controls, n_calls;
    s32 *label_at;    /* instruction that a label is bound to; behind the last one, a side exit */
    u32 n_labels;

    struct values *values;

    struct block *blocks;
    u32 n_blocks;
    u32 *block_at;    /* of an instruction that leads a block; and n_blocks and so on, of side exits */
    u32 *predecessors;
    u8 has_loops;          /* jumps back, to tell the truth */
    u8 has_wide_constants; /* too wide for an instruction, or floats */
    u8 calls_code, calls_c;
    u8 waits; /* has safepoints */
    u8 divides; /* by a constant: the scratch registers are best left alone */

    struct interval *intervals;
    u64 *starts;         /* bit per position: some interval starts there, */
    s32 *first_starting; /* that of this register, then next_starting */
    s32 *next_starting;
    u32 n_slots;

    struct item *items;
    u32 n_items;
    u64 *pool;        /* what lies behind the code and is loaded from there */
    u32 n_pool;
    struct event *events; /* one past event 0: they grow downwards, towards the items */
    u32 n_events;
    struct event *externals; /* those that depend on where the function will be */
    u32 n_externals;
    u32 *target_position;
    u32 code_end, table_offset; /* bytes of code; where its pool and jump tables are */
    struct trace *traces;
    u32 n_traces, max_traces;
};

static inline s64 constant(const struct compilation *c, s32 operand) { return (s64)c->constants[-1 - ~operand]; }
static inline int is_wide(const struct compilation *c, i64 value, u8 type) {
    u32 rest = 64 - c->library->wide_bits;
    s64 number = type == TYPE_I32 ? (s64)(s32)value : (s64)value;
    return IS_FLOAT(type) ? value != 0 : (s64)((i64)number << rest) >> rest != number;
}
static inline s32 position_of(u32 instruction) { return 2 * (s32)instruction + 2; }

/* Which of the eight divisions and remainders a row is, in the order of `enum known_op`. */
enum { DIVISION_KINDS = 8 };
static inline u32 division_kind(const struct library *library, u32 row) {
    if (!(library->reducible[row >> 6 & 3] >> (row & 63) & 1))
        return DIVISION_KINDS;
    u32 kind = 0;
    while (kind < DIVISION_KINDS && library->known[I32_DIV_S + kind] != row)
        kind++;
    return kind;
}

static inline int in_float_file(const struct compilation *c, s32 r) { return IS_FLOAT(c->types[r]); }

static int fail(struct compilation *c, u32 code, u32 op, u32 operand) {
    c->request->error = code;
    c->request->error_op = op;
    c->request->error_operand = operand;
    return 0;
}

/* Scratch for n objects; zeroed by the caller if it must be. Too little of it is not an error of the user's: the
 * run time brings twice as much and asks again. */
static void *allocate(struct compilation *c, u64 size) {
    size = (size + 15) & ~15ull;
    if ((u64)(c->end - c->next) < size) {
        c->request->scratch_used = 2 * (c->request->scratch_size + size);
        fail(c, NEED_SCRATCH, 0, 0);
        return 0;
    }
    void *result = c->next;
    c->next += size;
    return result;
}
#define ALLOCATE(c, pointer, n) ((pointer) = allocate((c), (u64)(n) * sizeof *(pointer)))

static inline void fill(void *start, u8 byte, u64 size) { memset(start, byte, size); }

/* A list kept at the back of the scratch: its handle, and where it is. */
static s32 reserve_list(struct compilation *c, u32 n) {
    u32 units = (n + 1) / 2;
    if ((u64)(c->end - c->next) < units * 8ull + 64) {
        c->request->scratch_used = 2 * (c->request->scratch_size + units * 8ull + 64);
        fail(c, NEED_SCRATCH, 0, 0);
        return -1;
    }
    c->end -= units * 8ull;
    c->n_constants += units;
    return (s32)c->n_constants;
}
static inline s32 *list_at(const struct compilation *c, s32 handle) { return (s32 *)(c->constants - handle); }

/* The side exit that a label means, or NULL. */
static inline struct side_exit *side_exit_of(const struct compilation *c, s32 label) {
    s32 number = c->label_at[label] - (s32)c->n_instructions;
    return number >= 0 ? &c->request->exits[number] : 0;
}

/* Whether an instruction may lead to a side exit: of branches guards do, and those that end loops in their place. Then there is
 * one label, or those of a table. */
static inline int may_leave(const struct compilation *c, const struct instruction *at) {
    return at->kind == GUARD_OP || (c->request->n_exits && (at->kind == JUMP_OP || at->kind == TABLE_OP || (at->kind == BRANCH_OP && at->other >= 0)));
}
static inline u32 n_ways(const struct instruction *at) { return at->kind == TABLE_OP ? (u32)at->operand[1] + 1 : 1; }
static inline struct side_exit *way_out(const struct compilation *c, const struct instruction *at, u32 k) {
    return side_exit_of(c, at->kind == TABLE_OP ? list_at(c, at->other)[k] : at->kind == BRANCH_OP ? at->other : at->target);
}

/* Exits of bytecode share lists of values, which are the same if they begin at the same place and are not empty: passes note
 * what they know of the latest few. */
enum { LATEST_LISTS = 8 };
static inline u32 list_number(const struct side_exit *exit) { return (u32)((u64)exit->values / sizeof *exit->values % LATEST_LISTS); }

static inline int add_constant(struct compilation *c, i64 value, s32 *operand) {
    if (c->end - c->next < 64) {
        c->request->scratch_used = 2 * (c->request->scratch_size + 64);
        return fail(c, NEED_SCRATCH, 0, 0);
    }
    c->end -= 8;
    *operand = ~(s32)c->n_constants++;
    c->constants[-1 - ~*operand] = value;
    return 1;
}
#endif
