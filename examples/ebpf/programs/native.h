// The hash map of maps.py for keys of 4 and values of 8 bytes, for the programs compiled natively: same index, same hash.
#pragma once

struct entry {
    u64 next, key;
};
static struct {
    u64 free, buckets[1024], values[1024];
    struct entry entries[1024];
} table = {.free = 1};

static inline u64 *find(u64 key) {
    u64 mixed = key * 0x9E3779B97F4A7C15ull;
    mixed ^= mixed >> 32;
    u64 *link = &table.buckets[mixed & 1023];
    while (*link && table.entries[*link - 1].key != key)
        link = &table.entries[*link - 1].next;
    return link;
}

// As in a kernel, a program calls helpers: they are not part of it.
__attribute__((noinline)) void *map_lookup(const struct map *map, const void *key) {
    (void)map;
    u64 number = *find(*(const u32 *)key);
    return number ? &table.values[number - 1] : 0;
}

__attribute__((noinline)) long map_update(const struct map *map, const void *key, const void *value, u64 flags) {
    u64 *link = find(*(const u32 *)key);
    (void)flags;
    if (!*link) {
        if (table.free > map->max_entries)
            return -7;
        table.entries[table.free - 1] = (struct entry){0, *(const u32 *)key};
        *link = table.free++;
    }
    table.values[*link - 1] = *(const u64 *)value;
    return 0;
}
