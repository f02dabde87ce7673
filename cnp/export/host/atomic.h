/* Words that threads read without a lock. Some machines keep the order of accesses that a compiler without atomics does not
 * change. */
#ifdef __ATOMIC_ACQUIRE
#define LOAD_WORD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE_WORD(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)
#elif defined(KEEPS_ORDER)
#define LOAD_WORD(word) (*(volatile __typeof__(word) *)&(word))
#define STORE_WORD(word, value) (*(volatile __typeof__(word) *)&(word) = (value))
#else
#error "cnp.c wants a compiler that has __atomic_load_n on this machine"
#endif

/* The core and compiled code are not instrumented, so that ThreadSanitizer does not see what orders threads there. It is told:
 * what was done before a word says that something happened comes before what is done by who has found it in the word. */
static char cell_was_set, exit_was_taken; /* such words, of all sessions */
#ifdef __has_feature
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
void __tsan_acquire(void *);
void __tsan_release(void *);
#define COMES_BEFORE(word) __tsan_release(&(word))
#define COMES_AFTER(word) __tsan_acquire(&(word))
#else
#define COMES_BEFORE(word) ((void)(word))
#define COMES_AFTER(word) ((void)(word))
#endif
