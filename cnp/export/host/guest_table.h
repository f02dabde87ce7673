/* What cnp export-c writes of a table of guest bytecode: see export/bytecode.py. */

/* What templates call: a routine of the library, by its place in the blob, or a function that the linker has found. */
struct template_callee {
    struct callee row; /* but for the address */
    u32 at;
    cnp_c_function function; /* or NULL */
};

struct cnp_bytecode {
    struct guest_table table;
    const u32 *sizes;               /* registers of each bank, at most */
    u32 n_places;                   /* of the first so many banks parameters are */
    const struct guest_span *exits; /* what each passes on, a range of: */
    const u32 *live;                /* numbers of banks */
    const u8 *named;                /* of each cell that templates name, whether it is an assumption */
    const struct template_callee *callees;
    size_t n_named, n_callees;
};
