// FNV-1a of the context, 64 bits.
#include "ebpf.h"

u64 hash(const u8 *data, u64 length) {
    u64 result = 0xcbf29ce484222325;
    for (u64 i = 0; i < length; i++)
        result = (result ^ data[i]) * 0x100000001b3;
    return result;
}
