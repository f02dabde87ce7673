/* x86-64: which arguments a stencil has, and how a run-time constant gets into code.
 *
 * clang passes preserve_none arguments in r12 r13 r14 r15 rdi rsi rdx rcx r8 r9 r11 rax (the same in clang 19 to 22;
 * the build asks the compiler and refuses another order, since control.c and the core's assembly rely on it).
 * frame is second because r13 as a base register needs no SIB byte where r12 does; r10 and rbx stay free for clang's own
 * use inside a stencil. ebp holds the ticks: preserve_none functions and C leave it as it was. The integer arguments of
 * C functions (rdi rsi rdx rcx r8 r9) are r3 to r8 and rax, where C leaves its result, is r10: calling C moves
 * nothing. */
#define CNP_CONVENTION __attribute__((preserve_none))

#define CNP_INTEGER_PARAMETERS                                                                                \
    i64 r0, char *frame, i64 r1, i64 r2, i64 r3, i64 r4, i64 r5, i64 r6, i64 r7, i64 r8, i64 r9, i64 r10
#define CNP_INTEGER_ARGUMENTS r0, frame, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10
#define CNP_FLOAT_PARAMETERS f64 f0, f64 f1, f64 f2, f64 f3, f64 f4, f64 f5, f64 f6, f64 f7
#define CNP_FLOAT_ARGUMENTS f0, f1, f2, f3, f4, f5, f6, f7

#define CNP_STENCIL(name) CNP_CONVENTION struct cnp_result name(CNP_PARAMETERS)
#define CNP_GO(target) __attribute__((musttail)) return target(CNP_ARGUMENTS)

/* How an i32 lies in an integer register. */
#define CNP_EXTEND_I32(x) ((i64)(u32)(x))

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

