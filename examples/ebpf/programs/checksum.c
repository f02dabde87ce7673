// The Internet checksum (RFC 1071) of the context, eight bytes at a time with the carry brought round.
#include "ebpf.h"

u64 checksum(const u8 *data, u64 length) {
    u64 sum = 0;
    for (; length >= 8; data += 8, length -= 8) {
        u64 word = *(const u64 *)data;
        sum += word;
        sum += sum < word;
    }
    for (; length >= 2; data += 2, length -= 2) {
        u64 word = *(const u16 *)data;
        sum += word;
        sum += sum < word;
    }
    if (length) {
        sum += *data;
        sum += sum < *data;
    }
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (u16) ~((sum >> 16) + (sum & 0xffff));
}
