/* Guest bytecode -> a function's ops, by the core, which walks it with a table that cnp export-c has put here. */

typedef int (*walk_routine)(const struct guest_table *, struct walk *);
typedef u32 (*label_routine)(const struct entered *, u32 offset);

/* What is wrong with the bytecode. */
static void stray(cnp_function *f, const struct walk *walk) {
    char about[160];
    long long value = walk->error_value;
    unsigned row = walk->error_field, accepted = walk->error_accepted;
    switch (walk->error) {
    case GUEST_TRUNCATED: snprintf(about, sizeof about, "the instruction goes on past the last of %llu bytes", walk->size); break;
    case GUEST_NO_SUCH_OPCODE: snprintf(about, sizeof about, "there is no instruction of opcode %#llx", (u64)value); break;
    case GUEST_TOO_MANY_PREFIXES: snprintf(about, sizeof about, "its prefixes have too many bits together"); break;
    case GUEST_TARGET_OUTSIDE: snprintf(about, sizeof about, "jump to %lld; accepted: 0 to %llu", value, walk->size - 1); break;
    case GUEST_TARGET_INSIDE: snprintf(about, sizeof about, "jump to %lld, the middle of an instruction", value); break;
    case GUEST_NO_SUCH_REGISTER: snprintf(about, sizeof about, "register %lld; accepted: one of %u, from 0", value, accepted); break;
    case GUEST_CONSTANT_OUT_OF_RANGE: snprintf(about, sizeof about, "constant %lld; accepted: in [-2^31, 2^32)", value); break;
    case GUEST_OFFSET_OUT_OF_RANGE: snprintf(about, sizeof about, "memory offset %lld; accepted: in (-2^31, 2^31)", value); break;
    case GUEST_NO_SUCH_CALLEE:
        snprintf(about, sizeof about, "callee %lld; accepted: one of %u, from 0", value, accepted);
        break;
    case GUEST_NO_SUCH_CELL:
        snprintf(about, sizeof about, "cell %lld; accepted: one of %u, from 0", value, accepted);
        break;
    case GUEST_VARINT_TOO_LONG:
        snprintf(about, sizeof about, "the varint at byte %lld is too long; accepted: %u bits, in up to %u bytes", value, row,
                 (row + 6) / 7);
        break;
    case GUEST_BAD_COUNT:
        snprintf(about, sizeof about, "targets are counted by %lld; accepted: what makes them 0 to %d", value, MOST_GUEST_TARGETS);
        break;
    case GUEST_FALLS_OFF:
        snprintf(about, sizeof about,
                 "control goes on past it, the last; accepted there: one that ends in a jump, a return or a trap");
        break;
    case GUEST_UNDERFLOW:
        snprintf(about, sizeof about, "it takes %u from the operand stack; accepted: up to %lld, which it has there", row, value);
        break;
    case GUEST_OVERFLOW: snprintf(about, sizeof about, "the operand stack grows to %lld; accepted: up to %u", value, row); break;
    case GUEST_DEPTHS_DIFFER:
        snprintf(about, sizeof about, "it goes to %lld with %u on the operand stack; accepted: %u, with which others reach it", value,
                 row, accepted);
        break;
    default:
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s': %llu bytes of bytecode; accepted: 1 to 2^26, and as many ops", f->name,
             walk->size);
        return;
    }
    fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', bytecode offset %u: %s", f->name, (unsigned)walk->error_offset, about);
}

/* Copies of what the walk has left in scratch memory. */
static int take_ops(cnp_function *f, const struct walk *walk) {
    if (!make_room(&f->words, &f->words_capacity, walk->n_words, sizeof *f->words) ||
        !make_room(&f->constants, &f->constants_capacity, walk->n_constants + 1, sizeof *f->constants) ||
        !make_room(&f->offsets, &f->offsets_capacity, walk->n_ops, sizeof *f->offsets))
        return 0;
    memcpy(f->words, walk->words, walk->n_words * sizeof *f->words);
    memcpy(f->constants, walk->constants, walk->n_constants * sizeof *f->constants);
    memcpy(f->offsets, walk->offsets, walk->n_ops * sizeof *f->offsets);
    f->n_words = walk->n_words;
    f->n_constants = walk->n_constants;
    f->n_ops = f->n_offsets = walk->n_ops;
    f->n_labels = walk->n_labels;
    return 1;
}

/* In the session's scratch memory; 0 without any, or with the function's error. */
static int walk_locked(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest, struct walk *walk) {
    size_t size = FIRST_SCRATCH;
    do {
        struct scratch *scratch = scratch_of(f->session, 0, size);
        if (!scratch)
            return 0;
        walk->scratch = scratch->start;
        walk->scratch_size = scratch->size;
        ROUTINE(f->session, walk_routine, cnp_walk)(&bytecode->table, walk);
        size = walk->scratch_used;
    } while (walk->error == GUEST_NEEDS_SCRATCH);
    return walk->error || (take_ops(f, walk) && take_exits(f, bytecode, guest, walk) && take_cells(f, guest, walk));
}