/* Where something is that a distance reaches. */
#define ADDRESS_OF(name)                                                                                      \
    ({                                                                                                        \
        char *address_;                                                                                       \
        __asm__("leaq " #name "(%%rip), %0" : "=r"(address_));                                                \
        address_;                                                                                             \
    })

/* Add a hole to frame. clang has no relocation for one of a byte; and would merge two additions around a call, keeping
 * frame in rbp. */
#define CNP_ADD_8(name) __asm__ volatile(".byte 0x49, 0x83, 0xc5, %c1" : "+r"(frame) : "i"(name) : "cc")
#define CNP_ADD_32(name) __asm__ volatile("addq %1, %0" : "+r"(frame) : "i"(name) : "cc")

/* What follows leaves guest registers where they are and overwrites some, which clang is not told: all are passed on to
 * NEXT, which costs nothing, and the allocator keeps nothing in those that a call destroys. */
#define CNP_IN_PLACE(text, ...) __asm__ volatile(text : : "r"(frame), ##__VA_ARGS__ : "rbx", "r10", "memory", "cc")

/* Compiled code keeps the native stack at 8 bytes, not 16: whoever calls C aligns it. */
#define CNP_CALL_COMPILED() CNP_IN_PLACE("call CALLEE")
#define CNP_CALL_CELL(name) CNP_IN_PLACE("movabsq %1, %%r10\n call *(%%r10)", "i"(name))
#define CNP_IN_SMALL_FRAME(call)                                                                              \
    CNP_ADD_8(FRAME_SIZE);                                                                                    \
    call;                                                                                                     \
    CNP_ADD_8(MINUS_FRAME_SIZE)
#define CNP_IN_LARGE_FRAME(call)                                                                              \
    CNP_ADD_32(FRAME_SIZE);                                                                                   \
    call;                                                                                                     \
    CNP_ADD_32(MINUS_FRAME_SIZE)
#define CNP_CALL_SMALL_FRAME() CNP_IN_SMALL_FRAME(CNP_CALL_COMPILED())
#define CNP_CALL_LARGE_FRAME() CNP_IN_LARGE_FRAME(CNP_CALL_COMPILED())
#define CNP_CALL_CELL_SMALL_FRAME(name) CNP_IN_SMALL_FRAME(CNP_CALL_CELL(name))
#define CNP_CALL_CELL_LARGE_FRAME(name) CNP_IN_LARGE_FRAME(CNP_CALL_CELL(name))
#define CNP_CALL_ALIGNED(load, push, callee, ...)                                                             \
    CNP_IN_PLACE(load "movq %%rsp, %%rbx\n andq $-16, %%rsp\n" push " call " callee "\n movq %%rbx, %%rsp", ##__VA_ARGS__)
#define CNP_PUSH_LAST " pushq %%rax\n pushq %%r11\n"
#define CNP_CALL_C(name) CNP_CALL_ALIGNED("movabsq %1, %%r10\n ", "", "*%%r10", "i"(name))
#define CNP_CALL_C_STACK(name) CNP_CALL_ALIGNED("movabsq %1, %%r10\n ", CNP_PUSH_LAST, "*%%r10", "i"(name))
#define CNP_CALL_SYMBOL() CNP_CALL_ALIGNED("", "", "CALLEE")
#define CNP_CALL_SYMBOL_STACK() CNP_CALL_ALIGNED("", CNP_PUSH_LAST, "CALLEE")

#define CNP_GO_FAR(name) CNP_IN_PLACE("movabsq %1, %%r10\n jmp *%%r10", "i"(name))
#define CNP_LANDING_PAD() __asm__ volatile("endbr64")

/* Compiled code leaves its result in r10 or f0. */
#define CNP_RETURN() return (struct cnp_result){r10, f0}

/* Takes a tick, or as many as a hole says; goes elsewhere with the last one. */
#define CNP_COUNT(target)                                                                                     \
    do {                                                                                                      \
        int last_;                                                                                            \
        __asm__ volatile("decl %%ebp" : "=@cce"(last_));                                                      \
        if (__builtin_expect(last_, 0))                                                                       \
            CNP_GO(target);                                                                                   \
    } while (0)
#define CNP_COUNT_MANY(name, target)                                                                          \
    do {                                                                                                      \
        int last_;                                                                                            \
        __asm__ volatile("subl %1, %%ebp" : "=@ccbe"(last_) : "i"(name));                                     \
        if (__builtin_expect(last_, 0))                                                                       \
            CNP_GO(target);                                                                                   \
    } while (0)

/* The routines look for frame in r13, for the end of a large frame in r10, for the function's number in ebx. */
#define CNP_POLL_IN_LOOP(target)                                                                              \
    CNP_IN_PLACE("call cnp_poll_in_loop");                                                                    \
    CNP_GO(target)
#define CNP_POLL_BEFORE_CALL(function, target)                                                                \
    CNP_IN_PLACE("movl %1, %%ebx\n call cnp_poll_before_call", "i"(function));                                \
    CNP_GO(target)
#define CNP_POLL_LARGE_FRAME(size, function, target)                                                          \
    CNP_IN_PLACE("movl %2, %%ebx\n leaq %c1(%%r13), %%r10\n call cnp_poll_large_frame", "i"(size), "i"(function)); \
    CNP_GO(target)
#define CNP_SET_TRAP_PLACE(name) CNP_IN_PLACE("movl %1, %%esi", "i"(name))
#define CNP_GO_TRAP(function) CNP_IN_PLACE("movl %1, %%edi\n jmp cnp_trap", "i"(function))

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

#define HOLE_F64(name) cnp_f64_of(HOLE64(name))
#define HOLE_F32(name) cnp_f32_of(HOLE64(name))

/* x * name, where clang would load the number into a register first. */
#define TIMES_HOLE32(x, name)                                                                                 \
    ({                                                                                                        \
        i64 product_;                                                                                         \
        __asm__("imulq %2, %1, %0" : "=r"(product_) : "r"(x), "i"(name));                                     \
        product_;                                                                                             \
    })

/* What C cannot say: entering compiled code with every register saved, coming back to that point from anywhere, and
 * calls of C that preserve all guest registers. Offsets are those of struct context and struct invocation, which
 * enter.c asserts. cnp_guard is entered as a C function is: six registers, rdi, native_stack and rsi are on the stack. */
#define CNP_BORDER_ASSEMBLY                                                                                   \
    __asm__(".pushsection .text.border,\"ax\",@progbits\n"                                                    \
            ".globl cnp_guard, cnp_unwind, cnp_trap\n"                                                        \
            ".globl cnp_poll_in_loop, cnp_poll_before_call, cnp_poll_large_frame\n"                           \
            "cnp_guard:\n"                                                                                    \
            "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"                  \
            "  push %rdi\n  push (%rdi)\n  push %rsi\n"                                                       \
            "  mov %rsp, (%rdi)\n"                                                                            \
            "  mov %edx, %ebp\n"                                                                              \
            "  mov (%rsi), %rbx\n  mov 8(%rsi), %r13\n"                                                       \
            "  mov 24(%rsi), %rdi\n  test %rdi, %rdi\n  je 1f\n"                                               \
            "  movsd (%rdi), %xmm0\n  movsd 8(%rdi), %xmm1\n  movsd 16(%rdi), %xmm2\n"                        \
            "  movsd 24(%rdi), %xmm3\n  movsd 32(%rdi), %xmm4\n  movsd 40(%rdi), %xmm5\n"                     \
            "  movsd 48(%rdi), %xmm6\n  movsd 56(%rdi), %xmm7\n"                                              \
            "1:\n"                                                                                            \
            "  mov 16(%rsi), %r10\n"                                                                          \
            "  mov (%r10), %rdi\n  mov 8(%r10), %rsi\n  mov 16(%r10), %rdx\n  mov 24(%r10), %rcx\n"           \
            "  mov 32(%r10), %r8\n  mov 40(%r10), %r9\n  mov 48(%r10), %r11\n  mov 56(%r10), %rax\n"          \
            "  call *%rbx\n"                                                                                  \
            "  mov (%rsp), %rsi\n  mov %rax, 32(%rsi)\n  movsd %xmm0, 40(%rsi)\n  mov %ebp, 48(%rsi)\n"         \
            "  xor %eax, %eax\n"                                                                              \
            "2:\n"                                                                                            \
            "  add $8, %rsp\n  pop %rcx\n  pop %rdi\n  mov %rcx, (%rdi)\n"                                     \
            "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n"                        \
            "  ret\n"                                                                                         \
            "cnp_unwind:\n"                                                                                   \
            "  mov (%rdi), %rsp\n"                                                                            \
            "  mov $1, %eax\n"                                                                                \
            "  jmp 2b\n"                                                                                      \
            "cnp_trap:\n"                                                                                     \
            "  mov %r13, %rdx\n  mov %ebp, %ecx\n  and $-16, %rsp\n"                                           \
            "  call cnp_stop\n"                                                                               \
            "cnp_poll_in_loop:\n"                                                                             \
            "  xor %ebx, %ebx\n"                                                                              \
            "cnp_poll_before_call:\n"                                                                         \
            "  mov %r13, %r10\n"                                                                              \
            "cnp_poll_large_frame:\n"                                                                         \
            "  push %rax\n  push %rcx\n  push %rdx\n  push %rsi\n  push %rdi\n"                               \
            "  push %r8\n  push %r9\n  push %r11\n"                                                           \
            "  mov %ebp, %ecx\n  mov %rsp, %rbp\n"                                                            \
            "  sub $128, %rsp\n  and $-16, %rsp\n"                                                            \
            "  movups %xmm0, (%rsp)\n  movups %xmm1, 16(%rsp)\n  movups %xmm2, 32(%rsp)\n"                    \
            "  movups %xmm3, 48(%rsp)\n  movups %xmm4, 64(%rsp)\n  movups %xmm5, 80(%rsp)\n"                  \
            "  movups %xmm6, 96(%rsp)\n  movups %xmm7, 112(%rsp)\n"                                           \
            "  mov %r13, %rdi\n  mov %r10, %rsi\n  mov %ebx, %edx\n"                                          \
            "  call cnp_poll\n"                                                                               \
            "  movups (%rsp), %xmm0\n  movups 16(%rsp), %xmm1\n  movups 32(%rsp), %xmm2\n"                    \
            "  movups 48(%rsp), %xmm3\n  movups 64(%rsp), %xmm4\n  movups 80(%rsp), %xmm5\n"                  \
            "  movups 96(%rsp), %xmm6\n  movups 112(%rsp), %xmm7\n"                                           \
            "  mov %rbp, %rsp\n  mov %eax, %ebp\n"                                                            \
            "  pop %r11\n  pop %r9\n  pop %r8\n"                                                              \
            "  pop %rdi\n  pop %rsi\n  pop %rdx\n  pop %rcx\n  pop %rax\n"                                    \
            "  ret\n"                                                                                         \
            ".popsection\n");

/* Linux, for the runner, which has no C library: the numbers of the calls it makes, one call, where a process starts,
 * and what makes code that was written between two addresses visible as instructions. */
#define CNP_SYS_READ 0
#define CNP_SYS_WRITE 1
#define CNP_SYS_MMAP 9
#define CNP_SYS_MUNMAP 11
#define CNP_SYS_EXIT 60
#define CNP_SYS_CLOCK_GETTIME 228
#define CNP_SYSCALL(number, a, b, c, d, e, f)                                                                 \
    ({                                                                                                        \
        register i64 d_ __asm__("r10") = (i64)(d), e_ __asm__("r8") = (i64)(e), f_ __asm__("r9") = (i64)(f);  \
        i64 result_;                                                                                          \
        __asm__ volatile("syscall"                                                                            \
                         : "=a"(result_)                                                                      \
                         : "a"((i64)(number)), "D"(a), "S"(b), "d"(c), "r"(d_), "r"(e_), "r"(f_)              \
                         : "rcx", "r11", "memory");                                                           \
        (s64)result_;                                                                                         \
    })
#define CNP_START                                                                                             \
    __asm__(".pushsection .text.start,\"ax\",@progbits\n"                                                      \
            ".globl cnp_start\n"                                                                              \
            "cnp_start:\n"                                                                                    \
            "  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n"                                          \
            "  call runner_main\n"                                                                            \
            ".popsection\n")
#define CNP_FLUSH(start, end) ((void)(start), (void)(end))
