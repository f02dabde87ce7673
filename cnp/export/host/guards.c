/* Guards in guest bytecode: cells for the walk to read, and what it has found of exits and cells -> the function's. */

typedef u64 (*describe_routine)(const struct guest_exits *, struct side_exit *, struct side_exit_value *);

static const cnp_guest_cell *cell_at(const cnp_guest *guest, size_t k) {
    return k < guest->n_cells ? &guest->cells[k] : &guest->named[k - guest->n_cells];
}

/* Whether a cell is one, and of the kind that a template wants. */
static int is_cell(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest, size_t k) {
    const cnp_guest_cell *cell = cell_at(guest, k);
    int is_named = k >= guest->n_cells;
    size_t number = is_named ? k - guest->n_cells : k;
    const char *accepted = !is_named                ? "a data cell or an assumption, the other NULL"
                           : bytecode->named[number] ? "an assumption"
                                                     : "a data cell";
    if (!cell->data != !cell->assumption && (!is_named || !cell->assumption == !bytecode->named[number]))
        return 1;
    fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', %s %zu: found %s; accepted: %s", f->name,
         is_named ? "named cell" : "cell", number,
         cell->data ? cell->assumption ? "both" : "a data cell" : cell->assumption ? "an assumption" : "none", accepted);
    return 0;
}

/* Addresses of cells, first those that fields number. 0 without memory, or with an error. */
static int find_cells(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest, i64 **cells) {
    size_t capacity = 0, n = guest->n_cells + guest->n_named;
    if (guest->n_named != bytecode->n_named) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s': %zu named cells; accepted: %zu, which the table's declaration lists",
             f->name, guest->n_named, bytecode->n_named);
        return 0;
    }
    if (!make_room(cells, &capacity, n, sizeof **cells))
        return 0;
    for (size_t k = 0; k < n; k++) {
        const cnp_guest_cell *cell = cell_at(guest, k);
        if (!is_cell(f, bytecode, guest, k))
            return 0;
        (*cells)[k] = (i64)(uintptr_t)(cell->data ? (const void *)&cell->data->value : (const void *)&cell->assumption->word);
    }
    return 1;
}

/* The code depends on the assumptions among the cells that it reads. */
static int take_cells(cnp_function *f, const cnp_guest *guest, const struct walk *walk) {
    for (size_t k = 0; k < walk->n_cells; k++)
        if (walk->is_read[k] && cell_at(guest, k)->assumption && !depend_on(f, cell_at(guest, k)->assumption))
            return 0;
    return 1;
}

/* 0 without memory, or with an error. */
static int take_exits(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest, const struct walk *walk) {
    describe_routine describe = ROUTINE(f->session, describe_routine, cnp_describe_exits);
    struct guest_exits found = {.exits = walk->exits, .n = walk->n_exits, .kinds = bytecode->exits, .live = bytecode->live,
                                .files = f->files, .types = f->types, .stack = f->n_files - bytecode->table.has_stack,
                                .common = exit_to(f, guest->handler, guest->data)};
    size_t n_values = describe(&found, NULL, NULL);
    if (walk->n_exits && !guest->handler) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', bytecode offset %u: it has an exit; accepted: with a handler", f->name,
             (unsigned)walk->exits->offset);
        return 0;
    }
    if (!room_for_exits(f, found.n, n_values))
        return 0;
    describe(&found, f->exits, f->exit_values);
    f->n_exits = found.n;
    f->n_exit_values = n_values;
    for (size_t k = 0; k < f->n_exits; k++)
        if (f->exits[k].n_values > MOST_EXIT_VALUES) {
            fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', bytecode offset %u: its exit has %u values; accepted: up to %d",
                 f->name, (unsigned)f->exits[k].offset, (unsigned)f->exits[k].n_values, MOST_EXIT_VALUES);
            return 0;
        }
    return 1;
}
