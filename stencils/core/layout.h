/* The data the core works on. The first half mirrors the library file (docs/library-format.md, cnp/stencil/library.py),
 * the second is shared with cnp/runtime/core.py: a test compares sizes and offsets. */
#ifndef CNP_LAYOUT_H
#define CNP_LAYOUT_H
#include "../context.h"

/* ---- the library file ---- */

struct op {
    u32 name;
    u8 shape;
    u8 result_type;
    u8 n_operands;
    u8 operand_type[3];
    u8 flags;
    u8 forms;
    u16 swapped, inverse, branch, reserved;
    u8 n_d, n_a, n_b, n_c;
    u8 n_a_reversed;
    u8 patterns; /* above 1: the stencil depends on whether the destination is also an operand, see pattern_of */
    u8 zero[2];
    u32 classes_a, classes_b, classes_c, classes_a_reversed;
    u32 base[6];
    u32 doc, source_line;
    u32 families;
    u8 scales, offsets, values;
    u8 indexed_class; /* of a constant offset or value beside an index */
    u8 zeros[4];
};
enum shape { VALUE, LOAD, STORE, BRANCH, TABLE, MAGIC };
enum op_flag { COMMUTATIVE = 1, COMPARISON = 2, MAY_TRAP = 4, HIDDEN = 8, STORES_BYTE = 16, SHIFT = 32 };
enum form { FREE, TIED, REVERSED, FREE_IMMEDIATE, SLOT_RESULT, SCRATCH };
#define HAS(op, form) ((op)->forms >> (form) & 1)
#define NO_OP 0xFFFF

/* A class of immediates: an op's stencils offer some of the target's, and a value is of the narrowest that it fits. */
struct immediate_class {
    char name[8];
    s64 low, high;
    u32 scale;
    u8 pattern; /* see immediate.h; 0 for a range */
    u8 is_loaded; /* takes an instruction of its own */
    u8 zero[2];
};

struct stencil {
    union {
        u32 where;
        struct {
            u32 chunk : 24, chunks : 8; /* of several chunks: where they are in the runs */
        };
    };
    union {
        u32 shape;
        struct {
            u32 hole : 16, size : 9, holes : 6;
            u32 has_short_form : 1; /* the next stencil, whose last jump has a displacement of one byte */
        };
    };
};

enum hole_value {
    IMMEDIATE_A, IMMEDIATE_B, IMMEDIATE_C, SLOT_D, SLOT_A, SLOT_B, SLOT_C, OFFSET_VALUE, TARGET_VALUE, EXIT_VALUE, LIBRARY_VALUE,
    FRAME_SIZE_VALUE, ADDRESS_VALUE, TRAP_PLACE_VALUE, SIGNATURE_VALUE, CALLEE_VALUE, TABLE_VALUE, COUNT_VALUE, MULTIPLIER_VALUE, DIVISOR_VALUE,
    MINUS_FRAME_SIZE_VALUE, FRAME_TICKS_VALUE, FUNCTION_VALUE, REGISTERS_VALUE, CONSTANT_VALUE,
    HOLE_VALUES
};
struct hole {
    u8 chunk, value, kind, zero;
    s32 addend;
    u32 extra;
    u16 offset, zeros;
};

/* How a value becomes a field: runs of its bits go to the four bytes that end with the field. */
enum kind_flag { PC_RELATIVE = 1, PAGES = 2 };
enum segment_flag { NEGATE = 1, INVERT = 2 };
enum { MOST_SEGMENTS = 8 };
enum field_shape { SEGMENTS, ONE_SEGMENT /* without flags */, WHOLE /* the last four bytes are the value */ };
struct patch_kind {
    u8 flags, width, n_segments, shape;
    s32 bias;
    u32 scale, mask; /* the bits of the field */
    s64 low, high;
    struct segment {
        u8 start, bits, to, flags;
    } segment[MOST_SEGMENTS];
};

/* What each register contributes, by exclusive or, to the four bytes that end an instruction. */
enum { MOST_REGISTERS = 32, MOST_GROUPS = 3 };
struct field {
    u32 bits[MOST_REGISTERS];
};