/* How many registers a function has of each file. 0 with an error. */
static int take_sizes(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest) {
    for (u32 bank = 0; bank < f->n_files; bank++)
        f->files[bank].count = bytecode->sizes[bank];
    for (size_t k = 0; k < guest->n_sizes; k++) {
        u32 bank = guest->sizes[k].file, count = guest->sizes[k].count;
        if (bank >= f->n_files || count > bytecode->sizes[bank]) {
            if (bank >= f->n_files)
                fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', sizes: file %u; accepted: one of %u, from 0", f->name,
                     (unsigned)bank, (unsigned)f->n_files);
            else
                fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', sizes: %u registers of file %u; accepted: up to %u", f->name,
                     (unsigned)count, (unsigned)bank, (unsigned)bytecode->sizes[bank]);
            return 0;
        }
        f->files[bank].count = count;
    }
    return 1;
}

/* The registers of the table's files, the parameters the first of them. 0 without memory, or with an error. */
static int lay_out_files(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest) {
    u8 given[ARGUMENTS];
    size_t n = 0, room = 0;
    f->n_files = bytecode->table.n_banks;
    if (!(f->files = calloc((size_t)f->n_files + 1, sizeof *f->files)) || !take_sizes(f, bytecode, guest))
        return 0;
    for (u32 bank = 0; bank < f->n_files; bank++) {
        f->files[bank].first = (u32)n;
        n += f->files[bank].count;
        room += bank < bytecode->n_places ? f->files[bank].count : 0;
    }
    if (f->n_parameters)
        memcpy(given, f->types, f->n_parameters);
    if (!make_room(&f->types, &f->types_capacity, n, 1))
        return 0;
    for (u32 bank = 0; bank < f->n_files; bank++)
        memset(f->types + f->files[bank].first, bytecode->table.banks[bank].type, f->files[bank].count);
    if (f->n_parameters > room || (f->n_parameters && memcmp(f->types, given, f->n_parameters) != 0)) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s': bytecode; accepted: with parameters of the table's types, up to %zu",
             f->name, room);
        return 0;
    }
    f->n_registers = n;
    return 1;
}

/* Everything but what is known of the function, which has its registers. */
static void translate_guest(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest, struct walk *walk) {
    i64 *cells = NULL;
    int done;
    if (allocated(f, take_template_callees(f, bytecode) && take_callees(f, guest) && find_cells(f, bytecode, guest, &cells))) {
        walk->n_callees = (u32)guest->n_callees;
        walk->cells = cells;
        walk->n_field_cells = (u32)guest->n_cells;
        walk->n_cells = (u32)(guest->n_cells + guest->n_named);
        pthread_mutex_lock(&f->session->lock);
        done = walk_locked(f, bytecode, guest, walk);
        pthread_mutex_unlock(&f->session->lock);
        if (allocated(f, done) && walk->error)
            stray(f, walk);
    }
    free(cells);
}

void cnp_translate(cnp_function *f, const cnp_bytecode *bytecode, const void *code, size_t size, const cnp_guest *guest) {
    static const cnp_guest nothing;
    struct walk walk = {.code = code, .size = size, .n_parameters = f->n_parameters};
    if (f->error.kind)
        return;
    if (f->n_ops || f->n_labels || f->n_callees || f->n_registers != f->n_parameters) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s': bytecode; accepted: in a function that has nothing but parameters",
             f->name);
        return;
    }
    if (!guest)
        guest = &nothing;
    if (!allocated(f, lay_out_files(f, bytecode, guest)))
        return;
    walk.banks = f->files;
    translate_guest(f, bytecode, guest, &walk);
}

int64_t cnp_bytecode_offset(const cnp_function *f, uint32_t op) {
    return op < f->n_offsets && f->offsets[op] != NO_GUEST_OFFSET ? (int64_t)f->offsets[op] : -1;
}

cnp_label cnp_label_at(const cnp_function *f, uint64_t offset) {
    struct entered ops = ops_of(f);
    u32 label = offset < NO_GUEST_OFFSET ? ROUTINE(f->session, label_routine, cnp_label_of)(&ops, (u32)offset) : f->n_labels;
    return (cnp_label){label < f->n_labels ? own_value(f, label, CNP_LABEL) : cnp_none()};
}

size_t cnp_registers(const cnp_function *f, uint32_t file, cnp_value *values, size_t room) {
    const struct guest_span *span = file < f->n_files ? &f->files[file] : NULL;
    for (u32 k = 0; span && k < span->count && k < room; k++)
        values[k] = own_value(f, span->first + k, CNP_REGISTER + (u32)f->types[span->first + k]);
    return span ? span->count : 0;
}
