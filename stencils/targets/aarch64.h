/* AArch64: which arguments a stencil has, and how a run-time constant gets into code.
 *
 * clang passes preserve_none arguments in x20 to x28, x0 to x7, x10 to x14, x9, x15 (the same in clang 19 to 22; the build asks
 * the compiler and refuses another order). x8, x16 to x19 stay free for clang's own use inside a stencil. What C preserves
 * comes first: frame, the ticks, r0 to r6. r7 to r14 are the arguments of C functions (x0 to x7), and r7 is where C leaves
 * its result: calling C moves nothing. */
#define CNP_CONVENTION __attribute__((preserve_none))

#define CNP_INTEGER_PARAMETERS                                                                                \
    char *frame, i64 ticks, i64 r0, i64 r1, i64 r2, i64 r3, i64 r4, i64 r5, i64 r6, i64 r7, i64 r8, i64 r9,   \
        i64 r10, i64 r11, i64 r12, i64 r13, i64 r14, i64 r15, i64 r16, i64 r17, i64 r18, i64 r19, i64 r20,    \
        i64 r21
#define CNP_INTEGER_ARGUMENTS                                                                                 \
    frame, ticks, r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15, r16, r17, r18, r19,   \
        r20, r21
#define CNP_FLOAT_PARAMETERS f64 f0, f64 f1, f64 f2, f64 f3, f64 f4, f64 f5, f64 f6, f64 f7
#define CNP_FLOAT_ARGUMENTS f0, f1, f2, f3, f4, f5, f6, f7

#define CNP_STENCIL(name) CNP_CONVENTION struct cnp_result name(CNP_PARAMETERS)
#define CNP_GO(target) __attribute__((musttail)) return target(CNP_ARGUMENTS)

/* How an i32 lies in an integer register, and an f32 in a float register, whose upper half is left undefined. */
#define CNP_EXTEND_I32(x) ((i64)(u32)(x))
typedef f64 cnp_f64x2 __attribute__((vector_size(16)));
typedef f32 cnp_f32x4 __attribute__((vector_size(16)));
static inline __attribute__((always_inline)) f32 cnp_get_f32(f64 r) {
    cnp_f64x2 v;
    v[0] = r;
    return ((cnp_f32x4)v)[0];
}
static inline __attribute__((always_inline)) f64 cnp_put_f32(f32 x) {
    cnp_f32x4 v;
    v[0] = x;
    return ((cnp_f64x2)v)[0];
}

/* Holes are extern symbols whose address is the value; fields that no relocation stands for are named by the number of
 * their patch kind, which the build defines, with a relocation that does nothing. */
#define CNP_FIELD(kind, name) ".reloc ., R_AARCH64_NONE, " #name " + %c[" #kind "]\n"
#define CNP_HOLE(name) extern char name[] __attribute__((weak, visibility("hidden")))
#define CNP_MOVE_32(register, name)                                                                           \
    "movz " register ", #:abs_g0_nc:" #name "\n movk " register ", #:abs_g1_nc:" #name "\n"
/* [0, 2^32) */
#define HOLE32(name)                                                                                          \
    ({                                                                                                        \
        i64 value_;                                                                                           \
        __asm__(CNP_MOVE_32("%w0", name) : "=r"(value_));                                                     \
        (s64)value_;                                                                                          \
    })
/* A value of so many halfwords that are not 0, or not 0xFFFF: each piece has a halfword and its number. */
#define CNP_MOVES(name, text)                                                                                 \
    ({                                                                                                        \
        s64 value_;                                                                                           \
        __asm__(text                                                                                          \
                : "=r"(value_)                                                                                \
                : [piece0] "i"(CNP_KIND_piece0), [piece1] "i"(CNP_KIND_piece1), [piece2] "i"(CNP_KIND_piece2)); \
        value_;                                                                                               \
    })
#define CNP_MOVE(piece, name, move) CNP_FIELD(piece, name) move " %0, #0\n"
#define HOLE_MOVZ1(name) CNP_MOVES(name, CNP_MOVE(piece0, name, "movz"))
#define HOLE_MOVN1(name) CNP_MOVES(name, CNP_MOVE(piece0, name, "movn"))
#define HOLE_MOVZ2(name) CNP_MOVES(name, CNP_MOVE(piece0, name, "movz") CNP_MOVE(piece1, name, "movk"))
#define HOLE_MOVN2(name) CNP_MOVES(name, CNP_MOVE(piece0, name, "movn") CNP_MOVE(piece1, name, "movk"))
#define HOLE_MOVZ3(name)                                                                                      \
    CNP_MOVES(name, CNP_MOVE(piece0, name, "movz") CNP_MOVE(piece1, name, "movk") CNP_MOVE(piece2, name, "movk"))
