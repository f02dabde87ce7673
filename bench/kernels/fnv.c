/* The 64-bit FNV-1a hash of n bytes. */
#include <stdint.h>

uint64_t fnv(const uint8_t *bytes, int64_t n) {
    uint64_t hash = 0xcbf29ce484222325;
    for (int64_t i = 0; i < n; i++) {
        hash ^= bytes[i];
        hash *= 0x100000001b3;
    }
    return hash;
}
