// Walks packets that each follow a 16-bit length: counts those of TCP or UDP over IPv4 to a port below 1024.
#include "ebpf.h"

static u32 be16(const u8 *at) {
    return __builtin_bswap16(*(const u16 *)at);
}

static int parse(const u8 *packet, const u8 *end) {
    if (packet + 14 > end)
        return 0;
    u32 type = be16(packet + 12);
    packet += 14;
    if (type == 0x8100) { // a VLAN's tag
        if (packet + 4 > end)
            return 0;
        type = be16(packet + 2);
        packet += 4;
    }
    if (type != 0x0800 || packet + 20 > end || packet[0] >> 4 != 4)
        return 0;
    u32 header = (packet[0] & 15) * 4, protocol = packet[9];
    if (header < 20 || (be16(packet + 6) & 0x1fff))
        return 0;
    packet += header;
    if ((protocol != 6 && protocol != 17) || packet + 4 > end)
        return 0;
    return be16(packet + 2) < 1024;
}

u64 packets(const u8 *data, u64 length) {
    const u8 *end = data + length;
    u64 count = 0;
    while (data + 2 <= end) {
        u32 size = *(const u16 *)data;
        data += 2;
        if (data + size > end)
            break;
        count += parse(data, data + size);
        data += size;
    }
    return count;
}
