/* Ops and operands, checked -> packed words, as the core reads them. */

static const char *const type_names[] = {"i32", "i64", "f32", "f64"};
static const char *type_name(u32 type) { return type <= CNP_F64 ? type_names[type] : "void"; }

static const char *name_of_op(u32 code) {
    static const char *const names[] = {"place", "jump", "ret", "call", "branch_table", "unreachable", "move", "select",
                                        "i32.const", "i64.const", "f32.const", "f64.const", "safepoint"};
    if (code >= IR_PLACE && code - IR_PLACE < sizeof names / sizeof *names)
        return names[code - IR_PLACE];
    return cnp_op_name(code) ? cnp_op_name(code) : "?";
}

const char *cnp_op_name(u32 op) { return op < N_OPERATIONS ? operations[op].name : NULL; }

/* What a word of an op is. */
enum role { REGISTER_ROLE /* or a constant, or nothing */, LABEL_ROLE, OTHER_ROLE };
static enum role role_of(u32 code, u32 k) {
    switch (code) {
    case IR_PLACE:
    case IR_JUMP: return LABEL_ROLE;
    case IR_CALL: return k == 1 ? OTHER_ROLE : REGISTER_ROLE;
    case IR_TABLE: return k ? LABEL_ROLE : REGISTER_ROLE;
    default:
        if (code >= N_OPERATIONS || operations[code].operand[k].name < FIRST_OTHER_OPERAND)
            return REGISTER_ROLE;
        return operations[code].operand[k].name == LABEL_OPERAND ? LABEL_ROLE : OTHER_ROLE;
    }
}

static u32 index_of(cnp_value value) { return (u32)value.bits; }
static int is_own(const cnp_function *f, cnp_value value) { return value.bits >> 32 == f->serial; }
static int has_type(cnp_value value, u32 kind) { return value.kind - kind <= CNP_F64; }
static cnp_value own_value(const cnp_function *f, size_t index, u32 kind) {
    return cnp_make_value((u64)f->serial << 32 | index, kind);
}

/* Whether the function can go on: there is no mistake yet. Without memory there is one now. */
static int allocated(cnp_function *f, int is_there) {
    if (!is_there && !f->error.kind)
        fail(&f->error, CNP_ERROR_MEMORY, "function '%s': out of memory", f->name);
    return is_there;
}

/* ---- what is wrong with an operand ---- */

static void describe_value(const cnp_function *f, cnp_value value, char *text, size_t size) {
    const char *type = type_name(value.kind % CNP_REGISTER);
    const char *of = is_own(f, value) ? "" : " of another function";
    f64 real;
    f32 narrow;
    if (value.kind == CNP_LABEL)
        snprintf(text, size, "label %u%s", (unsigned)index_of(value), of);
    else if (value.kind == CNP_OFFSET)
        snprintf(text, size, "the offset %d", (int)(s32)value.bits);
    else if (has_type(value, CNP_REGISTER))
        snprintf(text, size, "register %u%s of type %s", (unsigned)index_of(value), of, type);
    else if (value.kind == CNP_CONSTANT + CNP_F64)
        snprintf(text, size, "the f64 constant %g", (memcpy(&real, &value.bits, sizeof real), real));
    else if (value.kind == CNP_CONSTANT + CNP_F32)
        snprintf(text, size, "the f32 constant %g", (memcpy(&narrow, &value.bits, sizeof narrow), (f64)narrow));
    else if (has_type(value, CNP_CONSTANT))
        snprintf(text, size, "the %s constant %lld", type, (s64)value.bits);
    else
        snprintf(text, size, "nothing");
}

static void describe_operand(struct operand operand, size_t k, char *text, size_t size) {
    static const char *const names[] = {"d", "a", "b", "c", "base", "value", "condition", "index", "argument", "offset", "label"};
    if (operand.name == ARGUMENT_OPERAND)
        snprintf(text, size, "%s %zu", names[operand.name], k - 1);
    else
        snprintf(text, size, "%s", names[operand.name]);
}

static int reject(cnp_function *f, u32 code, size_t k, struct operand expected, cnp_value found) {
    char text[80], name[24];
    const char *type = type_name(expected.type);
    describe_value(f, found, text, sizeof text);
    describe_operand(expected, k, name, sizeof name);
    fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (%s), operand %s: found %s; accepted: %s%s%s%s", f->name,
         (unsigned)f->n_ops, name_of_op(code), name, text,
         expected.name == LABEL_OPERAND    ? "a label of this function"
         : expected.name == OFFSET_OPERAND ? "cnp_offset(bytes)"
         : expected.type == CNP_VOID       ? "a register"
                                           : "an ",
         expected.type == CNP_VOID ? "" : type, expected.type == CNP_VOID ? "" : " register",
         expected.type != CNP_VOID && expected.name != D_OPERAND ? " or constant" : "");
    return 0;
}

/* ---- ops ---- */

/* Room for an op with operands; NULL if the function has a mistake already. */
static inline u32 *begin_op(cnp_function *f, u32 code, size_t n) {
    u32 *words;
    if (f->error.kind || !allocated(f, make_room(&f->words, &f->words_capacity, f->n_words + n + 1, sizeof *f->words)))
        return NULL;
    words = f->words + f->n_words;
    *words = PACKED_HEAD(code, n);
    return words + 1;
}

static void end_op(cnp_function *f, size_t n) {
    f->n_words += n + 1;
    f->n_ops++;
}

