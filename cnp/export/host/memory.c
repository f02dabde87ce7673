/* Memory for code: one arena, no page of which is ever writable and executable at once; first fit.
 *
 * Where memory may be mapped twice, a file without a name is: writable at one address, executable at another. Else there
 * is one mapping whose pages are made writable, written, and made executable. A page that holds live code is never
 * writable again, so there each piece of code has pages to itself. */

enum { MEMFD_CLOSE = 1, MEMFD_EXECUTABLE = 0x10 /* since Linux 6.3 */, CACHE_LINE = 64, FILLED = 4096 };

static int open_nameless_file(size_t size) {
    int file = (int)syscall(SYS_memfd_create, "cnp", MEMFD_CLOSE | MEMFD_EXECUTABLE);
    if (file < 0 && errno == EINVAL)
        file = (int)syscall(SYS_memfd_create, "cnp", MEMFD_CLOSE);
    if (file >= 0 && ftruncate(file, (off_t)size)) {
        int reason = errno;
        close(file);
        errno = reason;
        return -1;
    }
    return file;
}

/* 0, and errno, if it is refused. */
static int map_twice(struct arena *arena, size_t size) {
    int file = open_nameless_file(size), reason;
    void *writable, *executable;
    if (file < 0)
        return 0;
    writable = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    executable = writable == MAP_FAILED
                     ? MAP_FAILED
                     : mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, file, 0);
    reason = errno;
    close(file); /* the mappings keep the file */
    if (executable == MAP_FAILED) {
        if (writable != MAP_FAILED)
            munmap(writable, size);
        errno = reason;
        return 0;
    }
    arena->writable = writable;
    arena->executable = executable;
    arena->granule = CACHE_LINE;
    return 1;
}

static int map_once(struct arena *arena, size_t size, size_t page) {
    void *start = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return 0;
    arena->writable = arena->executable = start;
    arena->granule = page;
    return 1;
}

static int is_flipped(const struct arena *arena) { return arena->writable == arena->executable; }

static int open_arena(struct arena *arena, size_t size, int one_mapping, cnp_error *error) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int refusal = 0;
    if (size > SIZE_MAX / 2)
        return fail(error, CNP_ERROR_SYSTEM, "%zu bytes of memory for code: more than there are addresses", size), 0;
    size = (size + page - 1) / page * page;
    if (one_mapping || !map_twice(arena, size)) {
        refusal = one_mapping ? 0 : errno;
        if (!map_once(arena, size, page)) {
            fail(error, CNP_ERROR_SYSTEM, "no memory for code (%zu bytes): mapped twice: %s; mapped once: %s", size,
                 refusal ? strerror(refusal) : "not tried", strerror(errno));
            return 0;
        }
    }
    arena->capacity = size;
    if (!(arena->free = malloc(sizeof *arena->free)))
        return out_of_memory(error), 0;
    *arena->free = (struct extent){0, size, NULL};
    return 1;
}

static void close_arena(struct arena *arena) {
    if (arena->writable)
        munmap(arena->writable, arena->capacity);
    if (arena->writable && !is_flipped(arena))
        munmap(arena->executable, arena->capacity);
    while (arena->free) {
        struct extent *next = arena->free->next;
        free(arena->free);
        arena->free = next;
    }
}

/* A range that may be written to from now on, and executed from commit_code on. */
static struct extent *take_code(struct arena *arena, size_t size, cnp_error *error) {
    struct extent **link = &arena->free, *at, *taken;
    size_t wanted = (size + arena->granule - 1) / arena->granule * arena->granule, largest = 0;
    for (; (at = *link) != NULL && at->size < wanted; link = &at->next)
        if (at->size > largest)
            largest = at->size;
    if (!at)
        return fail(error, CNP_ERROR_CODE_MEMORY,
                    "memory for code is full: %zu bytes are wanted, the largest free range has %zu of all %zu bytes; free "
                    "code that is no longer called, or open the session with a larger code_size",
                    wanted, largest, arena->capacity);
    if (!(taken = malloc(sizeof *taken)))
        return out_of_memory(error);
    if (is_flipped(arena) && mprotect(arena->writable + at->start, wanted, PROT_READ | PROT_WRITE)) {
        free(taken);
        return fail(error, CNP_ERROR_SYSTEM, "mprotect of pages to be written: %s", strerror(errno));
    }
    *taken = (struct extent){at->start, wanted, NULL};
    at->start += wanted;
    at->size -= wanted;
    if (!at->size) {
        *link = at->next;
        free(at);
    }
    return taken;
}

static int commit_code(const struct arena *arena, const struct extent *extent, cnp_error *error) {
    char *start = arena->executable + extent->start;
    if (is_flipped(arena) && mprotect(start, extent->size, PROT_READ | PROT_EXEC))
        return fail(error, CNP_ERROR_SYSTEM, "mprotect of pages to be executed: %s", strerror(errno)), 0;
    if (synchronize(start, start + extent->size))
        return fail(error, CNP_ERROR_SYSTEM, "instruction caches cannot be told of new code: %s", strerror(errno)), 0;
    return 1;
}

/* A range back, which becomes one with free neighbours. Stale calls of it are to trap. */
static void give_code(struct arena *arena, struct extent *extent) {
    struct extent *before = NULL, *after = arena->free;
    if (is_flipped(arena))
        mprotect(arena->writable + extent->start, extent->size, PROT_NONE);
    else
        memset(arena->writable + extent->start, TRAPPING_BYTE, extent->size < FILLED ? extent->size : FILLED);
    for (; after && after->start < extent->start; after = after->next)
        before = after;
    if (after && extent->start + extent->size == after->start) {
        extent->size += after->size;
        extent->next = after->next;
        free(after);
    } else
        extent->next = after;
    if (before && before->start + before->size == extent->start) {
        before->size += extent->size;
        before->next = extent->next;
        free(extent);
    } else
        *(before ? &before->next : &arena->free) = extent;
}
