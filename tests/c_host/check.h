/* What all files of checks have in common: how a check fails, and functions to work on. */
#ifndef CHECK_H
#define CHECK_H
#include "cnp.h"

#include <stdio.h>
#include <stdlib.h>

/* A check a name, in the order in which they run. */
#define ALL_CHECKS(CHECK) \
    CHECK(a_loop) \
    CHECK(types) \
    CHECK(constants) \
    CHECK(memory) \
    CHECK(calls) \
    CHECK(c_functions) \
    CHECK(branch_table) \
    CHECK(traps) \
    CHECK(traps_in_callees) \
    CHECK(stack_overflow) \
    CHECK(polls) \
    CHECK(fuel) \
    CHECK(nested) \
    CHECK(threads) \
    CHECK(exits) \
    CHECK(exits_of_types) \
    CHECK(exits_in_callees) \
    CHECK(many_exits) \
    CHECK(entered_loops) \
    CHECK(entered_everywhere) \
    CHECK(cells) \
    CHECK(assumptions) \
    CHECK(guest_callees) \
    CHECK(guest_sizes) \
    CHECK(guards) \
    CHECK(broken_guards) \
    CHECK(entered_guards) \
    CHECK(refusing_guards) \
    CHECK(retired_code) \
    CHECK(cells_and_threads) \
    CHECK(stress) \
    CHECK(tiers) \
    CHECK(refused_tiers) \
    CHECK(given_up_tiers) \
    CHECK(asked_tiers) \
    CHECK(started_tiers) \
    CHECK(tiers_and_threads) \
    CHECK(signals) \
    CHECK(faults) \
    CHECK(faults_in_loops) \
    CHECK(nothing_is_left) \
    CHECK(full_code_memory) \
    CHECK(large) \
    CHECK(errors) \
    CHECK(errors_of_exits) \
    CHECK(errors_of_guards) \
    CHECK(errors_of_guest_callees)
#define DECLARE(name) void name(void);
ALL_CHECKS(DECLARE)

extern int failures;
extern const char *current;
extern int one_mapping; /* memory for code is mapped once */

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            printf("%s, line %d: %s\n", current, __LINE__, #condition);                                      \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)
#define EXPECT_MESSAGE(error, expected_kind, text)                                                           \
    do {                                                                                                     \
        CHECK((error).kind == (expected_kind));                                                              \
        if (!strstr((error).message, text)) {                                                                \
            printf("%s, line %d: message is: %s\n", current, __LINE__, (error).message);                     \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

cnp_session *open_with(cnp_options options);
cnp_session *open_session(void);
cnp_code *compile(cnp_session *session, cnp_function *const *functions, size_t n);
cnp_code *compile_one(cnp_session *session, cnp_function *f); /* and deletes the function */

cnp_function *sum_of_squares(cnp_session *session); /* of i * i % 7 for i from 0 to n */
int64_t expected_sum(int64_t n);
cnp_function *fib(cnp_session *session);
cnp_function *endless_recursion(cnp_session *session);
#endif