static int constant_word(cnp_function *f, cnp_value value, u32 *word) {
    if (!allocated(f, make_room(&f->constants, &f->constants_capacity, f->n_constants + 1, sizeof *f->constants)))
        return 0;
    f->constants[f->n_constants] = value.bits;
    *word = CONSTANT_WORD | (u32)f->n_constants++;
    return 1;
}

/* What is no register of the type that is expected: fine in its place, too, or a mistake. */
static int put_other(cnp_function *f, u32 code, size_t k, struct operand expected, cnp_value value, u32 *word) {
    int is_source = expected.name < FIRST_OTHER_OPERAND && expected.name != D_OPERAND;
    if (is_source && value.kind == CNP_CONSTANT + (u32)expected.type)
        return constant_word(f, value, word);
    *word = index_of(value);
    if (expected.name == LABEL_OPERAND ? value.kind == CNP_LABEL && is_own(f, value)
                                       : expected.name == OFFSET_OPERAND && value.kind == CNP_OFFSET)
        return 1;
    return reject(f, code, k, expected, value);
}

/* Operand k of an op; 0 if it is not what is expected. */
static inline int put_operand(cnp_function *f, u32 code, size_t k, const struct operand *expected, const cnp_value *value,
                              u32 *word) {
    if (value->kind != CNP_REGISTER + (u32)expected->type || !is_own(f, *value))
        return put_other(f, code, k, *expected, *value, word);
    *word = index_of(*value);
    return 1;
}

static void put_op(cnp_function *f, u32 code, const struct operand *expected, const cnp_value *operands, size_t n) {
    u32 *words = begin_op(f, code, n);
    for (size_t k = 0; words && k < n; k++)
        if (!put_operand(f, code, k, &expected[k], &operands[k], &words[k]))
            return;
    if (words)
        end_op(f, n);
}

void cnp_op(cnp_function *f, u32 op, const cnp_value *operands, size_t n) {
    if (op >= N_OPERATIONS || !operations[op].name) {
        if (!f->error.kind)
            fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u: there is no op %u; accepted: those of enum cnp_opcode",
                 f->name, (unsigned)f->n_ops, (unsigned)op);
    } else if (n != operations[op].n) {
        if (!f->error.kind)
            fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (%s): %zu operands; accepted: %u", f->name,
                 (unsigned)f->n_ops, name_of_op(op), n, (unsigned)operations[op].n);
    } else
        put_op(f, op, operations[op].operand, operands, n);
}

void cnp_place(cnp_function *f, cnp_label label) {
    static const struct operand expected = {LABEL_OPERAND, CNP_VOID};
    put_op(f, IR_PLACE, &expected, &label.place, 1);
}

void cnp_jump(cnp_function *f, cnp_label label) {
    static const struct operand expected = {LABEL_OPERAND, CNP_VOID};
    put_op(f, IR_JUMP, &expected, &label.place, 1);
}

void cnp_branch_table(cnp_function *f, cnp_value index, cnp_label otherwise, const cnp_label *labels, size_t n) {
    static const struct operand of_index = {INDEX_OPERAND, CNP_I32}, of_label = {LABEL_OPERAND, CNP_VOID};
    u32 *words;
    if (n > MOST_OPERANDS - 2) {
        if (!f->error.kind)
            fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (branch_table): %zu labels; accepted: up to %d", f->name,
                 (unsigned)f->n_ops, n, MOST_OPERANDS - 2);
        return;
    }
    if (!(words = begin_op(f, IR_TABLE, n + 2)) || !put_operand(f, IR_TABLE, 0, &of_index, &index, words) ||
        !put_operand(f, IR_TABLE, 1, &of_label, &otherwise.place, words + 1))
        return;
    for (size_t k = 0; k < n; k++)
        if (!put_operand(f, IR_TABLE, k + 2, &of_label, &labels[k].place, words + k + 2))
            return;
    end_op(f, n + 2);
}

/* The type of a move is its destination's. */
static u8 type_of_register(cnp_value d) { return has_type(d, CNP_REGISTER) ? (u8)(d.kind - CNP_REGISTER) : (u8)CNP_VOID; }

void cnp_move(cnp_function *f, cnp_value d, cnp_value a) {
    u8 type = type_of_register(d);
    const struct operand expected[2] = {{D_OPERAND, type}, {A_OPERAND, type}};
    const cnp_value operands[2] = {d, a};
    put_op(f, IR_MOVE, expected, operands, 2);
}

void cnp_select(cnp_function *f, cnp_value d, cnp_value a, cnp_value b, cnp_value condition) {
    u8 type = type_of_register(d);
    const struct operand expected[4] = {{D_OPERAND, type}, {A_OPERAND, type}, {B_OPERAND, type}, {CONDITION_OPERAND, CNP_I32}};
    const cnp_value operands[4] = {d, a, b, condition};
    put_op(f, IR_SELECT, expected, operands, 4);
}

void cnp_ret(cnp_function *f, cnp_value value) {
    struct operand expected = {VALUE_OPERAND, f->result};
    if (f->result != CNP_VOID || value.kind == CNP_NO_VALUE)
        put_op(f, IR_RET, &expected, &value, f->result != CNP_VOID);
    else if (!f->error.kind)
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', op %u (ret): a value is returned; accepted: cnp_none()", f->name,
             (unsigned)f->n_ops);
}

void cnp_unreachable(cnp_function *f) { put_op(f, IR_TRAP, NULL, NULL, 0); }
void cnp_safepoint(cnp_function *f) { put_op(f, IR_SAFEPOINT, NULL, NULL, 0); }
