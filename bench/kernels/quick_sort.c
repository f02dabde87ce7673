/* Sorts n numbers, which it makes first, by Hoare's partition and two calls. */
#include <stdint.h>

static void sort(int64_t *a, int64_t low, int64_t high) {
    if (low >= high)
        return;
    int64_t pivot = a[(low + high) >> 1];
    int64_t i = low, j = high;
    while (i <= j) {
        while (a[i] < pivot)
            i++;
        while (a[j] > pivot)
            j--;
        if (i <= j) {
            int64_t kept = a[i];
            a[i] = a[j];
            a[j] = kept;
            i++;
            j--;
        }
    }
    sort(a, low, j);
    sort(a, i, high);
}

void quick_sort(int64_t *a, int64_t n) {
    uint64_t seed = 42;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        a[i] = seed >> 33;
    }
    sort(a, 0, n - 1);
}
