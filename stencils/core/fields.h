/* Numbers in the bytes of a guest's instruction: where they are, also behind others of any length, and what they are. */
#ifndef CNP_FIELDS_H
#define CNP_FIELDS_H
#include "walker.h"

/* Reads up to seven bytes more than the field has: the copy of the code has as many behind it. */
static inline u64 raw_bits(const u8 *base, const struct guest_field *field) {
    u64 number;
    __builtin_memcpy(&number, base + field->offset, sizeof number);
    if (__builtin_expect(field->flags & GUEST_BIG_ENDIAN, 0))
        number = __builtin_bswap64(number) >> (64 - 8 * field->bytes);
    return number >> field->shift & field->mask;
}

/* What a field's bits stand for, where it has anything about it. */
static inline s64 flagged_value(const struct guest *at, const struct guest_field *field, u64 number) {
    u32 bits = field->bits;
    if (field->flags & GUEST_EXTENDED && at->n_collected) {
        number |= at->collected << bits; /* at most 32 bits each: Python sees to the field's */
        bits += at->n_collected;
    }
    if (field->flags & GUEST_SIGNED && bits < 64)
        number = (number ^ 1ull << (bits - 1)) - (1ull << (bits - 1));
    return (s64)(field->flags & GUEST_SCALED ? number * (u64)(s64)field->scale + (u64)field->bias : number);
}

static s64 value_in_part(struct walker *w, const struct guest *at, const struct guest_field *field);

static inline s64 field_value(struct walker *w, const struct guest *at, u32 row) {
    const struct guest_field *field = &w->table->fields[row];
    if (!field->flags)
        return (s64)raw_bits(w->code + at->base, field);
    if (field->flags & GUEST_IN_PART)
        return value_in_part(w, at, field);
    return flagged_value(at, field, raw_bits(w->code + at->base, field));
}

/* LEB128. Of the last of the bytes that there may be, what goes beyond the field's bits has to be their sign, or 0. Returns
 * where it ends, or 0 with an error. */
static u32 read_varint(struct walker *w, const struct guest *at, const struct guest_field *field, u32 place, u64 *number) {
    u32 most = (field->bits + 6u) / 7;
    *number = 0;
    for (u32 k = 0; k < most; k++) {
        if (place + k >= w->walk->size)
            return (u32)stray(w, GUEST_TRUNCATED, at->start, 0, (s64)w->walk->size);
        u32 byte = w->code[place + k], left = field->bits - 7 * k;
        if (byte < 0x80) {
            int is_signed = field->flags & GUEST_SIGNED;
            s64 group = is_signed ? (s64)((u64)byte << 57) >> 57 : byte, beyond = left < 7 ? group >> (left - is_signed) : 0;
            if (beyond != 0 && beyond != -1)
                break;
            *number = (*number | (u64)group << 7 * k) & field->mask;
            return place + k + 1;
        }
        *number |= (u64)(byte & 0x7f) << 7 * k;
    }
    return (u32)stray(w, GUEST_VARINT_TOO_LONG, at->start, field->bits, place);
}

/* A number of a part, which begins at `place`. Returns where it ends, or 0 with an error. */
static u32 read_number(struct walker *w, const struct guest *at, const struct guest_field *field, u32 place, s64 *value) {
    u64 number;
    u32 end = place + field->offset + field->bytes;
    if (field->flags & GUEST_VARINT) {
        if (!(end = read_varint(w, at, field, place, &number)))
            return 0;
    } else if (end > w->walk->size)
        return (u32)stray(w, GUEST_TRUNCATED, at->start, 0, (s64)w->walk->size);
    else
        number = raw_bits(w->code + place, field);
    *value = flagged_value(at, field, number);
    return end;
}

/* How many numbers a part has; more than there may be if there are not so many. */
static inline u64 count_of(struct walker *w, const struct guest *at, const struct guest_part *part) {
    u64 count = (u64)field_value(w, at, part->count);
    return part->less == NO_GUEST_FIELD ? count : count - (u64)field_value(w, at, part->less);
}

/* Where a part ends that begins at `place`, or 0 with an error. */
static u32 end_of_part(struct walker *w, const struct guest *at, const struct guest_part *part, u32 place) {
    const struct guest_field *field = &w->table->fields[part->field];
    s64 value;
    if (part->kind == GUEST_NUMBER)
        return read_number(w, at, field, place, &value);
    if (part->kind == GUEST_ALIGNMENT) {
        place += (part->unit - place % part->unit) % part->unit;
        return place <= w->walk->size ? place : (u32)stray(w, GUEST_TRUNCATED, at->start, 0, (s64)w->walk->size);
    }
    u64 count = count_of(w, at, part);
    if (count > MOST_GUEST_TARGETS)
        return (u32)stray(w, GUEST_BAD_COUNT, at->start, part->count, (s64)count);
    for (; count && place; count--)
        place = read_number(w, at, field, place, &value);
    return place;
}

/* Where a part of the instruction begins, or behind the last one, or 0 with an error. */
static u32 place_of_part(struct walker *w, const struct guest *at, u32 part) {
    const struct guest_part *parts = &w->table->parts[at->row->first_part];
    u32 place = at->base + at->row->length;
    for (u32 k = 0; k < part && place; k++)
        place = end_of_part(w, at, &parts[k], place);
    return place;
}

/* All parts have been read before, and nothing is wrong with them. */
static __attribute__((noinline)) s64 value_in_part(struct walker *w, const struct guest *at, const struct guest_field *field) {
    s64 value = 0;
    read_number(w, at, field, place_of_part(w, at, field->part), &value);
    return value;
}
#endif