/* Placements that differ in registers only. Positions: the destination or stored value, the base, the index. */
struct family {
    u32 field[3][MOST_REGISTERS]; /* what a register contributes, by exclusive or, to the last four bytes */
    u32 stencil[MOST_GROUPS][MOST_GROUPS][MOST_GROUPS];
    u8 group[3][MOST_REGISTERS];
    u32 zero;
};

/* Code bytes end where the field ends, so that emitting backwards needs no offset: see emit.c. */
struct chunk {
    u8 code[16];
    s64 minus_size;
};
static inline u32 last_four(const struct chunk *chunk) {
    return (u32)chunk->code[12] | (u32)chunk->code[13] << 8 | (u32)chunk->code[14] << 16 | (u32)chunk->code[15] << 24;
}

/* ---- what the run time hands to the core ---- */

enum { MAXIMUM_INTEGER_REGISTERS = 32, MAXIMUM_FLOAT_REGISTERS = 32, ARGUMENTS = 8 };

/* Rows and stencils that the core asks for by name; cnp/runtime/core.py fills them in from the same lists. */
enum known_op {
    INTEGER_MOVE, FLOAT_MOVE, INTEGER_SELECT, FLOAT_SELECT, BRANCH_TABLE_OP, WRAP,
    I32_MUL, I64_MUL, I32_SHL, I64_SHL, I32_SHR_U, I64_SHR_U, I32_AND, I64_AND,
    I32_DIV_S, I32_DIV_U, I32_REM_S, I32_REM_U, I64_DIV_S, I64_DIV_U, I64_REM_S, I64_REM_U,
    I32_DIV_S_MAGIC, I32_DIV_U_MAGIC, I32_REM_S_MAGIC, I32_REM_U_MAGIC,
    I64_DIV_S_MAGIC, I64_DIV_U_MAGIC, I64_REM_S_MAGIC, I64_REM_U_MAGIC,
    I64_DIV_S_MAGIC_ADD, I64_DIV_U_MAGIC_ADD, I64_REM_S_MAGIC_ADD, I64_REM_U_MAGIC_ADD,
    I32_DIV_S_MAGIC_TWO, I64_DIV_S_MAGIC_TWO,
    I32_SUB, I64_SUB, I32_ADD, I64_ADD, I32_ROTR, I64_ROTR, I32_ROTL, I64_ROTL,
    BRANCH_I32_NEZ, BRANCH_I32_EQZ, I32_EQZ, I64_EQZ, I64_LOAD, F64_LOAD, I64_STORE, F64_STORE,
    KNOWN_OPS
};
enum known_control {
    JUMP_STENCIL, RETURN_STENCIL, COUNT_STENCIL, COUNT_LARGE_FRAME, POLL_STENCIL, POLL_BEFORE_CALL, POLL_LARGE_FRAME,
    TRAP_EXIT_STENCIL, TRAP_STENCIL, CALL_STENCIL, CALL_SMALL_FRAME, CALL_LARGE_FRAME, CALL_C_STENCIL, CALL_C_STACK,
    CALL_C_LARGE_FRAME, CALL_C_STACK_LARGE_FRAME, C_ENTRY_INTEGER, C_ENTRY_FLOAT, CALLBACK_INTEGER, CALLBACK_FLOAT,
    LANDING_PAD, VENEER_STENCIL, FAR_JUMP,
    CALL_SYMBOL, CALL_SYMBOL_STACK, CALL_SYMBOL_LARGE_FRAME, CALL_SYMBOL_STACK_LARGE_FRAME,
    CALL_CELL, CALL_CELL_SMALL_FRAME, CALL_CELL_LARGE_FRAME, KNOWN_CONTROLS
};

