/* The sum of the decimal digits of all numbers below n. */
#include <stdint.h>

int64_t digits(int64_t n) {
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i;
        while (rest != 0) {
            total += rest % 10;
            rest /= 10;
        }
    }
    return total;
}
