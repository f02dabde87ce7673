/* RISC-V of 64 bits: which arguments a stencil has, and how a run-time constant gets into code.
 *
 * Stencils are functions of the ordinary convention, which has no preserve_none: their arguments are a0 to a7 and fa0 to
 * fa7. C never names the other guest registers, s2 to s11 and fs0 to fs11: it preserves them, which it could only do on
 * the stack, and what has a stack frame is no stencil. frame is in s0 and the ticks are in s1, which clang leaves alone.
 * t0 to t6 and ft0 to ft11 stay free for its own use inside a stencil, as long as it jumps to no place far away. */
#define CNP_CONVENTION

#define CNP_INTEGER_PARAMETERS i64 r0, i64 r1, i64 r2, i64 r3, i64 r4, i64 r5, i64 r6, i64 r7
#define CNP_INTEGER_ARGUMENTS r0, r1, r2, r3, r4, r5, r6, r7
#define CNP_FLOAT_PARAMETERS f64 f0, f64 f1, f64 f2, f64 f3, f64 f4, f64 f5, f64 f6, f64 f7
#define CNP_FLOAT_ARGUMENTS f0, f1, f2, f3, f4, f5, f6, f7
#ifndef CNP_ANY_FRAME
register char *frame __asm__("s0");
#endif

#define CNP_STENCIL(name) CNP_CONVENTION struct cnp_result name(CNP_PARAMETERS)
#define CNP_GO(target) __attribute__((musttail)) return target(CNP_ARGUMENTS)

/* How an i32 lies in an integer register, and an f32 in a float register: its upper half is ones, or it is a NaN. The
 * build gives stencils' arguments types that say so; here clang does not see that a register changes its type. */
#define CNP_EXTEND_I32(x) ((i64)(s64)(s32)(x))
static inline __attribute__((always_inline)) f32 cnp_get_f32(f64 r) {
    register f64 from __asm__("ft0") = r;
    register f32 to __asm__("ft0");
    __asm__("" : "=f"(to) : "f"(from));
    return to;
}
static inline __attribute__((always_inline)) f64 cnp_put_f32(f32 x) {
    register f32 from __asm__("ft0") = x;
    register f64 to __asm__("ft0");
    __asm__("" : "=f"(to) : "f"(from));
    return to;
}
#define CNP_BOX_F32(x) cnp_put_f32(x)

/* Holes are extern symbols whose address is the value; fields that no relocation stands for are named by the number of
 * their patch kind, which the build defines, with a relocation that does nothing. */
