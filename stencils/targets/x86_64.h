/* x86-64: which arguments a stencil has, and how a run-time constant gets into code.
 *
 * clang passes preserve_none arguments in r12 r13 r14 r15 rdi rsi rdx rcx r8 r9 r11 rax (the same in clang 19 to 22;
 * the build asks the compiler and refuses another order, since control.c and the core's assembly rely on it).
 * frame is second because r13 as a base register needs no SIB byte where r12 does; r10, rbx and rbp stay free for
 * clang's own use inside a stencil. The integer arguments of C functions (rdi rsi rdx rcx r8 r9) are r3 to r8 and
 * rax, where C leaves its result, is r10: calling C moves nothing. */
#define CNP_CONVENTION __attribute__((preserve_none))

#define CNP_PARAMETERS                                                                                        \
    i64 r0, char *frame, i64 r1, i64 r2, i64 r3, i64 r4, i64 r5, i64 r6, i64 r7, i64 r8, i64 r9, i64 r10,     \
        f64 f0, f64 f1, f64 f2, f64 f3, f64 f4, f64 f5, f64 f6, f64 f7
#define CNP_ARGUMENTS r0, frame, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, f0, f1, f2, f3, f4, f5, f6, f7

#define CNP_STENCIL(name) CNP_CONVENTION struct cnp_result name(CNP_PARAMETERS)
#define CNP_GO(target) __attribute__((musttail)) return target(CNP_ARGUMENTS)

/* An f32 lives in the low half of a float register. Going through a vector costs no instruction; the upper half is left
 * undefined, which makes the code shortest. */
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

/* Holes. A hole is an extern symbol whose address is the value. Weak, because LLVM believes that an ordinary
 * symbol is neither zero nor equal to another; hidden, so that no GOT is asked for. With -mcmodel=kernel an address
 * is a sign-extended 32-bit number, so HOLE32 reaches [-2^31, 2^31). */
#define CNP_HOLE(name) extern char name[] __attribute__((weak, visibility("hidden")))
#define HOLE32(name) ((s64)(name))
/* The whole 64 bits, opaque to LLVM. */
#define HOLE64(name)                                                                                          \
    ({                                                                                                        \
        i64 value_;                                                                                           \
        __asm__("movabsq %1, %0" : "=r"(value_) : "i"(name));                                                 \
        value_;                                                                                               \
    })

/* Calls CALLEE with the arguments in r3 to r10 and f0 to f7 and frame where they are. The push keeps the native stack
 * at 16 bytes; rbp and frame come back as they were, everything else is overwritten. */
