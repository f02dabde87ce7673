/* LoongArch of 64 bits: which arguments a stencil has, and how a run-time constant gets into code.
 *
 * Stencils are functions of the ordinary convention, which has no preserve_none: their arguments are a0 to a7 and fa0 to
 * fa7. C never names the other guest registers, s0 to s7, fp and fs0 to fs7: it preserves them, which it could only do on
 * the stack, and what has a stack frame is no stencil. The ticks are in s8, for the same reason. frame is in r21, which
 * the ABI reserves and no compiler allocates. t0 to t8 and ft0 to ft15 stay free for clang's own use inside a stencil. */
#define CNP_CONVENTION

#define CNP_INTEGER_PARAMETERS i64 r0, i64 r1, i64 r2, i64 r3, i64 r4, i64 r5, i64 r6, i64 r7
#define CNP_INTEGER_ARGUMENTS r0, r1, r2, r3, r4, r5, r6, r7
#define CNP_FLOAT_PARAMETERS f64 f0, f64 f1, f64 f2, f64 f3, f64 f4, f64 f5, f64 f6, f64 f7
#define CNP_FLOAT_ARGUMENTS f0, f1, f2, f3, f4, f5, f6, f7
#ifndef CNP_ANY_FRAME
register char *frame __asm__("$r21");
#endif

#define CNP_STENCIL(name) CNP_CONVENTION struct cnp_result name(CNP_PARAMETERS)
#define CNP_GO(target) __attribute__((musttail)) return target(CNP_ARGUMENTS)

/* How an i32 lies in an integer register, and an f32 in a float register, whose upper half is left undefined. The build
 * gives stencils' arguments types that say so; here clang does not see that a register changes its type. */
#define CNP_EXTEND_I32(x) ((i64)(s64)(s32)(x))
static inline __attribute__((always_inline)) f32 cnp_get_f32(f64 r) {
    register f64 from __asm__("$ft0") = r;
    register f32 to __asm__("$ft0");
    __asm__("" : "=f"(to) : "f"(from));
    return to;
}
static inline __attribute__((always_inline)) f64 cnp_put_f32(f32 x) {
    register f32 from __asm__("$ft0") = x;
    register f64 to __asm__("$ft0");
    __asm__("" : "=f"(to) : "f"(from));
    return to;
}
#define CNP_BOX_F32(x) cnp_put_f32(x)

/* Holes are extern symbols whose address is the value; fields that no relocation stands for are named by the number of
 * their patch kind, which the build defines, with a relocation that does nothing. */
#define CNP_FIELD(kind, name) ".reloc ., R_LARCH_NONE, " #name " + %c[" #kind "]\n"
#define CNP_HOLE(name) extern char name[] __attribute__((weak, visibility("hidden")))
#define CNP_MOVE_32(register, name) "lu12i.w " register ", %%abs_hi20(" #name ")\n ori " register ", " register ", %%abs_lo12(" #name ")\n"
#define CNP_ONE_MOVE(text)                                                                                    \
    ({                                                                                                        \
        s64 value_;                                                                                           \
        __asm__(text : "=r"(value_) : [imm12] "i"(CNP_KIND_imm12));                                           \
        value_;                                                                                               \
    })
