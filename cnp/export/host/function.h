/* A function under construction: packed words, as the core reads them, and what they refer to. */

struct cnp_function {
    cnp_session *session;
    char *name;
    u32 serial; /* in its registers and labels, so that another function's are told apart */
    u32 n_ops, n_labels;
    u8 result, n_parameters;
    u32 *words;
    u64 *constants;
    u8 *types; /* of its registers */
    struct callee *callees;
    const void **targets; /* of callees: functions of the same compilation, or NULL */
    u32 *offsets; /* in the guest's bytecode, of the ops that come from there */
    struct guest_span *files; /* which registers are those of a file of the guest's table */
    u32 n_files;
    struct side_exit *exits;
    struct side_exit_value *exit_values; /* of all of them; those of bytecode share some */
    const cnp_assumption **assumptions;
    size_t n_words, n_constants, n_registers, n_callees, n_offsets, n_exits, n_exit_values, n_assumptions;
    size_t offsets_capacity, words_capacity, constants_capacity, types_capacity, callees_capacity, targets_capacity;
    size_t exits_capacity, exit_values_capacity, assumptions_capacity;
    cnp_error error; /* the first */
    /* While it is compiled: */
    const cnp_code *code;
    size_t index;
};
