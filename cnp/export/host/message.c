/* What the core finds wrong with a function, three numbers -> a message. What one op can show was found when it was added:
 * see builder.c. */

/* The words of an op by number. */
static const u32 *words_of(const cnp_function *f, u32 number) {
    const u32 *words = f->words;
    while (number--)
        words += (*words >> 16) + 1;
    return words;
}

static int is_exit(const cnp_function *f, u32 label) {
    size_t k = 0;
    while (k < f->n_exits && f->exits[k].label != label)
        k++;
    return k < f->n_exits;
}

/* The registers of the side exits where an op may lead count as operands behind its own, in the order of its labels. */
static u32 register_of_exits(const cnp_function *f, const u32 *words, u32 number) {
    for (u32 k = 0; k < *words >> 16; k++)
        for (size_t e = 0; role_of(*words & 0xffff, k) == LABEL_ROLE && e < f->n_exits; e++)
            for (u32 v = 0; f->exits[e].label == words[1 + k] && v < f->exits[e].n_values; v++) {
                const struct side_exit_value *value = &f->exits[e].values[v];
                if (!value->is_constant && !number--)
                    return value->reg;
            }
    return 0;
}

static void *ill_formed(const cnp_function *f, const struct request *request, cnp_error *error) {
    const u32 *words = request->error == EMPTY ? NULL : words_of(f, request->error_op);
    u32 n = words ? *words >> 16 : 0;
    int is_of_exit = request->error_operand >= n;
    char place[160];
    int length;
    u32 word = 0;
    if (words)
        word = is_of_exit ? register_of_exits(f, words, request->error_operand - n) : words[1 + request->error_operand];
    if (request->error == EMPTY)
        return fail(error, CNP_ERROR_FUNCTION,
                    "function '%s': it has no ops; accepted: at least one, the last of which ends it", f->name);
    if (request->error == TOO_LARGE)
        return fail(error, CNP_ERROR_FUNCTION,
                    "function '%s': too large: %u ops and %zu registers; accepted: up to %u ops, half a MiB of values alive at "
                    "once, and as much code as the target's jumps and loads of constants reach",
                    f->name, (unsigned)f->n_ops, f->n_registers, 1u << 26);
    length = snprintf(place, sizeof place, "function '%.80s', op %u (%s)", f->name, (unsigned)request->error_op,
                      name_of_op(*words & 0xffff));
    if (request->error_op < f->n_offsets)
        snprintf(place + length, sizeof place - (size_t)length, " at bytecode offset %u", (unsigned)f->offsets[request->error_op]);
    if (request->error == USE_BEFORE_DEFINITION && is_of_exit)
        snprintf(place + strlen(place), sizeof place - strlen(place), ", side exit");
    switch (request->error) {
    case UNBOUND_LABEL:
        return fail(error, CNP_ERROR_FUNCTION, "%s: label %u is placed nowhere; accepted: a label that cnp_place puts somewhere",
                    place, (unsigned)word);
    case LABEL_PLACED_TWICE:
        if (is_exit(f, word))
            return fail(error, CNP_ERROR_FUNCTION, "%s: label %u is a side exit; accepted: a label that cnp_new_label made", place,
                        (unsigned)word);
        return fail(error, CNP_ERROR_FUNCTION, "%s: label %u is placed a second time; accepted: once", place, (unsigned)word);
    case USE_BEFORE_DEFINITION:
        return fail(error, CNP_ERROR_FUNCTION,
                    "%s: register %u of type %s is read where some path has not assigned it; accepted: a register assigned on "
                    "every path",
                    place, (unsigned)word, type_name(f->types[word]));
    case FALLS_OFF_THE_END:
        return fail(error, CNP_ERROR_FUNCTION,
                    "%s: control goes on past the last op; accepted there: jump, ret, branch_table, unreachable", place);
    case OFFSET_OUT_OF_RANGE:
        return fail(error, CNP_ERROR_FUNCTION, "%s: offset %d; accepted: above -2^31", place, (int)(s32)word);
    /* What the builder sees itself, but not in a template of bytecode: */
    case WRONG_TYPE:
    case WRONG_ARGUMENT_TYPE:
        return fail(error, CNP_ERROR_FUNCTION, "%s: operand %u is of another type", place, (unsigned)request->error_operand);
    case WRONG_OPERAND_COUNT:
        return fail(error, CNP_ERROR_FUNCTION, "%s: it has another number of operands", place);
    case RETURN_VALUE_MISMATCH:
        return fail(error, CNP_ERROR_FUNCTION, "%s: a value where there is no result, or none where there is one", place);
    default:
        return fail(error, CNP_ERROR_FUNCTION, "%s: refused, for reason %u of enum verify_code", place, (unsigned)request->error);
    }
}