struct library {
    const struct op *ops;
    const u32 *placements;
    const struct stencil *stencils;
    const struct hole *holes;
    const struct chunk *chunks;
    const u32 *runs;
    const struct family *families;
    const struct patch_kind *kinds;
    const struct immediate_class *classes;
    const struct field *fields;
    i64 blob; /* where the core and the constants are executable */
    u32 last_routine; /* there: what is behind it are constants */
    u32 n_ops, n_classes;
    u32 integer_registers, float_registers;
    /* By file and register: its alternative at an operand position; behind the registers, that of a slot. Immediates
     * follow. */
    u8 alternative[2][MOST_REGISTERS + 1];
    u8 extends_signs; /* an i32 lies in a register sign-extended, not zero-extended */
    u8 reaches_far;   /* the short form of a branch reaches farther than a signed byte */
    u32 reach;        /* bytes within which instructions reach all of a function */
    u32 slot_reach;   /* of offsets in instructions; 0 if they reach everywhere */
    u32 first_slot;   /* bytes of a frame in front of its slots */
    u32 c_arguments;  /* integer arguments that C takes in registers */
    u32 wide_bits;    /* an integer constant of more is worth a register in a loop */
    u32 most_repeated; /* instructions of a loop that does two rounds between jumps back */
    u32 aligns_loops; /* whether it pays that loops begin at a multiple of LOOP_ALIGNMENT */
    u32 longest_padding;
    u32 words;        /* every instruction has four bytes, and so has every chunk that is not empty */
    const char *constants; /* of stencils, as an offset in the blob leads to them here */
    /* The calling convention of compiled code: registers of the first arguments, of a result, and those that a call to C leaves alone. */
    u8 integer_argument[MAXIMUM_INTEGER_REGISTERS];
    u32 integer_result, float_result;
    u32 survivors; /* bit per integer register */
    u32 scratch;   /* the same: what stencils of form SCRATCH leave undefined */
    u32 padding[16];
    u32 control[KNOWN_CONTROLS];
    u64 reducible[4]; /* bit per row: a constant operand b may make another op cheaper */
    u16 known[KNOWN_OPS];
};

/* CPython, as far as the core needs it, by address: the core links against nothing. */
typedef struct object object;
struct python {
    object *(*PyList_GetItem)(object *, s64);
    s64 (*PyList_Size)(object *);
    object *(*PyTuple_GetItem)(object *, s64);
    s64 (*PyTuple_Size)(object *);
    char *(*PyByteArray_AsString)(object *);
    s64 (*PyLong_AsLongLong)(object *);
    s64 (*PyLong_AsLongLongAndOverflow)(object *, int *);
    u64 (*PyLong_AsUnsignedLongLong)(object *);
    object *(*PyLong_FromLongLong)(s64);
    object *(*PyLong_FromUnsignedLongLong)(u64);
    f64 (*PyFloat_AsDouble)(object *);
    object *(*PyFloat_FromDouble)(f64);
    object *(*PyNumber_Index)(object *);
    object *(*PyErr_Occurred)(void);
    void (*PyErr_Clear)(void);
    int (*PyErr_ExceptionMatches)(object *);
    void (*PyErr_Fetch)(object **, object **, object **);
    void (*PyErr_Restore)(object *, object *, object *);
    void (*PyObject_Free)(object *);
    object *(*PyErr_Format)(object *, const char *, ...);
    int (*PyErr_CheckSignals)(void);
    void (*PyErr_WriteUnraisable)(object *);
    int (*PyObject_GetBuffer)(object *, void *, int);
    int (*PyObject_CheckBuffer)(object *);
    int (*PyNumber_Check)(object *);
    int (*PySequence_Check)(object *);
    void (*PyBuffer_Release)(void *);
    object *(*PyObject_CallFunctionObjArgs)(object *, ...);
    int (*PyObject_IsInstance)(object *, object *);
    void (*Py_IncRef)(object *);
    void (*Py_DecRef)(object *);
    void *(*PyEval_SaveThread)(void);
    void (*PyEval_RestoreThread)(void *);
    int (*PyGILState_Ensure)(void);
    void (*PyGILState_Release)(int);
    int (*PyGILState_Check)(void);
    void *(*PyGILState_GetThisThreadState)(void);
    object *(*PyObject_Vectorcall)(object *, object *const *, size_t, object *);
    object *(*PyTuple_New)(s64);
    int (*PyTuple_SetItem)(object *, s64, object *);
    object *(*PyEval_GetFrame)(void);
    object *(*PyUnicode_FromFormat)(const char *, ...);
    object *none, *type_error, *overflow_error, *value_error, *long_type, *float_type, *register_type, *label_type;
    object *raise_trap; /* Python: raise_trap(trap_word) */
    object *release;    /* Python: release(address of a block) */
    object *reclaim;    /* Python: reclaim(): frees what no thread can be running any more */
    s64 long_layout;    /* enum long_layout */
    s64 tuple_items;    /* offset of a tuple's first item, where a probe has found lists and tuples as expected; else 0 */
    s64 type_offset;    /* of ob_type in an object */
    s64 slot_offset;    /* of what is behind the head of an object */
};

