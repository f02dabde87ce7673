/* As much of a C library as object files of `cnp emit` ask for, for programs of one thread: system calls, and nothing else. */
#include "cnp.h"

#ifndef CNP_SYS_WRITE /* the numbers of all newer Linux machines */
#define CNP_SYS_WRITE 64
#define CNP_SYS_MMAP 222
#define CNP_SYS_MUNMAP 215
#define CNP_SYS_EXIT 93
#endif
enum { ABORTED = 134, CANNOT = 38 };

int main(int count, char **words);

static __attribute__((noreturn)) void leave(int code) {
    for (;;)
        CNP_SYSCALL(CNP_SYS_EXIT, (s64)code, 0, 0, 0, 0, 0);
}
s64 write(int file, const void *data, size_t size) { return CNP_SYSCALL(CNP_SYS_WRITE, (s64)file, data, size, 0, 0, 0); }
char *mmap(void *address, size_t size, int protection, int flags, int file, s64 offset) {
    s64 result = CNP_SYSCALL(CNP_SYS_MMAP, address, size, (s64)protection, (s64)flags, (s64)file, offset);
    return result < 0 && result >= -4095 ? (char *)-1 : (char *)result;
}
int munmap(void *address, size_t size) { return CNP_SYSCALL(CNP_SYS_MUNMAP, address, size, 0, 0, 0, 0) ? -1 : 0; }
void abort(void) { leave(ABORTED); }

static const void *specific;
int pthread_once(int *once, void (*routine)(void)) {
    if (!*once)
        routine();
    *once = 1;
    return 0;
}
int pthread_key_create(u32 *key, void (*destructor)(void *)) {
    (void)destructor;
    *key = 0;
    return 0;
}
void *pthread_getspecific(u32 key) {
    (void)key;
    return (void *)specific;
}
int pthread_setspecific(u32 key, const void *value) {
    (void)key;
    specific = value;
    return 0;
}
i64 pthread_self(void) { return 1; }
int pthread_getattr_np(i64 thread, void *attributes) {
    (void)thread, (void)attributes;
    return CANNOT;
}
int pthread_attr_getstack(const void *attributes, char **low, size_t *size) {
    (void)attributes, (void)low, (void)size;
    return CANNOT;
}
int pthread_attr_destroy(void *attributes) {
    (void)attributes;
    return CANNOT;
}

__attribute__((used, noreturn, visibility("hidden"))) void runner_main(char *stack) {
    leave(main((int)*(s64 *)stack, (char **)(stack + 8)));
}
CNP_START;
