/* The core's own header, in a C library's surroundings: the types that it is written in come from here. */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;
typedef u32 i32;
typedef u64 i64;
typedef float f32;
typedef double f64;
#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function" /* the core's header has more than a host needs */
#endif
#include "core/layout.h"
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
