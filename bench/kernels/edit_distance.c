/* Levenshtein's distance between two strings of bytes, by one row of the table. */
#include <stdint.h>

int32_t edit_distance(int32_t *row, const uint8_t *s, int64_t m, const uint8_t *t, int64_t n) {
    for (int64_t j = 0; j <= n; j++)
        row[j] = (int32_t)j;
    for (int64_t i = 1; i <= m; i++) {
        int32_t diagonal = row[0];
        row[0] = (int32_t)i;
        for (int64_t j = 1; j <= n; j++) {
            int32_t best = diagonal + (s[i - 1] != t[j - 1]);
            diagonal = row[j];
            int32_t other = diagonal + 1;
            best = other < best ? other : best;
            other = row[j - 1] + 1;
            best = other < best ? other : best;
            row[j] = best;
        }
    }
    return row[n];
}
