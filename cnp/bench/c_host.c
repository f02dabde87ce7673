/* What making functions costs from C. With the word `count` each work is done once and three times between two calls of
 * cnp_mark, with a number that many rounds are timed: a line each, of the program, the work, and nanoseconds. */
#include "cnp.c"
#include "programs.c" /* programs[], which the bench writes */

enum { WORKS = 3, LEAST_NANOSECONDS = 200000 };
static const char *const work_names[WORKS] = {"build", "compile", "emit"};

struct subject {
    cnp_session *session;
    const struct program *program;
    cnp_function *function;
    cnp_code *code;         /* of the same function: where emission goes */
    struct request request; /* the core's work on it, to be emitted again */
};

/* As far as it goes before copying; what the request refers to stays until something else is compiled. */
static void prepare_emission(struct subject *subject) {
    subject->function->code = subject->code;
    subject->function->index = 0;
    if (!prepare(subject->session, subject->function, subject->code, 0, &subject->request, NULL))
        abort();
}

static void work(struct subject *subject, int which) {
    cnp_session *session = subject->session;
    size_t at = subject->code->extent->start;
    switch (which) {
    case 0: cnp_delete(subject->program->build(session)); break;
    case 1: cnp_free(cnp_compile(session, &subject->function, 1, NULL)); break;
    default:
        ROUTINE(session, emit_routine, cnp_emit)
        (&subject->request, session->arena.writable + at, (u64)(uintptr_t)session->arena.executable + at);
    }
}

__attribute__((noinline)) void cnp_mark(void) { __asm__ volatile(""); }

static void count(struct subject *subject) {
    for (int which = 0; which < WORKS; which++) {
        prepare_emission(subject);
        for (int calls = 1; calls <= 3; calls += 2) {
            work(subject, which); /* warm */
            cnp_mark();
            for (int k = 0; k < calls; k++)
                work(subject, which);
            cnp_mark();
        }
        printf("%s %s\n", subject->program->name, work_names[which]);
    }
}

static u64 nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

static void measure(struct subject *subject) {
    for (int which = 0; which < WORKS; which++) {
        u64 start, end, calls = 0;
        prepare_emission(subject);
        work(subject, which);
        start = end = nanoseconds();
        for (; end - start < LEAST_NANOSECONDS; end = nanoseconds(), calls++)
            work(subject, which);
        printf("%s %s %.1f\n", subject->program->name, work_names[which], (f64)(end - start) / (f64)calls);
    }
}

int main(int n, char **words) {
    enum { PROGRAMS = sizeof programs / sizeof *programs };
    static struct subject subjects[PROGRAMS];
    cnp_error error;
    cnp_session *session = cnp_open(NULL, &error);
    int rounds = n > 1 ? atoi(words[1]) : 0;
    for (int k = 0; session && k < PROGRAMS; k++) {
        subjects[k] = (struct subject){.session = session, .program = &programs[k], .function = programs[k].build(session)};
        subjects[k].code = cnp_compile(session, &subjects[k].function, 1, &error);
        if (!subjects[k].code)
            break;
    }
    if (!session || !subjects[PROGRAMS - 1].code) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (int round = 0; round < (rounds ? rounds : 1); round++)
        for (int k = 0; k < PROGRAMS; k++)
            (rounds ? measure : count)(&subjects[k]);
    for (int k = 0; k < PROGRAMS; k++)
        cnp_delete(subjects[k].function);
    cnp_close(session);
    return 0;
}