/* How CPython keeps an int, where a probe has found it so: a word behind the object's head, then digits of 30 bits.
 * Elsewhere, and for ints of more than two digits, the C API is asked. */
enum long_layout {
    LONG_UNKNOWN,
    LONG_SIZE, /* up to 3.11: the word is the number of digits, negated for a negative int */
    LONG_TAG,  /* from 3.12: the number of digits times 8, plus 1 for zero or 2 for a negative int */
};

/* An int of one digit, without a call; `head` is the size of an object's head. */
static inline int small_integer(const struct python *python, object *value, s64 head, s64 *x) {
    const char *p = (const char *)value;
    if (*(object **)(p + head - 8) != python->long_type)
        return 0;
    u64 word = *(const u64 *)(p + head);
    s64 digit = *(const u32 *)(p + head + 8);
    if (python->long_layout == LONG_SIZE && word + 1 <= 2) {
        *x = (s64)word * digit;
        return 1;
    }
    *x = word & 2 ? -digit : digit;
    return python->long_layout == LONG_TAG && word < 16;
}

struct context;
struct signature;
struct side_exit;
struct callback;
/* What handled a signal before. */
struct old_action {
    i64 handler;
    u32 signal, flags;
    u32 depth; /* it is at work */
    u32 zero;
};

/* What all threads that run compiled code have in common: one a process, in memory of the run time's. */
struct threads {
    u64 epoch;             /* never 0; whatever is retired advances it */
    struct context *first; /* of all threads that have a context */
    u32 lock;              /* of the list; spun for, because what is done under it is short */
    u32 has_retired;       /* something waits for threads to leave compiled code */
    u32 catches;           /* faults in compiled code become traps */
    u32 zero;
    struct old_action old[3];
};

struct host {
    struct python python;
    int (*poll)(struct context *); /* asked again and again while code runs; what is not 0 ends it: INTERRUPTED */
    void (*trapped)(const struct signature *, i64 trap_word); /* in a function that C has called by a pointer */
    /* By an exit, whose values are in the frame. Gives the function's result; or what is not 0, which ends the call: INTERRUPTED. */
    int (*left)(const struct side_exit *, const char *frame, struct cnp_result *);
    int (*called)(const struct callback *, const i64 *integers, const f64 *floats, struct cnp_result *); /* the same of a call */
    void (*came_out)(const struct host *); /* a thread has come out of compiled code, and something has been retired */
    void *(*pthread_getspecific)(u32);
    int (*pthread_setspecific)(u32, const void *);
    i64 (*pthread_self)(void);
    int (*pthread_getattr_np)(i64, void *);
    int (*pthread_attr_getstack)(const void *, char **, size_t *);
    int (*pthread_attr_destroy)(void *);
    char *(*mmap)(void *, size_t, int, int, int, s64);
    int (*munmap)(void *, size_t);
    int (*clock_gettime)(int, s64 *);
    int (*sigaction)(int, const void *, void *);
    int (*sigaltstack)(const void *, void *);
    int (*raise)(int);
    i64 main_thread; /* as pthread_self gives it: the one that runs Python's signal handlers */
    u32 context_key, zero;
    struct threads *threads;
};