#define HOLE_LI12(name) CNP_ONE_MOVE(CNP_FIELD(imm12, name) "addi.d %0, $zero, 0")
#define HOLE_LUI(name) CNP_ONE_MOVE("lu12i.w %0, %%abs_hi20(" #name ")")
/* [-2^31, 2^31) */
#define HOLE32(name) CNP_ONE_MOVE(CNP_MOVE_32("%0", name))
/* All 64 bits, from the function's pool. */
#define CNP_LOAD(register, name) "pcaddi " register ", %%pcrel_20(" #name ")\n ld.d " register ", " register ", 0\n"
#define HOLE64(name) ((i64)CNP_ONE_MOVE(CNP_LOAD("%0", name)))
#define CNP_FLOAT_HOLE(type, instruction, name)                                                               \
    ({                                                                                                        \
        type value_;                                                                                          \
        i64 address_;                                                                                         \
        __asm__("pcaddi %1, %%pcrel_20(" #name ")\n " instruction " %0, %1, 0" : "=f"(value_), "=&r"(address_));\
        value_;                                                                                               \
    })
#define HOLE_F64(name) CNP_FLOAT_HOLE(f64, "fld.d", name)
#define HOLE_F32(name) CNP_FLOAT_HOLE(f32, "fld.s", name)
#define TIMES_HOLE32(x, name) ((x) * (i64)HOLE32(name))
/* Where something is that a distance reaches. */
#define ADDRESS_OF(name) ((char *)CNP_ONE_MOVE("pcaddi %0, %%pcrel_20(" #name ")"))

/* clang reaches constants by the pages that they and the code are in, which are not known of compiled code: numbers come
 * by way of an integer register, and conversions do without. */
static inline __attribute__((always_inline)) f32 cnp_literal_f32(f32 x) {
    i32 bits = ((union { f32 from; i32 to; }){x}).to;
    __asm__("" : "+r"(bits));
    return ((union { i32 from; f32 to; }){bits}).to;
}
static inline __attribute__((always_inline)) f64 cnp_literal_f64(f64 x) {
    i64 bits = ((union { f64 from; i64 to; }){x}).to;
    __asm__("" : "+r"(bits));
    return ((union { i64 from; f64 to; }){bits}).to;
}
#define CNP_LITERAL(x) _Generic((x), f32: cnp_literal_f32, f64: cnp_literal_f64)(x)
#define CNP_U64_OF_FLOAT(x)                                                                                   \
    ({                                                                                                        \
        __typeof__(x) half_ = CNP_LITERAL((__typeof__(x))0x1p63);                                             \
        (x) < half_ ? (u64)(s64)(x) : (u64)(s64)((x) - half_) ^ 1ull << 63;                                   \
    })
#define CNP_FLOAT_OF_U64(type, x)                                                                             \
    ({                                                                                                        \
        s64 whole_ = (s64)(x), odd_ = (s64)((x) >> 1 | ((x) & 1));                                            \
        type doubled_ = (type)odd_ + (type)odd_;                                                              \
        whole_ < 0 ? doubled_ : (type)whole_;                                                                 \
    })

/* Whole numbers by way of integers. Greater numbers are whole, NaN is NaN. */
#define CNP_WAY_ceil "ftintrp"
#define CNP_WAY_floor "ftintrm"
#define CNP_WAY_trunc "ftintrz"
#define CNP_WAY_roundeven "ftintrne"
#define CNP_ROUND(type, suffix, f, all_whole, a, way)                                                         \
    ({                                                                                                        \
        type rounded_ = (a);                                                                                  \
        if (__builtin_fabs##f(rounded_) < CNP_LITERAL(all_whole)) {                                           \
            __asm__(CNP_WAY_##way ".l." suffix " %0, %1\n ffint." suffix ".l %0, %0" : "=f"(rounded_) : "f"(rounded_));\
            rounded_ = __builtin_copysign##f(rounded_, (a));                                                  \
        }                                                                                                     \
        rounded_;                                                                                             \
    })
#define CNP_ROUND_F32(a, way) CNP_ROUND(f32, "s", f, 0x1p23f, a, way)
#define CNP_ROUND_F64(a, way) CNP_ROUND(f64, "d", , 0x1p52, a, way)

/* What follows leaves guest registers where they are and overwrites some, which clang is not told: all are passed on to
 * NEXT, which costs nothing, and the allocator keeps nothing in those that a call destroys. */
#define CNP_IN_PLACE(text, ...)                                                                               \
    __asm__ volatile(text                                                                                     \
                     :                                                                                        \
                     : "r"(frame), ##__VA_ARGS__                                                              \
                     : "$t0", "$t1", "$t2", "$t3", "$t4", "$t5", "$t6", "$t7", "$t8", "memory")

#define CNP_GO_FAR(name) CNP_IN_PLACE(CNP_LOAD("$t1", name) "jr $t1")
#define CNP_LANDING_PAD() ((void)0) /* processors check nothing */

#define CNP_RETURN()                                                                                          \
    __asm__ volatile("ret" : : "r"(frame));                                                                   \
    __builtin_unreachable()

/* The return address lies in front of the callee's frame, where its own frame pointer points. */
#define CNP_SAVED(text) "addi.d $sp, $sp, -16\n st.d $ra, $sp, 8\n " text "\n ld.d $ra, $sp, 8\n addi.d $sp, $sp, 16"
#define CNP_CALL_COMPILED() CNP_IN_PLACE(CNP_SAVED("bl CALLEE"))
#define CNP_LINKED(call) "st.d $ra, $r21, 0\n " call "\n ld.d $ra, $r21, 0\n"
#define CNP_IN_SMALL_FRAME(call)                                                                              \
    CNP_IN_PLACE(CNP_FIELD(imm12, FRAME_SIZE) "addi.d $r21, $r21, 0\n" CNP_LINKED(call)                       \
                 CNP_FIELD(imm12, MINUS_FRAME_SIZE) "addi.d $r21, $r21, 0", [imm12] "i"(CNP_KIND_imm12))
#define CNP_IN_LARGE_FRAME(call)                                                                              \
    CNP_IN_PLACE(CNP_MOVE_32("$t0", FRAME_SIZE) "add.d $r21, $r21, $t0\n" CNP_LINKED(call)                    \
                 CNP_MOVE_32("$t0", FRAME_SIZE) "sub.d $r21, $r21, $t0")
#define CNP_CALL_SMALL_FRAME() CNP_IN_SMALL_FRAME("bl CALLEE")
#define CNP_CALL_LARGE_FRAME() CNP_IN_LARGE_FRAME("bl CALLEE")
#define CNP_THROUGH(name) CNP_LOAD("$t1", name) "ld.d $t1, $t1, 0\n jirl $ra, $t1, 0"
#define CNP_CALL_CELL(name) CNP_IN_PLACE(CNP_SAVED(CNP_THROUGH(name)))
#define CNP_CALL_CELL_SMALL_FRAME(name) CNP_IN_SMALL_FRAME(CNP_THROUGH(name))
#define CNP_CALL_CELL_LARGE_FRAME(name) CNP_IN_LARGE_FRAME(CNP_THROUGH(name))
#define CNP_CALL_C(name) CNP_IN_PLACE(CNP_SAVED(CNP_LOAD("$t1", name) "jirl $ra, $t1, 0"))
#define CNP_CALL_C_STACK(name) CNP_CALL_C(name)

/* Takes a tick, or as many as a hole says; goes elsewhere with the last one. */
#define CNP_COUNT(target) CNP_IN_PLACE("addi.d $s8, $s8, -1\n beqz $s8, " #target)
#define CNP_COUNT_MANY(name, target) CNP_IN_PLACE(CNP_MOVE_32("$t0", name) "sub.d $s8, $s8, $t0\n bge $zero, $s8, " #target)

/* The routines look for frame in r21, for the end of a large frame in t2, for the function's number in t3, and put t0 back
 * into ra. */
#define CNP_POLL(text, target)                                                                                \
    CNP_IN_PLACE("move $t0, $ra\n" text);                                                                     \
    CNP_GO(target)
#define CNP_POLL_IN_LOOP(target) CNP_POLL("bl cnp_poll_in_loop", target)
#define CNP_POLL_BEFORE_CALL(function, target) CNP_POLL(CNP_MOVE_32("$t3", function) "bl cnp_poll_before_call", target)
#define CNP_POLL_LARGE_FRAME(size, function, target)                                                          \
    CNP_POLL(CNP_MOVE_32("$t2", size) "add.d $t2, $r21, $t2\n" CNP_MOVE_32("$t3", function) "bl cnp_poll_large_frame", target)
#define CNP_SET_TRAP_PLACE(name) CNP_IN_PLACE(CNP_MOVE_32("$a1", name))
#define CNP_GO_TRAP(function) CNP_IN_PLACE(CNP_MOVE_32("$a0", function) "bl cnp_trap")

/* Calls compiled code that touches no register that C keeps, from C. */
#define CNP_CALL_LEAF(entry, result, a, b, c, d)                                                              \
    do {                                                                                                      \
        register i64 a_ __asm__("$a0") = a, b_ __asm__("$a1") = b, c_ __asm__("$a2") = c, d_ __asm__("$a3") = d;\
        __asm__ volatile("jirl $ra, %[to], 0"                                                                 \
                         : "+r"(a_), "+r"(b_), "+r"(c_), "+r"(d_)                                             \
                         : [to] "r"(entry)                                                                    \
                         : "$ra", "$t0", "$t1", "$t2", "$t3", "$t4", "$t5", "$t6", "$t7", "$t8", "$a4", "$a5",\
                           "$a6", "$a7", "$fa0", "$fa1", "$fa2", "$fa3", "$fa4", "$fa5", "$fa6", "$fa7", "$ft0",\
                           "$ft1", "$ft2", "$ft3", "$ft4", "$ft5", "$ft6", "$ft7", "$ft8", "$ft9", "$ft10", "$ft11",\
                           "$ft12", "$ft13", "$ft14", "$ft15", "$fcc0", "memory");                            \
        result = a_;                                                                                          \
    } while (0)

/* What C cannot say: entering compiled code with every register saved, coming back to that point from anywhere, and
 * calls of C that preserve all guest registers. Offsets are those of struct context and struct invocation, which
 * enter.c asserts. */
#define CNP_EACH_SAVED(integer, float)                                                                        \
    integer " $ra, $sp, 0\n" integer " $r21, $sp, 8\n" integer " $fp, $sp, 16\n"                              \
    integer " $s0, $sp, 24\n" integer " $s1, $sp, 32\n" integer " $s2, $sp, 40\n"                             \
    integer " $s3, $sp, 48\n" integer " $s4, $sp, 56\n" integer " $s5, $sp, 64\n"                             \
    integer " $s6, $sp, 72\n" integer " $s7, $sp, 80\n" integer " $s8, $sp, 88\n"                             \
    float " $fs0, $sp, 96\n" float " $fs1, $sp, 104\n" float " $fs2, $sp, 112\n"                              \
    float " $fs3, $sp, 120\n" float " $fs4, $sp, 128\n" float " $fs5, $sp, 136\n"                             \
    float " $fs6, $sp, 144\n" float " $fs7, $sp, 152\n"
#define CNP_EACH_ARGUMENT(integer, float)                                                                     \
    integer " $a0, $sp, 0\n" integer " $a1, $sp, 8\n" integer " $a2, $sp, 16\n"                               \
    integer " $a3, $sp, 24\n" integer " $a4, $sp, 32\n" integer " $a5, $sp, 40\n"                             \
    integer " $a6, $sp, 48\n" integer " $a7, $sp, 56\n"                                                       \
    float " $fa0, $sp, 64\n" float " $fa1, $sp, 72\n" float " $fa2, $sp, 80\n"                                \
    float " $fa3, $sp, 88\n" float " $fa4, $sp, 96\n" float " $fa5, $sp, 104\n"                               \
    float " $fa6, $sp, 112\n" float " $fa7, $sp, 120\n"
#define CNP_BORDER_ASSEMBLY                                                                                   \
    __asm__(".pushsection .text.border,\"ax\",@progbits\n"                                                    \
            ".globl cnp_guard, cnp_unwind, cnp_trap\n"                                                        \
            ".globl cnp_poll_in_loop, cnp_poll_before_call, cnp_poll_large_frame\n"                           \
            "cnp_guard:\n"                                                                                    \
            "  addi.d $sp, $sp, -192\n" CNP_EACH_SAVED("st.d", "fst.d")                                       \
            "  ld.d $a3, $a0, 0\n"                                                                            \
            "  st.d $a0, $sp, 160\n  st.d $a3, $sp, 168\n  st.d $a1, $sp, 176\n"                              \
            "  st.d $sp, $a0, 0\n"                                                                            \
            "  move $s8, $a2\n"                                                                               \
            "  ld.d $t3, $a1, 0\n  ld.d $r21, $a1, 8\n  ld.d $t1, $a1, 16\n  ld.d $t2, $a1, 24\n  beqz $t2, 1f\n"\
            "  fld.d $fa0, $t2, 0\n  fld.d $fa1, $t2, 8\n  fld.d $fa2, $t2, 16\n  fld.d $fa3, $t2, 24\n"      \
            "  fld.d $fa4, $t2, 32\n  fld.d $fa5, $t2, 40\n  fld.d $fa6, $t2, 48\n  fld.d $fa7, $t2, 56\n"    \
            "1:\n"                                                                                            \
            "  ld.d $a0, $t1, 0\n  ld.d $a1, $t1, 8\n  ld.d $a2, $t1, 16\n  ld.d $a3, $t1, 24\n"              \
            "  ld.d $a4, $t1, 32\n  ld.d $a5, $t1, 40\n  ld.d $a6, $t1, 48\n  ld.d $a7, $t1, 56\n"            \
            "  jirl $ra, $t3, 0\n"                                                                            \
            "  ld.d $a3, $sp, 176\n  st.d $a0, $a3, 32\n  fst.d $fa0, $a3, 40\n  st.w $s8, $a3, 48\n"          \
            "  move $a0, $zero\n"                                                                             \
            "2:\n"                                                                                            \
            "  ld.d $a1, $sp, 160\n  ld.d $a3, $sp, 168\n  st.d $a3, $a1, 0\n"                                \
            CNP_EACH_SAVED("ld.d", "fld.d")                                                                   \
            "  addi.d $sp, $sp, 192\n"                                                                        \
            "  ret\n"                                                                                         \
            "cnp_unwind:\n"                                                                                   \
            "  ld.d $sp, $a0, 0\n  ori $a0, $zero, 1\n"                                                       \
            "  b 2b\n"                                                                                        \
            "cnp_trap:\n"                                                                                     \
            "  move $a2, $r21\n  move $a3, $s8\n"                                                             \
            "  b cnp_stop\n"                                                                                  \
            "cnp_poll_in_loop:\n"                                                                             \
            "  move $t3, $zero\n"                                                                             \
            "cnp_poll_before_call:\n"                                                                         \
            "  move $t2, $r21\n"                                                                              \
            "cnp_poll_large_frame:\n"                                                                         \
            "  addi.d $sp, $sp, -144\n  st.d $ra, $sp, 128\n  st.d $t0, $sp, 136\n"                           \
            CNP_EACH_ARGUMENT("st.d", "fst.d")                                                                \
            "  move $a0, $r21\n  move $a1, $t2\n  move $a2, $t3\n  move $a3, $s8\n"                           \
            "  bl cnp_poll\n"                                                                                 \
            "  move $s8, $a0\n"                                                                               \
            "  ld.d $t1, $sp, 128\n  ld.d $ra, $sp, 136\n"                                                    \
            CNP_EACH_ARGUMENT("ld.d", "fld.d")                                                                \
            "  addi.d $sp, $sp, 144\n"                                                                        \
            "  jr $t1\n"                                                                                      \
            ".popsection\n");

/* For programs without a C library, and for new code. */
#define CNP_SYSCALL(number, a, b, c, d, e, f)                                                                 \
    ({                                                                                                        \
        register i64 n_ __asm__("$a7") = (i64)(number), a_ __asm__("$a0") = (i64)(a), b_ __asm__("$a1") = (i64)(b), \
            c_ __asm__("$a2") = (i64)(c), d_ __asm__("$a3") = (i64)(d), e_ __asm__("$a4") = (i64)(e),         \
            f_ __asm__("$a5") = (i64)(f);                                                                     \
        __asm__ volatile("syscall 0"                                                                          \
                         : "+r"(a_)                                                                           \
                         : "r"(n_), "r"(b_), "r"(c_), "r"(d_), "r"(e_), "r"(f_)                               \
                         : "$t0", "$t1", "$t2", "$t3", "$t4", "$t5", "$t6", "$t7", "$t8", "memory");          \
        (s64)a_;                                                                                              \
    })
#define CNP_START                                                                                             \
    __asm__(".pushsection .text.start,\"ax\",@progbits\n"                                                      \
            ".globl cnp_start\n"                                                                              \
            "cnp_start:\n"                                                                                    \
            "  move $a0, $sp\n  bstrins.d $sp, $zero, 3, 0\n"                                                 \
            "  bl runner_main\n"                                                                              \
            ".popsection\n")
#define CNP_FLUSH(start, end)                                                                                 \
    do {                                                                                                      \
        (void)(start), (void)(end);                                                                           \
        __asm__ volatile("ibar 0" : : : "memory");                                                            \
    } while (0)
