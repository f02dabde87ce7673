/* Has the other threads of the process drop what they have fetched of code memory, where the kernel can. */
enum { EXPEDITED_SYNC_CORE = 1 << 5, REGISTER_SYNC_CORE = 1 << 6 };
static void prepare_synchronize(void) { syscall(SYS_membarrier, REGISTER_SYNC_CORE, 0, 0); }
static void tell_other_threads(void) { syscall(SYS_membarrier, EXPEDITED_SYNC_CORE, 0, 0); }
