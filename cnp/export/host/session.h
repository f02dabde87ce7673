/* What the parts of the host know of one another. */

/* A range of the arena: free, or a piece of code's. */
struct extent {
    size_t start, size;
    struct extent *next;
};

/* Memory for code: two views of it, or one. */
struct arena {
    char *executable, *writable; /* NULL while there is none */
    size_t capacity, granule;
    struct extent *free; /* in the order of addresses, none next to another */
};

/* One function of a piece of code. */
struct part {
    struct signature signature;
    const char *name;
    size_t offset, size, entry; /* in the piece; the entry is for C */
    struct side_exit *exits;    /* the code points to them */
    struct side_exit_value *exit_values;
    cnp_guest_point *points; /* of exits in bytecode, each at its exit's number */
    u32 n_exits;
};

struct cnp_code {
    cnp_session *session;
    cnp_code *next, **link; /* among the session's; what points here */
    u64 epoch;              /* that ended when it was retired */
    const cnp_assumption **assumptions; /* that it depends on */
    size_t n_assumptions;
    struct extent *extent;
    size_t n;
    struct part parts[];
};

struct scratch {
    char *start;
    size_t size;
};

struct cnp_session {
    struct host host; /* first, because the core gives it back */
    struct threads threads;
    struct library library;
    cnp_options options;
    pthread_mutex_t lock; /* for everything below */
    struct arena arena;
    char *blob; /* the core, in the executable view */
    struct scratch *scratch;
    size_t n_scratch;
    struct context **contexts; /* of threads that have run code */
    size_t n_contexts, contexts_capacity;
    cnp_code *codes, *retired, **last_retired; /* the latter waits for threads, the oldest first */
    cnp_cell *cells;
    cnp_assumption *assumptions;
    cnp_tiered *tiered;
    struct sigaction old_actions[3]; /* of signals that are caught */
    const struct part **parts; /* by the number that trap words have, less one: 0 is nobody's */
    u32 *free_numbers;
    size_t n_parts, n_free_numbers, parts_capacity;
    u32 serials;
};

/* The core's routines, which are in code memory. */
typedef int (*compile_routine)(const struct library *, const struct python *, struct request *);
typedef int (*emit_routine)(struct request *, char *writable, u64 executable);
typedef u32 (*entry_routine)(const struct library *, u32 is_float, u64 signature, char *writable, u64 executable);
typedef u64 (*run_routine)(const struct signature *, const u64 *integers, const f64 *floats, struct cnp_result *);
static void fill_imports(char *blob);
#define ROUTINE(session, type, name) ((type)(uintptr_t)((session)->blob + AT_##name))

/* Lists whose elements know what points to them. */
#define LINK(list, element)                           \
    do {                                              \
        (element)->link = &(list);                    \
        (element)->next = (list);                     \
        if ((element)->next)                          \
            (element)->next->link = &(element)->next; \
        (list) = (element);                           \
    } while (0)
#define UNLINK(element)                               \
    do {                                              \
        *(element)->link = (element)->next;           \
        if ((element)->next)                          \
            (element)->next->link = (element)->link;  \
    } while (0)

/* Room in an array for `n` elements of a size; 0 without memory, or if they were more than words can number. */
enum { MOST_ELEMENTS = 1 << 30 };
static int grow(void *array, size_t *capacity, size_t n, size_t size) {
    void *old, *grown;
    size_t wanted = 2 * *capacity > 16 ? 2 * *capacity : 16;
    memcpy(&old, array, sizeof old);
    if (wanted < n)
        wanted = n;
    if (wanted > MOST_ELEMENTS || !(grown = realloc(old, wanted * size)))
        return 0;
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return 1;
}
static inline int make_room(void *array, size_t *capacity, size_t n, size_t size) {
    return n <= *capacity || grow(array, capacity, n, size);
}
