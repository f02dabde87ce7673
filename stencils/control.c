/* Stencils that are not ops: how compiled code starts, calls, returns, stops and asks for permission to go on.
 * Each has one placement. r10 and f0 hold a result, arguments start at r3 and f0 (see targets/). */
#include "cnp.h"
#include "context.h"

CNP_HOLE(FRAME_SIZE);  /* bytes of the running function's frame */
CNP_HOLE(MINUS_FRAME_SIZE);
CNP_HOLE(FRAME_ROOM); /* FRAME_SIZE - (CNP_STACK_SIZE - CNP_STACK_RESERVE) */
CNP_HOLE(ADDRESS);     /* of a C function */
CNP_HOLE(TRAP_WORD);   /* kind, op number and function of a trap's place */
CNP_HOLE(SIGNATURE);   /* struct signature of a function called through the C convention */

/* TARGET, NEXT and the holes of operands are declared by the build beside the placements. */

CONTROL(jump) { CNP_GO(TARGET); }

CONTROL(ret) { return (struct cnp_result){r10, f0}; }

/* In front of the first call. The context is at the start of the frame stack, so how far frame is from it says how much
 * is used. Recursion without a loop can be stopped here too. */
CONTROL(enter) {
    struct context *context = context_of(frame);
    if (__builtin_expect(frame + HOLE32(FRAME_ROOM) > (char *)context, 0))
        CNP_GO(EXIT_STACK_OVERFLOW);
    if (__builtin_expect(--context->ticks == 0, 0))
        CNP_GO(TARGET);
    CNP_GO(NEXT);
}

CONTROL(trap_exit) {
    cnp_trap(frame, HOLE64(TRAP_WORD));
    __builtin_unreachable();
}

/* Every guest register survives: cnp_poll saves them all, and clang is not told of the call. */
CONTROL(poll) {
    context_of(frame)->top = frame + HOLE32(FRAME_SIZE);
    CNP_CALL_PRESERVING_ALL(cnp_poll_preserving_all);
    CNP_GO(NEXT);
}

/* After a call only the registers that the callee leaves alone hold anything: the others are passed on undefined,
 * which costs nothing, and the allocator keeps nothing in them. */
#define UNDEFINED_REGISTERS \
    i64 i_;                 \
    f64 f_

/* The callee leaves frame as it found it, which C cannot be told: it would keep frame on the native stack. */
CONTROL(call) {
    UNDEFINED_REGISTERS;
    struct cnp_result result;
    frame += HOLE32(FRAME_SIZE);
    CNP_CALL_COMPILED(result);
    frame += HOLE32(MINUS_FRAME_SIZE);
    __attribute__((musttail)) return NEXT(i_, frame, i_, i_, i_, i_, i_, i_, i_, i_, i_, result.i, result.f, f_, f_,
                                          f_, f_, f_, f_, f_);
}

/* A C function by address. The stack pointer left in the context lets it call compiled code again. */
#define C_CALL(result_type, stack_types, stack_arguments, integer_result, float_result)                            \
    {                                                                                                              \
        UNDEFINED_REGISTERS;                                                                                       \
        context_of(frame)->top = frame + HOLE32(FRAME_SIZE);                                                       \
        result_type result =                                                                                       \
            ((result_type(*)(i64, i64, i64, i64, i64, i64 stack_types, f64, f64, f64, f64, f64, f64, f64, f64))    \
                 HOLE64(ADDRESS))(r3, r4, r5, r6, r7, r8 stack_arguments, f0, f1, f2, f3, f4, f5, f6, f7);         \
        __attribute__((musttail)) return NEXT(r0, frame, r1, r2, i_, i_, i_, i_, i_, i_, i_, integer_result,       \
                                              float_result, f_, f_, f_, f_, f_, f_, f_);                           \
    }
#define NOTHING
#define TWO_MORE_TYPES , i64, i64
#define TWO_MORE , r9, r10

CONTROL(call_c_integer) C_CALL(i64, NOTHING, NOTHING, result, f_)
CONTROL(call_c_float) C_CALL(f64, NOTHING, NOTHING, i_, result)
CONTROL(call_c_integer_stack) C_CALL(i64, TWO_MORE_TYPES, TWO_MORE, result, f_)
CONTROL(call_c_float_stack) C_CALL(f64, TWO_MORE_TYPES, TWO_MORE, i_, result)

/* A function as C sees it: the arguments go to memory by class and the core does the rest. */
#define C_ENTRY(result_type, field)                                                                                \
    (i64 a, i64 b, i64 c, i64 d, i64 e, i64 f, f64 s, f64 t, f64 u, f64 v, f64 w, f64 x, f64 y, f64 z, i64 g, i64 h) { \
        i64 integers[8] = {a, b, c, d, e, f, g, h};                                                                \
        f64 floats[8] = {s, t, u, v, w, x, y, z};                                                                  \
        return cnp_enter_from_c((const struct signature *)HOLE64(SIGNATURE), integers, floats).field;              \
    }
ENTRY(i64, c_entry_integer) C_ENTRY(i64, i)
ENTRY(f64, c_entry_float) C_ENTRY(f64, f)
