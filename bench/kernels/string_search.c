/* How often a word of m bytes occurs in a text of n. */
#include <stdint.h>

int64_t string_search(const uint8_t *text, int64_t n, const uint8_t *word, int64_t m) {
    int64_t found = 0;
    for (int64_t i = 0; i <= n - m; i++) {
        int64_t k = 0;
        while (k < m && text[i + k] == word[k])
            k++;
        if (k == m)
            found++;
    }
    return found;
}
