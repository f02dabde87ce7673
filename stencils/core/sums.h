/* What decoding notes of every register, so that sums and shifts can become part of the instruction that needs them. */
#ifndef CNP_SUMS_H
#define CNP_SUMS_H
#include "compile.h"

/* An instruction, the addition that makes its address, and the shift that makes an operand of that; or an addition and
 * its shift. */
struct candidate {
    u32 instruction, sum, shift;
};
enum { NO_MAKER = 0xffffffff };

struct sums {
    u32 *defined_by;       /* by register: instruction + 1 that defined it last */
    u32 *uses;             /* by instruction: of what it defines, in its block */
    u8 *crosses;           /* by register: some block needs it from another */
    u32 *definitions;      /* by register: how many */
    u32 block;             /* first instruction of the block being decoded */
    struct candidate *candidates;
    u32 n_candidates;
};

static int begin_sums(struct compilation *c) {
    struct sums *sums;
    u32 n = c->n_instructions, registers = c->request->n_registers;
    if (!ALLOCATE(c, sums, 1) || !ALLOCATE(c, sums->defined_by, registers) || !ALLOCATE(c, sums->uses, n) ||
        !ALLOCATE(c, sums->crosses, registers) || !ALLOCATE(c, sums->definitions, registers) || !ALLOCATE(c, sums->candidates, n))
        return 0;
    fill(sums->defined_by, 0, registers * sizeof *sums->defined_by);
    fill(sums->uses, 0, n * sizeof *sums->uses);
    fill(sums->crosses, 0, registers);
    fill(sums->definitions, 0, registers * sizeof *sums->definitions);
    for (u32 r = 0; r < c->request->n_parameters; r++)
        sums->definitions[r] = 1;
    sums->block = sums->n_candidates = 0;
    c->sums = sums;
    return 1;
}

static inline void note_definition(struct sums *sums, s32 reg, u32 instruction) {
    sums->defined_by[reg] = instruction + 1;
    sums->definitions[reg]++;
}

static inline void note_use(struct sums *sums, s32 reg) {
    u32 definition = sums->defined_by[reg];
    if (definition > sums->block)
        sums->uses[definition - 1]++;
    else
        sums->crosses[reg] = 1;
}

/* Whether a register had, in front of `instruction`, the value it has now. */
static inline int unchanged_since(const struct sums *sums, s32 reg, u32 instruction) {
    return sums->defined_by[reg] <= instruction;
}

/* The instruction of the same block that made the value a register has now. */
static inline u32 maker_of(const struct sums *sums, s32 operand) {
    return operand >= 0 && sums->defined_by[operand] > sums->block ? sums->defined_by[operand] - 1 : NO_MAKER;
}

/* Whether the operands of an instruction are still where they were, so that it might as well come now. What it overwrote
 * itself counts as still there: without the instruction it is. */
static inline int may_come_now(const struct compilation *c, u32 instruction) {
    const struct instruction *at = &c->instructions[instruction];
    for (u32 k = 0; k < at->n; k++)
        if (at->operand[k] >= 0 && at->operand[k] != at->d && !unchanged_since(c->sums, at->operand[k], instruction))
            return 0;
    return 1;
}

/* An addition keeps the shift that made one of its operands in `target`, which it has no other use for. */
static inline void note_shift(struct compilation *c, u32 instruction) {
    struct instruction *at = &c->instructions[instruction];
    if (at->op != c->library->known[I64_ADD])
        return;
    for (u32 k = 0; k < 2; k++) {
        u32 maker = maker_of(c->sums, at->operand[k]);
        const struct instruction *shift = &c->instructions[maker == NO_MAKER ? instruction : maker];
        if (shift->op != c->library->known[I64_SHL] || shift->operand[0] < 0 || shift->operand[1] >= 0 || at->operand[1 - k] < 0 ||
            !may_come_now(c, maker))
            continue;
        at->target = (s32)maker;
        c->sums->candidates[c->sums->n_candidates++] = (struct candidate){instruction, NO_MAKER, maker};
        return;
    }
}

static inline void note_address(struct compilation *c, u32 instruction, s32 address) {
    u32 maker = maker_of(c->sums, address);
    if (maker == NO_MAKER || c->instructions[maker].op != c->library->known[I64_ADD] || !may_come_now(c, maker))
        return;
    s32 shift = c->instructions[maker].target;
    if (shift >= 0 && !may_come_now(c, (u32)shift))
        shift = -1;
    c->sums->candidates[c->sums->n_candidates++] = (struct candidate){instruction, maker, (u32)shift};
}
#endif
