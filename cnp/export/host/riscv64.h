/* What is particular to RISC-V: one system call tells all threads of new code; an instruction would tell only this one. */
#if !defined(__riscv) || __riscv_xlen != 64 || !defined(__linux__)
#error "this cnp.c was exported for 64-bit RISC-V Linux"
#endif
enum { FLUSH_ICACHE = 259, TRAPPING_BYTE = 0 /* an illegal instruction by definition */ };
static void prepare_synchronize(void) {}
static int synchronize(char *start, char *end) { return syscall(FLUSH_ICACHE, start, end, 0L) ? -1 : 0; }
