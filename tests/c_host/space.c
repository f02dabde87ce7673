/* Memory: nothing is left, and code memory may be full. */
#include "check.h"

/* Bytes of address space. */
static size_t address_space(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    size_t start, end, bytes = 0;
    while (file && fscanf(file, "%zx-%zx%*[^\n]", &start, &end) == 2)
        bytes += end - start;
    if (!file || fclose(file) || !bytes)
        exit(1);
    return bytes;
}

void nothing_is_left(void) {
    cnp_session *session = open_session();
    size_t before;
    const char *place = NULL;
    for (int k = 0; k < 60; k++) {
        cnp_code *code = compile_one(session, sum_of_squares(session)), *other = compile_one(session, fib(session));
        CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(5) == expected_sum(5));
        if (!place)
            place = (const char *)(intptr_t)cnp_pointer(other, 0);
        CHECK(place == (const char *)(intptr_t)cnp_pointer(other, 0));
        cnp_free(k & 1 ? code : other);
        cnp_free(k & 1 ? other : code);
    }
    cnp_close(session);
    before = address_space();
    for (int k = 0; k < 12; k++) { /* each maps a MiB for the thread's context, and more for code */
        session = open_session();
        cnp_code *code = compile_one(session, sum_of_squares(session));
        CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(5) == expected_sum(5));
        if (k & 1)
            cnp_free(code); /* else with the session */
        cnp_close(session);
    }
    CHECK(address_space() < before + (10 << 20));
}

void full_code_memory(void) {
    cnp_options options = {3 << 18, NULL, NULL, NULL, 0};
    cnp_session *session = open_with(options);
    cnp_function *f = sum_of_squares(session);
    static cnp_code *codes[1 << 15];
    cnp_error error;
    int n = 0;
    while ((codes[n] = cnp_compile(session, &f, 1, &error)))
        n++;
    EXPECT_MESSAGE(error, CNP_ERROR_CODE_MEMORY, "memory for code is full: ");
    CHECK(n > 100);
    for (int k = 0; k < n; k += 97)
        CHECK(((int64_t(*)(int64_t))cnp_pointer(codes[k], 0))(5) == expected_sum(5));
    for (int k = 0; k < n; k += 2) /* leaves holes */
        cnp_free(codes[k]);
    for (int k = 0; k < n; k += 2)
        CHECK((codes[k] = cnp_compile(session, &f, 1, &error)) != NULL);
    CHECK(!cnp_compile(session, &f, 1, NULL));
    for (int k = n; k-- > 0;)
        cnp_free(codes[k]);
    cnp_delete(f);
    cnp_close(session);
    options.code_size = 4096; /* not even the core fits */
    options.one_mapping = one_mapping;
    CHECK(!cnp_open(&options, &error) && error.kind == CNP_ERROR_CODE_MEMORY);
    options.code_size = (size_t)1 << 62;
    CHECK(!cnp_open(&options, &error));
    EXPECT_MESSAGE(error, CNP_ERROR_SYSTEM, "memory for code");
}