#define HOLE_MOVN3(name)                                                                                      \
    CNP_MOVES(name, CNP_MOVE(piece0, name, "movn") CNP_MOVE(piece1, name, "movk") CNP_MOVE(piece2, name, "movk"))
/* All 64 bits, from the function's pool. */
#define HOLE64(name)                                                                                          \
    ({                                                                                                        \
        i64 value_;                                                                                           \
        __asm__("ldr %0, " #name : "=r"(value_));                                                             \
        value_;                                                                                               \
    })
#define HOLE_F64(name)                                                                                        \
    ({                                                                                                        \
        f64 value_;                                                                                           \
        __asm__("ldr %d0, " #name : "=w"(value_));                                                            \
        value_;                                                                                               \
    })
#define HOLE_F32(name)                                                                                        \
    ({                                                                                                        \
        f32 value_;                                                                                           \
        __asm__("ldr %s0, " #name : "=w"(value_));                                                            \
        value_;                                                                                               \
    })
#define TIMES_HOLE32(x, name)                                                                                 \
    ({                                                                                                        \
        i64 times_;                                                                                           \
        __asm__("ldr %w0, " #name : "=r"(times_));                                                            \
        (x) * times_;                                                                                         \
    })
/* Where something is that a distance reaches. */
#define ADDRESS_OF(name)                                                                                      \
    ({                                                                                                        \
        char *address_;                                                                                       \
        __asm__("adr %0, " #name : "=r"(address_));                                                           \
        address_;                                                                                             \
    })

/* What follows leaves guest registers where they are and overwrites some, which clang is not told: all are passed on to
 * NEXT, which costs nothing, and the allocator keeps nothing in those that a call destroys. */
#define CNP_IN_PLACE(text, ...)                                                                               \
    __asm__ volatile(text : : "r"(frame), ##__VA_ARGS__ : "x8", "x16", "x17", "x18", "x19", "memory", "cc")
#define CNP_GO_FAR(name) CNP_IN_PLACE("ldr x16, " #name "\n br x16")
#define CNP_LANDING_PAD() __asm__ volatile("hint #38") /* bti jc */

#define CNP_RETURN()                                                                                          \
    __asm__ volatile("ret" : : "r"(frame));                                                                   \
    __builtin_unreachable()

/* The return address lies in front of the callee's frame, where its own frame pointer points. */
#define CNP_SAVED(text) "str x30, [sp, #-16]!\n " text "\n ldr x30, [sp], #16"
#define CNP_CALL_COMPILED() CNP_IN_PLACE(CNP_SAVED("bl CALLEE"))
#define CNP_IN_SMALL_FRAME(call)                                                                              \
    CNP_IN_PLACE(CNP_FIELD(imm9, FRAME_SIZE) "str x30, [x20, #0]!\n " call "\n"                                \
                 CNP_FIELD(imm9, MINUS_FRAME_SIZE) "ldr x30, [x20], #0", [imm9] "i"(CNP_KIND_imm9))
#define CNP_IN_LARGE_FRAME(call)                                                                              \
    CNP_IN_PLACE(CNP_MOVE_32("w16", FRAME_SIZE) "add x20, x20, x16\n str x30, [x20]\n " call "\n ldr x30, [x20]\n" \
                 CNP_MOVE_32("w16", FRAME_SIZE) "sub x20, x20, x16")
#define CNP_CALL_SMALL_FRAME() CNP_IN_SMALL_FRAME("bl CALLEE")
#define CNP_CALL_LARGE_FRAME() CNP_IN_LARGE_FRAME("bl CALLEE")
#define CNP_THROUGH(name) "ldr x17, " #name "\n ldr x17, [x17]\n blr x17"
#define CNP_CALL_CELL(name) CNP_IN_PLACE(CNP_SAVED(CNP_THROUGH(name)))
#define CNP_CALL_CELL_SMALL_FRAME(name) CNP_IN_SMALL_FRAME(CNP_THROUGH(name))
#define CNP_CALL_CELL_LARGE_FRAME(name) CNP_IN_LARGE_FRAME(CNP_THROUGH(name))
#define CNP_CALL_C(name) CNP_IN_PLACE(CNP_SAVED("ldr x16, " #name "\n blr x16"))
#define CNP_CALL_C_STACK(name) CNP_CALL_C(name)

/* Takes a tick, or as many as a hole says; goes elsewhere with the last one. */
#define CNP_COUNT(target) CNP_IN_PLACE("subs w21, w21, #1\n b.eq " #target)
#define CNP_COUNT_MANY(name, target)                                                                          \
    CNP_IN_PLACE(CNP_FIELD(imm12, name) "subs w21, w21, #0\n b.ls " #target, [imm12] "i"(CNP_KIND_imm12))

/* The routines look for frame in x20, for the end of a large frame in x8, for the function's number in w17, and put x19
 * back into x30. */
#define CNP_POLL(text, target) CNP_IN_PLACE("mov x19, x30\n" text "\n b " #target); __builtin_unreachable()
#define CNP_POLL_IN_LOOP(target) CNP_POLL("bl cnp_poll_in_loop", target)
#define CNP_POLL_BEFORE_CALL(function, target) CNP_POLL(CNP_MOVE_32("w17", function) "bl cnp_poll_before_call", target)
#define CNP_POLL_LARGE_FRAME(size, function, target)                                                          \
    CNP_POLL(CNP_MOVE_32("w8", size) "add x8, x20, x8\n" CNP_MOVE_32("w17", function) "bl cnp_poll_large_frame", target)
#define CNP_SET_TRAP_PLACE(name) CNP_IN_PLACE(CNP_MOVE_32("w1", name))
#define CNP_GO_TRAP(function) CNP_IN_PLACE(CNP_MOVE_32("w0", function) "b cnp_trap")

/* Calls compiled code that touches no register that C keeps, from C. */
#define CNP_CALL_LEAF(entry, result, a, b, c, d)                                                              \
    do {                                                                                                      \
        register i64 a_ __asm__("x0") = a, b_ __asm__("x1") = b, c_ __asm__("x2") = c, d_ __asm__("x3") = d;   \
        __asm__ volatile("blr %[to]"                                                                          \
                         : "+r"(a_), "+r"(b_), "+r"(c_), "+r"(d_)                                             \
                         : [to] "r"(entry)                                                                    \
                         : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", \
                           "x17", "x18", "x19", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8",  \
                           "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", \
                           "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31",       \
                           "memory", "cc");                                                                   \
        result = a_;                                                                                          \
    } while (0)

/* What C cannot say: entering compiled code with every register saved, coming back to that point from anywhere, and
 * calls of C that preserve all guest registers. Offsets are those of struct context and struct invocation, which
 * enter.c asserts. */
#define CNP_BORDER_ASSEMBLY                                                                                   \
    __asm__(".pushsection .text.border,\"ax\",@progbits\n"                                                    \
            ".globl cnp_guard, cnp_unwind, cnp_trap\n"                                                        \
            ".globl cnp_poll_in_loop, cnp_poll_before_call, cnp_poll_large_frame\n"                           \
            "cnp_guard:\n"                                                                                    \
            "  stp x29, x30, [sp, #-192]!\n"                                                                  \
            "  stp x19, x20, [sp, #16]\n  stp x21, x22, [sp, #32]\n  stp x23, x24, [sp, #48]\n"               \
            "  stp x25, x26, [sp, #64]\n  stp x27, x28, [sp, #80]\n"                                          \
            "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"                                           \
            "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"                                        \
            "  ldr x3, [x0]\n  stp x0, x3, [sp, #160]\n  str x1, [sp, #176]\n"                                \
            "  mov x3, sp\n  str x3, [x0]\n"                                                                  \
            "  mov w21, w2\n"                                                                                 \
            "  ldp x16, x20, [x1]\n"                                                                          \
            "  ldp x9, x8, [x1, #16]\n  cbz x8, 1f\n"                                                         \
            "  ldp d0, d1, [x8]\n  ldp d2, d3, [x8, #16]\n"                                                   \
            "  ldp d4, d5, [x8, #32]\n  ldp d6, d7, [x8, #48]\n"                                              \
            "1:\n"                                                                                            \
            "  ldp x0, x1, [x9]\n  ldp x2, x3, [x9, #16]\n  ldp x4, x5, [x9, #32]\n  ldp x6, x7, [x9, #48]\n" \
            "  blr x16\n"                                                                                     \
            "  ldr x3, [sp, #176]\n  str x0, [x3, #32]\n  str d0, [x3, #40]\n  str w21, [x3, #48]\n"          \
            "  mov w0, #0\n"                                                                                  \
            "2:\n"                                                                                            \
            "  ldp x1, x3, [sp, #160]\n  str x3, [x1]\n"                                                      \
            "  ldp x19, x20, [sp, #16]\n  ldp x21, x22, [sp, #32]\n  ldp x23, x24, [sp, #48]\n"               \
            "  ldp x25, x26, [sp, #64]\n  ldp x27, x28, [sp, #80]\n"                                          \
            "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"                                           \
            "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"                                        \
            "  ldp x29, x30, [sp], #192\n"                                                                    \
            "  ret\n"                                                                                         \
            "cnp_unwind:\n"                                                                                   \
            "  ldr x1, [x0]\n  mov sp, x1\n  mov w0, #1\n"                                                    \
            "  b 2b\n"                                                                                        \
            "cnp_trap:\n"                                                                                     \
            "  mov x2, x20\n  mov w3, w21\n"                                                                  \
            "  b cnp_stop\n"                                                                                  \
            "cnp_poll_in_loop:\n"                                                                             \
            "  mov w17, #0\n"                                                                                 \
            "cnp_poll_before_call:\n"                                                                         \
            "  mov x8, x20\n"                                                                                 \
            "cnp_poll_large_frame:\n"                                                                         \
            "  stp x0, x1, [sp, #-192]!\n  stp x2, x3, [sp, #16]\n  stp x4, x5, [sp, #32]\n"                  \
            "  stp x6, x7, [sp, #48]\n  stp x9, x10, [sp, #64]\n  stp x11, x12, [sp, #80]\n"                  \
            "  stp x13, x14, [sp, #96]\n  stp x15, x30, [sp, #112]\n"                                         \
            "  stp d0, d1, [sp, #128]\n  stp d2, d3, [sp, #144]\n"                                            \
            "  stp d4, d5, [sp, #160]\n  stp d6, d7, [sp, #176]\n"                                            \
            "  mov x0, x20\n  mov x1, x8\n  mov w2, w17\n  mov w3, w21\n"                                     \
            "  bl cnp_poll\n"                                                                                 \
            "  mov w21, w0\n"                                                                                 \
            "  ldp x2, x3, [sp, #16]\n  ldp x4, x5, [sp, #32]\n"                                              \
            "  ldp x6, x7, [sp, #48]\n  ldp x9, x10, [sp, #64]\n  ldp x11, x12, [sp, #80]\n"                  \
            "  ldp x13, x14, [sp, #96]\n  ldp x15, x30, [sp, #112]\n"                                         \
            "  ldp d0, d1, [sp, #128]\n  ldp d2, d3, [sp, #144]\n"                                            \
            "  ldp d4, d5, [sp, #160]\n  ldp d6, d7, [sp, #176]\n"                                            \
            "  ldp x0, x1, [sp], #192\n"                                                                      \
            "  mov x8, x30\n  mov x30, x19\n"                                                                 \
            "  ret x8\n"                                                                                         \
            ".popsection\n");

/* For programs without a C library, and for new code. */
#define CNP_SYSCALL(number, a, b, c, d, e, f)                                                                 \
    ({                                                                                                        \
        register i64 n_ __asm__("x8") = (i64)(number), a_ __asm__("x0") = (i64)(a), b_ __asm__("x1") = (i64)(b),  \
            c_ __asm__("x2") = (i64)(c), d_ __asm__("x3") = (i64)(d), e_ __asm__("x4") = (i64)(e),            \
            f_ __asm__("x5") = (i64)(f);                                                                      \
        __asm__ volatile("svc #0" : "+r"(a_) : "r"(n_), "r"(b_), "r"(c_), "r"(d_), "r"(e_), "r"(f_) : "memory", "cc"); \
        (s64)a_;                                                                                              \
    })
#define CNP_START                                                                                             \
    __asm__(".pushsection .text.start,\"ax\",@progbits\n"                                                      \
            ".globl cnp_start\n"                                                                              \
            "cnp_start:\n"                                                                                    \
            "  mov x29, #0\n  mov x30, #0\n  mov x0, sp\n"                                                    \
            "  bl runner_main\n"                                                                              \
            ".popsection\n")
#define CNP_FLUSH(start, end)                                                                                 \
    do {                                                                                                      \
        i64 lines_;                                                                                           \
        __asm__ volatile("mrs %0, ctr_el0" : "=r"(lines_));                                                   \
        i64 data_ = 4ull << (lines_ >> 16 & 15), code_ = 4ull << (lines_ & 15);                               \
        for (i64 at_ = (start) & -data_; at_ < (end); at_ += data_)                                           \
            __asm__ volatile("dc cvau, %0" : : "r"(at_) : "memory");                                          \
        __asm__ volatile("dsb ish" : : : "memory");                                                           \
        for (i64 at_ = (start) & -code_; at_ < (end); at_ += code_)                                           \
            __asm__ volatile("ic ivau, %0" : : "r"(at_) : "memory");                                          \
        __asm__ volatile("dsb ish\n isb" : : : "memory");                                                     \
    } while (0)
