/* Sorts n numbers, which it makes first, by a heap. */
#include <stdint.h>

static void sift(int64_t *a, int64_t root, int64_t n) {
    int64_t value = a[root];
    for (;;) {
        int64_t child = 2 * root + 1;
        if (child >= n)
            break;
        if (child + 1 < n && a[child + 1] > a[child])
            child++;
        if (a[child] <= value)
            break;
        a[root] = a[child];
        root = child;
    }
    a[root] = value;
}

void heap_sort(int64_t *a, int64_t n) {
    uint64_t seed = 42;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        a[i] = seed >> 33;
    }
    for (int64_t i = n / 2 - 1; i >= 0; i--)
        sift(a, i, n);
    for (int64_t end = n - 1; end > 0; end--) {
        int64_t last = a[end];
        a[end] = a[0];
        a[0] = last;
        sift(a, 0, end);
    }
}