#define CNP_FIELD(kind, name) ".reloc ., R_RISCV_NONE, " #name " + %c[" #kind "]\n"
#define CNP_WIDE(instruction) ".option push\n .option norvc\n " instruction "\n .option pop\n"
#define CNP_SHORT(instruction) ".option push\n .option arch, +c\n " instruction "\n .option pop\n"
#define CNP_HOLE(name) extern char name[] __attribute__((weak, visibility("hidden")))
#define CNP_ONE_MOVE(text, name, kind)                                                                        \
    ({                                                                                                        \
        s64 value_;                                                                                           \
        __asm__(CNP_FIELD(kind, name) text : "=r"(value_) : [kind] "i"(CNP_KIND_##kind));                     \
        value_;                                                                                               \
    })
#define HOLE_LI6(name) CNP_ONE_MOVE(CNP_SHORT("c.li %0, 0"), name, c_imm6)
#define HOLE_LI12(name) CNP_ONE_MOVE(CNP_WIDE("addi %0, zero, 0"), name, imm12)
#define HOLE_LUI(name)                                                                                        \
    ({                                                                                                        \
        s64 value_;                                                                                           \
        __asm__("lui %0, %%hi(" #name ")" : "=r"(value_));                                                    \
        value_;                                                                                               \
    })
/* [-2^31, 2^31) */
#define HOLE32(name)                                                                                          \
    ({                                                                                                        \
        s64 value_;                                                                                           \
        __asm__("lui %0, %%hi(" #name ")\n addiw %0, %0, %%lo(" #name ")" : "=r"(value_));                    \
        value_;                                                                                               \
    })
/* All 64 bits, from the function's pool. */
#define HOLE64(name)                                                                                          \
    ({                                                                                                        \
        i64 value_;                                                                                           \
        __asm__("ld %0, " #name : "=r"(value_));                                                              \
        value_;                                                                                               \
    })
#define CNP_FLOAT_HOLE(type, instruction, name)                                                               \
    ({                                                                                                        \
        type value_;                                                                                          \
        i64 address_;                                                                                         \
        __asm__(instruction " %0, " #name ", %1" : "=f"(value_), "=r"(address_));                             \
        value_;                                                                                               \
    })
#define HOLE_F64(name) CNP_FLOAT_HOLE(f64, "fld", name)
#define HOLE_F32(name) CNP_FLOAT_HOLE(f32, "flw", name)
#define TIMES_HOLE32(x, name) ((x) * (i64)HOLE32(name))
/* Trailing zeros, as the bits below the lowest one. clang would see that, and use a table. */
static inline __attribute__((always_inline)) i64 cnp_below_lowest(i64 x) {
    i64 below = ~x & (x - 1);
    __asm__("" : "+r"(below));
    return below;
}
#define CNP_CTZ_32(a) ((i32)__builtin_popcount((u32)cnp_below_lowest(a)))
#define CNP_CTZ_64(a) ((i64)__builtin_popcountll(cnp_below_lowest(a)))
/* Whole numbers by way of integers, which clang does where it may take the space. Greater numbers are whole, NaN is NaN. */
#define CNP_WAY_ceil "rup"
#define CNP_WAY_floor "rdn"
#define CNP_WAY_trunc "rtz"
#define CNP_WAY_roundeven "rne"
#define CNP_ROUND(type, suffix, f, all_whole, a, way)                                                           \
    ({                                                                                                        \
        type rounded_ = (a);                                                                                  \
        if (__builtin_fabs##f(rounded_) < all_whole) {                                                           \
            s64 whole_;                                                                                       \
            __asm__("fcvt.l." suffix " %0, %1, " CNP_WAY_##way : "=r"(whole_) : "f"(rounded_));               \
            rounded_ = __builtin_copysign##f((type)whole_, rounded_);                                      \
        }                                                                                                     \
        rounded_;                                                                                             \
    })
#define CNP_ROUND_F32(a, way) CNP_ROUND(f32, "s", f, 0x1p23f, a, way)
#define CNP_ROUND_F64(a, way) CNP_ROUND(f64, "d", , 0x1p52, a, way)
/* Two instructions where the destination is a or b, as in `if (c) d = a`; the assembler knows which one it is. */
#define CNP_SELECT(type, constraint, move, c, a, b)                                                            \
    ({                                                                                                        \
        type chosen_;                                                                                         \
        __asm__(".ifc %0, %1\n bnez %3, 1f\n " move " %0, %2\n .else\n"                                      \
                ".ifnc %0, %2\n .ifc %0, %3\n .error \"the condition is gone\"\n .endif\n " move " %0, %2\n .endif\n" \
                "beqz %3, 1f\n " move " %0, %1\n .endif\n1:"                                                  \
                : "=" constraint(chosen_) : constraint(a), constraint(b), "r"(c));                            \
        chosen_;                                                                                              \
    })
#define CNP_SELECT_I64(c, a, b) CNP_SELECT(i64, "r", "mv", c, a, b)
#define CNP_SELECT_F64(c, a, b) CNP_SELECT(f64, "f", "fmv.d", c, a, b)
/* Where something is that a distance reaches. */
#define ADDRESS_OF(name)                                                                                      \
    ({                                                                                                        \
        char *address_;                                                                                       \
        __asm__("lla %0, " #name : "=r"(address_));                                                           \
        address_;                                                                                             \
    })

/* What follows leaves guest registers where they are and overwrites some, which clang is not told: all are passed on to
 * NEXT, which costs nothing, and the allocator keeps nothing in those that a call destroys. */
#define CNP_IN_PLACE(text, ...)                                                                               \
    __asm__ volatile(text : : "r"(frame), ##__VA_ARGS__ : "t0", "t1", "t2", "t3", "t4", "t5", "t6", "memory")
#define CNP_MOVE_32(register, name) "lui " register ", %%hi(" #name ")\n addiw " register ", " register ", %%lo(" #name ")\n"

/* By t2, as processors that want landing pads take it: the jump needs none. */
#define CNP_JUMP_FAR(target)                                                                                  \
    CNP_IN_PLACE("lla t2, " #target "\n jr t2");                                                              \
    __builtin_unreachable()
/* Not t0, which processors take for the register of a return address. */
#define CNP_GO_FAR(name) CNP_IN_PLACE("ld t1, " #name "\n jr t1")
#define CNP_LANDING_PAD() __asm__ volatile(".word 0x00000017") /* lpad 0: auipc zero, 0; the core aligns it */

#define CNP_RETURN()                                                                                          \
    __asm__ volatile("ret" : : "r"(frame));                                                                   \
    __builtin_unreachable()

/* The return address lies in front of the callee's frame, where its own frame pointer points. */
#define CNP_SAVED(text) "addi sp, sp, -16\n sd ra, 8(sp)\n " text "\n ld ra, 8(sp)\n addi sp, sp, 16"
#define CNP_CALL_COMPILED() CNP_IN_PLACE(CNP_SAVED("call CALLEE"))
#define CNP_IN_SMALL_FRAME(call)                                                                              \
    CNP_IN_PLACE(CNP_FIELD(imm12, FRAME_SIZE) CNP_WIDE("addi s0, s0, 0")                                      \
                 "sd ra, 0(s0)\n " call "\n ld ra, 0(s0)\n"                                                   \
                 CNP_FIELD(imm12, MINUS_FRAME_SIZE) CNP_WIDE("addi s0, s0, 0"), [imm12] "i"(CNP_KIND_imm12))
#define CNP_IN_LARGE_FRAME(call)                                                                              \
    CNP_IN_PLACE(CNP_MOVE_32("t0", FRAME_SIZE) "add s0, s0, t0\n sd ra, 0(s0)\n " call "\n ld ra, 0(s0)\n"     \
                 CNP_MOVE_32("t0", FRAME_SIZE) "sub s0, s0, t0")
#define CNP_CALL_SMALL_FRAME() CNP_IN_SMALL_FRAME("call CALLEE")
#define CNP_CALL_LARGE_FRAME() CNP_IN_LARGE_FRAME("call CALLEE")
#define CNP_THROUGH(name) "ld t1, " #name "\n ld t1, 0(t1)\n jalr t1"
#define CNP_CALL_CELL(name) CNP_IN_PLACE(CNP_SAVED(CNP_THROUGH(name)))
#define CNP_CALL_CELL_SMALL_FRAME(name) CNP_IN_SMALL_FRAME(CNP_THROUGH(name))
#define CNP_CALL_CELL_LARGE_FRAME(name) CNP_IN_LARGE_FRAME(CNP_THROUGH(name))
#define CNP_CALL_C(name) CNP_IN_PLACE(CNP_SAVED("ld t1, " #name "\n jalr t1"))
#define CNP_CALL_C_STACK(name) CNP_CALL_C(name)

/* Takes a tick, or as many as a hole says; goes elsewhere with the last one. */
#define CNP_COUNT(target) CNP_IN_PLACE("addi s1, s1, -1\n beqz s1, " #target)
#define CNP_COUNT_MANY(name, target) CNP_IN_PLACE(CNP_MOVE_32("t0", name) "sub s1, s1, t0\n blez s1, " #target)

/* The routines look for frame in s0, for the end of a large frame in t2, for the function's number in t3, and put t0 back
 * into ra; that of loops goes back to t0 and leaves ra alone. */
#define CNP_POLL(text, target)                                                                                \
    CNP_IN_PLACE("mv t0, ra\n" text);                                                                         \
    CNP_GO(target)
#define CNP_POLL_IN_LOOP(target)                                                                              \
    CNP_IN_PLACE("call t0, cnp_poll_in_loop");                                                                \
    CNP_GO(target)
#define CNP_POLL_BEFORE_CALL(function, target)                                                                \
    CNP_POLL(CNP_MOVE_32("t3", function) "call cnp_poll_before_call", target)
#define CNP_POLL_LARGE_FRAME(size, function, target)                                                          \
    CNP_POLL(CNP_MOVE_32("t2", size) "add t2, s0, t2\n" CNP_MOVE_32("t3", function) "call cnp_poll_large_frame", target)
#define CNP_SET_TRAP_PLACE(name) CNP_IN_PLACE(CNP_MOVE_32("a1", name))
/* A call reaches farther than a jump. */
#define CNP_GO_TRAP(function) CNP_IN_PLACE(CNP_MOVE_32("a0", function) "call cnp_trap")

/* Calls compiled code that touches no register that C keeps, from C. */
#define CNP_CALL_LEAF(entry, result, a, b, c, d)                                                              \
    do {                                                                                                      \
        register i64 a_ __asm__("a0") = a, b_ __asm__("a1") = b, c_ __asm__("a2") = c, d_ __asm__("a3") = d;   \
        __asm__ volatile("jalr %[to]"                                                                         \
                         : "+r"(a_), "+r"(b_), "+r"(c_), "+r"(d_)                                             \
                         : [to] "r"(entry)                                                                    \
                         : "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a4", "a5", "a6", "a7", "ft0",     \
                           "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "ft8", "ft9", "ft10", "ft11",     \
                           "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "memory");                 \
        result = a_;                                                                                          \
    } while (0)

/* What C cannot say: entering compiled code with every register saved, coming back to that point from anywhere, and
 * calls of C that preserve all guest registers. Offsets are those of struct context and struct invocation, which
 * enter.c asserts. */
#define CNP_EACH_SAVED(integer, float)                                                                        \
    integer " ra, 0(sp)\n" integer " s0, 8(sp)\n" integer " s1, 16(sp)\n" integer " s2, 24(sp)\n"             \
    integer " s3, 32(sp)\n" integer " s4, 40(sp)\n" integer " s5, 48(sp)\n" integer " s6, 56(sp)\n"           \
    integer " s7, 64(sp)\n" integer " s8, 72(sp)\n" integer " s9, 80(sp)\n" integer " s10, 88(sp)\n"          \
    integer " s11, 96(sp)\n"                                                                                  \
    float " fs0, 104(sp)\n" float " fs1, 112(sp)\n" float " fs2, 120(sp)\n" float " fs3, 128(sp)\n"           \
    float " fs4, 136(sp)\n" float " fs5, 144(sp)\n" float " fs6, 152(sp)\n" float " fs7, 160(sp)\n"           \
    float " fs8, 168(sp)\n" float " fs9, 176(sp)\n" float " fs10, 184(sp)\n" float " fs11, 192(sp)\n"
#define CNP_EACH_ARGUMENT(integer, float, at)                                                                 \
    integer " a0, 0" at "\n" integer " a1, 8" at "\n" integer " a2, 16" at "\n" integer " a3, 24" at "\n"     \
    integer " a4, 32" at "\n" integer " a5, 40" at "\n" integer " a6, 48" at "\n" integer " a7, 56" at "\n"   \
    float " fa0, 64" at "\n" float " fa1, 72" at "\n" float " fa2, 80" at "\n" float " fa3, 88" at "\n"       \
    float " fa4, 96" at "\n" float " fa5, 104" at "\n" float " fa6, 112" at "\n" float " fa7, 120" at "\n"
#define CNP_BORDER_ASSEMBLY                                                                                   \
    __asm__(".pushsection .text.border,\"ax\",@progbits\n"                                                    \
            ".globl cnp_guard, cnp_unwind, cnp_trap\n"                                                        \
            ".globl cnp_poll_in_loop, cnp_poll_before_call, cnp_poll_large_frame\n"                           \
            "cnp_guard:\n"                                                                                    \
            "  addi sp, sp, -224\n" CNP_EACH_SAVED("sd", "fsd")                                               \
            "  ld a3, 0(a0)\n  sd a0, 200(sp)\n  sd a3, 208(sp)\n  sd a1, 216(sp)\n"                          \
            "  sd sp, 0(a0)\n"                                                                                \
            "  mv s1, a2\n"                                                                                   \
            "  ld t3, 0(a1)\n  ld s0, 8(a1)\n  ld t1, 16(a1)\n  ld t2, 24(a1)\n  beqz t2, 1f\n"               \
            "  fld fa0, 0(t2)\n  fld fa1, 8(t2)\n  fld fa2, 16(t2)\n  fld fa3, 24(t2)\n"                      \
            "  fld fa4, 32(t2)\n  fld fa5, 40(t2)\n  fld fa6, 48(t2)\n  fld fa7, 56(t2)\n"                    \
            "1:\n"                                                                                            \
            "  ld a0, 0(t1)\n  ld a1, 8(t1)\n  ld a2, 16(t1)\n  ld a3, 24(t1)\n"                              \
            "  ld a4, 32(t1)\n  ld a5, 40(t1)\n  ld a6, 48(t1)\n  ld a7, 56(t1)\n"                            \
            "  jalr t3\n"                                                                                     \
            "  ld a3, 216(sp)\n  sd a0, 32(a3)\n  fsd fa0, 40(a3)\n  sw s1, 48(a3)\n"                         \
            "  li a0, 0\n"                                                                                    \
            "2:\n"                                                                                            \
            "  ld a1, 200(sp)\n  ld a3, 208(sp)\n  sd a3, 0(a1)\n"                                            \
            CNP_EACH_SAVED("ld", "fld")                                                                       \
            "  addi sp, sp, 224\n"                                                                            \
            "  ret\n"                                                                                         \
            "cnp_unwind:\n"                                                                                   \
            "  ld sp, 0(a0)\n  li a0, 1\n"                                                                    \
            "  j 2b\n"                                                                                        \
            "cnp_trap:\n"                                                                                     \
            "  mv a2, s0\n  mv a3, s1\n"                                                                      \
            "  tail cnp_stop\n"                                                                               \
            "cnp_poll_in_loop:\n"                                                                             \
            "  mv t1, t0\n  mv t0, ra\n  mv ra, t1\n  li t3, 0\n"                                          \
            "cnp_poll_before_call:\n"                                                                         \
            "  mv t2, s0\n"                                                                                   \
            "cnp_poll_large_frame:\n"                                                                         \
            "  addi sp, sp, -144\n  sd ra, 128(sp)\n  sd t0, 136(sp)\n"                                        \
            CNP_EACH_ARGUMENT("sd", "fsd", "(sp)")                                                            \
            "  mv a0, s0\n  mv a1, t2\n  mv a2, t3\n  mv a3, s1\n"                                            \
            "  call cnp_poll\n"                                                                               \
            "  mv s1, a0\n"                                                                                   \
            "  ld t1, 128(sp)\n  ld ra, 136(sp)\n" CNP_EACH_ARGUMENT("ld", "fld", "(sp)")                     \
            "  addi sp, sp, 144\n"                                                                            \
            "  jr t1\n"                                                                                       \
            ".popsection\n");

/* For programs without a C library, and for new code. */
#define CNP_SYSCALL(number, a, b, c, d, e, f)                                                                 \
    ({                                                                                                        \
        register i64 n_ __asm__("a7") = (i64)(number), a_ __asm__("a0") = (i64)(a), b_ __asm__("a1") = (i64)(b),  \
            c_ __asm__("a2") = (i64)(c), d_ __asm__("a3") = (i64)(d), e_ __asm__("a4") = (i64)(e),            \
            f_ __asm__("a5") = (i64)(f);                                                                      \
        __asm__ volatile("ecall" : "+r"(a_) : "r"(n_), "r"(b_), "r"(c_), "r"(d_), "r"(e_), "r"(f_) : "memory"); \
        (s64)a_;                                                                                              \
    })
#define CNP_START                                                                                             \
    __asm__(".pushsection .text.start,\"ax\",@progbits\n"                                                      \
            ".globl cnp_start\n"                                                                              \
            "cnp_start:\n"                                                                                    \
            "  mv a0, sp\n  andi sp, sp, -16\n"                                                               \
            "  call runner_main\n"                                                                            \
            ".popsection\n")
/* riscv_flush_icache, for all processors; fence.i, which the assembler takes for an extension, for this one. */
#define CNP_FLUSH(start, end)                                                                                 \
    do {                                                                                                      \
        __asm__ volatile(".word 0x0000100f" : : : "memory");                                                  \
        CNP_SYSCALL(259, start, end, 0, 0, 0, 0);                                                             \
    } while (0)
