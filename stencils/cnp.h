/* The words every op source is written in: types, OP, TRAP, CONTROL and the shape of a stencil.
 *
 * A stencil is a C function that takes every guest register as an argument and ends in a tail call to NEXT with
 * every guest register as an argument (Xu and Kjolstad, 2021). The target's header lists those arguments; the build
 * writes one small function per operand placement around each op's body. */
#ifndef CNP_H
#define CNP_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef __int128 s128;
typedef unsigned __int128 u128;
typedef unsigned long size_t;

/* The four value types of the IR. Integers carry no sign: bodies that need one cast to s32 or s64, as WebAssembly's
 * _s and _u suffixes say. A ptr is an i64 operand that a body may dereference. */
typedef u32 i32;
typedef u64 i64;
typedef float f32;
typedef double f64;
typedef char *ptr;

/* Why compiled code stopped. Kept in step with cnp.errors.TrapKind, which a test compares. */
enum trap {
    NO_TRAP = 0,
    UNREACHABLE = 1,
    INTEGER_DIVIDE_BY_ZERO = 2,
    INTEGER_OVERFLOW = 3,
    INVALID_CONVERSION_TO_INTEGER = 4,
    STACK_OVERFLOW = 5,
    INTERRUPTED = 6,
    OUT_OF_FUEL = 7,
    MEMORY_FAULT = 8,
};

/* In an op's body: `return TRAP(INTEGER_OVERFLOW);` leaves compiled code with that kind. */
#define TRAP(kind) (*trap_ = (kind), 0)

#ifdef CNP_TABLE
/* Read by cnp.build.ops: the preprocessor itself is the parser of the op table. */
#define OP(name, attributes, result, ...) @@OP name | attributes | result | __VA_ARGS__ | __FILE__ | __LINE__ @@
#define CONTROL(name) @@CONTROL name | __FILE__ | __LINE__ @@
#define ENTRY(result, name) @@CONTROL name | __FILE__ | __LINE__ @@
#else
#define OP(name, attributes, result, ...)                                                                     \
    static inline __attribute__((always_inline)) result name(__VA_ARGS__, __attribute__((unused)) enum trap *trap_)
/* Names a C function outside the library, `IMPORT(i64, find, (struct vm *, i64));`, which the body of a CALL may call:
 * `cnp.load` is told where it is, or finds it in the process. */
#define IMPORT(result, name, parameters)                                                                      \
    static __attribute__((section(".rodata.import." #name), unused)) result (*const volatile name) parameters = 0

/* A stencil written out by hand, with one placement; and a function of the C convention that is copied whole. */
#define CONTROL(name) CNP_STENCIL(name)
#define ENTRY(result, name) result name
#endif

#include CNP_TARGET_HEADER

/* All guest registers. Placements without floats leave those alone, so that clang has less to do: the build says so, and
 * keeps clang from taking float registers for anything else. */
#ifdef CNP_NO_FLOATS
#define CNP_PARAMETERS CNP_INTEGER_PARAMETERS
#define CNP_ARGUMENTS CNP_INTEGER_ARGUMENTS
#else
#define CNP_PARAMETERS CNP_INTEGER_PARAMETERS, CNP_FLOAT_PARAMETERS
#define CNP_ARGUMENTS CNP_INTEGER_ARGUMENTS, CNP_FLOAT_ARGUMENTS
#endif

/* c ? a : b; a target whose compiler makes more of it than a jump around a move says how. */
#ifndef CNP_SELECT_I64
#define CNP_SELECT_I64(c, a, b) ((c) ? (a) : (b))
#define CNP_SELECT_F64(c, a, b) ((c) ? (a) : (b))
#endif

#endif
