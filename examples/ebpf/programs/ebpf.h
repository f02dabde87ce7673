// What the programs share: types, and the helpers of maps by their numbers, or in C where the machine runs the program.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct map {
    u32 type, key_size, value_size, max_entries;
};

#ifdef __bpf__
static void *(*const map_lookup)(const struct map *, const void *key) = (void *)1;
static long (*const map_update)(const struct map *, const void *key, const void *value, u64 flags) = (void *)2;
#else
#include "native.h"
#endif
#define MAP(name) __attribute__((section("maps"), used)) struct map name
