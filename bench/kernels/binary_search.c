/* The sum of the places at which m keys belong into n sorted numbers. */
#include <stdint.h>

int64_t binary_search(const int64_t *sorted, int64_t n, const int64_t *keys, int64_t m) {
    int64_t sum = 0;
    for (int64_t i = 0; i < m; i++) {
        int64_t key = keys[i], low = 0, high = n;
        while (low < high) {
            int64_t middle = (low + high) >> 1;
            if (sorted[middle] < key)
                low = middle + 1;
            else
                high = middle;
        }
        sum += low;
    }
    return sum;
}
