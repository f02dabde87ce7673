// Counts the 32-bit keys of the context in a hash map; the result is how many were there before.
#include "ebpf.h"

MAP(counts) = {1, sizeof(u32), sizeof(u64), 1024};

u64 flows(const u8 *data, u64 length) {
    u64 known = 0;
    for (u64 i = 0; i + 4 <= length; i += 4) {
        u32 key = *(const u32 *)(data + i);
        u64 *count = map_lookup(&counts, &key);
        if (count) {
            ++*count;
            ++known;
        } else {
            u64 first = 1;
            map_update(&counts, &key, &first, 0);
        }
    }
    return known;
}