/* How a compiled function is called: by cnp_vectorcall, cnp_enter_from_c, and by other compiled code. */
struct signature {
    const struct host *host;
    i64 entry;
    object *name; /* str */
    u32 number;   /* of the function, as in trap words */
    u8 n_parameters;
    u8 result_type; /* NO_TYPE for none */
    u8 releases_gil;
    u8 uses_floats;
    u8 uses_buffers;
    u8 is_bare; /* never traps, calls, waits, or touches its frame or registers that C keeps: a leaf of C */
    u8 lacks_gil; /* Python has none: threads enter without an order between them */
    u8 zero[1];
    u8 parameter_type[ARGUMENTS]; /* enum type, or the two pointer types */
};
enum type { TYPE_I32, TYPE_I64, TYPE_F32, TYPE_F64, TYPE_POINTER, TYPE_WRITABLE_POINTER, NO_TYPE = 255 };
#define IS_FLOAT(type) ((type) == TYPE_F32 || (type) == TYPE_F64)

/* The trap word: which place, in one number that a stencil carries. */
static inline u64 trap_word(u32 function, u32 op, u32 kind) { return (u64)function << 32 | (u64)op << 4 | kind; }

struct callee {
    i64 address;      /* of compiled code, of a C function, or of a cell; for a member of this request, its index */
    u8 kind;          /* enum callee_kind */
    u8 result_type;
    u8 n_parameters;
    u8 zero[5];
    u8 parameter_type[16];
};
/* A symbol is a C function that a linker will find: code for an object file calls it as directly as compiled code. A cell is
 * eight bytes of memory that hold the address of compiled code. */
enum callee_kind { CALLEE_CODE, CALLEE_C, CALLEE_MEMBER, CALLEE_SYMBOL, CALLEE_CELL };
static inline int is_c_function(const struct callee *callee) { return callee->kind == CALLEE_C || callee->kind == CALLEE_SYMBOL; }

/* A callable of the host's that compiled code calls. */
struct callback {
    const struct host *host;
    void *function, *name; /* of no interest but to the host: in Python objects, the name what messages call it */
    u8 result_type; /* NO_TYPE for none */
    u8 n_parameters;
    u8 zero[6];
    u8 parameter_type[2 * ARGUMENTS];
};

/* A side exit: where compiled code is left for good. A handler of the host's gets the values, and gives the function's result. */
struct side_exit {
    const struct host *host;
    /* Of no interest but to the host. In Python objects, the name what messages call it; one in bytecode has no point but
     * its offset, and for a name that of its function. */
    void *handler, *point, *name;
    struct side_exit_value *values;
    u32 n_values;
    u32 label;
    u8 result_type;
    u8 zero[7];
    /* results */
    u32 frame_size; /* of the function */
    u32 extent;     /* of the values: bytes from frame */
    u32 position;   /* of its code, from the start of the function, or NO_POSITION if nothing leads there */
    u32 offset;     /* no result */
};
struct side_exit_value {
    i64 constant; /* the host's: an object, or bits */
    u32 reg;      /* if it is no constant */
    u8 type;
    u8 is_constant;
    s16 place; /* result: the hardware register it is in up to the exit, or -1 */
    s32 slot;  /* result: bytes from frame, to where it is found when the exit is taken */
    u32 zeros;
};
#define NO_POSITION 0xffffffffu

/* One function to compile. Its ops are the Python list of tuples that cnp.ir.Function collects; or, where that is NULL,
 * packed words, for which `struct python` may be NULL too.
 *
 * Of packed ops each is a head, PACKED_HEAD(code, operands), and one word an operand, in the order of the tuples: a register,
 * a label or a callee is its index, an offset its 32 bits, no destination of a call NO_OPERAND_WORD, and a constant
 * CONSTANT_WORD | its index in `constants`, where an i32 is in [-2^31, 2^32), an f32 its bits, an i64 or f64 any 64 bits. */
