/* Loads and stores of every width, little-endian like the targets, at any alignment and with no bounds check:
 * an address is the machine's. To the user, address is a base and a constant offset. */
#include "cnp.h"

/* What C may read and write at an address that some other type of object, at some other alignment, may own. */
#define ANYWHERE __attribute__((aligned(1), may_alias))
typedef u8 ANYWHERE u8_at;
typedef u16 ANYWHERE u16_at;
typedef u32 ANYWHERE u32_at;
typedef u64 ANYWHERE u64_at;
typedef s8 ANYWHERE s8_at;
typedef s16 ANYWHERE s16_at;
typedef s32 ANYWHERE s32_at;
typedef f32 ANYWHERE f32_at;
typedef f64 ANYWHERE f64_at;

OP(i32_load, LOAD, i32, ptr address) { return *(u32_at *)address; }
OP(i64_load, LOAD, i64, ptr address) { return *(u64_at *)address; }
OP(f32_load, LOAD, f32, ptr address) { return *(f32_at *)address; }
OP(f64_load, LOAD, f64, ptr address) { return *(f64_at *)address; }
OP(i32_load8_s, LOAD, i32, ptr address) { return (s32)*(s8_at *)address; }
OP(i32_load8_u, LOAD, i32, ptr address) { return *(u8_at *)address; }
OP(i32_load16_s, LOAD, i32, ptr address) { return (s32)*(s16_at *)address; }
OP(i32_load16_u, LOAD, i32, ptr address) { return *(u16_at *)address; }
OP(i64_load8_s, LOAD, i64, ptr address) { return (s64)*(s8_at *)address; }
OP(i64_load8_u, LOAD, i64, ptr address) { return *(u8_at *)address; }
OP(i64_load16_s, LOAD, i64, ptr address) { return (s64)*(s16_at *)address; }
OP(i64_load16_u, LOAD, i64, ptr address) { return *(u16_at *)address; }
OP(i64_load32_s, LOAD, i64, ptr address) { return (s64)*(s32_at *)address; }
OP(i64_load32_u, LOAD, i64, ptr address) { return *(u32_at *)address; }

OP(i32_store, STORE, void, ptr address, i32 value) { *(u32_at *)address = value; }
OP(i64_store, STORE, void, ptr address, i64 value) { *(u64_at *)address = value; }
OP(f32_store, STORE, void, ptr address, f32 value) { *(f32_at *)address = value; }
OP(f64_store, STORE, void, ptr address, f64 value) { *(f64_at *)address = value; }
OP(i32_store8, STORE, void, ptr address, i32 value) { *(u8_at *)address = (u8)value; }
OP(i32_store16, STORE, void, ptr address, i32 value) { *(u16_at *)address = (u16)value; }
OP(i64_store8, STORE, void, ptr address, i64 value) { *(u8_at *)address = (u8)value; }
OP(i64_store16, STORE, void, ptr address, i64 value) { *(u16_at *)address = (u16)value; }
OP(i64_store32, STORE, void, ptr address, i64 value) { *(u32_at *)address = (u32)value; }
