/* Words that threads read without a lock. What a compiler without atomics emits for a volatile access is one instruction, whose
 * order x86-64 keeps; other machines keep it from a pointer to what it points to. */
#ifdef __ATOMIC_ACQUIRE
#define LOAD_WORD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE_WORD(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)
#else
#define LOAD_WORD(word) (*(volatile __typeof__(word) *)&(word))
#define STORE_WORD(word, value) (*(volatile __typeof__(word) *)&(word) = (value))
#endif
