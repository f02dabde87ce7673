/* Many threads at once. */
#include "check.h"

#include <pthread.h>

struct work {
    cnp_session *session;
    cnp_code *shared;
    int64_t wrong;
};

static void *run_shared(void *data) {
    struct work *work = data;
    int64_t (*sum)(int64_t) = (int64_t(*)(int64_t))cnp_pointer(work->shared, 0);
    cnp_trap trap;
    for (int64_t n = 1; n < 60; n++)
        work->wrong += sum(n) != expected_sum(n);
    for (int k = 0; k < 5; k++) {
        cnp_code *own = compile_one(work->session, sum_of_squares(work->session));
        cnp_code *deep = compile_one(work->session, endless_recursion(work->session));
        cnp_any argument;
        argument.i64 = 3;
        work->wrong += ((int64_t(*)(int64_t))cnp_pointer(own, 0))(9) != expected_sum(9);
        work->wrong += cnp_call(deep, 0, &argument, NULL, &trap) != CNP_TRAP_STACK_OVERFLOW;
        cnp_free(own);
        cnp_free(deep);
    }
    return NULL;
}

void threads(void) {
    cnp_session *session = open_session();
    cnp_code *code = compile_one(session, sum_of_squares(session));
    pthread_t thread[8];
    struct work work[8];
    for (int k = 0; k < 8; k++) {
        work[k].session = session, work[k].shared = code, work[k].wrong = 0;
        if (pthread_create(&thread[k], NULL, run_shared, &work[k]))
            exit(1);
    }
    for (int k = 0; k < 8; k++) {
        pthread_join(thread[k], NULL);
        CHECK(work[k].wrong == 0);
    }
    CHECK(((int64_t(*)(int64_t))cnp_pointer(code, 0))(30) == expected_sum(30));
    cnp_free(code);
    cnp_close(session);
}
