/* Stencils that are not ops: how compiled code starts, calls, returns, stops and asks for permission to go on.
 * Each has one placement. */
#include "cnp.h"
#include "context.h"

CNP_HOLE(FRAME_SIZE);  /* bytes of the running function's frame */
CNP_HOLE(MINUS_FRAME_SIZE);
CNP_HOLE(FRAME_TICKS); /* what it takes of the ticks */
CNP_HOLE(FUNCTION);    /* number of the running function, as in trap words */
CNP_HOLE(TRAP_PLACE);  /* kind and op number of a trap's place */
CNP_HOLE(ADDRESS);     /* of a C function */
CNP_HOLE(SIGNATURE);   /* struct signature of a function called through the C convention, or the struct callback that C calls */

/* TARGET, NEXT and the holes of operands are declared by the build beside the placements. */

/* Where an indirect call or jump may arrive, for processors that check it. */
CONTROL(landing_pad) {
    CNP_LANDING_PAD();
    CNP_GO(NEXT);
}

/* The rest of the way to what a call or jump does not reach. */
CONTROL(veneer) {
    CNP_GO_FAR(ADDRESS);
    __builtin_unreachable();
}

CONTROL(jump) { CNP_GO(TARGET); }

/* To any place of a function, however large it is. */
#ifndef CNP_JUMP_FAR /* where a jump's reach is that of code memory */
#define CNP_JUMP_FAR(target) CNP_GO(target)
#endif
CONTROL(far_jump) { CNP_JUMP_FAR(TARGET); }

CONTROL(ret) { CNP_RETURN(); }

/* A safepoint, and what stands in front of a function's first call. The way to TARGET, out of line, polls and comes
 * back. */
CONTROL(count) {
    CNP_COUNT(TARGET);
    CNP_GO(NEXT);
}
CONTROL(count_large_frame) {
    CNP_COUNT_MANY(FRAME_TICKS, TARGET);
    CNP_GO(NEXT);
}

/* What polls, out of line, and goes back to TARGET. Only where a function is about to call can the stack overflow, and only the core sees that it does. */
CONTROL(poll) { CNP_POLL_IN_LOOP(TARGET); }
CONTROL(poll_before_call) { CNP_POLL_BEFORE_CALL(FUNCTION, TARGET); }
CONTROL(poll_large_frame) { CNP_POLL_LARGE_FRAME(FRAME_SIZE, FUNCTION, TARGET); }

/* An exit says which one it is, then all go the same way. */
CONTROL(trap_exit) {
    CNP_SET_TRAP_PLACE(TRAP_PLACE);
    CNP_GO(NEXT);
}
CONTROL(trap) {
    CNP_GO_TRAP(FUNCTION);
    __builtin_unreachable();
}

/* Where a function has no frame, that of what it calls begins at the same place. */
CONTROL(call) {
    CNP_CALL_COMPILED();
    CNP_GO(NEXT);
}
CONTROL(call_small_frame) {
    CNP_CALL_SMALL_FRAME();
    CNP_GO(NEXT);
}
CONTROL(call_large_frame) {
    CNP_CALL_LARGE_FRAME();
    CNP_GO(NEXT);
}

/* Compiled code whose address is in memory: in 8 bytes that other threads may write. */
CONTROL(call_cell) {
    CNP_CALL_CELL(ADDRESS);
    CNP_GO(NEXT);
}
CONTROL(call_cell_small_frame) {
    CNP_CALL_CELL_SMALL_FRAME(ADDRESS);
    CNP_GO(NEXT);
}
CONTROL(call_cell_large_frame) {
    CNP_CALL_CELL_LARGE_FRAME(ADDRESS);
    CNP_GO(NEXT);
}

/* A C function by address. The frame left in the context lets it call compiled code again. */
CONTROL(call_c) {
    context_of(frame)->frame = frame;
    CNP_CALL_C(ADDRESS);
    CNP_GO(NEXT);
}
CONTROL(call_c_stack) {
    context_of(frame)->frame = frame;
    CNP_CALL_C_STACK(ADDRESS);
    CNP_GO(NEXT);
}
CONTROL(call_c_large_frame) {
    context_of(frame)->frame = frame + HOLE32(FRAME_SIZE);
    CNP_CALL_C(ADDRESS);
    CNP_GO(NEXT);
}
CONTROL(call_c_stack_large_frame) {
    context_of(frame)->frame = frame + HOLE32(FRAME_SIZE);
    CNP_CALL_C_STACK(ADDRESS);
    CNP_GO(NEXT);
}

/* The same for a C function whose name a linker knows. */
#ifndef CNP_CALL_SYMBOL /* where compiled code keeps the stack as C wants it, and C takes eight integers in registers */
#define CNP_CALL_SYMBOL() CNP_CALL_COMPILED()
#define CNP_CALL_SYMBOL_STACK() CNP_CALL_COMPILED()
#endif
CONTROL(call_symbol) {
    context_of(frame)->frame = frame;
    CNP_CALL_SYMBOL();
    CNP_GO(NEXT);
}
CONTROL(call_symbol_stack) {
    context_of(frame)->frame = frame;
    CNP_CALL_SYMBOL_STACK();
    CNP_GO(NEXT);
}
CONTROL(call_symbol_large_frame) {
    context_of(frame)->frame = frame + HOLE32(FRAME_SIZE);
    CNP_CALL_SYMBOL();
    CNP_GO(NEXT);
}
CONTROL(call_symbol_stack_large_frame) {
    context_of(frame)->frame = frame + HOLE32(FRAME_SIZE);
    CNP_CALL_SYMBOL_STACK();
    CNP_GO(NEXT);
}

/* A function as C sees it: the arguments go to memory by class and the core does the rest. */
#define C_FUNCTION(routine, type, description, field)                                                              \
    (i64 a, i64 b, i64 c, i64 d, i64 e, i64 f, f64 s, f64 t, f64 u, f64 v, f64 w, f64 x, f64 y, f64 z, i64 g, i64 h) { \
        i64 integers[8] = {a, b, c, d, e, f, g, h};                                                                \
        f64 floats[8] = {s, t, u, v, w, x, y, z};                                                                  \
        return routine((const struct type *)description, integers, floats).field;                                  \
    }
#define C_ENTRY(description, field) C_FUNCTION(cnp_enter_from_c, signature, description, field)
ENTRY(i64, c_entry_integer) C_ENTRY(HOLE64(SIGNATURE), i)
ENTRY(f64, c_entry_float) C_ENTRY(HOLE64(SIGNATURE), f)
/* The same in an object file: what describes the function lies behind the code, see struct exported in ahead/support.c. */
ENTRY(i64, symbol_entry_integer) C_ENTRY(ADDRESS_OF(TABLE), i)
ENTRY(f64, symbol_entry_float) C_ENTRY(ADDRESS_OF(TABLE), f)
/* And a callable of the host's, as compiled code sees it. */
ENTRY(i64, callback_integer) C_FUNCTION(cnp_call_back, callback, HOLE64(SIGNATURE), i)
ENTRY(f64, callback_float) C_FUNCTION(cnp_call_back, callback, HOLE64(SIGNATURE), f)