#define PACKED_HEAD(code, operands) ((u32)(code) | (u32)(operands) << 16)
#define CONSTANT_WORD 0x80000000u
#define NO_OPERAND_WORD 0xffffffffu
struct compilation;
struct interval;
struct request {
    object *ops;
    object *types; /* bytearray: enum type of each register; or NULL, then they are the type_bytes */
    const u32 *words;
    u64 n_words;
    const i64 *constants;
    const u8 *type_bytes;
    u32 n_constants, n_exits;
    const struct callee *callees;
    char *scratch;
    u64 scratch_size;
    u32 serial, function_number;
    u32 n_registers, n_parameters, n_labels, n_callees;
    u8 result_type;
    u8 safepoints;
    u8 trace;
    u8 is_plain; /* result: nothing was folded or moved, because a message would have blamed another op */
    u8 landing_pads; /* a mark where the code is entered, and where a jump table leads, for processors that want one */
    u8 far_calls;    /* calls to what is not of this request, and to the core, go through veneers, which reach anywhere */
    u8 zero[2];
    struct side_exit *exits;
    i64 leave; /* what they call: cnp_leave_integer or cnp_leave_float, by the function's result */
    const s8 *pins; /* NULL, or the hardware register of each register of the function, -1 for its slot: for tests */
    /* results */
    u32 error, error_op, error_operand;
    u32 code_size, frame_size, n_items, n_traces;
    u32 is_bare;
    u32 alignment; /* of the function's first byte */
    u32 code_end;  /* behind the instructions: the pool and jump tables follow, at a multiple of eight */
    u64 scratch_used; /* or, when it was too small, how much to bring next time */
    struct compilation *compilation; /* in the scratch, for cnp_emit */
    const struct trace *traces;
    const struct interval *intervals;
};

/* What the emission loop reads: a chunk and the four bytes that end it. */
struct item {
    u32 chunk; /* byte offset into the chunks */
    u32 value;
};

/* What lies outside the function, for who emits it elsewhere: see cnp_externals. */
struct external {
    u32 position; /* of the field, from the start of the function */
    u32 field;    /* row of the patch kinds */
    u32 callee;   /* its number, or NO_CALLEE: then it is in the blob */
    u32 offset;   /* there */
    s32 addend;   /* to the distance from the field */
};
#define NO_CALLEE 0xffffffffu

/* For listings: which stencil stands where, and for which op; NO_OP_NUMBER in front of a function's first call. */
struct trace {
    u32 op, stencil, offset, item;
};
#define NO_OP_NUMBER 0xffffffffu

enum verify_code {
    OK, BAD_OPCODE, WRONG_OPERAND_COUNT, NOT_A_REGISTER, WRONG_TYPE, NOT_AN_OPERAND, CONSTANT_OUT_OF_RANGE, NOT_A_LABEL,
    UNBOUND_LABEL, LABEL_PLACED_TWICE, FOREIGN_REGISTER, FOREIGN_LABEL, USE_BEFORE_DEFINITION, FALLS_OFF_THE_END,
    OFFSET_OUT_OF_RANGE, RETURN_VALUE_MISMATCH, FLOAT_FOR_INTEGER, BAD_CALLEE, WRONG_ARGUMENT_TYPE, TOO_LARGE, EMPTY,
    NEED_SCRATCH = 100, MISSING_STENCIL = 101, RAISED = 102
};

/* ---- what cnp_walk reads and writes: see walk.c ---- */

/* A number in the bytes of an instruction: `bits` of them from bit `shift` on, of the `bytes` (1 to 8) at `offset`. Its value
 * is the number, or number * scale + bias, modulo 2^64. */
struct guest_field {
    s64 bias;
    u64 mask; /* as many ones as there are bits */
    s32 scale;
    u8 offset, bytes, shift, bits;
    u8 flags; /* enum guest_field_flag */
    u8 part;  /* the part that it is in */
    u8 zero[6];
};
/* Extended: the bits that prefixes have collected come in front. Scaled: scale and bias are looked at. In a part: that is
 * where the offset counts from. */
enum guest_field_flag {
    GUEST_SIGNED = 1, GUEST_BIG_ENDIAN = 2, GUEST_EXTENDED = 4, GUEST_SCALED = 8, GUEST_IN_PART = 16, GUEST_VARINT = 32
};

