/* When to compile, and when to give code up, as long as nobody has a policy of his own. */

static const cnp_policy usual_policy = {100, 1000, 50, 3, NULL};

static int64_t more(int64_t wanted, int64_t found) { return wanted > found ? wanted - found : 0; }

int64_t cnp_ask(const cnp_policy *policy, const cnp_counts *counts, cnp_event event) {
    if (event == CNP_EXIT_EVENT)
        return more(policy->exits, counts->exits);
    if (counts->given_up >= policy->attempts)
        return CNP_NEVER;
    return event == CNP_CALL_EVENT ? more(policy->calls, counts->calls) : more(policy->loops, counts->loops);
}
