// CRC-32 (IEEE 802.3) of the context, a byte at a time through a table.
#include "ebpf.h"

#define STEP(c) ((c) >> 1 ^ (0xedb88320u & -((c) & 1)))

static u32 steps[256];

u64 crc(const u8 *data, u64 length) {
    if (!steps[1]) {
        for (u32 i = 0; i < 256; i++) {
            u32 entry = i;
            for (u32 bit = 0; bit < 8; bit++)
                entry = STEP(entry);
            steps[i] = entry;
        }
    }
    u32 result = ~0u;
    for (u64 i = 0; i < length; i++)
        result = steps[(u8)result ^ data[i]] ^ result >> 8;
    return (u32)~result;
}