/* Where an opcode is looked up: a row of `entries` for each number that its field may be. */
struct guest_page {
    u32 field, first_entry, n_entries;
};
struct guest_entry {
    u8 kind;     /* enum guest_entry_kind */
    u8 skip;     /* of a prefix: its bytes; the fields of what follows count from there */
    u16 collect; /* of a prefix: the field whose bits it collects, or NO_GUEST_FIELD */
    u32 row;     /* of the instructions; of a prefix, the page where the next opcode is looked up */
};
enum guest_entry_kind { GUEST_UNKNOWN, GUEST_INSTRUCTION, GUEST_PREFIX, GUEST_INSTRUCTION_IN_PARTS };
#define NO_GUEST_FIELD 0xffff

struct guest_target {
    u16 field;
    u8 relation; /* enum guest_relation: what its value counts from */
    u8 is_many;  /* the numbers of a part, each a target */
    s16 depth;   /* of the operand stack there, from the depth in front of the instruction */
    u16 part;
};
enum guest_relation { FROM_START, FROM_END, FROM_ZERO };

/* What follows the bytes that an instruction always has: one begins where the one in front of it ends. */
struct guest_part {
    u8 kind;    /* enum guest_part_kind */
    u8 unit;    /* of an alignment: up to a multiple of it, from the first byte of the function; a plain varint's sign, or 0 */
    u16 field;  /* the number's, or each number's */
    u16 count;  /* field of how many there are, */
    u16 less;   /* less this field, unless it is NO_GUEST_FIELD */
};
/* Plain: of seven bits or more, neither scale nor bias. */
enum guest_part_kind { GUEST_PLAIN_VARINT, GUEST_NUMBER, GUEST_NUMBERS, GUEST_ALIGNMENT };
#define MOST_GUEST_PARTS 16
#define MOST_GUEST_TARGETS 32767 /* numbers in a part */

struct guest_instruction {
    u32 first_operand; /* of its template */
    u32 n_operands;    /* heads of ops among them: as many as it makes words */
    u16 n_ops, n_constants;
    u16 n_labels; /* of its own */
    u16 n_targets;
    u32 first_target;
    u16 length; /* bytes, from the last prefix on, in front of its parts */
    u8 ends;    /* control does not go on behind it */
    u8 n_parts;
    u16 needs;  /* values that must be on the operand stack */
    s16 change; /* of its depth */
    u16 most;   /* by how much the depth grows meanwhile */
    u16 n_exits;
    u32 first_part;
};

/* A word of a template, or the words of many targets. */
struct guest_operand {
    u8 kind; /* enum guest_operand_kind */
    u8 type; /* enum type of a constant */
    u16 field;
    s32 value;
    u8 offset, shift; /* of what is plain, and mask: the field's, whose value is nothing but up to 32 bits of the fixed bytes */
    u16 run;          /* of a head: how many plain registers follow at once */
    u32 mask;
};
/* The first are the most frequent. */
enum guest_operand_kind {
    GUEST_HEAD,           /* of an op: the word is value */
    GUEST_PLAIN_REGISTER, /* GUEST_REGISTER_FIELD, plain and unsigned */
    GUEST_STACK,          /* a place on the operand stack, from the depth in front of the instruction */
    GUEST_PLAIN_CONSTANT, /* GUEST_CONSTANT_FIELD, plain; `value` is the bit that is its sign, or 0 */
    GUEST_PART_REGISTER,  /* GUEST_REGISTER_FIELD of a part, whose number is `offset` */
    GUEST_WORD,           /* value */
    GUEST_REGISTER,       /* register `value` of bank `field` */
    GUEST_REGISTER_FIELD, /* the register of bank `value` that the field numbers */
    GUEST_CONSTANT_FIELD,
    GUEST_OFFSET_FIELD,
    GUEST_CALLEE_FIELD, /* the number of a callee, counted from `value` */
    GUEST_TARGET,       /* the label of target `value` of the instruction */
    GUEST_TARGETS,      /* the labels of target `value`, which is many; the head, `field` words back, counts the others */
    GUEST_OWN_LABEL,
    GUEST_EXIT,       /* the same of a label that is exit `field` of the table; `type` is 1 where it is named first */
    GUEST_CELL,       /* the address of a cell, counted from behind those that fields number */
    GUEST_CELL_FIELD, /* of the one that the field numbers */
};

