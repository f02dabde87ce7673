/* Guards in guest bytecode: cells for the walk to read, and what it has found of exits and cells -> the function's. */

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

/* Adds the registers that an exit passes on; 0 and an error if there are too many. */
static int add_values_of(cnp_function *f, const cnp_bytecode *bytecode, const struct guest_exit *exit) {
    const struct guest_span *files = &bytecode->exits[exit->exit];
    cnp_value values[MOST_EXIT_VALUES];
    size_t n = 0;
    for (u32 k = 0; k < files->count; k++) {
        u32 bank = bytecode->live[files->first + k], first = f->files[bank].first;
        int is_stack = bytecode->table.has_stack && bank == bytecode->table.n_banks - 1;
        u32 count = is_stack ? exit->depth : f->files[bank].count;
        for (u32 r = first; r < first + count; r++, n++)
            if (n < MOST_EXIT_VALUES)
                values[n] = own_value(f, r, CNP_REGISTER + (u32)f->types[r]);
    }
    if (n > MOST_EXIT_VALUES) {
        fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', bytecode offset %u: its exit has %zu values; accepted: up to %d", f->name,
             (unsigned)exit->offset, n, MOST_EXIT_VALUES);
        return 0;
    }
    return add_exit_values(f, values, n);
}

/* 0 without memory, or with an error. Exits that pass on the same registers share them if they are near. */
static int take_exits(cnp_function *f, const cnp_bytecode *bytecode, const cnp_guest *guest, const struct walk *walk) {
    enum { NEAR = 16 };
    size_t before = f->n_exits;
    for (u32 k = 0; k < walk->n_exits; k++) {
        const struct guest_exit *found = &walk->exits[k];
        u32 back = 1;
        struct exit exit = {guest->handler, guest->data, found->label, 0, found->offset, f->n_exit_values};
        if (!guest->handler) {
            fail(&f->error, CNP_ERROR_FUNCTION, "function '%s', bytecode offset %u: it has an exit; accepted: with a handler",
                 f->name, (unsigned)found->offset);
            return 0;
        }
        while (back <= k && back <= NEAR && (found[-(s64)back].exit != found->exit || found[-(s64)back].depth != found->depth))
            back++;
        if (back <= k && back <= NEAR) {
            exit.first_value = f->exits[before + k - back].first_value;
            exit.n_values = f->exits[before + k - back].n_values;
        } else if (!add_values_of(f, bytecode, found))
            return 0;
        else
            exit.n_values = (u32)(f->n_exit_values - exit.first_value);
        if (!add_exit(f, exit))
            return 0;
    }
    return 1;
}
