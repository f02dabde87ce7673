/* A loop around small functions that call one another and are really called. */
#include <stdint.h>

#define CALLED __attribute__((noinline))

CALLED int64_t mix(int64_t a, int64_t b) {
    return (a ^ b) * 31 + (a >> 3);
}

CALLED int64_t clamp(int64_t x, int64_t low, int64_t high) {
    if (x < low)
        return low;
    if (x > high)
        return high;
    return x;
}

CALLED int64_t average(int64_t a, int64_t b, int64_t c) {
    return (a + b + c) >> 2;
}

CALLED int64_t turn(int64_t state, int64_t i) {
    int64_t mixed = mix(state, i);
    int64_t clamped = clamp(mixed, -100000, 100000);
    return average(mixed, clamped, i) & 0xffffff;
}

int64_t calls(int64_t n) {
    int64_t state = 1;
    for (int64_t i = 0; i < n; i++)
        state = turn(state, i) + mix(i, state);
    return state;
}
