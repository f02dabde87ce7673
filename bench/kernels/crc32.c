/* The CRC-32 of n bytes, by a table that is made first. */
#include <stdint.h>

uint32_t crc32(uint32_t *table, const uint8_t *bytes, int64_t n) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t entry = i;
        for (uint32_t bit = 0; bit < 8; bit++)
            entry = entry & 1 ? entry >> 1 ^ 0xedb88320 : entry >> 1;
        table[i] = entry;
    }
    uint32_t crc = 0xffffffff;
    for (int64_t i = 0; i < n; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return crc ^ 0xffffffff;
}
