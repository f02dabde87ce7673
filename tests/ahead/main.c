/* Calls everything in program.cnp, and is called from it. 0 if all is as it should be, else the line of the first mistake on
 * standard error. Wants nothing of a C library but write(), unless it is to have threads and longjmp (HOSTED). */
#include "program.h"
#ifdef HOSTED
#include <pthread.h>
#include <setjmp.h>
#include <unistd.h>
#else
long write(int, const void *, unsigned long);
#endif

static int mistake(int line) {
    char text[] = "main.c:0000\n";
    for (int place = 10; line; line /= 10)
        text[place--] = (char)('0' + line % 10);
    write(2, text, sizeof text - 1);
    return 1;
}
#define CHECK(truth)                                                                                          \
    do {                                                                                                      \
        if (!(truth))                                                                                         \
            return mistake(__LINE__);                                                                         \
    } while (0)

/* An array on the stack that C may count on being aligned. */
static int is_aligned(void) {
    _Alignas(16) volatile char here[16];
    here[0] = 1;
    return ((uintptr_t)here & 15) == 0;
}

int64_t c_sum(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g, int64_t h) {
    return is_aligned() ? a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h : -1;
}
double c_mixed(int64_t a, double x, int32_t b, float y) { return (double)a + 2 * x + 3 * (double)b + 4 * (double)y; }
float c_half(float x) { return is_aligned() ? x / 2 : -1; }
int32_t c_narrow(int64_t x) { return (int32_t)x; }
int64_t c_again(int64_t x) { return fib(x) + call_sum(x); }

static struct cnp_trap_info seen;
static int traps;
static void on_trap(const struct cnp_trap_info *trap) {
    seen = *trap;
    traps++;
}

static int is_text(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static int check_values(void) {
    CHECK(fib(20) == 6765);
    CHECK(divide(-7, 2) == -3);
    CHECK(to_integer(-2.75) == -2);
    CHECK(unsigned_half(-2) == 0x7fffffff);
    CHECK(weigh(1, 2, 3, 4, 5, 6, 7, 8) == 1 + 4 - 3 - 4 - 5 - 6 + 49 + 64);
    CHECK(mix(1.5, -7, 0.25f) == -13.0);
    CHECK(half(3.0f) == -1.5f);
    CHECK(count(100000) == 100000);
    CHECK(choose(0) == 10 && choose(2) == 12 && choose(3) == -1 && choose(-1) == -1);
    int64_t numbers[1000];
    for (int k = 0; k < 1000; k++)
        numbers[k] = k;
    CHECK(sum(numbers, 1000) == 499500 && sum(numbers, 0) == 0);
    return 0;
}

static int check_calls(void) {
    CHECK(call_sum(100) == 100 + 168 + 100);
    CHECK(call_mixed(-1, 0.5, -7) == -1 + 1 - 21 + 1 + 0.5);
    CHECK(call_half(3.0f) == 4.5f);
    CHECK(call_narrow(0x1234080000001) == 0x80000001);
    CHECK(call_again(10) == 55 + (10 + 168 + 10) + 30 + 55);
    return 0;
}

static int check_traps(void) {
    CHECK(cnp_set_trap_handler(on_trap) == 0);
    CHECK(divide(1, 0) == 0 && traps == 1);
    CHECK(seen.kind == CNP_TRAP_INTEGER_DIVIDE_BY_ZERO && seen.op == 0);
    CHECK(is_text(seen.function, "divide") && is_text(seen.reason, "integer divide by zero"));
    CHECK(divide(INT32_MIN, -1) == 0 && seen.kind == CNP_TRAP_INTEGER_OVERFLOW && is_text(seen.reason, "integer overflow"));
    CHECK(to_integer(1e300) == 0 && seen.op == 2 && is_text(seen.function, "to_integer"));
    give_up();
    CHECK(traps == 4 && seen.kind == CNP_TRAP_UNREACHABLE && is_text(seen.function, "give_up"));
    for (int k = 0; k < 10; k++) {
        CHECK(forever(1) == 0 && traps == 5 + k && seen.kind == CNP_TRAP_STACK_OVERFLOW);
        CHECK(is_text(seen.function, "forever") && is_text(seen.reason, "stack overflow"));
        CHECK(fib(10) == 55);
    }
    CHECK(cnp_set_trap_handler(0) == on_trap);
    return 0;
}

#ifdef HOSTED
static jmp_buf away;
static void leave(const struct cnp_trap_info *trap) {
    (void)trap;
    longjmp(away, 1);
}

static int check_longjmp(void) {
    cnp_set_trap_handler(leave);
    for (volatile int k = 0; k < 100000; k++)
        if (!setjmp(away)) {
            divide(1, 0);
            return mistake(__LINE__);
        }
    cnp_set_trap_handler(0);
    return 0;
}

static void ignore(const struct cnp_trap_info *trap) { (void)trap; }

static void *in_a_thread(void *result) {
    *(int64_t *)result = fib(18) + forever(1) + call_again(10);
    return 0;
}

static int check_threads(void) {
    enum { THREADS = 2, ROUNDS = 20 };
    cnp_set_trap_handler(ignore);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t thread[THREADS];
        int64_t result[THREADS];
        for (int k = 0; k < THREADS; k++)
            CHECK(!pthread_create(&thread[k], 0, in_a_thread, &result[k]));
        for (int k = 0; k < THREADS; k++)
            CHECK(!pthread_join(thread[k], 0) && result[k] == 2584 + 328);
    }
    cnp_set_trap_handler(0);
    return 0;
}
#endif

int main(int count, char **words) {
    if (count > 1) { /* not caught */
        if (words[1][0] == 'd')
            divide(1, 0);
        forever(1);
        return 0;
    }
#ifdef HOSTED
    if (check_longjmp() || check_threads())
        return 1;
#endif
    return check_values() || check_calls() || check_traps();
}
