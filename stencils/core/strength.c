/* An op with a constant operand -> cheaper ones. */
#include "events.h"
#include "magic.h"

/* Whether nothing but d is in the scratch registers behind the instruction. */
static int scratch_is_free(const struct selection *s, const struct location *d) {
    for (u32 h = 0; s->library->scratch >> h; h++) {
        s32 occupant = s->occupant[0][h];
        if (s->library->scratch >> h & 1 && h != d->place && occupant >= 0 &&
            s->c->intervals[occupant].end > position_of(s->instruction))
            return 0;
    }
    return 1;
}

/* Division and remainder by a constant: multiplication and shift (Granlund and Montgomery, 1994). */
static int put_division(struct selection *s, u32 row, const struct location *d, const struct location *a, i64 divisor) {
    u32 kind = division_kind(s->library, row);
    if (kind == DIVISION_KINDS || (s64)divisor < 2 || divisor > 0x7fffffff)
        return 0;
    int wide = kind >= 4, is_unsigned = kind & 1;
    struct magic magic = wide ? (is_unsigned ? magic_u64(divisor) : magic_s64(divisor))
                              : (is_unsigned ? magic_u32((u32)divisor) : magic_s32((u32)divisor));
    u32 magic_op = magic.add ? I64_DIV_S_MAGIC_ADD + (kind - 4) : I32_DIV_S_MAGIC + kind;
    if (divisor == 2 && (kind & 3) == 0)
        magic_op = wide ? I64_DIV_S_MAGIC_TWO : I32_DIV_S_MAGIC_TWO;
    const struct op *op = &s->library->ops[s->library->known[magic_op]];
    s->value[MULTIPLIER_VALUE] = magic.multiplier;
    s->value[DIVISOR_VALUE] = divisor;
    move(s, 0, *d, *a);
    s->value[IMMEDIATE_B] = magic.shift;
    s->value[SLOT_D] = s->value[SLOT_A] = (i64)(s64)d->slot;
    s->place[0] = s->place[1] = d->place;
    enum form form = scratch_is_free(s, d) ? SCRATCH : TIED;
    put(s, s->library->placements[op->base[form] + d->alternative]); /* the shift is b's only alternative */
    return 1;
}

/* Subtraction of a constant: addition of its opposite, which has stencils of three addresses and short immediates.
 * Rotation to the right: to the left by the opposite, whose stencils are shorter.
 * Multiplication, unsigned division and remainder by a power of two: a shift or a mask. Returns the op to use. */
static u32 reduce_strength(const struct selection *s, u32 row, i64 *constant) {
    const u16 *known = s->library->known;
    i64 value = *constant;
    if (row == known[I64_SUB] || row == known[I32_SUB]) {
        *constant = row == known[I64_SUB] ? -value : (i64)(u32)-value;
        return known[row == known[I64_SUB] ? I64_ADD : I32_ADD];
    }
    if (row == known[I64_ROTR] || row == known[I32_ROTR]) {
        *constant = -value;
        return known[row == known[I64_ROTR] ? I64_ROTL : I32_ROTL];
    }
    if (!value || value & (value - 1))
        return row;
    u32 shift = (u32)__builtin_ctzll(value);
    static const u8 rules[][3] = {{I32_MUL, I32_SHL, 1},   {I64_MUL, I64_SHL, 1},   {I32_DIV_U, I32_SHR_U, 1},
                                  {I64_DIV_U, I64_SHR_U, 1}, {I32_REM_U, I32_AND, 0}, {I64_REM_U, I64_AND, 0}};
    for (u32 k = 0; k < sizeof rules / 3; k++)
        if (known[rules[k][0]] == row) {
            *constant = rules[k][2] ? shift : value - 1;
            return known[rules[k][1]];
        }
    return row;
}

/* Three, five and nine times a number: it and twice, four or eight times it. */
static int put_small_multiple(struct selection *s, u32 row, const struct location *d, const struct location *a, i64 times) {
    const u16 *known = s->library->known;
    if (d->place >= registers_of(s, 0) || (times != 3 && times != 5 && times != 9))
        return 0;
    if (row != known[I32_MUL] && row != known[I64_MUL])
        return 0;
    const struct op *op = &s->library->ops[known[row == known[I32_MUL] ? I32_ADD : I64_ADD]];
    u32 scale = (u32)__builtin_ctzll(times - 1);
    if (!(op->scales >> scale & 1))
        return 0;
    put_indexed(s, op, scale, 0, d->place, a, a);
    return 1;
}