/* Registers of one type; which, says the walk. */
struct guest_bank {
    u8 type;
    u8 is_set;   /* those that are no parameters are set when the function begins */
    u16 zero;
    u32 initial; /* to this constant of the table */
};

struct guest_table {
    const struct guest_field *fields;
    const struct guest_page *pages;
    const struct guest_entry *entries;
    const struct guest_instruction *instructions;
    const struct guest_target *targets;
    const struct guest_part *parts;
    const struct guest_operand *operands;
    const struct guest_bank *banks;
    const i64 *constants;
    u32 n_constants, n_banks;
    u32 has_stack; /* the registers of the last bank are the operand stack */
    u32 zero;
};

struct guest_span {
    u32 first, count;
};

/* Where an instruction may leave for the interpreter, which goes on with it: what a side exit is made of. */
struct guest_exit {
    u32 offset, label;
    u32 exit;  /* of the table's */
    u32 depth; /* of the operand stack */
};

/* All of a function's, and what they have in common. */
struct guest_exits {
    const struct guest_exit *exits;
    u64 n;
    const struct guest_span *kinds; /* by exit of the table: which of: */
    const u32 *live;                /* numbers of files that are passed on */
    const struct guest_span *files; /* registers of each */
    const u8 *types;
    u64 first; /* of the function's registers: which one files count from */
    u32 stack; /* the file of which as much is passed on as it is deep; or a number that none has */
    u32 zero;
    struct side_exit common;
};

/* One function of guest bytecode. */
struct walk {
    const u8 *code;
    u64 size;
    const struct guest_span *banks; /* registers of each bank of the table */
    char *scratch;
    u64 scratch_size;
    u32 n_parameters, n_callees;
    const i64 *cells; /* addresses: those that fields number, then those that templates name */
    u32 n_field_cells, n_cells;
    /* results, in the scratch: what a request has, the place in the code of each op, exits, and which cells are read */
    const u32 *words;
    const i64 *constants;
    const u32 *offsets; /* or NO_GUEST_OFFSET */
    const struct guest_exit *exits;
    const u8 *is_read;
    u64 n_words, scratch_used;
    u32 n_constants, n_labels, n_ops, n_exits;
    u32 error, error_offset; /* enum walk_error; of an instruction */
    u32 error_field;         /* row, where a field is wrong; how many bits are accepted, where a varint is too long */
    u32 error_accepted;      /* how many there are, of which a field numbers one; the depth that a target is reached with */
    s64 error_value;
};
#define NO_GUEST_OFFSET 0xffffffffu

/* Packed ops of a function that another one goes on with, at a label of it. */
struct entered {
    const u32 *words, *offsets; /* the latter of its ops, which come from guest bytecode; may be too few */
    u64 n_words, n_offsets;
    u32 n_labels, label;
    char *scratch; /* aligned to 8 */
    u64 scratch_size;
    /* results, in the scratch: what the other one has behind its loads, and the offsets of its ops */
    const u32 *made, *places;
    u64 n_made, n_ops, scratch_used;
};

enum walk_error {
    WALKED, GUEST_EMPTY, GUEST_TOO_LARGE, GUEST_TRUNCATED, GUEST_NO_SUCH_OPCODE, GUEST_TOO_MANY_PREFIXES, GUEST_TARGET_OUTSIDE,
    GUEST_TARGET_INSIDE, GUEST_NO_SUCH_REGISTER, GUEST_CONSTANT_OUT_OF_RANGE, GUEST_OFFSET_OUT_OF_RANGE, GUEST_NO_SUCH_CALLEE,
    GUEST_FALLS_OFF, GUEST_UNDERFLOW, GUEST_OVERFLOW, GUEST_DEPTHS_DIFFER, GUEST_NO_SUCH_CELL,
    GUEST_VARINT_TOO_LONG, GUEST_BAD_COUNT,
    GUEST_NEEDS_SCRATCH = 100
};
#endif