#define CNP_CALL_COMPILED(result)                                                                             \
    do {                                                                                                      \
        register char *frame_ __asm__("r13") = frame;                                                         \
        register i64 r3_ __asm__("rdi") = r3, r4_ __asm__("rsi") = r4, r5_ __asm__("rdx") = r5;               \
        register i64 r6_ __asm__("rcx") = r6, r7_ __asm__("r8") = r7, r8_ __asm__("r9") = r8;                 \
        register i64 r9_ __asm__("r11") = r9, r10_ __asm__("rax") = r10;                                      \
        register f64 f0_ __asm__("xmm0") = f0, f1_ __asm__("xmm1") = f1, f2_ __asm__("xmm2") = f2;            \
        register f64 f3_ __asm__("xmm3") = f3, f4_ __asm__("xmm4") = f4, f5_ __asm__("xmm5") = f5;            \
        register f64 f6_ __asm__("xmm6") = f6, f7_ __asm__("xmm7") = f7;                                      \
        __asm__ volatile("push %%rax\n call CALLEE\n pop %%rcx"                                               \
                         : "+r"(frame_), "+r"(r3_), "+r"(r4_), "+r"(r5_), "+r"(r6_), "+r"(r7_), "+r"(r8_),     \
                           "+r"(r9_), "+r"(r10_), "+x"(f0_), "+x"(f1_), "+x"(f2_), "+x"(f3_), "+x"(f4_),       \
                           "+x"(f5_), "+x"(f6_), "+x"(f7_)                                                     \
                         :                                                                                    \
                         : "rbx", "r10", "r12", "r14", "r15", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",      \
                           "xmm13", "xmm14", "xmm15", "memory", "cc");                                         \
        frame = frame_;                                                                                       \
        result = (struct cnp_result){r10_, f0_};                                                              \
    } while (0)

/* Calls compiled code that touches no register that C keeps (r12 to r15, that is, and rbp), from C. */
#define CNP_CALL_LEAF(entry, result, a, b, c, d)                                                              \
    do {                                                                                                      \
        register i64 a_ __asm__("rdi") = a, b_ __asm__("rsi") = b, c_ __asm__("rdx") = c, d_ __asm__("rcx") = d; \
        __asm__ volatile("call *%[to]"                                                                        \
                         : "=a"(result), "+r"(a_), "+r"(b_), "+r"(c_), "+r"(d_)                               \
                         : [to] "rm"(entry)                                                                   \
                         : "rbx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",    \
                           "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",       \
                           "xmm15", "memory", "cc");                                                          \
    } while (0)

/* x * name, where clang would load the number into a register first. */
#define TIMES_HOLE32(x, name)                                                                                 \
    ({                                                                                                        \
        i64 product_;                                                                                         \
        __asm__("imulq %2, %1, %0" : "=r"(product_) : "r"(x), "i"(name));                                     \
        product_;                                                                                             \
    })

/* frame is all the routine needs, and it looks for it in r13; it saves the rest. */
#define CNP_CALL_PRESERVING_ALL(routine) __asm__ volatile("call " #routine : : "r"(frame) : "memory", "cc")

/* What C cannot say: saving every register and coming back to that point from anywhere (cnp_guard, cnp_unwind; the
 * offset 0 is native_stack in struct context), and a call that preserves all guest registers. Compiled code runs
 * with the stack as a C function finds it, so 16-byte alignment needs 8 more bytes. */
#define CNP_BORDER_ASSEMBLY                                                                                   \
    __asm__(".pushsection .text.border,\"ax\",@progbits\n"                                                    \
            ".globl cnp_guard, cnp_unwind, cnp_poll_preserving_all\n"                                         \
            "cnp_guard:\n"                                                                                    \
            "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"                  \
            "  push %rdi\n  push (%rdi)\n  sub $8, %rsp\n"                                                    \
            "  mov %rsp, (%rdi)\n"                                                                            \
            "  mov %rdx, %r12\n"                                                                              \
            "  call *%rsi\n"                                                                                  \
            "  xor %eax, %eax\n"                                                                              \
            "1:\n"                                                                                            \
            "  add $8, %rsp\n  pop %rcx\n  pop %rdi\n  mov %rcx, (%rdi)\n"                                     \
            "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n"                        \
            "  ret\n"                                                                                         \
            "cnp_unwind:\n"                                                                                   \
            "  mov (%rdi), %rsp\n"                                                                            \
            "  mov $1, %eax\n"                                                                                \
            "  jmp 1b\n"                                                                                      \
            "cnp_poll_preserving_all:\n"                                                                      \
            "  push %rbp\n  mov %rsp, %rbp\n"                                                                 \
            "  push %rax\n  push %rcx\n  push %rdx\n  push %rsi\n  push %rdi\n"                               \
            "  push %r8\n  push %r9\n  push %r10\n  push %r11\n  push %rbx\n"                                 \
            "  sub $128, %rsp\n  and $-16, %rsp\n"                                                            \
            "  movups %xmm0, (%rsp)\n  movups %xmm1, 16(%rsp)\n  movups %xmm2, 32(%rsp)\n"                    \
            "  movups %xmm3, 48(%rsp)\n  movups %xmm4, 64(%rsp)\n  movups %xmm5, 80(%rsp)\n"                  \
            "  movups %xmm6, 96(%rsp)\n  movups %xmm7, 112(%rsp)\n"                                           \
            "  mov %r13, %rdi\n"                                                                              \
            "  call cnp_poll\n"                                                                               \
            "  movups (%rsp), %xmm0\n  movups 16(%rsp), %xmm1\n  movups 32(%rsp), %xmm2\n"                    \
            "  movups 48(%rsp), %xmm3\n  movups 64(%rsp), %xmm4\n  movups 80(%rsp), %xmm5\n"                  \
            "  movups 96(%rsp), %xmm6\n  movups 112(%rsp), %xmm7\n"                                           \
            "  lea -80(%rbp), %rsp\n"                                                                         \
            "  pop %rbx\n  pop %r11\n  pop %r10\n  pop %r9\n  pop %r8\n"                                      \
            "  pop %rdi\n  pop %rsi\n  pop %rdx\n  pop %rcx\n  pop %rax\n"                                    \
            "  pop %rbp\n  ret\n"                                                                             \
            ".popsection\n");
