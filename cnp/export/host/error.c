/* Errors: a kind and a message. */

#ifdef __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
static void *fail(cnp_error *error, cnp_error_kind kind, const char *format, ...) {
    va_list arguments;
    if (!error)
        return NULL;
    error->kind = kind;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return NULL;
}

static void *out_of_memory(cnp_error *error) { return fail(error, CNP_ERROR_MEMORY, "out of memory"); }
