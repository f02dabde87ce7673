/* How many primes there are below n, by the sieve of Eratosthenes, a byte a number. */
#include <stdint.h>

int64_t sieve(uint8_t *composite, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        composite[i] = 0;
    for (int64_t i = 2; i < n; i++) {
        if (composite[i])
            continue;
        count++;
        for (int64_t k = i * i; k < n; k += i)
            composite[k] = 1;
    }
    return count;
}
