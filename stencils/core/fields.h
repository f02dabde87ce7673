/* Numbers in the bytes of a guest's instruction, also in parts of any length: where they are, and what they are. */
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

static inline s64 field_value(const struct walker *w, const struct guest *at, u32 row) {
    const struct guest_field *field = &w->table->fields[row];
    if (!field->flags)
        return (s64)raw_bits(w->code + at->base, field);
    if (field->flags & GUEST_IN_PART)
        return at->parts[field->part];
    return flagged_value(at, field, raw_bits(w->code + at->base, field));
}

static u32 truncated(struct walker *w, const struct guest *at) {
    return (u32)stray(w, GUEST_TRUNCATED, at->start, 0, (s64)w->walk->size);
}

/* LEB128. Of the last of the bytes that there may be, what goes beyond the field's bits has to be their sign, or 0. Returns
 * where it ends, or 0 with an error. */
static u32 read_varint(struct walker *w, const struct guest *at, const struct guest_field *field, u32 place, u64 *number) {
    u32 most = (field->bits + 6u) / 7;
    *number = 0;
    for (u32 k = 0; k < most; k++) {
        if (place + k >= w->walk->size)
            return truncated(w, at);
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

/* A number of a part that begins at `place`. Returns where it ends, or 0 with an error. */
static __attribute__((noinline)) u32 read_number(
    struct walker *w, const struct guest *at, const struct guest_field *field, u32 place, s64 *value) {
    u64 number;
    u32 end = place + field->offset + field->bytes;
    if (field->flags & GUEST_VARINT) {
        if (!(end = read_varint(w, at, field, place, &number)))
            return 0;
    } else if (end > w->walk->size)
        return truncated(w, at);
    else
        number = raw_bits(w->code + place, field);
    *value = flagged_value(at, field, number);
    return end;
}

/* How many numbers a part has; more than there may be if there are not so many. */
static inline u64 count_of(const struct walker *w, const struct guest *at, const struct guest_part *part) {
    u64 count = (u64)field_value(w, at, part->count);
    return part->less == NO_GUEST_FIELD ? count : count - (u64)field_value(w, at, part->less);
}

static u32 read_numbers(struct walker *w, const struct guest *at, const struct guest_part *part, u32 place) {
    u64 count = count_of(w, at, part);
    s64 value;
    if (count > MOST_GUEST_TARGETS)
        return (u32)stray(w, GUEST_BAD_COUNT, at->start, part->count, (s64)field_value(w, at, part->count));
    for (; count && place; count--)
        place = read_number(w, at, &w->table->fields[part->field], place, &value);
    return place;
}

/* Reads the parts of an instruction, whose row and base are known. Returns where it ends, or 0 with an error. */
static u32 read_parts(struct walker *w, struct guest *at) {
    const struct guest_part *part = &w->table->parts[at->row->first_part], *end = part + at->row->n_parts;
    const u8 *code = w->code;
    u32 place = at->base + at->row->length, size = (u32)w->walk->size;
    for (s64 *found = at->parts; part != end && place; part++, found++) {
        u32 byte = code[place]; /* there is room behind the last one */
        if (part->kind == GUEST_PLAIN_VARINT && byte < 0x80 && place < size) { /* as most */
            *found = (s32)(byte ^ part->unit) - part->unit;
            place++;
            continue;
        }
        *found = place;
        if (part->kind <= GUEST_NUMBER)
            place = read_number(w, at, &w->table->fields[part->field], place, found);
        else if (part->kind == GUEST_NUMBERS)
            place = read_numbers(w, at, part, place);
        else {
            place += (part->unit - place % part->unit) % part->unit;
            place = place <= size ? place : truncated(w, at);
        }
    }
    return place;
}
#endif
